"""Builders of small files whose metadata claims far more memory or time than the file itself; nothing is committed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from tests.images.pictures import encoded, png, png_chunk, scene, tiff_tags

MIB = 2**20


def directory(tags: int, shared: int, *, base: int = 8, kind: int = 7) -> bytes:
    """A directory at `base` of `tags` tags that all point at the same `shared` bytes behind it, and those bytes."""
    after = base + 2 + 12 * tags + 4
    # Tag numbers that nobody decodes, so that every value is kept under a number of its own.
    entries = b"".join(struct.pack("<HHLL", 300 + number, kind, shared, after) for number in range(tags))
    return struct.pack("<H", tags) + entries + struct.pack("<L", 0) + bytes(shared)


def exif_bomb(tags: int, shared: int) -> bytes:
    return b"II*\0" + struct.pack("<L", 8) + directory(tags, shared)


def tiff_bomb(tags: int, shared: int) -> bytes:
    """A valid 4 x 4 grey page whose directory holds further tags on one shared value."""
    plain = {tag: (kind, count, value) for tag, kind, count, value in tiff_tags(4, 4)}
    total = len(plain) + tags
    after = 8 + 2 + 12 * total + 4
    plain[273] = (4, 1, after)
    entries = {**plain, **{40_000 + number: (7, shared, after) for number in range(tags)}}
    packed = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0" + struct.pack("<LH", 8, total) + packed + struct.pack("<L", 0) + bytes(max(shared, 16))


def tiff_sub_directories(tags: int, shared: int) -> bytes:
    """A valid page whose EXIF and GPS directories are bombs."""
    plain = {tag: (kind, count, value) for tag, kind, count, value in tiff_tags(4, 4)}
    total = len(plain) + 2
    after = 8 + 2 + 12 * total + 4
    plain |= {273: (4, 1, after), 34_665: (4, 1, after + 16), 34_853: (4, 1, after + 16)}
    packed = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(plain.items()))
    head = b"II*\0" + struct.pack("<LH", 8, total) + packed + struct.pack("<L", 0) + bytes(16)
    return head + directory(tags, shared, base=len(head))


def tiff_strips(values: int) -> bytes:
    """A page of one row whose strips are listed `values` times."""
    plain = {tag: (kind, count, value) for tag, kind, count, value in tiff_tags(4, 4)}
    after = 8 + 2 + 12 * len(plain) + 4
    plain |= {273: (4, values, after), 279: (4, values, after)}
    packed = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(plain.items()))
    return b"II*\0" + struct.pack("<LH", 8, len(plain)) + packed + struct.pack("<L", 0) + bytes(4 * values)


def tiff_rows(rows: int) -> bytes:
    """A valid grey page, 4 pixels wide, with a strip a row; row r is r modulo 251."""
    tags = {tag: (kind, count, value) for tag, kind, count, value in tiff_tags(4, rows)}
    offsets = 8 + 2 + 12 * len(tags) + 4
    tags |= {273: (4, rows, offsets), 278: (4, 1, 1), 279: (4, rows, offsets + 4 * rows)}
    packed = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(tags.items()))
    pixels = offsets + 8 * rows
    places = b"".join(struct.pack("<L", pixels + 4 * row) for row in range(rows))
    head = b"II*\0" + struct.pack("<LH", 8, len(tags)) + packed + struct.pack("<L", 0)
    return head + places + struct.pack("<L", 4) * rows + b"".join(bytes([row % 251]) * 4 for row in range(rows))


def tiff_overlapping_pages(pages: int, tags: int) -> bytes:
    """Pages whose directories all read the same table of tags, each from a place of its own."""
    first = tiff_bomb(0, 16)
    count = struct.unpack_from("<H", first, 8)[0]
    link = 8 + 2 + 12 * count
    start = len(first) + len(first) % 2
    content = bytearray(first.ljust(start, b"\0") + bytes(4 * pages + tags * 12 + 64))
    struct.pack_into("<L", content, link, start)
    for page in range(pages - 1):
        struct.pack_into("<H", content, start + 4 * page, tags)
        struct.pack_into("<L", content, start + 4 * page + 2 + 12 * tags, start + 4 * (page + 1))
    return bytes(content)


def jpeg_with(*segments: tuple[int, bytes], progressive: bool = False) -> bytes:
    """A valid JPEG with further (marker, content) segments in front of its tables."""
    plain = encoded(scene(), "JPEG", progressive=progressive)
    more = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return plain[:2] + more + plain[2:]


def in_segments(marker: int, prefix: bytes, content: bytes) -> list[tuple[int, bytes]]:
    room = 65_533 - len(prefix)
    return [(marker, prefix + content[place:place + room]) for place in range(0, len(content), room)]


def jpeg_scans(count: int) -> bytes:
    """A progressive JPEG that repeats its last scan `count` times."""
    plain = encoded(scene(600, 400), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[last:-2] * count + plain[-2:]


def gif_comment(size: int) -> bytes:
    plain = encoded(scene(), "GIF")
    place = plain.index(b"\x2c", 13 + (3 << (plain[10] & 7) + 1))
    return plain[:place] + b"!\xfe" + (b"\xff" + bytes(255)) * (size // 255) + b"\0" + plain[place:]


def png_exif(content: bytes) -> bytes:
    return png(1, 1, extra=png_chunk(b"eXIf", content), pixels=b"\0\1\2\3")


def png_hex_exif(content: bytes) -> bytes:
    text = f"\nexif\n{len(content):8}\n{content.hex()}".encode()
    chunk = png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text, 9))
    return png(1, 1, extra=chunk, pixels=b"\0\1\2\3")


def riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def webp_exif(content: bytes) -> bytes:
    picture = encoded(scene(), "WEBP")[12:]
    canvas = b"\x08\0\0\0" + (47).to_bytes(3, "little") + (31).to_bytes(3, "little")
    body = b"WEBP" + riff(b"VP8X", canvas) + picture + riff(b"EXIF", content)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_exif(file_format: str, content: bytes) -> bytes:
    """A picture saved with harmless EXIF data of the same length, which is then exchanged for `content`."""
    harmless = (b"MM\0*\0\0\0\x08\0\0\0\0\0\0" + b"harmless").ljust(len(content), b"\x5a")
    saved = encoded(scene(), file_format, exif=harmless)
    assert saved.count(harmless) == 1
    return saved.replace(harmless, content)


BOMBS: dict[str, Callable[[], bytes]] = {
    "TIFF of 20,000 tags on one value": lambda: tiff_bomb(20_000, MIB),
    "TIFF of 900 tags on one value": lambda: tiff_bomb(900, 2 * MIB),
    "TIFF with directories inside": lambda: tiff_sub_directories(900, 2 * MIB),
    "TIFF that lists three million strips": lambda: tiff_strips(3_000_000),
    "TIFF of 1,000 overlapping pages": lambda: tiff_overlapping_pages(1000, 30_000),
    "JPEG whose EXIF points at itself": lambda: jpeg_with((0xE1, b"Exif\0\0" + exif_bomb(900, 50_000))),
    "JPEG whose picture index points at itself": lambda: jpeg_with((0xE2, b"MPF\0" + exif_bomb(2500, 30_000))),
    "JPEG with EXIF in many segments": lambda: jpeg_with(*in_segments(0xE1, b"Exif\0\0", exif_bomb(20_000, 8 * MIB))),
    "JPEG with a repeated EXIF prefix": lambda: jpeg_with(*[(0xE1, b"Exif\0\0" * 10_900)] * 15),
    "JPEG of a million empty segments": lambda: jpeg_with(*[(0xE5, b"")] * 1_000_000),
    "JPEG with a giant XMP": lambda: jpeg_with(
        *in_segments(0xE1, b"http://ns.adobe.com/xmp/extension/\0", bytes(64 * MIB))),
    "JPEG with a giant ICC profile": lambda: jpeg_with(*[(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))] * 1000),
    "JPEG with junk between the segments": lambda: (
        b"\xff\xd8\xff\xe5\0\2" + bytes(8 * MIB) + encoded(scene(), "JPEG")[2:]),
    "progressive JPEG of 3,000 scans": lambda: jpeg_scans(3000),
    "GIF with a giant comment": lambda: gif_comment(6 * MIB),
    "PNG of a million chunks": lambda: png(1, 1, extra=png_chunk(b"abCd", b"") * 1_000_000, pixels=b"\0\1\2\3"),
    "PNG whose EXIF points at itself": lambda: png_exif(exif_bomb(900, 2 * MIB)),
    "PNG whose EXIF is text": lambda: png_hex_exif(b"Exif\0\0" * 80_000),
    "WebP whose EXIF points at itself": lambda: webp_exif(exif_bomb(900, 2 * MIB)),
    "WebP with a repeated EXIF prefix": lambda: webp_exif(b"Exif\0\0" * 300_000),
    "AVIF whose EXIF points at itself": lambda: with_exif("AVIF", exif_bomb(900, 2 * MIB)),
    "HEIC whose EXIF points at itself": lambda: with_exif("HEIF", exif_bomb(900, 2 * MIB)),
}  # fmt: skip
"""Files of at most 65 MiB; most of them would take gigabytes or minutes."""
