"""The folder of a run: predictions that only ever grow, the settings they belong to, and a lock.

A run may be killed at any moment, by a scheduler, a full disk or a closed lid, and goes on where it stopped. So
predictions.csv is only appended to, whole lines at a time; what a kill left of a line is cut off before anything is
added; run.json pins the settings, since rows of two models in one file would be worse than no file; and the lock is
the kernel's, which a dead process cannot keep.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from leaderboard.schema import Facts
from methods import files
from methods.errors import InputError

COLUMNS = ("image", "mos", "score", "native_score", "seconds", "error")
PREDICTIONS, SETTINGS, METRICS, LOCK = "predictions.csv", "run.json", "metrics.json", ".lock"

_SYNC_SECONDS = 1.0  # A kill loses nothing that was written; only a power cut can lose what was not yet synced.


_LATER = {"max_pixels", "lmm_max_pixels"}  # settings that the first versions did not record


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


def read_predictions(path: str | Path) -> list[Prediction]:
    """The rows of a predictions.csv, which may begin with a byte order mark.

    A last line without an end counts where it is a whole row: an editor leaves it so. In a folder that a run is writing
    to it is passed over, and so is half a row that a killed run left.

    Args:
        path: of the file, or of its folder.

    Raises:
        RunError: the file is missing, is not UTF-8, has other columns, a row that is none, or an image twice.
    """
    path = Path(path)
    path = path / PREDICTIONS if path.is_dir() else path
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"There is no {path}; name the folder of a run or its {PREDICTIONS}.") from None
    whole = files.whole_lines(raw)
    if len(whole) < len(raw) and not _is_locked(path.parent):
        try:
            return list(_parsed(raw, path))
        except RunError:
            if not (path.parent / SETTINGS).exists():  # No run wrote this file, so no kill has torn it.
                raise
    return list(_parsed(whole, path))


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


def _parsed(raw: bytes, path: Path) -> Iterator[Prediction]:
    text = raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines, None)
    if header is None:
        return
    places = {name: place for place, name in enumerate(header)}
    if not {"image", "mos", "score"} <= set(places):
        raise RunError(f"{path} begins with {','.join(header)[:80]}, not with {','.join(COLUMNS)}.")
    names: set[str] = set()
    for number, cells in enumerate(lines, start=2):
        try:
            if len(cells) != len(header):
                raise ValueError
            row = {name: cells[place] for name, place in places.items()}
            score, native, seconds = (_optional(row.get(name, "")) for name in ("score", "native_score", "seconds"))
            prediction = Prediction(row["image"], float(row["mos"]), score, native, seconds, row.get("error", ""))
        except ValueError:
            raise RunError(f"{path}, line {number} is not a row of predictions; delete that line and run again.") \
                from None
        if prediction.image in names:
            raise RunError(f"{path}, line {number} repeats {prediction.image!r}; delete one of the two lines.")
        names.add(prediction.image)
        yield prediction


def _optional(cell: str) -> float | None:
    return float(cell) if cell else None


class RunFolder:
    """One run's folder, opened for writing by one process at a time; a context manager.

    Args:
        path: created where it does not exist.

    Raises:
        RunError: on entering, another process writes to it or it cannot be created; on `pin`, it belongs to other
            settings.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.predictions = self.path / PREDICTIONS
        self._held = contextlib.ExitStack()
        self._file: int | None = None
        self._synced = 0.0

    def __enter__(self) -> RunFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"The folder {self.path} cannot be made ({error.strerror}); choose another --out.") from None
        try:
            self._held.enter_context(files.lock(self.path / LOCK, busy=(
                f"Another run is writing to {self.path} ({{holder}}); wait for it, stop it, or choose another --out.")))
        except files.LockedError as error:
            raise RunError(str(error)) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)
            self._file = None
        self._held.close()

    def settings(self) -> Facts | None:
        """The pinned settings; None in a new folder."""
        path = self.path / SETTINGS
        try:
            settings: Facts = json.loads(path.read_text(encoding="utf-8"))["settings"]
            return settings
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise RunError(f"{path} cannot be read; restore it or choose another --out.") from None

    def pin(self, settings: dict[str, object], about: dict[str, object]) -> None:
        """Writes run.json on the first call, and later refuses settings that differ from it.

        Args:
            settings: what every row of the file has in common; JSON-safe.
            about: how the run was started; written, never compared.

        Raises:
            RunError: other settings, or rows without a run.json.
        """
        pinned = self.settings()
        if pinned is None:
            if self.predictions.exists() and self.predictions.stat().st_size:
                raise RunError(f"{self.predictions} has rows but {self.path} has no {SETTINGS} that says whose; "
                               "choose another --out.")
            files.replace(self.path / SETTINGS, json.dumps({"settings": settings, "started": about}, indent=1) + "\n")
            return
        settings = json.loads(json.dumps(settings))
        # What an earlier version did not record cannot be compared.
        unknown = _LATER - set(pinned)
        for key in sorted(key for key in unknown if settings.get(key) is not None):
            print(f"{self.path} began before {key} was recorded; whether it was {settings[key]!r} is not known.",
                  file=sys.stderr)
        differ = [key for key in {**pinned, **settings} if pinned.get(key) != settings.get(key) and key not in unknown]
        if differ:
            changes = "; ".join(_change(key, pinned.get(key), settings.get(key)) for key in differ)
            raise RunError(f"{self.path} holds a run with other settings: {changes}. Choose another --out, or run with "
                           "the settings it began with.")

    def resume(self) -> dict[str, Prediction]:
        """The rows that are there, by image, after a torn last line has been cut off."""
        # Even where it looks whole: "0.12" may be what a kill left of "0.1234".
        return {row.image: row for row in _parsed(files.recover(self.predictions), self.predictions)}

    def drop_failed(self) -> int:
        """Takes the rows with an error out, in one step, so that their images are scored again; how many."""
        rows = list(self.resume().values())
        scored = [row for row in rows if not row.error]
        if len(scored) < len(rows):
            files.replace(self.predictions, files.csv_text([COLUMNS, *(row.cells() for row in scored)]))
        return len(rows) - len(scored)

    def append(self, rows: Iterable[Prediction]) -> None:
        """Adds rows, all in one write; they survive a kill of the process from then on.

        Raises:
            OSError: the disk is full or gone.
        """
        lines = [row.cells() for row in rows]
        if self._file is None:
            (self.path / METRICS).unlink(missing_ok=True)  # They described fewer rows.
            self._file = os.open(self.predictions, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if os.fstat(self._file).st_size == 0:
            lines.insert(0, COLUMNS)
        left = memoryview(files.csv_text(lines).encode("utf-8", "surrogateescape"))
        while left:
            left = left[os.write(self._file, left):]
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def write_metrics(self, metrics: dict[str, object]) -> None:
        files.replace(self.path / METRICS, json.dumps(metrics, indent=1, allow_nan=False) + "\n")


def _change(key: str, old: object, new: object) -> str:
    if key == "opinions":
        return "the images or their opinions have changed"
    if isinstance(old, dict) and isinstance(new, dict):
        return "; ".join(_change(name, old.get(name), new.get(name))
                         for name in {**old, **new} if old.get(name) != new.get(name))
    return f"{key} was {old!r} and now is {new!r}"
