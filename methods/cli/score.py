"""Scores many files into rows, so that one bad file costs one row and an interrupted run keeps what it has.

Rows are written and flushed as soon as their batch is done, in the order of the files. Reading failures are found
file by file before a batch is formed; where a whole batch fails, its pictures are scored again one by one, so that
only the picture at fault carries the error.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from methods.base import Assessment, Method
from methods.images import PICTURE_SUFFIXES, Decoded, ImageError, decode
from methods.lmm.base import LMMError

COLUMNS = ("path", "score", "native_score", "seconds", "error")

_PIXELS_AT_ONCE = 32_000_000  # A batch of full-size photos is cut short, so that memory does not grow with its size.


@dataclass(frozen=True)
class Found:
    """A picture to score, or a place that could not be searched: then `error` says why."""

    path: str
    error: str = ""


@dataclass(frozen=True)
class Row:
    path: str
    assessment: Assessment | None
    error: str = ""

    def cells(self) -> tuple[str, ...]:
        """As in COLUMNS; numbers with six decimals, empty where the picture failed."""
        if self.assessment is None:
            return (self.path, "", "", "", self.error)
        numbers = (self.assessment.score, self.assessment.native_score, self.assessment.seconds)
        return (self.path, *(f"{number:.6f}" for number in numbers), "")

    def record(self) -> dict[str, Any]:
        """The whole assessment, JSON-safe, with path and error; score and the like are None where it failed."""
        if self.assessment is None:
            return {"path": self.path, "score": None, "native_score": None, "seconds": None, "error": self.error}
        return {"path": self.path, "error": None, **self.assessment.to_dict()}


def find_pictures(paths: Sequence[str]) -> list[Found]:
    """The files to score, in a stable order: as given, and a folder's by name, its own files before its subfolders'.

    A file that is named is always tried, whatever its name. In folders, files are taken by their suffix; hidden ones
    and links to folders are left out.
    """
    return [found for path in paths for found in (_walk(path) if os.path.isdir(path) else [Found(path)])]


def _walk(folder: str) -> list[Found]:
    found: list[Found] = []
    refused: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=refused.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Found(os.path.join(parent, name))
            for name in sorted(files)
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES
        ]
    found += [
        Found(str(error.filename), "The folder cannot be read; change its permissions.") for error in refused
    ]
    return found or [Found(folder, "The folder holds no picture files; name another one.")]


def score_paths(method: Method, found: Sequence[Found], form: str, batch_size: int, out: TextIO | None = None) -> int:
    """Scores every file and writes its row to `out` (stdout by default), with progress on stderr.

    Args:
        method: a ready method; its options are used.
        found: from `find_pictures`.
        form: "csv" or "json".
        batch_size: at most so many pictures are handed to the method at once.

    Returns:
        how many failed.
    """
    out = out or sys.stdout
    if hasattr(out, "reconfigure"):
        # A file name need not be valid text; it is printed byte for byte.
        out.reconfigure(encoding="utf-8", errors="surrogateescape")
    failed = 0
    with _writer(form, out) as write:
        for done, row in enumerate(_rows(method, found, batch_size), start=1):
            write(row)
            failed += row.assessment is None
            verdict = row.error if row.assessment is None else f"{row.assessment.score:.4f}"
            name = row.path.encode(errors="replace").decode()
            print(f"[{done}/{len(found)}] {name}: {verdict}", file=sys.stderr, flush=True)
    if failed:
        print(f"{failed} of {len(found)} could not be scored.", file=sys.stderr)
    return failed


@contextlib.contextmanager
def _writer(form: str, out: TextIO) -> Iterator[Any]:
    """A function that writes one row and flushes it."""
    if form == "csv":
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        out.flush()

        def write_csv(row: Row) -> None:
            with _in_one_piece():
                table.writerow(row.cells())
                out.flush()

        yield write_csv
        return
    separator = "["

    def write_json(row: Row) -> None:
        nonlocal separator
        with _in_one_piece():
            out.write(f"{separator}\n{json.dumps(row.record(), allow_nan=False)}")
            out.flush()
            separator = ","

    try:
        yield write_json
    finally:
        # An interrupted run closes the array too; where the reader is gone, there is nobody to close it for.
        if not isinstance(sys.exception(), BrokenPipeError):
            out.write(("[" if separator == "[" else "\n") + "]\n")
            out.flush()


@contextlib.contextmanager
def _in_one_piece() -> Iterator[None]:
    """Holds Ctrl-C back while a row is written, so that no half of a row is left behind."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler is None:
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt


def _rows(method: Method, found: Sequence[Found], batch_size: int) -> Iterator[Row]:
    """One row a file, in order."""
    waiting: list[tuple[Found, Decoded | None, str]] = []
    pixels = 0
    for place in found:
        decoded, error = None, place.error
        if not error:
            try:
                decoded = decode(place.path)
                pixels += decoded.image.width * decoded.image.height
            except ImageError as refused:
                error = str(refused)
        waiting.append((place, decoded, error))
        ready = sum(one is not None for _, one, _ in waiting)
        if ready >= batch_size or pixels >= _PIXELS_AT_ONCE or not ready:
            yield from _assessed(method, waiting)
            waiting, pixels = [], 0
    yield from _assessed(method, waiting)


def _assessed(method: Method, waiting: list[tuple[Found, Decoded | None, str]]) -> Iterator[Row]:
    pictures = [decoded for _, decoded, _ in waiting if decoded is not None]
    together: list[Assessment] | None = None
    if len(pictures) > 1:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                together = method.assess_batch(pictures)
        except Exception as error:  # One picture may be at fault: each is tried by itself, and its row says so.
            print(f"A batch of {len(pictures)} failed ({_sentence(error)}); scoring one by one.", file=sys.stderr)
    scored = iter(together or ())
    for place, decoded, error in waiting:
        if decoded is None:
            yield Row(place.path, None, error)
        elif together is not None:
            yield Row(place.path, next(scored))
        else:
            yield _alone(method, place.path, decoded)


def _alone(method: Method, path: str, decoded: Decoded) -> Row:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return Row(path, method.assess(decoded))
    except Exception as error:  # A file that fails is a row with its error, never the end of the run.
        if not isinstance(error, (ValueError, LMMError)):
            traceback.print_exc(file=sys.stderr)
        return Row(path, None, _sentence(error))


def _sentence(error: Exception) -> str:
    """One line; errors that are not this project's own sentences are named by their kind."""
    text = " ".join(str(error).split())
    own = text and isinstance(error, (ValueError, LMMError))
    return text if own else f"{type(error).__name__}: {text}".rstrip(": ")
