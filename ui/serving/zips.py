"""Visitors' zips, read with care: which images they hold, by names that a person can read, under limits.

A zip can name files outside its folder, claim one size and unpack to another, or hold a million entries. Here its list
is counted before anything is unpacked, every byte that comes out is counted, and only `unpack` writes files, below one
folder, images and tables alone.
"""

from __future__ import annotations

import lzma
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import charset_normalizer

from methods.errors import InputError
from methods.images import PICTURE_SUFFIXES

MOST_FILES = 500
"""Photos of the folder mode."""

MOST_BYTES_PER_MEMBER = 64 * 2**20
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})
_MEMBERS_PER_PICTURE = 20
"""A zip may hold this many times the images that are taken from it: folders, notes, what a Mac adds."""

_NAME_LENGTH = 120
_UTF_8 = 0x800
"""Bit 11 of a member's flags: its name is UTF-8. Without it a name is in whatever encoding the packer's system had."""

_EVERYDAY = {
    "gb18030": (range(0xB0, 0xD8), range(0xA1, 0xFF)), "big5": (range(0xA4, 0xC7), range(0x40, 0xFF)),
    "cp949": (range(0xB0, 0xC9), range(0xA1, 0xFF)),
    "cp932": ({0x82, 0x83, *range(0x88, 0x98)}, range(0x40, 0xFD)),
}
"""Encodings of East Asia -> first and second bytes of their everyday characters: hanzi of level 1, hangul, kana and
kanji of level 1."""

