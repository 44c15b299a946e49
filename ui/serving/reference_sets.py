"""A visitor's own reference set: a zip of pictures and a CSV of opinions, unpacked with care and deleted afterwards.

A zip can name files outside its folder, claim one size and unpack to another, or hold a million entries. Here only
picture files are written, as plain files, below one temporary folder, under limits that are counted while unpacking.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from methods.images import PICTURE_SUFFIXES
from methods.iqarag import shelf
from methods.iqarag.build import Labelled, build, unlabelled
from methods.iqarag.encoders import OwnEncoder
from methods.iqarag.reference_set import Scale
from methods.iqarag.retrieval import bins_of
from methods.lmm.base import LMM

MOST_PICTURES = 300
MOST_BYTES = 200 * 2**20
MOST_BYTES_A_PICTURE = 30 * 2**20
LIFETIME_SECONDS = 3600
"""A visitor's set is deleted when the visitor leaves, and at the latest after this time."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Received:
    """What became of an upload.

    Attributes:
        folder: of the set, for the option `reference_set`.
        count: references.
        by_bin: how many fall into each fifth of the quality range, worst first.
        problems: one sentence a picture that was left out.
        notes: what was assumed or mended in the CSV.
    """

    folder: str
    count: int
    by_bin: tuple[int, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def home() -> Path:
    """Where visitors' sets live."""
    return Path(tempfile.gettempdir()) / "mean-opinion-reference-sets"


def receive(
    lmm: LMM, archive: str, scores: str | None, low: float | None = None, high: float | None = None,
    lower_is_better: bool | None = None,
) -> Received:
    """Unpacks an upload and builds a reference set from it, in a folder of its own.

    Args:
        lmm: its vision encoder makes the features.
        archive: zip of pictures.
        scores: CSV of image,mos; None takes the only table inside the zip.
        low, high: scale of the scores; guessed where one is missing.
        lower_is_better: the scores are DMOS; None reads it off the column's name.

    Raises:
        ValueError: one plain sentence; nothing of the upload stays behind.
    """
    sweep()
    folder = home() / uuid.uuid4().hex
    folder.mkdir(parents=True, mode=0o700)
    try:
        return _received(lmm, Path(archive), scores, low, high, lower_is_better, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _received(lmm, archive: Path, scores, low, high, lower_is_better, folder: Path) -> Received:
    from methods.data.opinions import read_opinions

    pictures = folder / "pictures"
    table = unpack(archive, pictures)
    if scores is None and table is None:
        raise ValueError("Add a CSV with the columns image and mos, beside the zip or inside it.")
    scale = (low, high) if low is not None and high is not None else None
    read = read_opinions(scores or table, pictures, scale=scale, lower_is_better=lower_is_better, minimum=1,
                         allow_constant=True)
    items = [Labelled(path, float(mos), name) for path, name, mos in zip(read.images, read.names, read.mos)]
    built = build(items, folder / "set", OwnEncoder(lmm), Scale(*read.scale, not read.lower_is_better),
                  title="your reference set", problems=unlabelled(pictures, items), about={shelf.TEMPORARY: True})
    counts = bins_of(built.references.mos)
    return Received(
        folder=str(folder / "set"),
        count=len(built.references),
        by_bin=tuple(int((counts == number).sum()) for number in range(5)),
        problems=tuple(f"{problem.image}: {problem.reason}" for problem in built.problems),
        notes=read.notes,
    )


def unpack(archive: Path, folder: Path) -> Path | None:
    """Writes the zip's pictures below `folder`, and returns the CSV it holds, if it holds exactly one.

    Raises:
        ValueError: not a zip, encrypted, damaged, or larger than the limits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: list[Path] = []
    total, pictures = 0, 0
    try:
        with zipfile.ZipFile(archive) as opened:
            if len(opened.infolist()) > 20 * MOST_PICTURES:
                raise ValueError(f"The zip holds more than {20 * MOST_PICTURES} files; at most {MOST_PICTURES} pictures"
                                 f" are taken.")
            for entry in opened.infolist():
                target = _target(folder, entry)
                if target is None or target.exists():
                    continue
                table = target.suffix.lower() in (".csv", ".tsv", ".txt")
                pictures += not table
                if pictures > MOST_PICTURES:
                    raise ValueError(f"The zip holds more than {MOST_PICTURES} pictures; choose fewer.")
                total += _write(opened, entry, target, MOST_BYTES - total)
                if table:
                    tables.append(target)
    except zipfile.BadZipFile as error:
        raise ValueError("The archive is not a zip file, or it is damaged; pack the pictures again.") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a way that Python cannot read
        raise ValueError("The zip is encrypted or packed in an unusual way; pack the pictures again.") from error
    if not pictures:
        raise ValueError("The zip holds no pictures.")
    named = [table for table in tables if table.suffix.lower() == ".csv"] or tables
    return named[0] if len(named) == 1 else None


def _target(folder: Path, entry: zipfile.ZipInfo) -> Path | None:
    """Where an entry may be written; None for what is neither a picture nor a table, or only looks like one."""
    if entry.is_dir():
        return None
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    parts = tuple(part for part in parts if part not in ("/", ".", "..") and not part.endswith(":"))
    # Files that a Mac or a hidden folder adds beside the real ones have the same names and are no pictures.
    if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    if Path(parts[-1]).suffix.lower() not in PICTURE_SUFFIXES | {".csv", ".tsv", ".txt"}:
        return None
    if any(len(part.encode()) > 200 or "\0" in part for part in parts) or len(parts) > 12:
        return None
    target = folder.joinpath(*parts)
    return target if target.resolve().is_relative_to(folder.resolve()) else None


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Unpacks one entry, counting what really comes out; returns its bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(entry) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > MOST_BYTES_A_PICTURE:
                raise ValueError(f"{target.name} is larger than {MOST_BYTES_A_PICTURE >> 20} MB; make it smaller.")
            if written > left:
                raise ValueError(f"The zip unpacks to more than {MOST_BYTES >> 20} MB; choose fewer or smaller files.")
            file.write(chunk)
    return written


def discard(folder: str | None) -> None:
    """Deletes a visitor's set with its pictures; anything outside `home` is left alone."""
    if not folder:
        return
    whole = Path(folder).resolve().parent
    if whole.parent == home().resolve():
        shelf.forget(folder)
        shutil.rmtree(whole, ignore_errors=True)


def sweep() -> None:
    """Deletes sets that have outlived their time, those of an earlier process included."""
    if not home().is_dir():
        return
    for folder in home().iterdir():
        try:
            old = time.time() - folder.stat().st_mtime > LIFETIME_SECONDS
        except FileNotFoundError:  # another visitor's session was faster
            continue
        if old:
            discard(str(folder / "set"))
