"""The one failure of a model that no prompt is to blame for: it cannot be reached now.

Whoever scores many images has to tell the two apart. A prompt that a model refuses is that image's error; a server
that is gone would give every image that follows the same one.
"""

from __future__ import annotations

from methods.lmm.base import LMMError


class ModelUnavailable(LMMError):
    """The model did not answer in spite of repeated tries; start it again and go on."""
