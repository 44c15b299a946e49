"""Measures every method that ships with the models that ship, and writes the tables of `methods.meaning`.

    python -m leaderboard.runs.shipped --images LIVE/images --scores LIVE/scores.csv --runs RUNS --students DIR

`--students` holds the fold students of `python -m methods.embedded.student --folds DIR`; without it the calibrated
student keeps its table. One evaluation after the other, each in its folder of RUNS; the same command goes on where it
was stopped. A new revision of a model or a change of the options' defaults needs new folders: name another RUNS.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from leaderboard.__main__ import COMMANDS
from leaderboard.predictions import read_predictions
from leaderboard.runs.calibrate import summary, table_of_run
from leaderboard.runs.scoring import EMBEDDED_TRAINED_ON
from methods import files, meaning
from methods.base import METHODS, method_class
from methods.cli.running import DONE, guarded, run_one
from methods.data import read_table
from methods.errors import UserError
from methods.leaf.student import Student

DATASET = "live-challenge-dev"
RATERS = "people's opinions, about 175 raters each"


@dataclass(frozen=True)
class Measurement:
    """One evaluation: its folder's name, method, further words of the command, and what the fold models stand for."""

    name: str
    method: str
    words: tuple[str, ...] = ()
    stands_for: str | None = None


def measurements(students: Path | None) -> list[Measurement]:
    """What is measured, the quickest first."""
    plan = [Measurement("leaf-biq2021", "leaf", ("--student", "embedded-biq2021"))]
    if students is not None:
        student = Student.load("embedded")
        plan.append(Measurement("leaf", "leaf", ("--folds", str(students)), f"{student.name}@{student.revision}"))
    return plan + [Measurement(method, method, ("--lmm", "embedded")) for method in METHODS
                     if method_class(method).needs_lmm]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m leaderboard.runs.shipped", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of live-challenge-dev's photos")
    parser.add_argument("--scores", type=Path, required=True, metavar="CSV", help="their opinions")
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where the evaluations are kept")
    parser.add_argument("--students", type=Path, metavar="DIR", help="fold students of the calibrated student")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of: " + ", ".join(
        one.name for one in measurements(None)) + ", leaf")
    parser.add_argument("--out", type=Path, metavar="DIR", default=meaning.SHIPPED, help="folder of the tables")
    options = parser.parse_args(arguments)
    failed = 0
    for one in measurements(options.students):
        if options.only and one.name not in options.only:
            continue
        print(f"== {one.name}", file=sys.stderr)
        try:
            table = measure(one, options.images, options.scores, options.runs)
        except UserError as error:
            print(f"{one.name}: {error}", file=sys.stderr)
            failed += 1
            continue
        for path in _of_the_same_model(options.out, table):
            path.unlink()
        print(f"{meaning.save(table, options.out)}: {summary(table)}")
    return 1 if failed else 0


def measure(one: Measurement, images: Path, scores: Path, runs: Path) -> meaning.Table:
    """Evaluates, or goes on, and reads the run as a table.

    Raises:
        UserError: the evaluation failed, or the model has seen these opinions.
    """
    runs.mkdir(parents=True, exist_ok=True)
    kind = method_class(one.method)
    if kind.needs_lmm and DATASET in EMBEDDED_TRAINED_ON["embedded"].split("+"):
        raise UserError(f"The embedded LMM was trained on {DATASET}; measure the models of its folds with evaluate "
                        "--folds and make their table with mean-opinion calibrate.")
    left_out = kind.images_in_use(kind.options)
    table, rest = (scores, "") if not left_out else _without(images, scores, left_out, runs)
    words = ["--method", one.method, *one.words, "--images", str(images), "--scores", str(table), "--scale", "0", "100",
             "--dataset", DATASET, "--out", str(runs / one.name)]
    words += [word for name, value in kind.options.score_alone().items()
              for word in ("--option", f"{name}={str(value).lower()}")]
    if run_one("mean-opinion evaluate", COMMANDS["evaluate"], words) != DONE:
        raise UserError("The evaluation did not finish; run the same command to go on.")
    count = sum(not row.error for row in read_predictions(runs / one.name))
    return table_of_run(runs / one.name, stands_for=one.stands_for,
                        population=f"{count} photos of LIVE Challenge{rest} ({RATERS})")


def _without(images: Path, scores: Path, names: frozenset[str], runs: Path) -> tuple[Path, str]:
    """The table of opinions without some images, written into the folder of runs."""
    rows = [(one.name, repr(one.mos)) for one in read_table(scores, images, scale=(0, 100)) if one.name not in names]
    path = runs / "without-references.csv"
    files.replace(path, files.csv_text([("image", "mos"), *rows]))
    return path, " that are no references"


def _of_the_same_model(folder: Path, table: meaning.Table) -> list[Path]:
    """Tables of earlier revisions of the same model by the same method, which the new one replaces."""
    same = []
    for path in folder.glob("*.json"):
        other = meaning.Table.from_json(path.read_text("utf-8"))
        if (other.method, other.weights.partition("@")[0]) == (table.method, table.weights.partition("@")[0]):
            same.append(path)
    return same


if __name__ == "__main__":
    sys.exit(guarded("python -m leaderboard.runs.shipped", main))
