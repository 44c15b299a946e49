"""Which fonts a drawing is set in: a name in any script is drawn, or spelled in Latin letters, never shown as boxes."""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path

from anyascii import anyascii

FAMILIES = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "WenQuanYi Zen Hei",
            "WenQuanYi Micro Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo",
            "Microsoft YaHei", "Yu Gothic", "Malgun Gothic")
"""In this order; the first is matplotlib's own. The second to the last are the usual ones for Chinese, Japanese and
Korean; packages.txt names one of them for the Space."""

# It says at every text that a font with one weight has no other.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

_FILES = re.compile(r"noto ?sans ?cjk|wqy|droid ?sans ?fallback|pingfang|hiragino|gothic|msyh|malgun", re.IGNORECASE)


@functools.cache
def families() -> tuple[str, ...]:
    """Those of `FAMILIES` that this machine has."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    files = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():  # matplotlib keeps a list of an earlier day
        if path not in files and _FILES.search(Path(path).name):
            manager.addfont(path)
    names = {entry.name for entry in manager.ttflist}
    return tuple(name for name in FAMILIES if name in names)


@functools.cache
def _glyphs() -> frozenset[int]:
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    every: set[int] = set()
    for name in families():
        every |= FT2Font(font_manager.findfont(name, fallback_to_default=False)).get_charmap().keys()
    return frozenset(every)


def drawable(text: str) -> str:
    """The text; a character that no font here has is spelled in Latin letters, or "?" where it has no spelling."""
    glyphs = _glyphs()
    return "".join(one if ord(one) in glyphs else anyascii(one) or "?" for one in text if one.isprintable())
