"""Data revisions: which state of the data a link or a citation was made with.

A revision is a line of revisions.csv with a digest of all other tables. Data that was edited without a new line
fails `mean-opinion check`, which names the command that records one.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from leaderboard.schema import COLUMNS, REVISIONS, read_text
from methods import files

_TABLES = tuple(name for name in COLUMNS if name != "revisions")


def digest(folder: Path) -> str:
    """12 hex digits over the text of all tables; line endings do not matter."""
    pieces: list[bytes | str] = []
    for name in _TABLES:
        text = (folder / f"{name}.csv").read_bytes().replace(b"\r\n", b"\n")
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
        return str(history["revision"].iloc[-1])
    name = str(int(history["revision"].iloc[-1]) + 1) if len(history) else "1"
    rows = {table: len(read_text(folder / f"{table}.csv")) for table in ("published", "ablations", "measured")}
    line = {"revision": name, "date": date, "digest": current, **rows, "note": note}
    text = io.StringIO(newline="")
    csv.DictWriter(text, REVISIONS, lineterminator="\n").writerow(line)
    files.append(file, text.getvalue())
    return name
