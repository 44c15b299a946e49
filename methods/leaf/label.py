"""`mean-opinion leaf label`: a teacher labels a folder of images, for any number of students to learn from.

    mean-opinion leaf label --lmm embedded --images DIR --out LABELS
    mean-opinion leaf train --judgements LABELS/judgements.jsonl --images DIR --scores ratings.csv

The teacher may live on a machine with a GPU and the student be trained elsewhere: an image is known by its content.
Besides the cache that training reads, two tables say the same for people and spreadsheets.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from methods import files
from methods.cli.arguments import at_least
from methods.cli.progress import stages
from methods.cli.running import DONE
from methods.leaf.ratings import usable_images
from methods.leaf.teacher import Judgements, judge
from methods.levels import FIVE_LEVELS

CACHE, PICTURES, PAIRS = "judgements.jsonl", "pictures.csv", "comparisons.csv"


def add_pairs(command: argparse.ArgumentParser, weighed: bool = False) -> None:
    """How many pairs a teacher compares, and what these judgements weigh in training where they are trained on."""
    command.add_argument("--pairs", type=at_least(0), default=4, metavar="N",
                         help="comparisons per image, on average (4)")
    if weighed:
        command.add_argument("--alpha", type=at_least(0, float), default=1.0, metavar="X",
                             help="weight of the pair-wise judgements (1)")


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of images, with subfolders")
    command.add_argument("--lmm", "--teacher", dest="teacher", default="embedded", metavar="NAME",
                         help="the teacher: embedded, a Hub id, a folder or server:URL#model")
    add_pairs(command)
    command.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of the choice of pairs (0)")
    command.add_argument("--out", type=Path, required=True, metavar="DIR",
                         help="folder of the judgements; run again to go on")


def run(chosen: argparse.Namespace) -> int:
    """Judges what the output folder does not hold yet and writes the tables. Returns 0.

    What was judged until a failure is kept.
    """
    from methods.lmm.loading import load_lmm

    pictures = usable_images(chosen.images)
    judgements = judge(load_lmm(chosen.teacher), pictures, per_picture=chosen.pairs, seed=chosen.seed,
                       cache=chosen.out / CACHE, progress=stages("Teacher: "))
    for path in write_tables(judgements, [path.relative_to(chosen.images).as_posix() for path in pictures], chosen.out):
        print(f"Written: {path}")
    print(f"{judgements.teacher} judged {len(pictures)} images and compared {len(judgements.pairs)} pairs in both "
          f"orders; mean reliability {judgements.reliability.mean():.2f} of a score"
          + (f" and {judgements.pair_reliability.mean():.2f} of a preference." if len(judgements.pairs) else "."))
    return DONE


def write_tables(judgements: Judgements, names: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Writes pictures.csv (score and reliability of each, probability of each level) and comparisons.csv (of each pair
    P(first is better), as asked in either order, their mean and its reliability); returns their paths."""
    pictures, pairs = folder / PICTURES, folder / PAIRS
    rows = [["image", "score", "reliability", *FIVE_LEVELS.words], *(
        [name, *(f"{number:.6f}" for number in numbers)] for name, *numbers
        in zip(names, judgements.scores, judgements.reliability, *judgements.probabilities.T))]
    files.replace(pictures, files.csv_text(rows))
    rows = [["first", "second", "first_shown_first", "first_shown_second", "preference", "reliability"], *(
        [names[i], names[j], *(f"{number:.6f}" for number in numbers)] for (i, j), *numbers
        in zip(judgements.pairs.tolist(), judgements.forward, judgements.backward, judgements.preference,
               judgements.pair_reliability))]
    files.replace(pairs, files.csv_text(rows))
    return pictures, pairs
