"""Whether a file holds all of its image, told from its outline and checksums rather than by its decoder.

Decoders are made to show what they can: a missing tail comes out grey, a block of zeros as some texture. Here every
format's own marks of completeness are read before the pixels: checksums, lengths, end markers, and long runs of zeros
inside compressed data, which are what a broken copy or card leaves. Formats without a checksum (JPEG, WebP, GIF, BMP,
PNM, raw and LZW TIFF, JPEG 2000, HEVC, AV1) cannot tell a changed byte where it makes other valid pixels.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from methods.images import tiff
from methods.images.boxes import HOLE, boxes, check_items
from methods.images.errors import DamagedError
from methods.images.metadata import colour_table

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

# Bytes at the end of an image's data, more than are to spare: its filling, an end code, the last symbol.
_SPARE = {b"VP8 ": 16, b"VP8L": 16, b"ALPH": 16, b"GIF": 8}
_SECTOR = bytes(512)  # JPEG 2000 writes shorter runs of zeros for flat areas.

# PNG chunks that decide what the pixels look like, beside the critical ones; others may have a wrong checksum.
_PNG_USED = (b"tRNS", b"sBIT", b"iCCP", b"eXIf")


def content_of(stream: IO[bytes]) -> contextlib.AbstractContextManager[bytes | mmap.mmap]:
    """The stream's bytes as a context, without a copy where that can be had."""
    if isinstance(stream, io.BytesIO):
        return contextlib.nullcontext(stream.getvalue())
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


@dataclass(frozen=True)
class Samples:
    """What a file declares of its samples.

    Attributes:
        bits: per channel.
        white: the largest sample as Pillow holds it, of grey with more than 8 bits; None where nothing tells it.
        inverted: white is zero, which Pillow turns round for 8 bits and fewer only.
    """

    bits: int = 8
    white: int | None = None
    inverted: bool = False


def check_complete(image: Image.Image, content: bytes | mmap.mmap) -> Samples:
    """Looks through the outline of an opened file.

    Args:
        image: as Pillow opened it.
        content: the file.

    Returns:
        What its samples are, as the file declares them.

    Raises:
        DamagedError: a part of the image is missing or has a hole.
        UnsupportedError: the file may be sound, but its kind of pixels is not read.
    """
    check = _CHECKS.get(image.format or "")
    # A JPEG is checked while it is decoded, and for a BMP and a PNM the size of the file says enough.
    return check(image, content) if check is not None else Samples()


def _check_png(image: Image.Image, content: bytes | mmap.mmap) -> Samples:
    place, depth, significant = 8, 8, 0
    while True:
        length, kind = int.from_bytes(content[place:place + 4], "big"), content[place + 4:place + 8]
        after = place + 8 + length
        if after + 4 > len(content):
            raise DamagedError("the end of the PNG is missing")
        body = content[place + 4:after]
        used = not kind[0] & 0x20 or kind in _PNG_USED
        if used and zlib.crc32(body) != int.from_bytes(content[after:after + 4], "big"):
            raise DamagedError(f"the checksum of a {bytes(kind).decode('latin-1')!r} chunk is wrong")
        if kind == b"IHDR":
            depth = body[12]
        elif kind == b"sBIT":
            significant = max(body[4:], default=0)
        elif kind == b"IEND":
            # Samples fill their range whatever their number of significant bits is (PNG specification, 13.12).
            return Samples(significant if 8 < significant < depth else depth)
        place = after + 4


def _check_webp(image: Image.Image, content: bytes | mmap.mmap) -> Samples:
    end = int.from_bytes(content[4:8], "little") + 8
    if end > len(content):
        raise DamagedError("the end of the WebP is missing")
    chunks = dict(_first_frame(content, 12, end))
    pixels = next((kind for kind in (b"VP8 ", b"VP8L") if kind in chunks), None)
    if pixels is None:
        raise DamagedError("the pixels of the WebP are missing")
    _check_used_up(_webp({pixels: chunks[pixels][:-_SPARE[pixels]]}), "WebP")
    if b"ALPH" in chunks and chunks[b"ALPH"][:1] and chunks[b"ALPH"][0] & 3:
        canvas = b"\x10\0\0\0" + b"".join((side - 1).to_bytes(3, "little") for side in image.size)
        chunks = {b"VP8X": canvas, b"ALPH": chunks[b"ALPH"][:-_SPARE[b"ALPH"]], pixels: chunks[pixels]}
        _check_used_up(_webp(chunks), "WebP")
    return Samples()


def _first_frame(content: bytes | mmap.mmap, place: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of a WebP's chunks up to the first that holds pixels."""
    while place + 8 <= end:
        kind, first = bytes(content[place:place + 4]), place + 8
        last = first + int.from_bytes(content[place + 4:place + 8], "little")
        if last > end:
            raise DamagedError("a chunk of the WebP is cut off")
        if kind == b"ANMF":
            yield from _first_frame(content, first + 16, last)
            return
        if kind in (b"VP8 ", b"VP8L", b"ALPH"):
            yield kind, bytes(content[first:last])
        if kind in (b"VP8 ", b"VP8L"):
            return
        place = last + last % 2


def _webp(chunks: dict[bytes, bytes]) -> bytes:
    body = b"".join(
        kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2) for kind, data in chunks.items()
    )
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body


