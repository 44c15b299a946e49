"""`mean-opinion score`: many files into rows, so that one bad file costs one row and a stopped run keeps what it has.

Rows are written and flushed as soon as their batch is done, in the order of the files.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from methods import meaning
from methods.cli.arguments import (
    add_lmm,
    add_method,
    add_option,
    add_student,
    at_least,
    chosen_student,
    lmm_name,
    option_values,
)
from methods.cli.options import add_flags, options_from
from methods.cli.progress import progress
from methods.cli.running import DONE, SOME_FAILED
from methods.data.matching import walk_images
from methods.errors import InputError

if TYPE_CHECKING:
    from methods.base import Assessment, Method
    from methods.scoring import Row

COLUMNS = ("path", "score", "native_score", "seconds", "error")
MEANING_COLUMNS = ("mos", "mos_low", "mos_high", "percentile", "meaning")
NOT_CALIBRATED = "not calibrated yet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = ("Rows go to stdout, progress to stderr. Each method has options of its own: add --method NAME "
                     "--help to see them.\nExit status: 0 when every image was scored, 1 when some failed (their rows "
                     "say why), 2 when nothing can be scored.")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image file, or a folder with its subfolders")
    add_method(parser)
    add_lmm(parser)
    add_student(parser)
    add_option(parser)
    parser.add_argument("--format", choices=("csv", "json", "text"), default="csv",
                        help="csv: path,score,native_score,seconds,error; json: an array with the evidence too; text: "
                             "for people")
    parser.add_argument("--explain", action="store_true",
                        help="also say what each score means: the opinion that people would have on 0 to 100, the "
                             "interval that holds nine of ten, and the percentile, from measured runs alone")
    parser.add_argument("--batch-size", type=at_least(1), default=8, metavar="N",
                        help="images handed to the model at once (8)")


def add_more_arguments(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The flags of the method that the words name."""
    from methods.base import method_class

    named = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    named.add_argument("--method")
    name = named.parse_known_args(list(words))[0].method
    if name is not None:
        add_flags(parser, method_class(name))


def run(arguments: argparse.Namespace) -> int:
    from methods.base import load_method, method_class

    kind = method_class(arguments.method)
    options = {**option_values(kind, arguments.option), **options_from(arguments, kind)}
    kind.options.updated(**options)
    places = places_of(arguments.paths)
    with contextlib.redirect_stdout(sys.stderr):  # What libraries print while loading; stdout carries the rows alone.
        method = load_method(arguments.method, lmm_name(arguments, kind), options=options,
                             **chosen_student(arguments, kind))
        method.basis(method.options)  # a reference set that cannot be read ends it here, and not once per image
    failed = score_paths(method, places, arguments.format, arguments.batch_size, explain=arguments.explain)
    return SOME_FAILED if failed else DONE


@dataclass(frozen=True)
class Place:
    """An image to score, or a place that could not be searched: then `error` says why."""

    path: str
    error: str = ""


def cells(row: Row[Place, Assessment], explain: bool = False) -> tuple[str, ...]:
    """As in `COLUMNS`, with `explain` then `MEANING_COLUMNS`; numbers with six decimals (opinions and percentile with
    two), empty where the image failed or nothing was measured."""
    if row.assessment is None:
        return (row.item.path, "", "", "", row.error, *([""] * len(MEANING_COLUMNS) if explain else ()))
    numbers = (row.assessment.score, row.assessment.native_score, row.assessment.seconds)
    line = (row.item.path, *(f"{number:.6f}" for number in numbers), "")
    if not explain:
        return line
    opinion = meaning.explain(row.assessment)
    if opinion is None:
        return (*line, "", "", "", "", NOT_CALIBRATED)
    return (*line, *(f"{number:.2f}" for number in (opinion.mos, opinion.low, opinion.high, opinion.percentile)),
            opinion.sentence())


def record(row: Row[Place, Assessment], explain: bool = False) -> dict[str, object]:
    """The whole assessment, JSON-safe, with path and error; score and the like are None where it failed. With `explain`
    also its "meaning", None where nothing was measured."""
    if row.assessment is None:
        return {"path": row.item.path, "score": None, "native_score": None, "seconds": None, "error": row.error}
    result = {"path": row.item.path, "error": None, **row.assessment.to_dict()}
    if explain:
        opinion = meaning.explain(row.assessment)
        result["meaning"] = None if opinion is None else opinion.to_dict()
    return result


