"""One line on stderr: how far a run is, how fast, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

_WINDOW = 60.0  # seconds over which the rate is taken: long enough to be calm, short enough to notice a change
_TERMINAL_EVERY, _FILE_EVERY = 0.2, 10.0


class Progress:
    """Counts pictures and tells, at most a few times a second, or every ten seconds where stderr is a file.

    Args:
        total: pictures of the run.
        done: those that an earlier start has scored; they do not count for the rate.
        out: where to write.
        clock: seconds, for tests.
    """

    def __init__(self, total: int, done: int = 0, out: TextIO | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.failed = total, done, 0
        self._out = out if out is not None else sys.stderr
        self._clock = clock
        self._terminal = self._out.isatty()
        self._marks: deque[tuple[float, int]] = deque([(clock(), done)])
        self._told = clock()
        self._width = 0

    def add(self, pictures: int, failed: int = 0) -> None:
        self.done += pictures
        self.failed += failed
        now = self._clock()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _WINDOW:
            self._marks.popleft()
        if now - self._told >= (_TERMINAL_EVERY if self._terminal else _FILE_EVERY) or self.done >= self.total:
            self._told = now
            self._write(self.line())

    def line(self) -> str:
        """For example "120/399 (30 %), 4.1 pictures/s, 1 min 8 s left, 2 failed"."""
        (begun, before), (now, after) = self._marks[0], self._marks[-1]
        share = 100 * self.done / self.total if self.total else 100
        parts = [f"{self.done}/{self.total} ({share:.0f} %)"]
        if after > before and now > begun:
            rate = (after - before) / (now - begun)
            parts.append(f"{rate:.3g} pictures/s")
            if self.done < self.total:
                parts.append(f"{duration((self.total - self.done) / rate)} left")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)

    def close(self) -> None:
        if self._terminal and self._width:
            self._out.write("\n")
            self._out.flush()

    def _write(self, line: str) -> None:
        if self._terminal:
            self._out.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._out.write(line + "\n")
        self._out.flush()


def duration(seconds: float) -> str:
    """For example "45 s", "1 min 8 s", "3 h 20 min", "2 d 4 h"."""
    whole = max(round(seconds), 0)
    for size, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // part} {part_name}"
    return f"{whole} s"
