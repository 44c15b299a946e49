"""What a teacher saves in labels, where it was trained on some of the rated images: one teacher per fold.

    mean-opinion leaf budget --folds DIR --images DIR --scores ratings.csv --out runs/budget

A teacher that has seen an image's MOS has nothing to prove on it. DIR holds a teacher per fold, as
`mean-opinion evaluate --folds` reads them; each judges only the images that it was trained without, and
students learn and are tested within the images of one fold. Judgements are kept in the output folder as they come,
so the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from methods.cli.arguments import add_rated, at_least, read_rated
from methods.cli.progress import stages, steps
from methods.data import folds
from methods.errors import InputError
from methods.leaf.figures import write
from methods.leaf.label import add_pairs
from methods.leaf.report import label_budget
from methods.leaf.teacher import Judgements, judge
from methods.leaf.train import print_gains


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--folds", type=Path, required=True, metavar="DIR",
                         help="folder with fold-0, fold-1 ...: a teacher each")
    add_rated(command, dataset=False, images=True, scores=True)
    command.add_argument("--only", type=int, nargs="+", metavar="FOLD", help="report on the images of these folds")
    add_pairs(command, weighed=True)
    command.add_argument("--seeds", type=at_least(1), default=10, metavar="N",
                         help="repetitions, each with other folds and labels (10)")
    command.add_argument("--out", type=Path, default=Path("runs/label-budget"), metavar="DIR",
                         help="folder of the report (runs/label-budget)")


def run(chosen: argparse.Namespace) -> int:
    """Judges, measures and writes label-budget.csv and label-budget.svg; returns 0."""
    from methods.agreement import metrics as stats
    from methods.leaf.student import Student
    from methods.lmm.loading import load_lmm

    opinions = read_rated(chosen)
    teachers = folds.members(chosen.folds)
    fold = np.array([picture.fold for picture in folds.with_folds(opinions, chosen.folds, len(teachers))])
    indices = chosen.only if chosen.only is not None else range(len(teachers))
    if absent := sorted(set(indices) - set(range(len(teachers)))):
        raise InputError(f"There is no fold {absent[0]}; {chosen.folds.name} has folds 0 to {len(teachers) - 1}.")
    rows, lines = [], []
    for index in indices:
        own = np.flatnonzero(fold == index)
        judged = judge(load_lmm(str(teachers[index])), opinions.subset(own).paths, per_picture=chosen.pairs,
                       cache=chosen.out / f"fold-{index}.jsonl", progress=stages(f"Fold {index}, "))
        print(f"Fold {index}: the teacher has SRCC {stats.srcc(judged.scores, opinions.mos01[own]):.3f} on "
              f"{len(own)} images that it was trained without, and is right about "
              f"{agreement(judged, opinions.mos01[own]):.0%} of {len(judged.pairs)} pairs.")
        rows.append(own)
        lines.append(judged)
    order = np.concatenate(rows)
    features = Student.load().features(opinions.subset(order).paths, steps("Features: "))
    curve = label_budget(features, opinions.mos01[order], joint_judgements(lines), pools=fold[order],
                         seeds=chosen.seeds, alpha=chosen.alpha, progress=steps("Report: ", unit="parts"))
    for path in write(curve, chosen.out):
        print(f"Report: {path}")
    print_gains(curve)
    return 0


def agreement(judged: Judgements, mos: np.ndarray) -> float:
    """Share of the teacher's preferences that go the way of the MOS [n], ties counted half."""
    if not len(judged.pairs):
        return float("nan")
    difference = mos[judged.pairs[:, 0]] - mos[judged.pairs[:, 1]]
    return float(np.mean(0.5 + 0.5 * np.sign(difference) * np.sign(judged.preference - 0.5)))


def joint_judgements(parts: Sequence[Judgements]) -> Judgements:
    """Judgements of different images by different teachers as one; no pair joins two parts."""
    starts = np.cumsum([0, *(len(part.probabilities) for part in parts)])
    return Judgements(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.pairs + start for part, start in zip(parts, starts)]),
        np.concatenate([part.forward for part in parts]), np.concatenate([part.backward for part in parts]),
        " ".join(part.teacher for part in parts),
    )
