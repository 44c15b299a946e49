"""`mean-opinion refset measure`: the metrics of several experiments' predictions taken together."""

from __future__ import annotations

import argparse
from pathlib import Path

from methods.cli.running import DONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", type=Path, nargs="+", metavar="CSV", help="files that experiments wrote")


def run(arguments: argparse.Namespace) -> int:
    from methods.iqarag import results

    print(results.table(results.pooled_rows(arguments.predictions)), end="")
    return DONE
