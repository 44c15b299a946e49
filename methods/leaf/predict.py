"""`mean-opinion leaf predict`: a student's scores of images, as CSV on stdout: path,score,mos,error.

`score` lies in [0, 1]; `mos` is on the scale of the opinions that the student was calibrated to.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from methods.cli.arguments import add_student, at_least
from methods.cli.progress import progress
from methods.cli.running import DONE, SOME_FAILED
from methods.cli.score import places_of, source
from methods.scoring import score_rows

if TYPE_CHECKING:
    from methods.images import Decoded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="an image file, or a folder with its subfolders")
    add_student(parser)
    parser.add_argument("--batch-size", type=at_least(1), default=64, metavar="N",
                        help="images handed to the student at once (64)")


def run(arguments: argparse.Namespace) -> int:
    from methods.leaf.student import EMBEDDED, Student

    student = Student.load(arguments.student or EMBEDDED)
    places = places_of(arguments.paths)

    def predict(images: Sequence[Decoded]) -> list[float]:
        return [float(score) for score in student.predict([one.image for one in images])]

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "score", "mos", "error"])
    failed = 0
    with progress(len(places), "Scored: ") as bar:
        for row in score_rows(places, source, predict, batch_size=arguments.batch_size):
            if row.assessment is None:
                failed += 1
                bar.write(f"{row.item.path}: {row.error}", file=sys.stderr)
            numbers = ("", "") if row.assessment is None else (f"{row.assessment:.6f}",
                                                               f"{student.to_mos(row.assessment):.4f}")
            writer.writerow([row.item.path, *numbers, row.error])
            sys.stdout.flush()
            bar.update()
    if failed:
        print(f"{failed} of {len(places)} could not be scored.", file=sys.stderr)
    return SOME_FAILED if failed else DONE
