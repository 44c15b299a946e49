"""Builders of the odd and hostile files that the tests feed to `methods.images.decode`, and how they look at what it
gives; nothing binary is committed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from methods.images import decode


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth RGB picture whose four corners differ, so that a wrong turn or a clipped channel shows."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / max(width - 1, 1), 255 * y / max(height - 1, 1)
    blue = 255 * (x + y) / max(width + height - 2, 1) / 2 + 40
    return Image.fromarray(np.stack([red, green, blue], axis=-1).round().astype(np.uint8))


def encoded(picture: Image.Image, file_format: str, **settings: object) -> bytes:
    if file_format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **settings)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    """A PNG by hand: any header, extra chunks before the pixels, and the given filtered rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(pixels, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_rows(array: np.ndarray) -> bytes:
    """Big-endian rows with filter 0 of an integer array [H, W] or [H, W, C]."""
    return b"".join(b"\0" + row.tobytes() for row in array)


def png_bomb(side: int) -> bytes:
    """A few kilobytes that unfold to side x side pixels of one bit: zlib of zlib-friendly zeros."""
    return png(side, side, depth=1, colour=0, pixels=bytes((side // 8 + 1) * side))


def bmp(width: int, height: int) -> bytes:
    """A BMP's header without its pixels."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info


def gif_with_canvas(width: int, height: int, frames: int = 1) -> bytes:
    """A GIF whose canvas is huge and whose frames are single pixels."""
    further = [Image.new("P", (1, 1), 1 + index % 2) for index in range(frames - 1)]
    content = bytearray(encoded(Image.new("P", (1, 1)), "GIF", save_all=True, append_images=further))
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content)


def tiff(tags: list[tuple[int, int, int, int]], pixels: bytes = b"") -> bytes:
    """A little-endian TIFF of one page with the given (tag, type, count, value) entries; pixels follow at its end."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + pixels


def tiff_tags(width: int, height: int, *, strip: int | None = None, **more: int) -> list[tuple[int, int, int, int]]:
    """Tags of an uncompressed 8-bit grey page; `more` as tag123=value."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1, 278: height, 279: min(width * height, 2**32 - 1)}
    tags |= {int(name.removeprefix("tag")): value for name, value in more.items()}
    tags[273] = strip if strip is not None else 8 + 2 + 12 * (len(tags) + 1) + 4
    return [(tag, 4, 1, value) for tag, value in tags.items()]


def exif_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


def lying(orientation: int, upright: Image.Image) -> Image.Image:
    """The pixels a camera stores so that EXIF `orientation` shows `upright`."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    return upright.transpose(undo[orientation]) if orientation in undo else upright


def read(source: object, **settings: int) -> tuple[np.ndarray, str]:
    """Pixels and joined notes of a decoded picture, which must be plain RGB without metadata."""
    decoded = decode(source, **settings)
    assert type(decoded.image) is Image.Image
    assert decoded.image.mode == "RGB"
    assert decoded.image.info == {}
    assert all(note.endswith(".") and "\n" not in note for note in decoded.notes)
    return np.asarray(decoded.image).astype(int), " ".join(decoded.notes)


def assert_near(pixels: np.ndarray, expected: object, tolerance: float) -> None:
    expected = np.asarray(expected).astype(int)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= tolerance
