"""The folder of a run: predictions that only ever grow, the settings they belong to, and a lock.

A run may be killed at any moment, by a scheduler, a full disk or a closed lid, and goes on where it stopped. So
predictions.csv is only appended to, whole lines at a time; what a kill left of a line is cut off before anything is
added; run.json pins the settings, since rows of two models in one file would be worse than no file; and the lock is
the kernel's, which a dead process cannot keep.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from leaderboard.predictions import COLUMNS, LOCK, METRICS, PREDICTIONS, SETTINGS, Prediction, RunError, parsed
from leaderboard.schema import Facts
from methods import files

_SYNC_SECONDS = 1.0  # A kill loses nothing that was written; only a power cut can lose what was not yet synced.


_LATER = {"max_pixels", "lmm_max_pixels"}  # settings that the first versions did not record


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
        return {row.image: row for row in parsed(files.recover(self.predictions), str(self.predictions))}

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
