"""`mean-opinion refset build`: a reference set from rated images; the same command goes on after a kill."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from methods.cli.arguments import add_rated, read_rated
from methods.cli.progress import steps
from methods.cli.running import DONE
from methods.iqarag.commands import add_encoder, chosen_encoder

MOST_PROBLEMS = 20
"""Images left out that are named on stderr; all of them stand in problems.csv."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_rated(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the set")
    parser.add_argument("--copy", action="store_true", help="store the images in the set, so that it can be moved")
    parser.add_argument("--restart", action="store_true", help="forget an unfinished build")
    parser.add_argument("--title", default="", help="what to call the set")
    add_encoder(parser)


def run(arguments: argparse.Namespace) -> int:
    from methods.data import LAYOUTS
    from methods.iqarag.build import build, unrated

    pictures = read_rated(arguments)
    distributed = arguments.root is not None
    title = arguments.title or (LAYOUTS[arguments.dataset].title if distributed else "")
    result = build(pictures, arguments.out, chosen_encoder(arguments), title=title,
                   problems=[] if distributed else unrated(arguments.images, pictures), copy_images=arguments.copy,
                   restart=arguments.restart, progress=steps("Encoded: "))
    for problem in result.problems[:MOST_PROBLEMS]:
        print(f"left out: {problem.image}: {problem.reason}", file=sys.stderr)
    if len(result.problems) > MOST_PROBLEMS:
        print(f"... and {len(result.problems) - MOST_PROBLEMS} more in {arguments.out / 'problems.csv'}",
              file=sys.stderr)
    print(f"{len(result.references)} references in {arguments.out}")
    return DONE
