"""`python -m methods.embedded.lmm`: trains the embedded LMM; run it again to go on where it stopped."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from methods.cli.arguments import at_least
from methods.cli.running import guarded
from methods.errors import InputError

if TYPE_CHECKING:
    from methods.data import RatedPictures

STEPS = 3600


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
                           help="folder for features, checkpoints and fold models (default: %(default)s)")
    arguments.add_argument("--steps", type=at_least(1), default=STEPS, help="training steps (default: %(default)s)")
    arguments.add_argument("--seed", type=at_least(0), default=0)
    arguments.add_argument("--folds", type=at_least(2), default=5,
                           help="into how many folds the rated photos are dealt (default: %(default)s)")
    arguments.add_argument("--only", nargs="+", default=["shipped"], metavar="WHAT",
                           help='what to train: "shipped" (all photos), or numbers of folds to be left out, or "all"')
    arguments.add_argument("--jobs", type=at_least(1), default=1, help="trainings at a time (default: %(default)s)")
    arguments.add_argument("--keep", type=at_least(0), default=0, metavar="STEPS",
                           help="also keep the weights so often")
    arguments.add_argument("--decoder", type=Path, metavar="CHECKPOINT",
                           help="keep this checkpoint's decoder, trained in the same cache, and only fit the read-outs")
    arguments.add_argument("--restart", action="store_true", help="forget decoder checkpoints of an earlier run")
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
    import numpy as np
    import torch

    from methods.embedded.lmm import pipeline

    rated = rated_of(options.population, options.scores)
    material = pipeline.prepare(rated, options.images, options.cache, options.folds)
    # The decoder's matrices are small: two threads would wait for each other longer than they work.
    torch.set_num_threads(1)
    words = pipeline.words_for(material)
    held_out = np.array([shot.held_out for shot in material.shots])
    steps = options.only
    if steps == ["all"]:
        steps = ["shipped", *map(str, range(options.folds))]

    def train(what: str) -> None:
        cache = options.cache / (what if what == "shipped" else f"fold-{what}")
        if options.restart:
            (cache / "decoder.pt").unlink(missing_ok=True)
        training = ~held_out if what == "shipped" else ~held_out & (material.fold_of != int(what))
        out = options.out if what == "shipped" else cache / "model"
        print(f"{what}: {int(training.sum())} images", file=sys.stderr)
        if options.decoder:
            pipeline.refit(material, training, options.decoder, out, cache)
            return
        pipeline.make(material, words, training, out, steps=options.steps, seed=options.seed, cache=cache,
                      keep=options.keep)
        print(f"{what}: written to {out}", file=sys.stderr)

    if options.jobs == 1:
        for what in steps:
            train(what)
        return 0
    # Forked, so that all of them read the same activations.
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("fork")) as pool:
        _job["train"] = train
        list(pool.map(_run, steps))
    return 0


_job: dict[str, Callable[[str], None]] = {}


def _run(what: str) -> None:
    """One training in a forked process; a nested function could not be handed over."""
    _job["train"](what)


if __name__ == "__main__":
    sys.exit(guarded("python -m methods.embedded.lmm", main))
