"""`mean-opinion leaf predict`: a student's scores of images, as CSV on stdout: path,score,mos,error.

`score` lies in [0, 1]; `mos` is on the scale of the opinions that the student was calibrated to.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from methods.cli.arguments import add_student
from methods.cli.progress import progress
from methods.cli.running import DONE, SOME_FAILED
from methods.data import find_images
from methods.errors import InputError
from methods.scoring import score_rows

if TYPE_CHECKING:
    from methods.images import Decoded

BATCH = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="an image file, or a folder")
    add_student(parser)


def run(arguments: argparse.Namespace) -> int:
    from methods.leaf.student import EMBEDDED, Student

    student = Student.load(arguments.student or EMBEDDED)
    paths = [path for place in arguments.paths for path in (find_images(place) if place.is_dir() else [place])]
    if not paths:
        raise InputError(f"There are no images in {arguments.paths[0]}; give images or folders that hold some.")

    def predict(images: Sequence[Decoded]) -> list[float]:
        return [float(score) for score in student.predict([one.image for one in images])]

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "score", "mos", "error"])
    failed = 0
    with progress(len(paths), "Scored: ") as bar:
        for row in score_rows(paths, lambda path: path, predict, batch_size=BATCH):
            failed += row.assessment is None
            numbers = ("", "") if row.assessment is None else (f"{row.assessment:.6f}",
                                                               f"{student.to_mos(row.assessment):.4f}")
            writer.writerow([row.item, *numbers, row.error])
            sys.stdout.flush()
            bar.update()
    return SOME_FAILED if failed else DONE