_ENCODINGS = [*_EVERYDAY, "cp437", "cp866", "cp1251", "cp1252"]
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What `unpack` takes: images, bytes of one file, bytes of all."""

    pictures: int = 300
    bytes_per_file: int = 30 * 2**20
    bytes: int = 200 * 2**20


@dataclass(frozen=True)
class Member:
    """A file, or a member of a zip.

    Attributes:
        name: for display; inside a zip with its folders.
        path: of the file or zip.
        inside: the member's index in the zip, None for a file.
        archive: the opened zip; it is read once, however many members are, and closed with the last of them.
    """

    name: str
    path: str
    inside: int | None = None
    archive: zipfile.ZipFile | None = field(default=None, repr=False, compare=False)

    def read(self) -> str | bytes:
        """What `Method.assess` takes: a file's path, or a member's bytes.

        Raises:
            InputError: the member cannot be unpacked or is too large.
        """
        if self.inside is None:
            return self.path
        archive = self.archive or _archive(self.path)
        return b"".join(_chunks(archive, archive.infolist()[self.inside], MOST_BYTES_PER_MEMBER, "This file"))


def contents(paths: Sequence[str]) -> list[Member]:
    """The images of files and zips, in the order given and inside a zip by name; what is named twice counts once.

    Raises:
        InputError: no image, too many, or a zip that cannot be read.
    """
    members: list[Member] = []
    for path in dict.fromkeys(paths):
        members += _pictures(path) if Path(path).suffix.lower() == ".zip" else [Member(_clean(Path(path).name), path)]
        if len(members) > MOST_FILES:
            raise InputError(f"There are more than {MOST_FILES} photos; score them in parts, or with "
                             "`mean-opinion score` on a machine of your own.")
    if not members:
        raise InputError("The zip holds no photos.")
    return members


def unpack(path: str | Path, folder: Path, limits: Limits | None = None) -> Path | None:
    """Writes a zip's images and tables below a folder, as plain files.

    Returns:
        The table it holds, if it holds exactly one; a .csv goes before others.

    Raises:
        InputError: not a zip, encrypted, damaged, with broken names, or larger than the limits.
    """
    limits = limits or Limits()
    folder.mkdir(parents=True, exist_ok=True)
    tables: list[Path] = []
    total = pictures = 0
    with _archive(path) as archive:
        for info, name in _members(archive, limits.pictures):
            suffix = PurePosixPath(name).suffix.lower()
            if suffix not in PICTURE_SUFFIXES | TABLE_SUFFIXES:
                continue
            target = _target(folder, name)
            pictures += suffix in PICTURE_SUFFIXES
            if pictures > limits.pictures:
                raise InputError(f"The zip holds more than {limits.pictures} photos; choose fewer.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                for chunk in _chunks(archive, info, limits.bytes_per_file, _clean(target.name)):
                    total += len(chunk)
                    if total > limits.bytes:
                        raise InputError(f"The zip unpacks to more than {limits.bytes >> 20} MB; choose fewer or "
                                         "smaller files.")
                    file.write(chunk)
            if suffix in TABLE_SUFFIXES:
                tables.append(target)
    if not pictures:
        raise InputError("The zip holds no photos.")
    named = [table for table in tables if table.suffix.lower() == ".csv"] or tables
    return named[0] if len(named) == 1 else None


def members_by_name(path: str | Path, names: Sequence[str], most_bytes: int) -> dict[str, bytes]:
    """The files of these names in a zip, in whatever folder of it: name -> bytes; one that is not there is left out.

    Raises:
        InputError: not a zip, encrypted, damaged, with broken names, one that is larger, or two of one name.
    """
    contents: dict[str, bytes] = {}
    with _archive(path) as archive:
        for info, member in _members(archive, MOST_FILES):
            name = PurePosixPath(member).name
            if name not in names:
                continue
            if name in contents:
                raise InputError(f"The zip holds more than one {name}; pack one run alone.")
            contents[name] = b"".join(_chunks(archive, info, most_bytes, name))
    return contents


# --- reading ----------------------------------------------------------------------------------------------------------


def _archive(path: str | Path) -> zipfile.ZipFile:
    name = _clean(Path(path).name)
    try:
        return zipfile.ZipFile(path)
    except UnicodeDecodeError:  # a name that claims to be UTF-8
        raise InputError(f"The names of the files in {name} are damaged; pack them again.") from None
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise InputError(f"{name} is not a zip file, or it is damaged; pack the photos again.") from error


def _chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int, name: str) -> Iterator[bytes]:
    """A member's bytes as they come out."""
    size = 0
    try:
        with archive.open(info) as source:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > most:
                    raise InputError(f"{name} unpacks to more than {most >> 20} MB; make it smaller.")
                yield chunk
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise InputError(f"{name} is damaged inside the zip; pack it again.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} has a damaged name inside the zip; pack it again.") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way that Python cannot read
        raise InputError(f"{name} is encrypted or packed in an unusual way inside the zip; pack it again.") from error


def _pictures(path: str) -> list[Member]:
    archive = _archive(path)
    order = {id(info): index for index, info in enumerate(archive.infolist())}
    members = [Member(_clean(name), path, order[id(info)], archive) for info, name in _members(archive, MOST_FILES)
               if PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES]
    return sorted(members, key=lambda member: member.name)


# --- names ------------------------------------------------------------------------------------------------------------


def _members(archive: zipfile.ZipFile, most_pictures: int) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """Files and their names with "/" between folders, without what a system hides beside them."""
    name_of_zip = _clean(Path(archive.filename or "The zip").name)
    infos = archive.infolist()
    if len(infos) > _MEMBERS_PER_PICTURE * most_pictures:
        raise InputError(f"{name_of_zip} holds more than {_MEMBERS_PER_PICTURE * most_pictures} files; pack only the "
                         "photos.")
    names: set[str] = set()
    for info, name in zip(infos, _decoded_names(infos, name_of_zip)):
        name = name.replace("\\", "/")
        parts = PurePosixPath(name).parts
        # A Mac adds a hidden twin to every file, with the same suffix and no image in it.
        hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts)
        if info.is_dir() or name.endswith("/") or not parts or hidden:
            continue
        if not name.isprintable():
            raise InputError(f"A file in {name_of_zip} has a name that cannot be shown ({_clean(name)}); rename it and "
                             "pack them again.")
        if name in names:
            raise InputError(f"{name_of_zip} holds two files called {_clean(name)}; pack them again.")
        names.add(name)
        yield info, name


