"""One shared comparison as one file: its content, its content id, and the hashes of the tokens that may delete it.

The content is the comparison's record and a copy of each image, re-encoded from its pixels so that no metadata
survives. Its id is a hash of exactly that, so a link can only ever show what was shared: whatever was damaged or
changed on disk no longer has its id and is refused. When it was shared and by which tokens it can be deleted lies
beside the content in the same file and is not part of the id.
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import re
import secrets
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from methods.errors import InputError
from methods.files import hash_joined

ID = re.compile(r"[a-z2-7]{26}")
"""Of a content id: 130 bits in base 32. Nothing else ever becomes a file name."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
LONGEST_SIDE = 1600
QUALITY = 95

_RECORD, _ABOUT = "comparison.json", "about.json"
_PICTURE = "picture-{:02d}.webp"
_MOST_BYTES = 64 * 2**20
"""Unpacked; a file in the store that claims more is not one of ours."""


SUFFIX = ".zip"
"""Of an entry's file, in the store and on the Hub."""


class DamagedError(InputError):
    """A stored file is not what its name says."""


class GoneError(InputError):
    """There is no such comparison, or no longer; the sentence says what may have happened."""


class ShareError(InputError):
    """Something could not be stored or deleted; one plain sentence."""


@dataclass(frozen=True)
class Entry:
    """Attributes:
    record: the comparison, `Comparison.to_dict`.
    pictures: WebP files, in the record's order.
    created: seconds since the epoch.
    owners: SHA-256 of every token that may delete it, hexadecimal.
    """

    record: dict[str, object]
    pictures: tuple[bytes, ...]
    created: float
    owners: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return content_id(_canonical(self.record), self.pictures)

    def owned_by(self, token: str) -> bool:
        """Whether the token may delete it; takes the same time for every wrong one."""
        digest = hashed(token)
        return sum(hmac.compare_digest(digest, owner) for owner in self.owners) > 0

    def with_owner(self, owner: str) -> Entry:
        return replace(self, owners=(*self.owners, owner))

    def without(self, token: str) -> Entry:
        return replace(self, owners=tuple(owner for owner in self.owners if owner != hashed(token)))


def content_id(record: bytes, pictures: Sequence[bytes]) -> str:
    """26 characters of a hash over the record and every image."""
    digest = hash_joined(bytes.fromhex(hash_joined([part])) for part in (record, *pictures))
    return base64.b32encode(bytes.fromhex(digest)).decode("ascii").lower()[:26]


def new_token() -> str:
    """192 random bits, in a delete link."""
    return secrets.token_urlsafe(24)


def hashed(token: str) -> str:
    """What is stored of a token. It is random, so a plain hash cannot be guessed back."""
    return hash_joined([token.encode("utf-8", "replace")])


def copy_for_sharing(image: Image.Image) -> bytes:
    """A decoded image as WebP, at most `LONGEST_SIDE` pixels per side, out of its pixels alone."""
    small = Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def pack(entry: Entry) -> bytes:
    """The entry as a zip file. The same entry gives the same bytes."""
    buffer = io.BytesIO()
    about = {"created": entry.created, "owners": list(entry.owners)}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, _RECORD, _canonical(entry.record))
        _add(archive, _ABOUT, _canonical(about))
        for index, picture in enumerate(entry.pictures):
            _add(archive, _PICTURE.format(index), picture, zipfile.ZIP_STORED)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> None:
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)


def unpack(content: bytes, expected_id: str) -> Entry:
    """The entry out of a zip file.

    Raises:
        DamagedError: it is not the entry of that id.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise DamagedError("The stored comparison is larger than any that is made here.")
            names = sorted(name for name in archive.namelist() if name not in (_RECORD, _ABOUT))
            record, about = archive.read(_RECORD), json.loads(archive.read(_ABOUT))
            pictures = tuple(archive.read(name) for name in names)
        if not hmac.compare_digest(content_id(record, pictures), expected_id):
            raise DamagedError("The stored comparison is not what was shared.")
        return Entry(json.loads(record), pictures, float(about["created"]), tuple(map(str, about["owners"])))
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError, OSError, NotImplementedError,
            RuntimeError) as error:
        if isinstance(error, DamagedError):
            raise
        raise DamagedError("The stored comparison is damaged.") from error


def _canonical(record: dict[str, object]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False,
                      allow_nan=False).encode("utf-8", "replace")
