"""`mean-opinion reproduce TABLE`: runs a table of a paper as far as its data and models are here.

    mean-opinion reproduce                       lists the tables
    mean-opinion reproduce q-debias-table-1 --data koniq-10k=DIR --lmm server:URL#mPLUG/mPLUG-Owl3-7B-240728

Ours is printed beside the paper's, with the interval and the number of pictures; why a cell is empty is said below.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from methods.errors import InputError

if TYPE_CHECKING:
    from leaderboard.reproduce.perform import Cell

_METRICS = {"srcc": "SRCC", "plcc": "PLCC", "krcc": "KRCC", "mean_srcc_plcc": "mean"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", nargs="?", metavar="TABLE", help="such as iqarag-table-1; without it, all are listed")
    parser.add_argument("--data", action="append", default=[], metavar="SLUG=DIR",
                        help="a dataset as it is distributed, any number of times; one that no reader knows as a "
                             "folder of pictures with scores.csv (image,mos); where opinions alone are needed, a table "
                             "of them will do")
    parser.add_argument("--lmm", action="append", default=[], metavar="[NAME=]MODEL",
                        help="load MODEL in place of the manifest's NAME, or of every one; such as "
                             "mplug-owl3-7b=server:URL#MODEL")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of the runs (runs/reproduce)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N pictures of each dataset only")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of splits and methods (0)")
    parser.add_argument("--csv", action="store_true", help="print CSV instead of a table")


def run(args: argparse.Namespace) -> int:
    from leaderboard.reproduce import manifest
    from leaderboard.reproduce.perform import Reproduction

    if args.table is None:
        for name in manifest.names():
            print(f"{name:<28}{manifest.load(name).title}")
        return 0
    table = manifest.load(args.table)
    data = {}
    for pair in args.data:
        slug, equals, folder = pair.partition("=")
        if not equals:
            raise InputError(f"--data takes SLUG=DIR; got {pair!r}.")
        data[slug] = Path(folder).expanduser()
    reproduction = Reproduction(table, data, Path(args.out), models(args.lmm), args.limit, args.seed)
    cells = reproduction.cells()
    if args.csv:
        print_csv(cells)
    else:
        print(render(cells))
        if table.note:
            print(f"\n{table.note}")
        if reproduction.quoted():
            print(f"\nOther people's methods in this table, quoted only: {', '.join(reproduction.quoted())}.")
    return 0


def models(words: Sequence[str]) -> dict[str, str]:
    """`NAME=MODEL` and `MODEL` words as a mapping; a "=" inside an address is not one between the two."""
    result = {}
    for word in words:
        name, equals, model = word.partition("=")
        named = equals and not name.startswith("server:") and "/" not in name
        result[name if named else ""] = model if named else word
    return result


def render(cells: Sequence[Cell]) -> str:
    """The table's rows, each with a line a cell: the paper's number, ours with its interval, the difference.

    A cell without ours has the number of the reason, which stands below.
    """
    reasons = list(dict.fromkeys(cell.reason for cell in cells if cell.reason))
    lines = [f"{'':<28}{'paper':>8}{'ours':>8}{'diff':>9}   {'95 % interval':<18}{'n':>7}"]
    for label in dict.fromkeys(cell.label for cell in cells):
        lines.append(label)
        for cell in (cell for cell in cells if cell.label == label):
            name = f"  {cell.dataset} {_METRICS.get(cell.metric, cell.metric)}"
            paper = "" if math.isnan(cell.paper) else f"{cell.paper:.4f}"
            if cell.reason:
                lines.append(f"{name:<28}{paper:>8}{f'[{reasons.index(cell.reason) + 1}]':>8}")
                continue
            interval = "" if math.isnan(cell.low) else f"{cell.low:.4f} to {cell.high:.4f}"
            gap = "" if math.isnan(cell.paper) else f"{cell.ours - cell.paper:+.4f}"
            lines.append(f"{name:<28}{paper:>8}{cell.ours:>8.4f}{gap:>9}   {interval:<18}{cell.n:>7}")
    counts = Counter(cell.reason for cell in cells)
    lines += [""] * bool(reasons)
    lines += [f"[{number}] {counts[reason]} {'cell' if counts[reason] == 1 else 'cells'}: {reason}"
              for number, reason in enumerate(reasons, start=1)]
    return "\n".join(lines)


def print_csv(cells: Sequence[Cell]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("row", "dataset", "metric", "paper", "ours", "low", "high", "n", "reason"))
    for cell in cells:
        numbers = ("" if math.isnan(value) else repr(value) for value in (cell.paper, cell.ours, cell.low, cell.high))
        writer.writerow((cell.label, cell.dataset, cell.metric, *numbers, cell.n, cell.reason))
