"""An image inside the page itself: nothing is written to disk, nothing can be read by another visitor."""

from __future__ import annotations

import base64
import functools
import io
from pathlib import Path

from PIL import Image

from methods.images import decode


def data_url(image: Image.Image, longest: int | None = None, *, lossless: bool = False) -> str:
    """The image as a data URL: WebP, or PNG where a lossy copy would add damage of its own.

    Args:
        longest: reduced to so many pixels per side where it is larger.
    """
    if longest is not None:
        image = image.copy()
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    kind, settings = ("PNG", {}) if lossless else ("WEBP", {"quality": 82})
    buffer = io.BytesIO()
    (image if lossless else image.convert("RGB")).save(buffer, kind, **settings)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


@functools.lru_cache(maxsize=256)
def thumbnail_url(path: Path, longest: int) -> str:
    """A picture of our own, small, as a data URL."""
    return data_url(decode(path).image, longest)
