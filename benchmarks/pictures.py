"""Photographs for timing: those that scikit-image carries, so that every machine times the same pixels."""

from __future__ import annotations

import itertools

from PIL import Image

NAMES = ("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina")


def photographs(count: int, size: tuple[int, int] | None = None) -> list[Image.Image]:
    """`count` different RGB pictures; past the sixth they are mirrored or turned.

    Args:
        size: (width, height) that each is scaled to; None keeps its own, 0.15 to 2 megapixels.
    """
    import skimage.data

    turns = [None, *Image.Transpose]
    pictures = []
    for turn, name in itertools.islice(itertools.product(turns, NAMES), count):
        picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
        if turn is not None:
            picture = picture.transpose(turn)
        pictures.append(picture.resize(size, Image.Resampling.LANCZOS) if size else picture)
    return pictures
