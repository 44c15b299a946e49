"""BMP with a palette and PNM with any largest value, read here because Pillow reads some of them wrong.

Pillow 12 takes a run-length-coded BMP's odd runs and empty lines wrong, reads an 8-bit BMP whose palette is black and
white as one bit per pixel, and hides samples of a PNM that are larger than its header allows.
"""

from __future__ import annotations

import mmap

import numpy as np
from PIL import Image

from methods.images.errors import DamagedError, UnsupportedError

_PLAIN, _RLE8, _RLE4 = 0, 1, 2
_LINE_END, _PICTURE_END, _SKIP = 0, 1, 2


def is_indexed(content: bytes | mmap.mmap) -> bool:
    """Whether a BMP has a palette: at most 8 bits per pixel."""
    core = int.from_bytes(content[14:18], "little") == 12
    return 0 < int.from_bytes(content[24:26] if core else content[28:30], "little") <= 8


def decode_indexed_bmp(content: bytes | mmap.mmap, size: tuple[int, int]) -> Image.Image:
    """A BMP with a palette, as RGB.

    Args:
        content: the file.
        size: (width, height) as Pillow's header reader gives it, checked.

    Raises:
        DamagedError: rows are missing or too long, or a pixel's colour is not in the palette.
        UnsupportedError: the file leaves some of its pixels out, which viewers fill in different ways.
    """
    header = int.from_bytes(content[14:18], "little")
    core = header == 12
    depth = int.from_bytes(content[24:26] if core else content[28:30], "little")
    compression = _PLAIN if core else int.from_bytes(content[30:34], "little")
    colours = (0 if core else int.from_bytes(content[46:50], "little")) or 1 << depth
    flipped = core or int.from_bytes(content[22:26], "little", signed=True) > 0
    place = int.from_bytes(content[10:14], "little")
    step = 3 if core else 4
    palette = np.frombuffer(content[14 + header:14 + header + step * min(colours, 256)], np.uint8)
    palette = palette[:len(palette) // step * step].reshape(-1, step)[:, 2::-1]
    width, height = size
    if compression == _PLAIN and depth in (1, 2, 4, 8):
        stride = (width * depth + 31) // 32 * 4
        rows = np.frombuffer(content[place:place + stride * height], np.uint8)
        if rows.size < stride * height:
            raise DamagedError("the end of the BMP is missing")
        pixels: np.ndarray = rows.reshape(height, stride)
        if depth < 8:
            bits = np.unpackbits(pixels, axis=1).reshape(height, -1, depth)
            pixels = np.packbits(bits, axis=2)[..., 0] >> (8 - depth)
        pixels = pixels[:, :width]
    elif (compression, depth) in ((_RLE8, 8), (_RLE4, 4)):
        pixels = np.frombuffer(_unpacked_runs(content, place, width, height, compression == _RLE4), np.uint8)
        pixels = pixels.reshape(height, width)
    else:
        raise UnsupportedError(f"BMP compression {compression} of {depth} bits")
    if pixels.max() >= len(palette):
        raise DamagedError("some of its pixels have colours beyond its palette")
    return Image.fromarray(palette[pixels[::-1] if flipped else pixels])


def _unpacked_runs(content: bytes | mmap.mmap, place: int, width: int, height: int, four_bits: bool) -> bytes:
    """Rows in the file's order, a byte per pixel; every line must be full."""
    rows: list[bytes] = []
    row = bytearray()
    while len(rows) < height:
        if place + 2 > len(content):
            raise DamagedError("the end of the BMP is missing")
        count, value = content[place], content[place + 1]
        place += 2
        if count:
            pair = bytes([value >> 4, value & 15] if four_bits else [value])
            row += (pair * count)[:count]
        elif value in (_LINE_END, _PICTURE_END):
            if len(row) < width:
                raise DamagedError("a line of the BMP is too short")
            rows.append(bytes(row))
            row.clear()
            if value == _PICTURE_END:
                break
        elif value == _SKIP:
            raise UnsupportedError("a BMP that leaves out some of its pixels")
        else:
            size = (value + 1) // 2 if four_bits else value
            literal = content[place:place + size]
            place += size + size % 2
            row += bytes(half for byte in literal for half in (byte >> 4, byte & 15))[:value] if four_bits else literal
        if len(row) > width:
            raise DamagedError("a line of the BMP is too long")
        if len(rows) == height - 1 and len(row) == width:  # What follows can only be the end.
            rows.append(bytes(row))
    if len(rows) < height:
        raise DamagedError("some lines of the BMP are missing")
    return b"".join(rows)


def decode_scaled_pnm(content: bytes | mmap.mmap, place: int, size: tuple[int, int], channels: int,
                      largest: int) -> Image.Image:
    """A binary PNM whose largest value is not 255, scaled to 8 bits.

    Args:
        content: the file.
        place: where its samples begin.
        size: (width, height).
        channels: 1 or 3.
        largest: the value that stands for white, 1 to 65,535.

    Raises:
        DamagedError: samples are missing, or larger than `largest`.
    """
    kind = np.dtype(">u2" if largest > 255 else "u1")
    count = size[0] * size[1] * channels
    data = bytes(content[place:place + count * kind.itemsize])
    samples = np.frombuffer(data[:len(data) // kind.itemsize * kind.itemsize], kind)
    if samples.size < count:
        raise DamagedError("the end of the PNM is missing")
    if samples.max() > largest:
        raise DamagedError(f"some of its samples are larger than the {largest} of its header")
    scale = np.rint(np.arange(largest + 1) * (255.0 / largest)).astype(np.uint8)
    shape = (size[1], size[0]) if channels == 1 else (size[1], size[0], channels)
    return Image.fromarray(scale[samples].reshape(shape))
