"""`mean-opinion cite`: the BibTeX of a view on stdout."""

from __future__ import annotations

import argparse

from leaderboard.citations import bibtex
from leaderboard.commands import add_view_arguments, view_of
from leaderboard.tables import table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_view_arguments(parser)


def run(args: argparse.Namespace) -> int:
    board, view = view_of(args)
    print(bibtex(board, table(board, view)), end="")
    return 0
