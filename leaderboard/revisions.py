"""Data revisions: which state of the data a link or a citation was made with.

A revision is a line of revisions.csv with a digest of all other tables. Data that was edited without a new line
fails `mean-opinion check`, which names the command that records one. Every revision is kept, so that a link opens what
it was made with: `history/N.json` says of each table the hash of its text, and `history/TABLE-HASH.csv.gz` is the text,
stored once for all revisions that share it.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from leaderboard.schema import COLUMNS, DATA, REVISIONS, Board, SchemaError, load_board, read_text
from methods import files

HISTORY = "history"
"""Folder of the data that keeps the revisions."""

_TABLES = tuple(name for name in COLUMNS if name != "revisions")


def digest(folder: Path) -> str:
    """12 hex digits over the text of all tables; line endings do not matter."""
    pieces: list[bytes | str] = []
    for name in _TABLES:
        text = _text(folder, name)
        pieces += [f"{name}:{len(text)}\n", text]
    return files.hash_joined(pieces)[:12]


def record(folder: Path, date: str, note: str) -> str:
    """Appends a revision if the data has changed since the last one, and returns the newest revision's name.

    Args:
        folder: of the data.
        date: ISO.
        note: what changed, in a few words.
    """
    file = folder / "revisions.csv"
    history = read_text(file)
    current = digest(folder)
    if len(history) and history["digest"].iloc[-1] == current:
        name = str(history["revision"].iloc[-1])
        keep(folder, name)
        return name
    name = str(int(history["revision"].iloc[-1]) + 1) if len(history) else "1"
    rows = {table: len(read_text(folder / f"{table}.csv")) for table in ("published", "ablations", "measured")}
    line = {"revision": name, "date": date, "digest": current, **rows, "note": note}
    files.append(file, files.csv_text([[line[column] for column in REVISIONS]]))
    keep(folder, name)
    return name


def keep(folder: Path, name: str, of: Path | None = None) -> None:
    """Stores the tables of a revision.

    Args:
        folder: of the data.
        name: of the revision.
        of: the folder that holds its tables; by default the data's own, as they are now.
    """
    history = folder / HISTORY
    history.mkdir(exist_ok=True)
    hashes = {}
    for table in _TABLES:
        text = _text(of or folder, table)
        hashes[table] = files.hash_joined([text])[:16]
        path = _stored(folder, table, hashes[table])
        if not path.is_file():
            packed = io.BytesIO()
            with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, filename="") as stream:
                stream.write(text)
            files.replace(path, packed.getvalue())
    files.replace(history / f"{name}.json", (json.dumps(hashes, indent=1) + "\n").encode())


def revision_names(folder: Path = DATA) -> tuple[str, ...]:
    """Names of the revisions that can be opened, oldest first."""
    names = {path.stem for path in (folder / HISTORY).glob("*.json")}
    return tuple(str(name) for name in read_text(folder / "revisions.csv")["revision"] if name in names)


def at(revision: str, newest: Board) -> Board | None:
    """The data as it was at a revision, None where it is not kept.

    Its `revisions` end with this one. Predictions are not part of a revision: they are looked up where the newest are.

    Args:
        revision: a name.
        newest: the data of today.

    Raises:
        SchemaError: what is stored is not what was recorded.
    """
    if revision == newest.revision:
        return newest
    return _opened(revision, newest.folder) if revision in revision_names(newest.folder) else None


@lru_cache(maxsize=4)
def _opened(revision: str, folder: Path) -> Board:
    history = read_text(folder / "revisions.csv")
    last = int((history["revision"] == revision).to_numpy().argmax())
    hashes = json.loads((folder / HISTORY / f"{revision}.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        for table in _TABLES:
            content = gzip.decompress(_stored(folder, table, hashes[table]).read_bytes())
            (Path(scratch) / f"{table}.csv").write_bytes(content)
        if digest(Path(scratch)) != history["digest"].iloc[last]:
            raise SchemaError(f"Data revision {revision} is damaged: it is not what was recorded in revisions.csv.")
        history.iloc[: last + 1].to_csv(Path(scratch) / "revisions.csv", index=False)
        return replace(load_board(scratch), folder=folder)


def _stored(folder: Path, table: str, name: str) -> Path:
    return folder / HISTORY / f"{table}-{name}.csv.gz"


def _text(folder: Path, table: str) -> bytes:
    return (folder / f"{table}.csv").read_bytes().replace(b"\r\n", b"\n")
