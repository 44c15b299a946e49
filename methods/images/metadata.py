"""What a file may claim beside its pixels: bounds on tags, segments, chunks and blocks, before Pillow reads them.

Beside `methods.images.files`. Pillow keeps the value of every tag of a directory, and a directory of 65,535 tags that
all point at the same megabyte is a file of two megabytes that takes 65 gigabytes. Comments and EXIF segments are joined
one by one, which takes the square of their number. An honest file stays far below all of these bounds; nothing here
changes what Pillow reads from it.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import struct
from collections.abc import Iterator
from contextvars import ContextVar
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAX_TAGS = 1000  # in one directory; a camera writes about 60
MAX_TAG_BYTES = 64 * 2**20  # of one directory, which a layered TIFF may need
MAX_TAG_VALUES = 500_000  # numbers of one directory: the strips or tiles of the largest images
MAX_EXIF_BYTES = 2**20
MAX_SEGMENTS, MAX_SEGMENT_BYTES = 2000, 32 * 2**20  # of a JPEG
MAX_CHUNKS, MAX_PIXEL_CHUNKS = 10_000, 300_000  # of a PNG
MAX_GIF_BLOCKS, MAX_GIF_COMMENT, MAX_GIF_STEPS = 20_000, 2**18, 1_500_000

_EXIF = b"Exif\0\0"
_bounded: ContextVar[bool] = ContextVar("bounded", default=False)
_UNIT = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_KEPT_AS_BYTES = (1, 2, 7)
_PIXEL_CHUNKS = (b"IDAT", b"fdAT", b"fcTL")


class MetadataError(ValueError):
    """A file claims more beside its pixels than any image needs."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """While the body runs, Pillow raises a MetadataError for oversized directories or EXIF data.

    Every format leads to the same two functions of Pillow, several while the file is being opened, so that no check
    of ours could come earlier.
    """
    _guard_pillow()
    token = _bounded.set(True)
    try:
        yield
    finally:
        _bounded.reset(token)


@functools.cache
def _guard_pillow() -> None:
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    read_directory, read_exif = ImageFileDirectory_v2.load, Image.Exif.load

    @functools.wraps(read_directory)
    def bounded_directory(self: ImageFileDirectory_v2, stream: IO[bytes]) -> None:
        if _bounded.get():
            _check_directory(stream, self._endian, self._bigtiff)
        read_directory(self, stream)

    @functools.wraps(read_exif)
    def bounded_exif(self: Image.Exif, data: bytes) -> None:
        if data and _bounded.get():
            _check_exif(data)
        read_exif(self, data)

    ImageFileDirectory_v2.load = bounded_directory  # type: ignore[method-assign, assignment]
    Image.Exif.load = bounded_exif  # type: ignore[method-assign]


def exif_fits(data: object) -> bool:
    """Whether EXIF data, bytes as Pillow's `info` holds them, is within the bounds; True where there is none.

    Pillow swallows a refusal that happens while a JPEG is being opened, and acts as if there was no EXIF data.
    """
    if not isinstance(data, bytes) or not data:
        return True
    try:
        _check_exif(data)
        stream = io.BytesIO(data.removeprefix(_EXIF).removeprefix(_EXIF))
        endian = "<" if stream.read(2) == b"II" else ">"
        stream.seek(4)
        first = stream.read(4)
        if len(first) == 4:
            stream.seek(struct.unpack(endian + "L", first)[0])
            _check_directory(stream, endian, False)
    except MetadataError:
        return False
    return True


def check_outline(file_format: str, stream: IO[bytes]) -> None:
    """Walks a JPEG's segments, a PNG's chunks or a GIF's blocks without reading them; the position is kept.

    Raises:
        MetadataError: there are too many of them, or they are too large.
    """
    walk = {"JPEG": _check_jpeg, "PNG": _check_png, "GIF": _check_gif}.get(file_format)
    if walk is None:
        return
    position = stream.tell()
    try:
        stream.seek(0)
        walk(stream)
    finally:
        stream.seek(position)


def _check_exif(data: bytes) -> None:
    # Pillow takes the prefix off once for every time it is there, and copies all the rest each time.
    if len(data) > MAX_EXIF_BYTES or data.startswith(3 * _EXIF):
        raise MetadataError("The EXIF data is too large.")


def _check_directory(stream: IO[bytes], endian: str, big: bool) -> None:
    """Adds up what the directory at the stream's position would keep; values that lie outside the file do not count."""
    position = stream.tell()
    try:
        end = stream.seek(0, os.SEEK_END)
        stream.seek(position)
        head = stream.read(8 if big else 2)
        if len(head) < (8 if big else 2):
            return
        count = struct.unpack(endian + ("Q" if big else "H"), head)[0]
        if count > MAX_TAGS:
            raise MetadataError("A directory has too many tags.")
        total = values = 0
        entry, inline = struct.Struct(endian + ("HHQQ" if big else "HHLL")), 8 if big else 4
        table = stream.read(count * entry.size)
        for place in range(len(table) // entry.size):
            _, kind, number, offset = entry.unpack_from(table, place * entry.size)
            size = number * _UNIT.get(kind, 0)
            if size > inline and offset + size <= end:
                total += size
                values += 0 if kind in _KEPT_AS_BYTES else number
        if total > min(end + 2**16, MAX_TAG_BYTES) or values > MAX_TAG_VALUES:
            raise MetadataError("The tags of a directory are too large.")
    finally:
        stream.seek(position)


def _check_jpeg(stream: IO[bytes]) -> None:
    segments = total = exif = 0
    for _ in range(100_000):
        byte = stream.read(1)
        if byte == b"":
            return
        if byte != b"\xff":
            continue
        marker = stream.read(1)
        while marker == b"\xff":
            marker = stream.read(1)
        if marker == b"":
            return
        if marker == b"\xda":
            return
        if marker in b"\x00\x01" or 0xD0 <= marker[0] <= 0xD9:
            continue
        length = max(int.from_bytes(stream.read(2), "big") - 2, 0)
        start = stream.read(min(len(_EXIF), length))
        stream.seek(length - len(start), os.SEEK_CUR)
        segments, total = segments + 1, total + length
        exif += length if marker == b"\xe1" and start == _EXIF else 0
        if segments > MAX_SEGMENTS or total > MAX_SEGMENT_BYTES or exif > MAX_EXIF_BYTES:
            raise MetadataError("The segments before the pixels are too many or too large.")
    raise MetadataError("There is too much between the segments.")


def _check_png(stream: IO[bytes]) -> None:
    stream.seek(8)
    chunks = pixel_chunks = 0
    while len(head := stream.read(8)) == 8:
        if head[4:] in _PIXEL_CHUNKS:
            pixel_chunks += 1
        else:
            chunks += 1
        if chunks > MAX_CHUNKS or pixel_chunks > MAX_PIXEL_CHUNKS:
            raise MetadataError("The file has too many chunks.")
        if head[4:] == b"IEND":
            return
        stream.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)


