"""HEIF and AVIF: whether every byte that the main image is made of lies inside the file, and its true depth.

Both are ISO base media files (ISO/IEC 14496-12): boxes inside boxes, and items whose bytes lie wherever the item
location box says. libheif leaves a tile that it cannot read empty, without an error, and a phone's photo is a grid of
some fifty tiles: the items have to be followed from outside (ISO/IEC 23008-12).
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from methods.images.errors import DamagedError, UnsupportedError

HOLE = bytes(64)
"""More zeros in a row than an entropy coder writes: it turns repetition into short codes."""

_MAX_ITEMS = 20_000
_DERIVED = (b"grid", b"iden", b"iovl", b"tmap")
_HEVC = (b"hvc1", b"hev1")
# An HEVC unit escapes these sequences, so that they are never a part of one (ITU-T H.265, 7.4.2).
_UNESCAPED = re.compile(rb"\0\0[\0-\2]")
_VIDEO_UNITS = 32  # lower types of HEVC unit hold pixels


@dataclass
class Item:
    """An image, a tile or metadata: its coding, where its bytes lie, and its properties (type, place, end)."""

    kind: bytes = b""
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)


def boxes(content: bytes | mmap.mmap, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start and end of the body) of the boxes between two places.

    Raises:
        DamagedError: a box reaches beyond `end`.
    """
    while place + 8 <= end:
        size, header = int.from_bytes(content[place:place + 4], "big"), 8
        kind = bytes(content[place + 4:place + 8])
        if size == 1:
            size, header = int.from_bytes(content[place + 8:place + 16], "big"), 16
        elif size == 0:
            size = end - place
        if size < header or place + size > end:
            raise DamagedError("a box of the file is cut off")
        yield kind, place + header, place + size
        place += size


def check_items(content: bytes | mmap.mmap) -> int:
    """Follows every item of a HEIF or AVIF file, and looks through those of the main image.

    Returns:
        Bits per channel of the main image, 8 where the file does not say.

    Raises:
        DamagedError: an item or a tile is missing, lies outside the file, or has a hole.
        UnsupportedError: the bytes of an item lie in another file.
    """
    meta = movie = None
    for kind, start, end in _outermost(content):
        if kind == b"meta" and meta is None:
            meta = (start + 4, end)
        movie = movie or kind == b"moov"
        # The samples of a sequence are checked by their decoder; a hole in them is not.
        if movie and kind == b"mdat" and content.find(HOLE, start, end) >= 0:
            raise DamagedError("a part of the file is filled with zeros")
    if meta is None:
        if movie:
            return 8
        raise DamagedError("the table of its parts is missing")
    try:
        primary, items = _Meta(content, *meta).read()
        return _check_main_image(content, primary, items)
    except (struct.error, IndexError, KeyError) as error:
        raise DamagedError("the table of its parts is damaged") from error


