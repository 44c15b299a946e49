"""By what an image is known again: its pixels, whatever the file is called and however it was saved without loss."""

from __future__ import annotations

from PIL import Image

from methods import files


def content_hash(image: Image.Image) -> str:
    """32 hexadecimal digits that follow from the pixels alone, so that a renamed or re-saved copy is recognised."""
    return files.hash_joined((f"{image.width}x{image.height}", image.convert("RGB").tobytes()))[:32]
