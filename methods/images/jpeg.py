"""JPEG: decoded by libjpeg-turbo with its warnings as errors, after the scans were counted and looked through.

Pillow drops libjpeg's warnings, so that a file with a hole in the middle or a tail of zeros decodes to pixels that are
partly invented. simplejpeg calls the same library, gives the same pixels, and raises on the first warning. Two faults
make no warning: a progressive file that ends between two scans, and zeros that happen to be valid code words.
"""

from __future__ import annotations

import mmap
import re
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from methods.images.errors import DamagedError, ImageError, UnsupportedError

MAX_SCANS = 500  # Each scan of a progressive file goes over all pixels again, however short it is.
_HOLE = bytes(32)
_PADDING = 16  # bytes that some cameras leave between the last scan and the end marker

# A marker inside entropy-coded data, which escapes its own 0xff and may hold restart markers.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_SPECTRUM = bytes([0, 63, 0])  # selection and approximation of a sequential scan, whatever its header says
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS, _ARITHMETIC = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA), 0xC3, (0xC9, 0xCA)
_READ = (*_SEQUENTIAL, *_PROGRESSIVE, _LOSSLESS)
_TABLES = (0xC4, 0xCC, 0xDB, 0xDD)  # Huffman and arithmetic tables, quantisers, and the restart interval
_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_MODES = {"Gray": "L", "CMYK": "CMYK", "YCCK": "CMYK"}


