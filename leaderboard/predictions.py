"""The rows of a predictions.csv: what one says, and the one way to read them.

A run's folder is written by `leaderboard.runs.folder`; people's own files come in by the page and by `add`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from methods import files
from methods.errors import InputError

COLUMNS = ("image", "mos", "score", "native_score", "seconds", "error")
PREDICTIONS, SETTINGS, METRICS, LOCK = "predictions.csv", "run.json", "metrics.json", ".lock"


class RunError(InputError):
    """A run folder that cannot be used; one sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row of predictions.csv. `score`, `native_score` and `seconds` are None where `error` is filled.

    Raises:
        ValueError: a number that is not finite, or a row that has neither a score nor an error, or both.
    """

    image: str
    mos: float
    score: float | None
    native_score: float | None
    seconds: float | None
    error: str = ""

    def __post_init__(self) -> None:
        for name in ("mos", "score", "native_score", "seconds"):
            value = getattr(self, name)
            if value is not None:
                # numpy's numbers write themselves as np.float64(0.5), and NaN is no score.
                object.__setattr__(self, name, float(value))
                if not math.isfinite(value):
                    raise ValueError(f"The {name} of {self.image!r} is {value}, which is not a finite number.")
        if (self.score is None) != bool(self.error):
            raise ValueError(f"The row of {self.image!r} needs either a score or an error.")

    def cells(self) -> tuple[str, ...]:
        """As in `COLUMNS`; numbers in the shortest form that reads back as the same float64."""
        numbers = (self.mos, self.score, self.native_score)
        spent = "" if self.seconds is None else f"{self.seconds:.6f}"
        return (self.image, *("" if number is None else repr(number) for number in numbers), spent,
                " ".join(self.error.split()))


def read_predictions(path: str | Path, called: str = "") -> list[Prediction]:
    """The rows of a predictions.csv, which may begin with a byte order mark.

    A last line without an end counts where it is a whole row: an editor leaves it so. In a folder that a run is writing
    to it is passed over, and so is half a row that a killed run left.

    Args:
        path: of the file, or of its folder.
        called: the file's name in sentences; by default its path.

    Raises:
        RunError: the file is missing, lacks columns, has a row that is none, or an image twice.
    """
    path = Path(path)
    path = path / PREDICTIONS if path.is_dir() else path
    called = called or str(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"There is no {called}; name the folder of a run or its {PREDICTIONS}.") from None
    whole = files.whole_lines(raw)
    if len(whole) < len(raw) and not _is_locked(path.parent):
        try:
            return list(parsed(raw, called))
        except RunError:
            if not (path.parent / SETTINGS).exists():  # No run wrote this file, so no kill has torn it.
                raise
    return list(parsed(whole, called))


def _is_locked(folder: Path) -> bool:
    """Whether a run is writing to a folder."""
    if not (folder / LOCK).exists():
        return False
    try:
        with files.lock(folder / LOCK):
            return False
    except files.LockedError:
        return True
    except OSError:  # A folder that is read only: without write permission no run is writing.
        return False


def parsed(raw: bytes, called: str) -> Iterator[Prediction]:
    """The rows of a predictions.csv's content, one by one; `called` and errors as of `read_predictions`."""
    text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    lines = _lines(text, called)
    header = next(lines, None)
    if header is None:
        return
    doubled = next((name for name in COLUMNS if header.count(name) > 1), None)
    if doubled is not None:
        raise RunError(f"{called} has the column {doubled} more than once; delete all but one.")
    lacking = [name for name in ("image", "mos", "score") if name not in header]
    if lacking:
        raise RunError(f"{called} lacks the columns {', '.join(lacking)}; it begins with {','.join(header)[:80]!r}, "
                       f"which should be {','.join(COLUMNS)}.")
    names: set[str] = set()
    for number, cells in enumerate(lines, start=2):
        place = f"{called}, line {number}"
        if len(cells) != len(header):
            raise RunError(f"{place} has {len(cells)} cells, the first line {len(header)}; mend or delete that line.")
        row = dict(zip(header, cells))
        error = row.get("error", "")
        numbers = {name: _number(row, name, place) for name in ("mos", "score", "native_score", "seconds")
                   if row.get(name) or (name == "mos" or (name == "score" and not error))}
        if error and "score" in numbers:
            raise RunError(f"{place} has both a score and an error; mend or delete that line.")
        if row["image"] in names:
            raise RunError(f"{place} has {row['image']!r} more than once; every image counts once.")
        names.add(row["image"])
        yield Prediction(row["image"], numbers["mos"], numbers.get("score"), numbers.get("native_score"),
                         numbers.get("seconds"), error)


def _lines(text: str, called: str) -> Iterator[list[str]]:
    # Of the whole process, and other readers raise it, too: what is read must not depend on what was read before.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from lines
    except csv.Error as error:
        raise RunError(f"{called} is not a CSV table ({error} in line {lines.line_num}).") from None


def _number(row: Mapping[str, str], name: str, place: str) -> float:
    try:
        number = float(row[name])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RunError(f"{place}: {name} is {row[name]!r}, which is not a number; a failed image says why in the "
                       "column error.")
    return number