def text(row: Row[Place, Assessment], explain: bool = False) -> str:
    """The row for a person: path, score and reason, with `explain` what the score means and its rated neighbours."""
    one = row.assessment
    if one is None:
        return f"{row.item.path}\n  no score: {row.error}"
    reason = one.evidence.reason(one.score)
    lines = [row.item.path, f"  score {one.score:.3f} of 1" + (f" ({reason})" if reason else "")]
    known = meaning.explain(one) if explain else None
    if known is not None:
        beside = " and ".join(f"{word} {image.name} with {image.mos:.0f}" for word, image in
                              (("above", known.below), ("below", known.above)) if image is not None)
        lines += [f"  {known.sentence()}", f"  By opinions it stands {beside}." if beside else ""]
    elif explain:
        lines.append(f"  {NOT_CALIBRATED}")
    return "\n".join(line for line in lines if line)


def places_of(paths: Sequence[str]) -> list[Place]:
    """The files to score, in a stable order: as given, and a folder's by name, its own files before its subfolders'.

    A file that is named is always tried, whatever its name. In folders, files are taken as `methods.data.find_images`
    takes them.
    """
    return [place for path in paths for place in (_walk(path) if os.path.isdir(path) else [Place(path)])]


def _walk(folder: str) -> list[Place]:
    refusals: list[OSError] = []
    places = [Place(path) for path in walk_images(folder, refusals)]
    places += [Place(str(error.filename), "The folder cannot be read; change its permissions.") for error in refusals]
    return places or [Place(folder, "The folder holds no image files; name another one.")]


def score_paths(method: Method, places: Sequence[Place], form: str, batch_size: int, out: TextIO | None = None, *,
                explain: bool = False) -> int:
    """Scores the places and writes one row each; returns how many failed.

    Args:
        method: ready to assess.
        places: as `places_of` gives them.
        form: "csv", "json" or "text".
        batch_size: at most so many images are handed to the method at once.
        out: stdout by default.
        explain: also what each score means; where that is not known, stderr says what to do about it.

    Raises:
        methods.lmm.errors.ModelUnavailable: the model was lost on the way; the rows so far are written.
    """
    from methods.scoring import score_rows

    out = out or sys.stdout
    if hasattr(out, "reconfigure"):
        # A file name need not be valid text; it is printed byte for byte.
        out.reconfigure(encoding="utf-8", errors="surrogateescape")
    failed = 0
    # No row of a table shows what only explains a score.
    leave_out = {} if form == "json" else method.options.score_alone()
    unknown: Assessment | None = None
    assess = functools.partial(method.assess_batch, **leave_out)
    with _writer(form, out, explain) as write, progress(len(places)) as bar:
        for row in score_rows(places, source, assess, batch_size=batch_size, prepare=method.prepare):
            write(row)
            if row.assessment is None:
                failed += 1
                name = row.item.path.encode(errors="replace").decode()
                bar.write(f"{name}: {row.error}", file=sys.stderr)
                bar.set_postfix_str(f"{failed} failed", refresh=False)
            elif explain and unknown is None and meaning.table_of(row.assessment) is None:
                unknown = row.assessment
            bar.update()
    if unknown is not None:
        print(f"The scores of {method.title} with {unknown.lmm} are {NOT_CALIBRATED}. {meaning.advice(unknown)}",
              file=sys.stderr)
    if failed:
        print(f"{failed} of {len(places)} could not be scored.", file=sys.stderr)
    return failed


def source(place: Place) -> str:
    """What `methods.scoring.score_rows` decodes; a place that could not be searched is a row that failed.

    Raises:
        InputError: it could not be searched.
    """
    if place.error:
        raise InputError(place.error)
    return place.path


@contextlib.contextmanager
def _writer(form: str, out: TextIO, explain: bool) -> Iterator[Callable[[Row[Place, Assessment]], None]]:
    """A function that writes one row and flushes it."""
    if form == "csv":
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS + MEANING_COLUMNS if explain else COLUMNS)
        out.flush()

        def write_csv(row: Row[Place, Assessment]) -> None:
            with _in_one_piece():
                table.writerow(cells(row, explain))
                out.flush()

        yield write_csv
        return
    if form == "text":

        def write_text(row: Row[Place, Assessment]) -> None:
            with _in_one_piece():
                out.write(text(row, explain) + "\n")
                out.flush()

        yield write_text
        return
    separator = "["

    def write_json(row: Row[Place, Assessment]) -> None:
        nonlocal separator
        with _in_one_piece():
            out.write(f"{separator}\n{json.dumps(record(row, explain), allow_nan=False)}")
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
    """Holds Ctrl-C back while a row is written, so that no half of a row is left behind; ignored, it stays so."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or handler in (None, signal.SIG_IGN):
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
