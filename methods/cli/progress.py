"""How far a command is, on stderr: a bar on a terminal, a line every ten seconds in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

from tqdm import tqdm

_FORMAT = "{desc}{n_fmt}/{total_fmt} ({percentage:.0f} %), {rate_noinv_fmt}, {remaining} left{postfix}"


class _Lines:
    """Stands before a log file, where a bar that overwrites itself would be one endless line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            self._out.write(f"{line}\n")

    def flush(self) -> None:
        self._out.flush()


def progress(total: int, what: str = "", done: int = 0, unit: str = "images") -> tqdm[NoReturn]:
    """A counter to `update`; close it at the end.

    Args:
        total: all there is to do.
        what: stands before the numbers.
        done: what an earlier start has done; it does not count for the rate.
        unit: of what is counted.
    """
    terminal = sys.stderr.isatty()
    return tqdm(total=total, initial=done, desc=what, unit=f" {unit}", bar_format=_FORMAT, dynamic_ncols=True,
                file=sys.stderr if terminal else _Lines(sys.stderr),  # type: ignore[arg-type]
                mininterval=0.2 if terminal else 10.0, smoothing=0.1)


def steps(what: str, unit: str = "images") -> Callable[[int, int], None]:
    """A callback for (done, total) that draws the same; it ends with the last step."""
    bar: tqdm[NoReturn] | None = None

    def tell(done: int, total: int) -> None:
        nonlocal bar
        if bar is None or bar.total != total:
            bar = progress(total, what, unit=unit)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
            bar = None

    return tell


def stages(prefix: str = "", unit: str = "images") -> Callable[[str, int, int], None]:
    """A callback for (what, done, total): a counter for each stage of a longer work."""
    by_name: dict[str, Callable[[int, int], None]] = {}

    def tell(what: str, done: int, total: int) -> None:
        by_name.setdefault(what, steps(f"{prefix}{what}: ", unit))(done, total)

    return tell
