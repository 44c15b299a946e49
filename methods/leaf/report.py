"""How many human labels a student needs, with a teacher and without: the label-budget curve.

The same test images, the same drawn labels and the same backbone on both sides, so that the difference is the
teacher's alone. Test images lend the teacher neither their labels nor their looks: a student is distilled from the
judgements of its own training part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from methods.agreement import metrics as stats
from methods.data import deal_folds
from methods.errors import InputError
from methods.leaf.distil import distil
from methods.leaf.heads import Head, fit_ridge
from methods.leaf.ratings import FEWEST_LABELS
from methods.leaf.teacher import Judgements

BUDGETS = (0.0, 0.01, 0.05, 0.1, 0.3, 1.0)
FOLDS = 5
FEWEST_PICTURES = 20


@dataclass(frozen=True)
class Point:
    """One place on the curve, over all test images of a k-fold split repeated with several seeds.

    Attributes:
        budget: share of the training part whose labels were used.
        labels: their number, on average.
        teacher: whether the student had one.
        srcc, plcc: mean over seeds; None where there is no student (no label and no teacher).
        srcc_interval, plcc_interval: 95 %, bootstrap over images, mean over seeds.
        srcc_sd: standard deviation over seeds: the luck of the draw of labels.
    """

    budget: float
    labels: float
    teacher: bool
    srcc: float | None
    plcc: float | None
    srcc_interval: tuple[float, float] | None
    plcc_interval: tuple[float, float] | None
    srcc_sd: float | None


@dataclass(frozen=True)
class Gain:
    """What the teacher adds to SRCC at one budget: mean over seeds of paired differences and of their 95 % intervals,
    bootstrap over the same images."""

    budget: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Report:
    """The curve.

    Attributes:
        points: without the teacher first.
        gains: where there is a student on both sides.
        teacher: its name and revision, or those of several; None without one.
        pictures, seeds: how much it rests on.
        predicted: of each point, float64 [seeds, n], what students said of images that they had not seen, in
            standard deviations of their scores of the training part; NaN where there is no student.
    """

    points: tuple[Point, ...]
    gains: tuple[Gain, ...]
    teacher: str | None
    pictures: int
    seeds: int
    predicted: tuple[np.ndarray, ...] = ()


def label_budget(features: np.ndarray, mos: np.ndarray, judgements: Judgements | None, *,
                 pools: np.ndarray | None = None, budgets: Sequence[float] = BUDGETS, seeds: int = 5,
                 alpha: float = 1.0, progress: Callable[[int, int], None] | None = None) -> Report:
    """The curve.

    Args:
        features: float32 [n, d] of the rated images, n >= 20.
        mos: float [n] in [0, 1].
        judgements: the teacher's of the same images, or None for the curve without a teacher only.
        pools: int [n]; students learn and are tested within one pool only, as images of different pools may have
            had different teachers. Left out, all images are one pool. Each needs 20 or more.
        budgets: shares of the training part, in [0, 1].
        seeds: repetitions, each with other folds and other labels.
        alpha: weight of the pair-wise part of the distillation.

    Raises:
        InputError: too few images.
    """
    members = [np.flatnonzero(pools == pool) for pool in np.unique(pools)] if pools is not None \
        else [np.arange(len(mos))]
    if min(map(len, members)) < FEWEST_PICTURES:
        raise InputError(f"A label-budget curve needs at least {FEWEST_PICTURES} rated images; got "
                         f"{min(map(len, members))}.")
    sides = (False, True) if judgements is not None else (False,)
    predicted: dict[tuple[float, bool], list[np.ndarray]] = {}
    counts: dict[float, list[int]] = {}
    parts = [(seed, pool, index) for seed in range(seeds) for pool in range(len(members)) for index in range(FOLDS)]
    for done, (seed, pool, index) in enumerate(parts, start=1):
        if (pool, index) == (0, 0):
            rows = {(budget, side): np.full(len(mos), np.nan) for budget in budgets for side in sides}
            for key, row in rows.items():
                predicted.setdefault(key, []).append(row)
        fold = deal_folds(len(members[pool]), FOLDS, seed)
        train, test = members[pool][fold != index], members[pool][fold == index]
        # Nested draws: a larger budget keeps the labels of a smaller one.
        order = np.random.default_rng([seed, pool, index]).permutation(train)
        taught = distil(features[train], judgements.subset(train), alpha=alpha) if judgements is not None else None
        for budget in budgets:
            labels = order[: round(budget * len(train))]
            counts.setdefault(budget, []).append(len(labels))
            for side in sides:
                head = _head(features[labels], mos[labels], taught if side else None)
                if head is not None:
                    # Each part has a student of its own; in units of its scores of the training part they can be
                    # ranked together, which needs no label.
                    predictions = head(features[train])
                    spread = max(predictions.std(), 1e-12)
                    rows[budget, side][test] = (head(features[test]) - predictions.mean()) / spread
        if progress is not None:
            progress(done, len(parts))
    points = [_point(budget, side, float(np.mean(counts[budget])), predicted[budget, side], mos)
              for side in sides for budget in budgets]
    gains = [_gain(budget, predicted[budget, True], predicted[budget, False], mos) for budget in budgets
             if judgements is not None and not np.isnan(predicted[budget, False][0]).any()]
    return Report(tuple(points), tuple(gains), judgements.teacher if judgements is not None else None, len(mos), seeds,
                  tuple(np.stack(predicted[budget, side]) for side in sides for budget in budgets))


def _head(features: np.ndarray, mos: np.ndarray, taught: Head | None) -> Head | None:
    # As `train` does it: below that many labels a taught student keeps what the teacher said.
    if len(mos) < (2 if taught is None else FEWEST_LABELS) or np.ptp(mos) == 0:
        return taught
    return fit_ridge(features, mos, prior=taught).head


def _point(budget: float, side: bool, labels: float, rows: list[np.ndarray], mos: np.ndarray) -> Point:
    if any(np.isnan(row).any() or np.ptp(row) == 0 for row in rows):
        return Point(budget, labels, side, None, None, None, None, None)
    ranks = [stats.srcc(row, mos) for row in rows]

    def interval(metric: str) -> tuple[float, float]:
        low, high = np.mean([stats.bootstrap_ci(row, mos, metric) for row in rows], axis=0)
        return float(low), float(high)

    return Point(budget, labels, side, float(np.mean(ranks)), float(np.mean([stats.plcc(row, mos) for row in rows])),
                 interval("srcc"), interval("plcc"), float(np.std(ranks)))


def _gain(budget: float, with_teacher: list[np.ndarray], without: list[np.ndarray], mos: np.ndarray) -> Gain:
    differences = [stats.paired_difference(a, b, mos, "srcc") for a, b in zip(with_teacher, without)]
    return Gain(budget, *(float(np.mean([getattr(one, part) for one in differences]))
                          for part in ("value", "low", "high")))