def _decoded_names(infos: Sequence[zipfile.ZipInfo], name_of_zip: str) -> list[str]:
    """The members' names. Those that do not say that they are UTF-8 share the encoding of their packer's system, which
    is read off all of them together."""
    raw = {}
    for index, info in enumerate(infos):
        # zipfile takes such names for the PC's first code page, unless an extra field holds the true one.
        if not info.flag_bits & _UTF_8 and not info.orig_filename.isascii() and _unchanged(info):
            raw[index] = info.orig_filename.encode("cp437")
    if not raw:
        return [info.orig_filename if _unchanged(info) else info.filename for info in infos]
    encoding = _encoding_of(b"\n".join(raw.values()))
    if encoding is None:
        raise InputError(f"The names of the files in {name_of_zip} are in an encoding that cannot be told; pack them "
                         "again with names in UTF-8.")
    return [raw[index].decode(encoding) if index in raw else info.orig_filename if _unchanged(info) else info.filename
            for index, info in enumerate(infos)]


def _unchanged(info: zipfile.ZipInfo) -> bool:
    """Whether `filename` follows from the member's own name, not from an extra field."""
    return info.filename == info.orig_filename.partition("\0")[0].replace("\\", "/") or "\0" in info.orig_filename


def _encoding_of(text: bytes) -> str | None:
    """The encoding of non-ASCII names, None where it cannot be told.

    A few characters fit several encodings of East Asia. Among those that charset-normalizer finds plausible, the one
    is taken in which most characters are everyday ones, which each of these encodings keeps in rows of its own.
    """
    if _is_utf_8(text):
        return "utf-8"
    plausible = charset_normalizer.from_bytes(text, threshold=0.5, cp_isolation=_ENCODINGS)
    matches = {match.encoding: match.chaos for match in plausible}
    everyday = {encoding: _everyday_share(text, encoding) for encoding in _EVERYDAY if encoding in matches}
    if everyday and max(everyday.values()) >= 0.6:
        return max(everyday, key=lambda encoding: everyday[encoding])
    single = [encoding for encoding in matches if encoding not in _EVERYDAY]
    # The format's own code page goes first among equals.
    return min(single, key=lambda encoding: (matches[encoding], encoding != "cp437"), default=None)


def _is_utf_8(text: bytes) -> bool:
    try:
        letters = [character for character in text.decode("utf-8") if not character.isascii()]
    except UnicodeDecodeError:
        return False
    # Two hanzi of GBK can be two valid characters of UTF-8, but hardly of one script.
    scripts = {unicodedata.name(letter, "?").partition(" ")[0] for letter in letters}
    return len(scripts) == 1 or max(letters) >= "\u0800"


def _everyday_share(text: bytes, encoding: str) -> float:
    leads, trails = _EVERYDAY[encoding]
    codes = [character.encode(encoding) for character in text.decode(encoding) if not character.isascii()]
    return sum(len(code) == 2 and code[0] in leads and code[1] in trails for code in codes) / len(codes)


def _target(folder: Path, name: str) -> Path:
    """Where a member may be written: always below the folder."""
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".", "..") and not part.endswith(":")]
    if not parts or len(parts) > 12 or any(len(part.encode()) > 200 for part in parts):
        raise InputError(f"A file in the zip has too long a path ({_clean(name)}); pack the photos without their "
                         "folders.")
    target = folder.joinpath(*parts)
    if target.exists() or not target.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"The zip holds two files that would both be {_clean('/'.join(parts))}; pack them again.")
    return target


def _clean(name: str) -> str:
    text = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    return text if len(text) <= _NAME_LENGTH else f"…{text[-_NAME_LENGTH + 1:]}"
