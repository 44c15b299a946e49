"""Entries for the tests of the store: small, and told apart by a number."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ui.share.entry import Entry, copy_for_sharing


def picture(number: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def entry(number: int = 0, created: float = 1_000_000.0, padding: int = 0) -> Entry:
    """`padding` bytes of picture that do not compress."""
    blob = np.random.default_rng(number).bytes(padding) if padding else copy_for_sharing(picture(number))
    return Entry({"format": 1, "number": number, "text": "straße 写真"}, (blob,), created)


def jpeg_with_metadata(path, secret: str = "SECRET PLACE"):
    """A JPEG with EXIF (orientation 6 and a description), an XMP packet and a comment."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = secret
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    picture(3, (80, 40)).save(buffer, "JPEG", exif=exif, comment=secret.encode(), xmp=secret.encode())
    path.write_bytes(buffer.getvalue())
    return path
