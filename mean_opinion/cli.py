"""The command `mean-opinion`."""

from methods.__main__ import main

__all__ = ["main"]
