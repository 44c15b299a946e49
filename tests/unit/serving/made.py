"""Zips as visitors send them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from tests.brightness_lmm import grey


def png(value: int) -> bytes:
    file = io.BytesIO()
    grey(value).save(file, "PNG")
    return file.getvalue()


def zipped(path: Path, entries: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return str(path)


class Named(zipfile.ZipInfo):
    """A member whose name is stored in these bytes, as packers of other systems do."""

    raw: bytes
    flag = 0

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.raw, self.flag_bits & ~0x800 | self.flag


def named(path: Path, entries: dict[bytes, bytes], flag: int = 0) -> str:
    """A zip whose members have these bytes for names; `flag` 0x800 says that they are UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, (raw, content) in enumerate(entries.items()):
            info = Named(f"{number}.bin")
            info.raw, info.flag = raw, flag
            archive.writestr(info, content)
    return str(path)
