"""What every command does when its reader leaves."""

from __future__ import annotations

import os
import sys


def drop_the_rest() -> None:
    """To be called on a BrokenPipeError: the reader (head, say) has seen enough.

    Python flushes stdout once more at exit and would complain again; that goes nowhere from here on.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