def _check_gif(stream: IO[bytes]) -> None:
    """Up to the first frame, as far as Pillow reads when it opens the file."""
    stream.seek(10)
    packed = stream.read(3)
    stream.seek(colour_table(packed[:1]), os.SEEK_CUR)
    blocks = comment = 0
    while blocks <= MAX_GIF_BLOCKS:
        kind = stream.read(1)
        if kind in (b"", b",", b";"):
            return
        blocks += 1
        if kind != b"!":
            continue
        label = stream.read(1)
        while (size := stream.read(1)) not in (b"", b"\0") and blocks <= MAX_GIF_BLOCKS:
            blocks += 1
            comment += size[0] if label == b"\xfe" else 0
            stream.seek(size[0], os.SEEK_CUR)
        if comment > MAX_GIF_COMMENT:
            break
    raise MetadataError("The blocks before the first frame are too many or too large.")


# --- counting frames and pages ----------------------------------------------------------------------------------------


def gif_frames(stream: IO[bytes], most: int) -> int:
    """Frames of a GIF, at most `most`, from the outline of its blocks; the stream's position is kept.

    Pillow would draw every frame on the full canvas to count them.
    """
    position = stream.tell()
    try:
        stream.seek(10)
        packed = stream.read(3)
        stream.seek(colour_table(packed[:1]), os.SEEK_CUR)
        frames = steps = 0
        while frames < most and steps < MAX_GIF_STEPS:
            steps += 1
            kind = stream.read(1)
            if kind == b",":
                description = stream.read(9)
                stream.seek(colour_table(description[8:]) + 1, os.SEEK_CUR)
                frames += 1
            elif kind == b"!":
                stream.seek(1, os.SEEK_CUR)
            else:
                break
            while (size := stream.read(1)) not in (b"", b"\0") and steps < MAX_GIF_STEPS:
                steps += 1
                stream.seek(size[0], os.SEEK_CUR)
        return frames
    finally:
        stream.seek(position)


def colour_table(packed: bytes) -> int:
    """Bytes of the colour table that a GIF's flag byte announces."""
    return 3 << ((packed[0] & 7) + 1) if packed and packed[0] & 0x80 else 0


def tiff_pages(stream: IO[bytes], most: int) -> int:
    """Pages of a TIFF, at most `most`, from the chain of its directories; the stream's position is kept.

    A damaged later page ends the count, since only the first one is used. Pillow would read all tags of every page.
    """
    position = stream.tell()
    try:
        stream.seek(0)
        head = stream.read(16)
        endian = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        entry = 20 if big else 12
        counter, link = struct.Struct(endian + ("Q" if big else "H")), struct.Struct(endian + ("Q" if big else "L"))
        place = link.unpack_from(head, 8 if big else 4)[0]
        places: set[int] = set()
        while place and place not in places and len(places) < most:
            stream.seek(place)
            number = stream.read(counter.size)
            if len(number) < counter.size or counter.unpack(number)[0] == 0:
                break
            places.add(place)
            stream.seek(counter.unpack(number)[0] * entry, os.SEEK_CUR)
            following = stream.read(link.size)
            place = link.unpack(following)[0] if len(following) == link.size else 0
        return max(len(places), 1)
    except (struct.error, OSError, OverflowError, ValueError):
        return 1
    finally:
        stream.seek(position)
