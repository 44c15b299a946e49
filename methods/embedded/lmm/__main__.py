"""`python -m methods.embedded.lmm`: trains the embedded LMM; run it again to go on where it stopped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from methods.cli.arguments import at_least
from methods.cli.running import guarded
from methods.errors import InputError

if TYPE_CHECKING:
    from methods.data import RatedPictures

STEPS = 4000


def parser(add_help: bool = True) -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        add_help=add_help,
        prog="python -m methods.embedded.lmm",
        description="Trains the embedded LMM on rated photos and on damaged pristine ones. Everything is kept in the "
                    "cache folder, so the same command goes on where it was stopped.")
    arguments.add_argument("--population", type=Path, metavar="DIR",
                           help="folder of BIQ2021: the training split's subsets ss01 and ss03 are learned from")
    arguments.add_argument("--scores", "--mos", dest="scores", type=Path, nargs="+", default=[], metavar="CSV",
                           help="tables of more rated photos (image,mos); the images lie beside them or in images/")
    arguments.add_argument("--images", "--photos", dest="images", type=Path, nargs="+", required=True, metavar="DIR",
                           help="folders of photos without visible flaws, to be damaged in known ways")
    arguments.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    arguments.add_argument("--cache", type=Path, default=Path("embedded-lmm-cache"),
                           help="folder for features and checkpoints (default: %(default)s)")
    arguments.add_argument("--steps", type=at_least(1), default=STEPS,
                           help="training steps of the decoder (default: %(default)s)")
    arguments.add_argument("--seed", type=at_least(0), default=0)
    arguments.add_argument("--jobs", type=at_least(1), default=1,
                           help="processes that make the images (default: %(default)s)")
    arguments.add_argument("--keep", type=at_least(0), default=0, metavar="STEPS",
                           help="also keep the weights so often")
    arguments.add_argument("--decoder", type=Path, nargs=2, metavar=("CHECKPOINT", "FITTED"),
                           help="give the decoder of another run, named by its checkpoint and its cache's fitted.npz, "
                                "this run's tower")
    arguments.add_argument("--restart", action="store_true", help="forget what an earlier run has learned; images stay")
    return arguments


def rated_of(population: Path | None, tables: list[Path]) -> list[RatedPictures]:
    """The rated photos that the arguments name; a table's images lie in images/ beside it, or in its own folder.

    Raises:
        InputError: nothing is named, or it cannot be used.
    """
    from methods.data import read_table
    from methods.embedded.student import population_of

    if population is None and not tables:
        raise InputError("Name rated photos to learn from, with --population or --scores.")
    return [*([population_of(population)] if population else []), *(read_table(table, (
        table.parent / "images" if (table.parent / "images").is_dir() else table.parent)) for table in tables)]


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    from methods.embedded.lmm import pipeline

    material = pipeline.prepare(rated_of(options.population, options.scores), options.images, options.cache,
                                options.jobs, options.seed, options.decoder[1] if options.decoder else None,
                                options.restart)
    if options.decoder:
        pipeline.refit(material, options.decoder[0], options.out)
        return 0
    # The decoder's matrices are small: two threads would wait for each other longer than they work.
    torch.set_num_threads(1)
    print(f"{int(material.training.sum())} images", file=sys.stderr)
    pipeline.make(material, pipeline.words_for(material), options.out, steps=options.steps, seed=options.seed,
                  keep=options.keep)
    print(f"Written to {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m methods.embedded.lmm", main))