def _outermost(content: bytes | mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """The outermost boxes; the file may end inside one of them, which is judged by the items that lie in it."""
    end = len(content)
    place = 0
    while place + 8 <= end:
        try:
            box = next(boxes(content, place, end))
        except DamagedError:
            yield b"", place, end
            return
        yield box
        place = box[2]


class _Meta:
    """Reads a meta box: the main image's number, and the items."""

    def __init__(self, content: bytes | mmap.mmap, start: int, end: int) -> None:
        self.content, self.start, self.end = content, start, end
        self.items: dict[int, Item] = {}

    def read(self) -> tuple[int, dict[int, Item]]:
        inner = {kind: (start, end) for kind, start, end in boxes(self.content, self.start, self.end)}
        start, end = inner[b"iinf"]
        wide = self.content[start] > 0
        for kind, entry, _ in boxes(self.content, start + (8 if wide else 6), end):
            if kind == b"infe":
                self._add_item(entry)
        if len(self.items) > _MAX_ITEMS:
            raise DamagedError("it has too many parts")
        self._add_places(inner[b"iloc"][0], inner.get(b"idat", (0, 0)))
        if b"iref" in inner:
            self._add_parts(*inner[b"iref"])
        if b"iprp" in inner:
            self._add_properties(*inner[b"iprp"])
        start, _ = inner[b"pitm"]
        size = 4 if self.content[start] > 0 else 2
        return self._number(start + 4, size), self.items

    def _number(self, place: int, size: int) -> int:
        if size and place + size > self.end:
            raise DamagedError("the table of its parts is cut off")
        return int.from_bytes(self.content[place:place + size], "big")

    def _add_item(self, place: int) -> None:
        version = self.content[place]
        if version < 2:
            raise UnsupportedError("an old form of HEIF")
        size = 4 if version > 2 else 2
        kind = bytes(self.content[place + 6 + size:place + 10 + size])
        self.items[self._number(place + 4, size)] = Item(kind)

    def _add_places(self, place: int, inside: tuple[int, int]) -> None:
        version = self.content[place]
        sizes = self.content[place + 4], self.content[place + 5]
        offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
        index_size = sizes[1] & 15 if version else 0
        id_size = 4 if version > 1 else 2
        count = self._number(place + 6, id_size)
        place += 6 + id_size
        if count > _MAX_ITEMS:
            raise DamagedError("it has too many parts")
        for _ in range(count):
            item = self.items.get(self._number(place, id_size), Item())
            place += id_size
            method = self._number(place, 2) & 15 if version else 0
            place += 2 if version else 0
            if self._number(place, 2):
                raise UnsupportedError("HEIF whose pixels lie in another file")
            base = self._number(place + 2, base_size)
            extents = self._number(place + 2 + base_size, 2)
            place += 4 + base_size
            for _ in range(extents):
                place += index_size
                offset = base + self._number(place, offset_size)
                length = self._number(place + offset_size, length_size)
                place += offset_size + length_size
                if method > 1:  # Inside another item, whose own bytes are checked.
                    continue
                first, last = inside if method else (0, len(self.content))
                stop = first + offset + length if length else last
                if first + offset >= last or stop > last:
                    raise DamagedError("a part of the image is missing at the end of the file")
                item.extents.append((first + offset, stop))

    def _add_parts(self, start: int, end: int) -> None:
        size = 4 if self.content[start] > 0 else 2
        for kind, place, _ in boxes(self.content, start + 4, end):
            source, count = self._number(place, size), self._number(place + size, 2)
            targets = [self._number(place + size + 2 + size * number, size) for number in range(count)]
            if kind == b"dimg" and source in self.items:
                self.items[source].parts += targets
            elif kind == b"auxl":  # The main image's transparency is an image of its own.
                for target in targets:
                    if target in self.items and source not in self.items[target].parts:
                        self.items[target].parts.append(source)

    def _add_properties(self, start: int, end: int) -> None:
        properties: list[tuple[bytes, int, int]] = []
        for kind, first, last in boxes(self.content, start, end):
            if kind == b"ipco":
                properties = list(boxes(self.content, first, last))
            elif kind == b"ipma":
                wide, size = self.content[first + 3] & 1, 4 if self.content[first] else 2
                place = first + 8
                for _ in range(self._number(first + 4, 4)):
                    item = self.items.get(self._number(place, size), Item())
                    place += size + 1
                    for _ in range(self._number(place - 1, 1)):
                        index = self._number(place, 1 + wide) & (0x7FFF if wide else 0x7F)
                        place += 1 + wide
                        if index:
                            item.properties.append(properties[index - 1])


def _check_main_image(content: bytes | mmap.mmap, primary: int, items: dict[int, Item]) -> int:
    """Looks through the main image and all that it is derived from."""
    main = items[primary]
    depth = 0
    left, done = [primary], set()
    while left:
        number = left.pop()
        if number in done:
            continue
        done.add(number)
        item = items[number]
        left += item.parts
        if not item.extents and item.kind != b"iden":
            raise DamagedError("a tile of the image is missing")
        if item.kind == b"grid":
            start = item.extents[0][0]
            tiles = [part for part in item.parts if items[part].kind not in _DERIVED]
            if len(tiles) < (content[start + 2] + 1) * (content[start + 3] + 1):
                raise DamagedError("a tile of the image is missing")
        elif item.kind not in _DERIVED:
            data = b"".join(content[first:last] for first, last in item.extents)
            configuration = {kind: place for kind, place, _ in item.properties}
            if item.kind in _HEVC:
                _check_hevc(data, content[configuration[b"hvcC"] + 21] & 3)
            elif HOLE in data:
                raise DamagedError("a part of the image is filled with zeros")
            depth = depth or _depth(content, item)
    return _depth(content, main) or depth or 8


def _check_hevc(data: bytes, size: int) -> None:
    """Every unit of the coded image is there and whole; `size` is the bytes of a unit's length, less one."""
    place, pixels = 0, False
    while place < len(data):
        start = place + size + 1
        place = start + int.from_bytes(data[place:start], "big")
        if place < start + 2 or place > len(data) or data[start] & 0x80 or _UNESCAPED.search(data, start, place):
            raise DamagedError("a tile of the image is damaged")
        pixels |= data[start] >> 1 < _VIDEO_UNITS
    if not pixels:
        raise DamagedError("a tile of the image is empty")


def _depth(content: bytes | mmap.mmap, item: Item) -> int:
    """Bits per channel as the item's properties say; 0 where they do not."""
    for kind, start, _ in item.properties:
        if kind == b"pixi":
            return int(max(content[start + 5:start + 5 + content[start + 4]]))
        if kind == b"hvcC":
            return 8 + int(content[start + 17] & 7)
        if kind == b"av1C":
            flags = content[start + 2]
            return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8
    return 0
