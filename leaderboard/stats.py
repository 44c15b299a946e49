"""The statistics of `methods.agreement`, under the name that the leaderboard has always had for them."""

from methods.agreement import *  # noqa: F403
from methods.agreement import __all__

__all__ = list(__all__)
