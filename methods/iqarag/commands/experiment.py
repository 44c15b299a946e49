"""`mean-opinion refset experiment`: one of IQARAG's experiments (its Tables I to IV) on the data that is here."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from methods.cli.arguments import add_lmm, add_option, at_least, option_values
from methods.cli.running import DONE
from methods.errors import InputError
from methods.iqarag.commands import chosen_lmm
from methods.iqarag.encoders import ENCODERS

EXPERIMENTS = ("ratios", "combined", "cross", "encoders", "references")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--data", action="append", required=True, metavar="[SLUG=]DIR",
                        help="a dataset's folder, or one with images and scores.csv; may be repeated")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="folder of results; a killed run goes on there")
    parser.add_argument("--ratio", action="append", help="references:tests, such as 3:7; may be repeated")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of the splits (0)")
    parser.add_argument("--limit", type=at_least(1), metavar="N", help="at most so many test images")
    parser.add_argument("--by-content", action="store_true",
                        help="keep images made from the same pristine one on one side of a split")
    parser.add_argument("--min-max", action=argparse.BooleanOptionalAction, default=True,
                        help="opinions run from the lowest to the highest of their dataset (default), or over its "
                             "nominal scale")
    parser.add_argument("--tests", type=Path, metavar="FILE",
                        help="names, one per line, of the only images to test: those the LMM was not trained on")
    parser.add_argument("--encoder", action="append", choices=ENCODERS, help="for `encoders`; may be repeated")
    add_option(parser)
    add_lmm(parser)


def run(arguments: argparse.Namespace) -> int:
    from methods.iqarag import experiments
    from methods.iqarag.method import IQARAG

    changes = option_values(IQARAG, arguments.option)
    tests = frozenset(arguments.tests.read_text(encoding="utf-8").split("\n")) - {""} if arguments.tests else None
    run = experiments.Run(chosen_lmm(arguments), arguments.out, arguments.seed, arguments.limit, arguments.by_content,
                          arguments.min_max, tests, changes, tell=lambda sentence: print(sentence, file=sys.stderr))
    data = [experiments.find_data(spec) for spec in arguments.data]
    if arguments.name in ("ratios", "combined"):
        parts = getattr(experiments, arguments.name)(run, data, arguments.ratio or experiments.RATIOS)
    elif arguments.name == "cross":
        parts = experiments.cross(run, data)
    else:
        if arguments.ratio and len(arguments.ratio) > 1:
            raise InputError(f"The experiment {arguments.name} takes one --ratio.")
        ratio = arguments.ratio[0] if arguments.ratio else "3:7"
        more = [arguments.encoder or ENCODERS] if arguments.name == "encoders" else []
        parts = getattr(experiments, arguments.name)(run, data, ratio, *more)
    print(experiments.table(experiments.perform(run, parts)), end="")
    return DONE
