"""Names and sentences from outside, as the page shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

NAME_LENGTH = 40


def plain(text: str) -> str:
    """Text that holds names or addresses from outside, as Markdown that shows it literally."""
    return "".join(f"&#{ord(c)};" if c in "<>&*_`[]()#!|\\~$" else c for c in text)


def distinct_names(paths: Sequence[str], length: int = NAME_LENGTH) -> list[str]:
    """File names for display, without suffix and control characters, cut at `length`; equal ones are numbered."""
    names = ["".join(c for c in Path(path).stem if c.isprintable())[:length] or "picture" for path in paths]
    return [name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})"
            for index, name in enumerate(names)]


def web_address(text: object) -> str:
    """A page's address as a browser says it, "" for anything but a plain one, since files and links will hold it."""
    plain_one = isinstance(text, str) and re.fullmatch(r"https?://[\w.:\-\[\]/~%]{1,200}", text)
    return str(text) if plain_one else ""
