"""Commands that print or write a view; what they share is how a view is named on the command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from leaderboard.entries import catalogue, slug
from leaderboard.links import AXES, FIGURES, ORIGINS, ROWS, TRAINING, View, board_of, columns, decode
from leaderboard.schema import METRICS, Board, add_board, load_board
from methods.errors import InputError


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Either a whole link, or its parts; parts change what the link says."""
    parser.add_argument("--link", default="", help="a link copied from the leaderboard")
    parser.add_argument("--metric", choices=METRICS, help="which correlation or error")
    parser.add_argument("--methods", nargs="+", default=(), metavar="NAME",
                        help="methods by name (iqarag) or single rows by id (iqarag~4b037)")
    parser.add_argument("--datasets", nargs="+", default=(), metavar="SLUG", help="columns, such as koniq-10k spaq")
    parser.add_argument("--sources", nargs="+", default=(), metavar="SLUG", help="such as q-debias, or measured")
    parser.add_argument("--search", help="words that a row contains")
    parser.add_argument("--training", choices=TRAINING, help="training-free methods or trained ones")
    parser.add_argument("--origin", choices=ORIGINS, help="published results or those measured here")
    parser.add_argument("--rows", choices=ROWS, help="all rows, or only those of one protocol on the same images by "
                                                     "models that saw none of them")
    parser.add_argument("--sort", help="rank, method, coverage, a dataset or a cost (" + ", ".join(AXES) + ")")
    parser.add_argument("--figure", choices=FIGURES, help="the figure of the view")
    parser.add_argument("--axis", choices=AXES, help="horizontal axis of the cost figure")
    parser.add_argument("--ablation", help="ablation table of the ablation figure, such as iqarag:table-iv")
    add_board(parser)


def view_of(args: argparse.Namespace) -> tuple[Board, View]:
    """The board and the view that the arguments name; everything not understood is said on stderr.

    Raises:
        InputError: a name on the command line that does not exist (a link's are only told).
    """
    board = load_board(args.data)
    if args.link:
        board = board_of(args.link, board)
    view, notes, _ = decode(args.link, board=board) if args.link else (View(), (), "")
    for note in notes:
        print(note, file=sys.stderr)
    single = ("metric", "search", "training", "origin", "rows", "figure", "axis")
    changes = {name: getattr(args, name) for name in single if getattr(args, name) is not None}
    lists = {"methods": args.methods, "datasets": args.datasets, "papers": args.sources}
    vocabulary = catalogue(board).vocabulary
    for name, items in lists.items():
        if items:
            changes[name] = tuple(_checked(item, vocabulary[name], name) for item in items)
    if args.sort:
        changes["sort"] = _checked(args.sort, columns(board), "columns")
    if args.ablation:
        from leaderboard.links import ablations

        changes["ablation"] = _checked(args.ablation, ablations(board), "ablations")
    return board, replace(view, **changes)


def _checked(word: str, known: tuple[str, ...], what: str) -> str:
    for candidate in (word, word.lower(), slug(word)):
        if candidate in known:
            return candidate
    from methods.errors import suggestion

    readable = [name for name in known if "~" not in name]
    raise InputError(f"{word!r} is not among the {what}{suggestion(word.lower(), readable)}")
