"""`mean-opinion table`: the table of a view on stdout."""

from __future__ import annotations

import argparse

from leaderboard.commands import add_view_arguments, view_of
from leaderboard.export import FORMATS, as_text
from leaderboard.tables import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_view_arguments(parser)
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="markdown unless said otherwise")
    parser.add_argument("--standalone", action="store_true", help="LaTeX: a whole document")


def run(args: argparse.Namespace) -> int:
    board, view = view_of(args)
    print(as_text(board, table(board, view), args.format, standalone=args.standalone), end="")
    return 0
