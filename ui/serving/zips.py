"""The pictures of a visitor's folder: files as they are, and the members of zips, read one at a time.

Nothing of a zip is written to disk: a member is unpacked when its turn comes, into memory, under a limit that counts
what really comes out. Names inside a zip are shown and never used as paths.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from methods.images import PICTURE_SUFFIXES

MOST_FILES = 500
MOST_BYTES_A_MEMBER = 64 * 2**20
_MOST_MEMBERS = 20 * MOST_FILES
_NAME_LENGTH = 120


@dataclass(frozen=True)
class Member:
    """A file, or a member of a zip.

    Attributes:
        name: for display; inside a zip with its folders.
        path: of the file or zip.
        inside: the member's index in the zip, None for a file.
    """

    name: str
    path: str
    inside: int | None = None

    def read(self) -> str | bytes:
        """What `Method.assess` takes: a file's path, or a member's bytes.

        Raises:
            ValueError: the member cannot be unpacked or is too large; one plain sentence.
        """
        if self.inside is None:
            return self.path
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(archive.infolist()[self.inside]) as source:
                content = source.read(MOST_BYTES_A_MEMBER + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise ValueError("This file is damaged inside the zip; pack it again.") from error
        except (RuntimeError, NotImplementedError) as error:
            raise ValueError("This file is encrypted or packed in an unusual way; pack it again.") from error
        if len(content) > MOST_BYTES_A_MEMBER:
            raise ValueError(f"This file unpacks to more than {MOST_BYTES_A_MEMBER >> 20} MB; make it smaller.")
        return content


def contents(paths: Sequence[str]) -> list[Member]:
    """The pictures of files and zips, in the order given and inside a zip by name.

    Raises:
        ValueError: no picture, too many, or a zip that cannot be opened.
    """
    members: list[Member] = []
    for path in paths:
        members += _members(path) if Path(path).suffix.lower() == ".zip" else [Member(_clean(Path(path).name), path)]
        if len(members) > MOST_FILES:
            raise ValueError(f"There are more than {MOST_FILES} pictures; score them in parts, or with "
                             "`python -m methods score` on a machine of your own.")
    if not members:
        raise ValueError("The zip holds no pictures.")
    return members


def _members(path: str) -> list[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{_clean(Path(path).name)} is not a zip file, or it is damaged; pack the pictures again."
                         ) from error
    if len(infos) > _MOST_MEMBERS:
        raise ValueError(f"{_clean(Path(path).name)} holds more than {_MOST_MEMBERS} files; pack only the pictures.")
    found = [Member(_clean(info.filename), path, index) for index, info in enumerate(infos)
             if not info.is_dir() and _is_picture(info.filename)]
    return sorted(found, key=lambda member: member.name)


def _is_picture(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    # A Mac adds a hidden twin to every file, with the same suffix and no picture in it.
    hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts)
    return bool(parts) and not hidden and PurePosixPath(parts[-1]).suffix.lower() in PICTURE_SUFFIXES


def _clean(name: str) -> str:
    text = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    return text if len(text) <= _NAME_LENGTH else f"…{text[-_NAME_LENGTH + 1:]}"