def _check_used_up(shortened: bytes, name: str) -> None:
    """Refuses an image that its decoder also finishes without the last bytes of its data.

    After a hole or a changed byte, an entropy decoder reads on to pixels that nobody wrote, and comes to their end too
    early or too late. Too late is an error of the decoder's own; this finds the other half.
    """
    try:
        with Image.open(io.BytesIO(shortened)) as image:
            image.load()
    except Exception:  # As it should be; decoders raise many kinds.
        return
    raise DamagedError(f"the pixels of the {name} end before its data does")


def _check_gif(image: Image.Image, content: bytes | mmap.mmap) -> Samples:
    """Up to the end of the first frame."""
    place = 13 + colour_table(content[10:11])
    while True:
        kind, start = content[place:place + 1], place
        if kind == b",":
            place += 10 + colour_table(content[place + 9:place + 10])
        elif kind != b"!":
            raise DamagedError("the pixels of the GIF are missing")
        place += 2 if kind == b"!" else 1
        first, data = place, b""
        while size := content[place] if place < len(content) else 0:
            data += content[place + 1:place + 1 + size] if kind == b"," else b""
            place += 1 + size
        place += 1
        if place > len(content):
            raise DamagedError("the end of the GIF's first frame is missing")
        if kind == b",":
            if HOLE in data:
                raise DamagedError("a part of the GIF is filled with zeros")
            data = data[:-_SPARE[b"GIF"]]
            parts = [data[at:at + 255] for at in range(0, len(data), 255)]
            head = content[:13 + colour_table(content[10:11])] + content[start:first]
            _check_used_up(head + b"".join(bytes([len(part)]) + part for part in parts) + b"\0;", "GIF")
            return Samples()


def _check_jpeg2000(image: Image.Image, content: bytes | mmap.mmap) -> Samples:
    first, end = 0, len(content)
    if content[:2] != b"\xff\x4f":
        first, end = next(((a, b) for kind, a, b in boxes(content, 0, end) if kind == b"jp2c"), (0, 0))
    place = first + 2
    tiles: set[int] = set()
    wanted, depth = 1, 8
    while content[place:place + 2] != b"\xff\xd9":
        marker, length = content[place:place + 2], int.from_bytes(content[place + 2:place + 4], "big")
        if marker[:1] != b"\xff" or length < 2 or place + 2 + length > end:
            raise DamagedError("the end of the JPEG 2000 image is missing")
        body = content[place + 4:place + 2 + length]
        if marker == b"\xff\x51":
            size = [int.from_bytes(body[2 + 4 * number:6 + 4 * number], "big") for number in range(8)]
            wanted = -(-(size[0] - size[6]) // max(size[4], 1)) * -(-(size[1] - size[7]) // max(size[5], 1))
            depth = max((value & 0x7F) + 1 for value in body[36::3])
        if marker != b"\xff\x90":
            place += 2 + length
            continue
        tiles.add(int.from_bytes(body[:2], "big"))
        size_of_part = int.from_bytes(body[2:6], "big") or end - 2 - place
        if size_of_part < 14 or place + size_of_part > end - 2:
            raise DamagedError("a tile of the JPEG 2000 image is cut off")
        if content.find(_SECTOR, place, place + size_of_part) >= 0:
            raise DamagedError("a part of the JPEG 2000 image is filled with zeros")
        place += size_of_part
    if len(tiles) < wanted:
        raise DamagedError("a tile of the JPEG 2000 image is missing")
    return Samples(depth)


def _check_tiff(image: TiffImageFile, content: bytes | mmap.mmap) -> Samples:
    tags = image.tag_v2
    tiff.check_strips(tags, content)
    bits = tiff.bits(tags)
    deep = image.mode == "F" or image.mode.startswith("I")
    white = 2**bits - 1 if image.mode.startswith("I;16") else None
    return Samples(bits, white, deep and tiff.white_is_zero(tags))


def _check_pnm(image: ImageFile, content: bytes | mmap.mmap) -> Samples:
    if image.mode != "I":
        return Samples(largest_value(image).bit_length())
    return Samples(largest_value(image).bit_length(), 65_535)  # Pillow scales it.


def largest_value(image: ImageFile) -> int:
    """The sample that stands for white in an opened PNM."""
    values = image.tile[0].args
    if isinstance(values, tuple) and isinstance(values[-1], int) and image.mode in ("L", "RGB", "I"):
        return values[-1]
    return 65_535 if image.mode == "I" else 255


def _check_items(image: Image.Image, content: bytes | mmap.mmap) -> Samples:
    return Samples(check_items(content))


_CHECKS: dict[str, Callable[[Any, bytes | mmap.mmap], Samples]] = {
    "PNG": _check_png, "WEBP": _check_webp, "GIF": _check_gif, "JPEG2000": _check_jpeg2000, "TIFF": _check_tiff,
    "PPM": _check_pnm, "AVIF": _check_items, "HEIF": _check_items,
}  # fmt: skip
