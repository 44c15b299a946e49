"""`mean-opinion leaf calibrate`: a student is fitted to somebody's opinions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from methods.cli.arguments import add_rated, table_options, tell
from methods.cli.progress import steps
from methods.cli.running import DONE
from methods.data import direction_question
from methods.leaf.train import print_calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_rated(parser, dataset=False, images=True, scores=True)
    parser.add_argument("--student", metavar="NAME",
                        help="to start from; by default the embedded one that has seen BIQ2021 only")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the calibrated student")


def run(arguments: argparse.Namespace) -> int:
    from methods.leaf.ratings import read_ratings
    from methods.leaf.student import UNSEEN, Student

    opinions = read_ratings(arguments.scores, arguments.images, **table_options(arguments))
    tell(opinions)
    student = Student.load(arguments.student or UNSEEN)
    views = student.views(opinions.paths, steps("Features: "))
    question = direction_question(opinions.mos01, student.predict(features=views[0]),
                                  lower_is_better=opinions.lower_is_better)
    if question:
        print(question, file=sys.stderr)
    student.calibrate(opinions.paths, opinions.mos01, features=views, scale=(0.0, 1.0),
                      dataset=opinions.dataset)
    student.card |= {"scale": list(opinions.scale), "name": arguments.out.name}
    print_calibration(student)
    student.save(arguments.out)
    print(f"Student saved in {arguments.out}.")
    return DONE
