"""The one base of every sentence that is meant for a user, and the end of a sentence about an unknown name.

Command lines, the page and the API print a `UserError` as it is, in one line, and nothing else. Any other exception is
a defect of the program: it keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something that the user can act on; the message is one plain sentence that says what to do next."""


class InputError(UserError, ValueError):
    """What was given cannot be used: an unknown name, a bad value, an unusable file."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of an error sentence: "; did you mean ...?" where a name is near, else the list of names."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; choose from {', '.join(names)}."
