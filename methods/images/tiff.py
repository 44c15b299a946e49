"""TIFF: whether every strip or tile lies whole inside the file, and what range its samples have.

libtiff reports some damage as a warning, which Pillow drops, and Pillow takes a row of 12-bit samples for 16 bits.
Tags are those of TIFF 6.0.
"""

from __future__ import annotations

import mmap
import zlib
from typing import TYPE_CHECKING

from methods.images.boxes import HOLE
from methods.images.errors import DamagedError, UnsupportedError
from methods.images.jpeg import check_jpeg

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_SAMPLES, _STRIP_ROWS, _PLANAR, _MAX_VALUE, _EXTRA, _JPEG_TABLES = 277, 278, 284, 281, 338, 347
_STRIPS, _TILES = (273, 279), (324, 325)
_TILE_WIDTH, _TILE_HEIGHT = 322, 323

_RAW, _LZW, _JPEG, _PACKBITS = 1, 5, 7, 32773
_YCBCR = 6
_CCITT, _DEFLATE = (2, 3, 4), (8, 32946)
ALWAYS_READ = frozenset({_RAW, _LZW, _JPEG, _PACKBITS, *_CCITT, *_DEFLATE})
"""Compressions that every libtiff reads; others depend on how it was built."""


def bits(tags: ImageFileDirectory_v2) -> int:
    """Bits of a sample: BitsPerSample, or less where MaxSampleValue names a whole number of bits.

    TIFF 6.0 calls MaxSampleValue a statistic that must not change how an image looks. A power of two less one is
    a depth all the same: it is how 10- and 12-bit cameras say that their 16-bit files are not full.
    """
    depth = max(_numbers(tags, _BITS, 1))
    largest = max(_numbers(tags, _MAX_VALUE, 0))
    if 8 < largest.bit_length() < depth <= 16 and largest & (largest + 1) == 0:
        return largest.bit_length()
    return depth


def white_is_zero(tags: ImageFileDirectory_v2) -> bool:
    return bool(tags.get(_PHOTOMETRIC) == 0)


def check_strips(tags: ImageFileDirectory_v2, content: bytes | mmap.mmap) -> None:
    """Looks for every strip or tile of a page.

    Raises:
        DamagedError: one is missing, cut off, has a hole, or does not unpack to its size.
        UnsupportedError: colour of more than 8 bits that does not fill its 16, which Pillow cannot scale.
    """
    depth, samples = _numbers(tags, _BITS, 1), _numbers(tags, _SAMPLES, 1)[0]
    if samples > 2 and max(depth) > bits(tags):
        raise UnsupportedError(f"TIFF colour of {bits(tags)} bits in {max(depth)}")
    tiled = _TILES[0] in tags
    offsets, counts = (_numbers(tags, tag, 0) for tag in (_TILES if tiled else _STRIPS))
    width, height = _numbers(tags, _WIDTH, 0)[0], _numbers(tags, _HEIGHT, 0)[0]
    if tiled:
        chunk_width, chunk_height = _numbers(tags, _TILE_WIDTH, 0)[0], _numbers(tags, _TILE_HEIGHT, 0)[0]
    else:
        chunk_width, chunk_height = width, min(_numbers(tags, _STRIP_ROWS, height)[0], height)
    if chunk_width < 1 or chunk_height < 1:
        raise DamagedError("the size of its strips or tiles is damaged")
    separate = tags.get(_PLANAR) == 2
    extra = _numbers(tags, _EXTRA, 1)  # Planes of no stated meaning (0) are not read.
    planes = samples - (0 if any(extra) else len(extra)) if separate else 1
    row = -(-chunk_width * (1 if separate else samples) * max(depth) // 8)
    down, across = -(-height // chunk_height), -(-width // chunk_width)
    if len(offsets) < down * across * planes:
        raise DamagedError("some of its strips or tiles are missing")
    compression = tags.get(_COMPRESSION, _RAW)
    for number, offset in enumerate(offsets[:down * across * planes]):
        top = number % (down * across) // across * chunk_height
        size = row * (chunk_height if tiled else min(chunk_height, height - top))
        if tags.get(_PHOTOMETRIC) == _YCBCR:  # Its colours are fewer than its pixels.
            size = 1
        packed = counts[number] if number < len(counts) else 0
        if compression == _RAW:
            packed = size
        if offset < 8 or packed < 1 or offset + packed > len(content):
            raise DamagedError("some of its strips or tiles lie outside the file")
        if compression in _DEFLATE:
            _check_deflate(content[offset:offset + packed], size)
        elif compression == _JPEG:
            tables = tags.get(_JPEG_TABLES)
            strip = bytes(content[offset:offset + packed])
            check_jpeg(tables[:-2] + strip[2:] if isinstance(tables, bytes) and len(tables) > 4 else strip)
        elif compression == _RAW or (compression == _PACKBITS and row <= 2):
            continue  # Here zeros are pixels.
        elif content.find(HOLE, offset, offset + packed) >= 0:
            raise DamagedError("a part of it is filled with zeros")


def _numbers(tags: ImageFileDirectory_v2, tag: int, default: int) -> tuple[int, ...]:
    value = tags.get(tag, default)
    value = value if isinstance(value, tuple) else (value,)
    if not value or not all(isinstance(number, int) for number in value):
        raise DamagedError("its tags are damaged")
    return value


def _check_deflate(packed: bytes, size: int) -> None:
    """The strip unpacks to its size, and its checksum is right; the unpacked bytes are not kept."""
    unpacker, unpacked = zlib.decompressobj(), 0
    try:
        while not unpacker.eof and unpacked <= size:
            piece = unpacker.decompress(packed, 2**20)
            packed = unpacker.unconsumed_tail
            unpacked += len(piece)
            if not piece and not packed:
                break
    except zlib.error as error:
        raise DamagedError("a strip or tile does not unpack") from error
    if unpacked < size or (not unpacker.eof and unpacked <= size):
        raise DamagedError("a strip or tile does not unpack to its size")
