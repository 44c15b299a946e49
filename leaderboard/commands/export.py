"""`mean-opinion export --out FOLDER`: table, figure and citations of a view as files."""

from __future__ import annotations

import argparse
from pathlib import Path

from leaderboard.citations import bibtex
from leaderboard.commands import add_view_arguments, view_of
from leaderboard.export import as_text
from leaderboard.links import View, encode
from leaderboard.schema import Board
from leaderboard.tables import table
from methods import files

FILES = ("csv", "markdown", "latex", "bibtex", "svg", "png", "pdf")
ENDINGS = {"csv": "csv", "markdown": "md", "latex": "tex", "bibtex": "bib"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_view_arguments(parser)
    parser.add_argument("--out", type=Path, default=Path("leaderboard-export"), help="folder, made where missing")
    parser.add_argument("--formats", nargs="+", choices=FILES, default=FILES, help="all unless said otherwise")
    parser.add_argument("--base", default="", help="address of the app, for the links inside the files")


def run(args: argparse.Namespace) -> int:
    board, view = view_of(args)
    for file in write(board, view, args.out, args.formats, base=args.base):
        print(file)
    return 0


def write(board: Board, view: View, folder: Path, formats: tuple[str, ...] = FILES, *, base: str = "") -> list[Path]:
    """Writes the files of a view as `folder`/mean-opinion.*, and returns their paths.

    Args:
        formats: out of `FILES`; the images are of the view's figure.
        base: the app's address; with it, tables and citations name the view's link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ranked = table(board, view)
    link = encode(view, base=base, board=board) if base else ""
    figure = None
    paths = []
    for kind in formats:
        file = folder / f"mean-opinion.{ENDINGS.get(kind, kind)}"
        if kind == "bibtex":
            content: str | bytes = bibtex(board, ranked, link=link)
        elif kind in ENDINGS:
            content = as_text(board, ranked, kind, link=link)
        else:
            from leaderboard.figures import draw
            from leaderboard.figures.static import render

            figure = figure if figure is not None else draw(board, view)
            content = render(figure, kind)
        files.replace(file, content)
        paths.append(file)
    return paths