class Scans:
    """What a JPEG's scans bring, followed from marker to marker up to the end marker.

    Args:
        content: the file.

    Raises:
        DamagedError: a marker, a scan, a component or a bit of the coefficients is missing, or a scan has a hole.
        UnsupportedError: hierarchical or 12-bit coding.
        ImageError: there are more than MAX_SCANS scans.
    """

    plain: bytearray
    """The image without metadata, junk between segments and odd but harmless headers. The decoder warns of those too,
    and tells its first warning only."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        self._first_symbols: dict[int, int] = {}  # of each Huffman table, which is the symbol of the code 00...0
        self._left: dict[int, list[int]] = {}  # per component, the low bits of each coefficient that are yet to come
        self._frame = 0
        self.plain = bytearray(content[:2])
        place, first_scan, scans = 2, 0, 0
        sequential: list[int] = []
        while True:
            match = _MARKER.search(content, place)
            if match is None:
                raise DamagedError("the end of the JPEG is missing")
            marker, place = match[0][1], match.end()
            if marker == 0xD9:
                break
            if marker in (0x01, 0xD8):
                continue
            start = match.start()
            length = int.from_bytes(content[place:place + 2], "big")
            if length < 2 or place + length > len(content):
                raise DamagedError("a segment of the JPEG is cut off")
            body = content[place + 2:place + length]
            place += length
            if not first_scan:
                first_scan = start if marker == 0xDA else 0
                self.plain += _plain_segment(marker, body)
            if marker in _FRAMES:
                self._start_frame(marker, body)
            elif marker == 0xC4:
                self._add_tables(body)
            elif marker == 0xDA:
                scans += 1
                if scans > MAX_SCANS:
                    raise ImageError(
                        "The file holds far more metadata than an image needs: the JPEG has too many scans; "
                        "save it again without."
                    )
                self._add_scan(body, place)
                if self._frame in _SEQUENTIAL:
                    sequential.append(place - 3)
        offset = len(self.plain) - first_scan
        self.plain += content[first_scan:match.end()]
        for place in sequential:
            self.plain[place + offset:place + offset + 3] = _SPECTRUM
        if not self._left or any(bit for bits in self._left.values() for bit in bits):
            raise DamagedError("the last scans of the JPEG are missing")

    def _start_frame(self, marker: int, body: bytes) -> None:
        if marker not in _READ or body[:1] != b"\x08":
            raise UnsupportedError("a hierarchical or 12-bit JPEG")
        self._frame = marker
        self._left = {identity: [1] * 64 for identity in body[6::3]}

    def _add_tables(self, body: bytes) -> None:
        while len(body) > 17:
            symbols = sum(body[1:17])
            self._first_symbols[body[0]] = body[17]
            body = body[17 + symbols:]

    def _add_scan(self, body: bytes, start: int) -> None:
        count = body[0] if body else 0
        if len(body) != 2 * count + 4 or not count:
            raise DamagedError("the header of a JPEG scan is damaged")
        first, last, approximation = body[-3:]
        progressive = self._frame in _PROGRESSIVE
        if not progressive:
            first, last, approximation = _SPECTRUM
        for identity in body[1:1 + 2 * count:2]:
            left = self._left.get(identity)
            if left is None or last > 63:
                raise DamagedError("the header of a JPEG scan is damaged")
            left[first:last + 1] = [approximation & 15] * (last + 1 - first)
        refines_dc = progressive and first == 0 and approximation >> 4
        if self._frame in _ARITHMETIC or refines_dc:
            return
        following = _MARKER.search(self._content, start)
        end = following.start() if following else len(self._content)
        # Any hole fills a whole word, which is found ten times faster.
        suspicious = not np.frombuffer(self._content, np.uint64, (end - start) // 8, start).all()
        hole = suspicious and self._content.find(_HOLE, start, end) >= 0
        if hole and not self._zeros_are_flat(body, progressive, first):
            raise DamagedError("a part of the JPEG is filled with zeros")

    def _zeros_are_flat(self, body: bytes, progressive: bool, first: int) -> bool:
        """Whether the code words 00...0 of this scan mean "no change" and "end of block", as in a flat area.

        If not, zeros would be the same coefficient again and again, which no encoder writes.
        """
        tables = body[2:2 + 2 * body[0]:2]
        flat = True
        if first == 0:
            flat = all(self._first_symbols.get(table >> 4) == 0 for table in tables)
        if self._frame != _LOSSLESS and (not progressive or first > 0):
            symbols = [self._first_symbols.get(16 + (table & 15), 1) for table in tables]
            flat = flat and all(symbol & 15 == 0 and symbol != 0xF0 for symbol in symbols)
        return flat


def decode_jpeg(content: bytes | mmap.mmap, mode: str, size: tuple[int, int], scale: int = 1) -> Image.Image:
    """The first image of a JPEG, complete.

    Args:
        content: the file (any buffer).
        mode: Pillow's mode of it: L, RGB or CMYK.
        size: its (width, height) in full.
        scale: 1, 2, 4 or 8; the image comes this many times smaller, and is decoded faster.

    Raises:
        DamagedError: libjpeg warns of anything but padding in front of the end marker, or see `Scans`.
        UnsupportedError: another mode, or see `Scans`.
    """
    pixels = _pixels(content, mode, -(-size[0] // scale), -(-size[1] // scale))
    if mode == "CMYK":  # Stored as by Adobe, inverted.
        np.invert(pixels, out=pixels)
    image = Image.new(mode, pixels.shape[1::-1], None)  # Not fromarray, which copies once more and fills before.
    image.frombytes(pixels, "raw", mode)
    return image


def check_jpeg(content: bytes) -> None:
    """A JPEG inside another file: decoded as small as can be, for the sake of its errors, which are `decode_jpeg`'s."""
    try:
        header = simplejpeg.decode_jpeg_header(content)
    except ValueError as error:
        raise DamagedError("the header of a JPEG inside is damaged") from error
    _pixels(content, _MODES.get(header[2], "RGB"), 1, 1)


def _pixels(content: bytes | mmap.mmap, mode: str, width: int, height: int) -> np.ndarray:
    """uint8 [H, W, channels] of at least the given size, scaled by a power of two at most."""
    if mode not in _COLOURS:
        raise UnsupportedError(f"a JPEG with {mode} pixels")
    plain = Scans(content).plain
    settings: dict[str, Any] = {"colorspace": _COLOURS[mode], "min_width": width, "min_height": height}
    try:
        return np.asarray(simplejpeg.decode_jpeg(plain, **settings))
    except ValueError as error:
        match = _EXTRANEOUS.search(str(error))
        count = int(match[1]) if match else 0
        if not 0 < count <= _PADDING or len(set(plain[-2 - count:-2])) > 1:
            raise DamagedError(f"its decoder says {str(error)!r}") from error
        return np.asarray(simplejpeg.decode_jpeg(plain, strict=False, **settings))


def _plain_segment(marker: int, body: bytes) -> bytes:
    """A segment before the first scan, if it decides what the pixels look like."""
    if marker == 0xE0 and body[:5] == b"JFIF\0":
        body = body[:5] + b"\1" + body[6:]
    elif not (marker in _FRAMES or marker in _TABLES or (marker == 0xEE and body[:5] == b"Adobe")):
        return b""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
