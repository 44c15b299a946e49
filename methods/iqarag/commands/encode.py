"""`mean-opinion refset encode`: the same references with the features of another encoder or LMM."""

from __future__ import annotations

import argparse
from pathlib import Path

from methods.cli.progress import steps
from methods.cli.running import DONE
from methods.iqarag.commands import add_encoder, chosen_encoder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", type=Path, metavar="SET", help="folder of the set")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the new set; by default the old is replaced")
    add_encoder(parser)


def run(arguments: argparse.Namespace) -> int:
    from methods.iqarag.reference_set import ReferenceSet

    encoded = ReferenceSet.load(arguments.set).encoded_by(chosen_encoder(arguments), steps("Encoded: "))
    # Images that lie inside the old folder would be lost with it, so a set under a new name gets copies.
    out = arguments.out or arguments.set
    pages = [page for page in sorted(arguments.set.iterdir()) if page.suffix in (".md", ".txt")]
    encoded.save(out, copy_images=out.resolve() != arguments.set.resolve(), pages=pages)
    print(f"{len(encoded)} references with {encoded.encoder} features ({encoded.revision}) in {out}")
    return DONE
