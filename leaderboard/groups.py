"""Which measured rows can be told apart: a paired bootstrap of their predictions on the same images.

All rows are measured on the same resamples of the images, so what is hard for all cancels. The intervals of all
differences hold together with 95 % (the largest standardised deviation of any pair, resample by resample), so that
among many rows chance alone seldom sets two apart. Rows that share a letter cannot be told apart; a row's place is one
more than the number of rows that are better than it for sure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leaderboard import measured
from leaderboard.schema import LOWER_IS_BETTER
from methods.agreement import metrics as stats
from methods.agreement import resampling

Floats = NDArray[np.float64]

SAMPLES = 1000
CONFIDENCE = 0.95
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Groups:
    """Rows by their key in the input.

    Attributes:
        letters: row -> "a", "ab" ...: the groups that it is in, a holds the best row.
        place: row -> 1 + the number of rows told apart from it that are better.
    """

    letters: Mapping[int, str]
    place: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class _Row:
    images: tuple[str, ...]
    mos: Floats
    draws: Floats


def group(runs: Mapping[int, tuple[str, float]], metric: str, submissions: Path) -> Groups | None:
    """Groups of measured rows.

    Args:
        runs: row -> the name of its run, and the run's value of the metric.
        metric: a key of `stats.METRICS`.
        submissions: the folder that holds every run's predictions.

    Returns:
        None where there is nothing to compare: fewer than two rows whose predictions are kept, or rows on other images
        or other opinions. A row without predictions is in no group.
    """
    files = {row: file for row, (name, _) in runs.items() if (file := submissions / name / PREDICTIONS).is_file()}
    if len(files) < 2:
        return None
    rows = {row: _row(file, file.stat().st_mtime_ns, metric) for row, file in files.items()}
    first = next(iter(rows.values()))
    if any(row.images != first.images or not np.allclose(row.mos, first.mos, rtol=1e-6, atol=1e-6)
           for row in rows.values()):
        return None
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    order = sorted(rows, key=lambda row: -sign * runs[row][1])
    apart = distinct([sign * runs[row][1] for row in order], np.array([sign * rows[row].draws for row in order]))
    letters = letters_of(apart)
    return Groups({row: letters[i] for i, row in enumerate(order)},
                  {row: 1 + int(apart[:i, i].sum()) for i, row in enumerate(order)})


def distinct(values: Sequence[float], draws: Floats) -> NDArray[np.bool_]:
    """Which pairs differ, by simultaneous intervals.

    Args:
        values: [k], the metric of every row on all images.
        draws: [k, samples], on the same resamples of them; a resample where one is undefined is left out.

    Returns:
        bool [k, k], symmetric, False on the diagonal.
    """
    point = np.asarray(values, dtype=float)
    draws = draws[:, np.isfinite(draws).all(axis=0)]
    k = len(point)
    first, second = np.triu_indices(k, 1)
    gaps = point[first] - point[second]
    deviations = draws[first] - draws[second] - gaps[:, None]
    spread = deviations.std(axis=1)
    sure = spread > 1e-12  # rows of the same scores have no spread, and no difference
    apart = np.zeros((k, k), dtype=bool)
    if sure.any():
        largest = np.abs(deviations[sure] / spread[sure, None]).max(axis=0)
        apart[first[sure], second[sure]] = np.abs(gaps[sure]) / spread[sure] > np.quantile(largest, CONFIDENCE)
    return apart | apart.T


def letters_of(apart: NDArray[np.bool_]) -> list[str]:
    """The compact letter display: two rows share a letter exactly if they are not told apart.

    Args:
        apart: bool [k, k], rows from the best to the worst.
    """
    k = len(apart)
    groups = [frozenset(range(k))] if k else []
    for i, j in zip(*np.nonzero(np.triu(apart))):
        split = [part for one in groups for part in ([one - {i}, one - {j}] if {i, j} <= one else [one])]
        groups = [one for index, one in enumerate(split)
                  if not any(one < other or (one == other and index > place) for place, other in enumerate(split))]
    groups.sort(key=sorted)
    return ["".join(letter(index) for index, one in enumerate(groups) if row in one) for row in range(k)]


def letter(index: int) -> str:
    """a to z, then a1, b1 ..."""
    return chr(ord("a") + index % 26) + (str(index // 26) if index >= 26 else "")


@lru_cache(maxsize=512)
def _row(file: Path, changed: int, metric: str) -> _Row:
    # `changed` is the file's time, so that a replaced run is read again. In the order of names, as `measured.read` has
    # it: the resamples depend on the order.
    frame = measured.predictions(file).scored.sort_values("image", ignore_index=True)
    scores, mos = frame["score"].to_numpy(), frame["mos"].to_numpy()
    return _Row(tuple(frame["image"]), mos, _draws(scores, mos, metric))


def _draws(scores: Floats, mos: Floats, metric: str) -> Floats:
    """The metric on every resample, float [SAMPLES]. The logistic fit is that of all images: it minimises the error, so
    that fitting it again to every resample would change the differences in the second order only, and take minutes."""
    if metric not in ("rmse", "plcc_logistic4"):
        return stats.resampled(scores, mos, metric, samples=SAMPLES)
    mapped = stats.logistic4(scores, mos)
    if metric == "plcc_logistic4":
        return stats.resampled(mapped, mos, "plcc", samples=SAMPLES)
    squared = (mapped - mos) ** 2
    means = np.concatenate([weights @ squared for weights in resampling.counts(len(mos), SAMPLES, seed=0)]) / len(mos)
    return np.sqrt(means)
