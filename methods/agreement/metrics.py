"""How well scores agree with opinions: correlations, the logistic fit, bootstrap intervals and paired differences.

SRCC, PLCC and KRCC are scipy's. Intervals are percentile intervals of a bootstrap over images, all metrics on the
same resamples. Two methods on the same images are compared on the same resamples as well, because their errors
are paired: an F-test of their residuals would assume that they are not.

Example:
    >>> import numpy as np
    >>> from methods import agreement
    >>> mos = np.arange(50.0); scores = mos + np.sin(mos)
    >>> agreement.srcc(scores, mos) > 0.99
    True
    >>> low, high = agreement.bootstrap_ci(scores, mos, "srcc")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from methods.agreement import logistic, resampling
from methods.agreement.resampling import Floats
from methods.errors import InputError

METRICS = ("srcc", "plcc", "plcc_logistic4", "krcc", "rmse")
"""The metrics of a measured result. All but `rmse` are better when higher; `rmse` is taken after the logistic fit."""

SAMPLES, CONFIDENCE = 1000, 0.95

SAME_SCORE = 2.0**-23
"""The precision of float32, in which scores are computed. Two scores that differ by less than this share of the largest
one in magnitude are tied: ranking rounding errors would make a finding of them."""

NO_SPREAD = 1e-5
"""Scores that all lie within this share of the largest one are equal: the size of a batch alone moves a score by up to
2e-6 of itself."""

Metric = str | Callable[[Floats, Floats], float]


class Interval(NamedTuple):
    """A confidence interval; unpacks as `low, high`."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """One metric on n images with its interval; all three are None where it is undefined, and `note` says why."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def to_dict(self) -> dict[str, float | int | str | None]:
        """As metrics.json holds it; `note` only where there is one."""
        return {key: item for key, item in asdict(self).items() if key != "note" or item}


@dataclass(frozen=True)
class Difference:
    """Metric of A minus metric of B on the same n images, with its paired bootstrap interval.

    `p` is two-sided: twice the share of resamples on the other side of zero, at least 2 / (samples + 1).
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    a: float
    b: float

    def to_dict(self) -> dict[str, float | int]:
        return asdict(self)


def without_rounding(values: Floats) -> Floats:
    """The values, float [n], with those that only rounding errors tell apart made equal.

    Neighbours that differ by less than float precision (`SAME_SCORE`) form a group. Among n values spread over a range,
    chance brings some together too: n (n p)^(k - 1) groups of k are expected where p is the tolerance's share of the
    range. Only a group that chance would hardly make (below one in a hundred) and that reaches no further than
    `NO_SPREAD` is tied, so that thousands of different values stay as they are.
    """
    largest = np.max(np.abs(values), initial=0.0)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) >= SAME_SCORE * largest])
    if len(starts) >= len(values):
        return values
    sizes = np.diff(np.r_[starts, len(values)])
    lowest, highest = ordered[starts], ordered[starts + sizes - 1]
    with np.errstate(divide="ignore", over="ignore"):
        by_chance = len(values) * (len(values) * SAME_SCORE * largest / np.ptp(values)) ** (sizes - 1.0)
    noise = (by_chance < 0.01) & (highest - lowest <= NO_SPREAD * largest)
    equal = np.empty_like(values)
    equal[order] = np.where(np.repeat(noise, sizes), np.repeat(lowest, sizes), ordered)
    return equal


def srcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Spearman's rank correlation with average ranks for ties, in [-1, 1]. Scores are tied as `without_rounding` says.

    Args:
        scores: [n] predictions, higher is better.
        mos: [n] opinions, higher is better.

    Raises:
        InputError: lengths differ, fewer than 2 values, a value that is not finite, or a constant input.
    """
    x, y = _checked(scores, mos)
    from scipy import stats  # takes longer than all else that scoring an image imports beside torch

    return float(stats.spearmanr(x, y).statistic)


def plcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Pearson's correlation of the raw scores, in [-1, 1]. Arguments and errors as `srcc`."""
    x, y = _checked(scores, mos)
    # Standardised first: scores such as 1e-300 would underflow in the products.
    from scipy import stats

    return float(stats.pearsonr(_unit(x), _unit(y)).statistic)


def mean_srcc_plcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """(SRCC + PLCC) / 2, the one number that some papers print. Arguments and errors as `srcc`."""
    return (srcc(scores, mos) + plcc(scores, mos)) / 2


def krcc(scores: ArrayLike, mos: ArrayLike) -> float:
    """Kendall's tau-b, in [-1, 1]. Arguments and errors as `srcc`."""
    x, y = _checked(scores, mos)
    from scipy import stats

    return float(stats.kendalltau(x, y).statistic)


def rmse(scores: ArrayLike, mos: ArrayLike) -> float:
    """Root mean squared difference, in units of `mos`; map the scores first (`logistic4`) where the scales differ.

    Raises:
        InputError: lengths differ, no values, or a value that is not finite.
    """
    x, y = _paired(scores, mos, least=1)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def logistic4(scores: ArrayLike, mos: ArrayLike) -> Floats:
    """The scores on the opinion scale after the least-squares 4-parameter logistic fit, monotone: float [n].

    `fit_logistic4` gives the map itself. The fit may decrease where scores run against opinions; `plcc_logistic4`
    then has a negative sign.

    Raises:
        InputError: as `srcc`, or fewer than 5 values.
    """
    return fit_logistic4(scores, mos)(np.asarray(scores, float))


def fit_logistic4(scores: ArrayLike, mos: ArrayLike) -> logistic.Logistic4:
    """The fitted map; call it with scores. Arguments and errors as `logistic4`."""
    x, y = _checked(scores, mos, least=logistic.MIN_POINTS)
    return logistic.fit(x, y)


def plcc_logistic4(scores: ArrayLike, mos: ArrayLike) -> float:
    """PLCC after the logistic fit, negative where the fit decreases: ranking backwards must not look good.

    Arguments and errors as `logistic4`.
    """
    mapping = fit_logistic4(scores, mos)
    mapped = mapping(np.asarray(scores, float))
    if np.ptp(mapped) <= 1e-12 * np.ptp(np.asarray(mos, float)):
        return 0.0
    return plcc(mapped, mos) * (1.0 if mapping.increasing else -1.0)


def rmse_logistic4(scores: ArrayLike, mos: ArrayLike) -> float:
    """RMSE after the logistic fit, in units of `mos`: the `rmse` of a measured result. Errors as `logistic4`."""
    return rmse(logistic4(scores, mos), mos)


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "srcc": srcc, "plcc": plcc, "plcc_logistic4": plcc_logistic4, "krcc": krcc, "rmse": rmse_logistic4,
    "mean_srcc_plcc": mean_srcc_plcc,
}


def bootstrap_ci(scores: ArrayLike, mos: ArrayLike, metric: Metric = "srcc", *, samples: int = SAMPLES,
                 confidence: float = CONFIDENCE, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of a metric over images.

    Args:
        scores, mos: [n].
        metric: one of `METRICS` (vectorised over the resamples), a function of this module, or any function
            (scores [n], mos [n]) -> float, which is then called once a resample. "rmse" by name is after the
            logistic fit; the function `rmse` compares the values as they are.
        samples: resamples.
        confidence: in (0, 1).
        seed: the same seed gives the same interval.

    Returns:
        `Interval(low, high)`. Resamples on which the metric is undefined (all the same image) are left out.

    Raises:
        InputError: as the metric, fewer than 3 values, or an unknown metric.
    """
    x, y = _checked(scores, mos, least=3)
    draws = np.concatenate(list(_resampled([x], y, [metric], samples, seed)), axis=-1)[0, 0]
    return _percentile(draws, confidence)


def summary(scores: ArrayLike, mos: ArrayLike, *, metrics: Sequence[str] = METRICS, samples: int = SAMPLES,
            confidence: float = CONFIDENCE, seed: int = 0) -> dict[str, Estimate]:
    """Every metric with its interval, on the same resamples: what a run writes to metrics.json.

    A metric that is undefined on this data (a constant score, too few images) has value None and a note instead of
    failing the others. With fewer than 3 images there are values but no intervals.

    Raises:
        InputError: lengths differ, a value that is not finite, or an unknown metric.
    """
    x, y = _paired(scores, mos, least=0)
    x = without_rounding(x)
    values: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name in metrics:
        try:
            values[name] = _function(name)(x, y)
        except InputError as error:
            notes[name] = str(error)
    intervals: dict[str, Interval] = {}
    if values and len(x) >= 3:
        named = list(values)
        draws = np.concatenate(list(_resampled([x], y, named, samples, seed)), axis=-1)[0]
        intervals = {name: _percentile(row, confidence) for name, row in zip(named, draws)}
    ends = {name: (interval.low, interval.high) for name, interval in intervals.items()}
    estimates = {}
    for name in metrics:
        low, high = ends.get(name, (None, None))
        estimates[name] = Estimate(values.get(name), low, high, len(x), notes.get(name, ""))
    return estimates


def resampled(scores: ArrayLike, mos: ArrayLike, metric: Metric = "srcc", *, samples: int = SAMPLES,
              seed: int = 0) -> Floats:
    """The metric on every resample, float [samples], NaN where undefined; equal n, samples and seed draw equally.

    Raises:
        InputError: as `bootstrap_ci`.
    """
    x, y = _checked(scores, mos, least=3)
    draws: Floats = np.concatenate(list(_resampled([x], y, [metric], samples, seed)), axis=-1)[0, 0]
    return draws


def paired_difference(scores_a: ArrayLike, scores_b: ArrayLike, mos: ArrayLike,
                      metric: Metric = "srcc", *, samples: int = SAMPLES, confidence: float = CONFIDENCE,
                      seed: int = 0) -> Difference:
    """Metric of A minus metric of B, both on the same images and the same resamples of them.

    Args:
        scores_a, scores_b, mos: [n], one row per image.
        metric, samples, confidence, seed: as `bootstrap_ci`.

    Raises:
        InputError: as `bootstrap_ci`.
    """
    a, y = _checked(scores_a, mos, least=3)
    b, _ = _checked(scores_b, mos, least=3)
    draws = np.concatenate(list(_resampled([a, b], y, [metric], samples, seed)), axis=-1)
    gaps = draws[0, 0] - draws[1, 0]
    low, high = _percentile(gaps, confidence)
    gaps = gaps[np.isfinite(gaps)]
    tail = min(np.sum(gaps <= 0), np.sum(gaps >= 0))
    function = _function(metric)
    value_a, value_b = function(a, y), function(b, y)
    return Difference(value=value_a - value_b, low=low, high=high, p=float(min(1.0, 2 * (tail + 1) / (len(gaps) + 1))),
                      n=len(y), a=value_a, b=value_b)


def _function(metric: Metric) -> Callable[[Floats, Floats], float]:
    if callable(metric):
        return metric
    if metric not in _FUNCTIONS:
        raise InputError(f"There is no metric {metric!r}; choose from {', '.join(METRICS)}.")
    return _FUNCTIONS[metric]


def _resampled(variables: list[Floats], mos: Floats, metrics: Sequence[Metric], samples: int,
               seed: int) -> Iterable[Floats]:
    """Pieces [variables, metrics, b] of the metrics on all resamples; NaN where undefined."""
    if samples < 1:
        raise InputError("A bootstrap needs at least one resample.")
    names = {function: name for name, function in _FUNCTIONS.items()}
    keys = [names.get(metric, metric) if callable(metric) else metric for metric in metrics]
    for key in keys:
        _function(key)
    batched = [_Batched(scores, mos, {key for key in keys if isinstance(key, str)}) for scores in variables]

    def piece(weights: Floats) -> Floats:
        values = []
        for scores, batch in zip(variables, batched):
            known = batch(weights)
            values.append([known[key] if isinstance(key, str) else _one_by_one(key, scores, mos, weights)
                           for key in keys])
        return np.array(values)

    pieces = resampling.counts(len(mos), samples, seed)
    # A caller's own function may not like to be called by several threads.
    own = any(callable(key) for key in keys)
    yield from map(piece, pieces) if own else resampling.spread(piece, pieces)


class _Batched:
    """The named metrics of one score vector on many resamples at once."""

    def __init__(self, scores: Floats, mos: Floats, names: set[str]) -> None:
        self.x, self.y, self.scale = _unit(scores), _unit(mos), float(mos.std())
        self.names = names
        self.spearman = resampling.Spearman(scores, mos) if names & {"srcc", "mean_srcc_plcc"} else None
        self.kendall = resampling.Kendall(scores, mos) if "krcc" in names else None
        self.refit = logistic.Refitter(scores, mos) if names & {"plcc_logistic4", "rmse"} else None

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        values = {}
        if self.spearman is not None:
            values["srcc"] = self.spearman(weights)
        if self.names & {"plcc", "mean_srcc_plcc"}:
            values["plcc"] = resampling.pearson(self.x, self.y, weights)
        if "mean_srcc_plcc" in self.names:
            values["mean_srcc_plcc"] = (values["srcc"] + values["plcc"]) / 2
        if self.kendall is not None:
            values["krcc"] = self.kendall(weights)
        if self.refit is not None:
            mapped, increasing = self.refit.mapped(weights)
            values["plcc_logistic4"] = resampling.pearson(mapped, self.y, weights) * np.where(increasing, 1.0, -1.0)
            error = (weights * (mapped - self.y) ** 2).sum(1) / weights.sum(1)
            values["rmse"] = self.scale * np.sqrt(error)
        return values


def _one_by_one(metric: Callable[..., float], scores: Floats, mos: Floats, weights: Floats) -> Floats:
    values = np.full(len(weights), np.nan)
    for row, counts in enumerate(weights.astype(int)):
        x, y = np.repeat(scores, counts), np.repeat(mos, counts)
        if np.ptp(x) > 0 and np.ptp(y) > 0:
            values[row] = metric(x, y)
    return values


def _percentile(draws: Floats, confidence: float) -> Interval:
    if not 0 < confidence < 1:
        raise InputError(f"A confidence lies between 0 and 1; got {confidence}.")
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        raise InputError("The metric is undefined on every resample; there are too few different images.")
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def _unit(values: Floats) -> Floats:
    # Scaled by the range before the standard deviation, which would overflow or underflow for extreme scores.
    centred = (values - values.min()) / np.ptp(values)
    unit: Floats = (centred - centred.mean()) / centred.std()
    return unit


def _paired(scores: ArrayLike, mos: ArrayLike, *, least: int) -> tuple[Floats, Floats]:
    x, y = np.asarray(scores, float), np.asarray(mos, float)
    if x.ndim != 1 or y.ndim != 1:
        raise InputError(f"Scores and opinions are one number per image; got shapes {x.shape} and {y.shape}.")
    if len(x) != len(y):
        raise InputError(f"Every score needs its opinion; got {len(x)} scores and {len(y)} opinions.")
    if len(x) < least:
        raise InputError(f"This needs at least {least} images; got {len(x)}.")
    for values, what in ((x, "score"), (y, "opinion")):
        bad = int(np.sum(~np.isfinite(values)))
        if bad:
            raise InputError(f"{bad} of {len(values)} {what}s are not finite numbers; leave those images out first.")
    return x, y


def _checked(scores: ArrayLike, mos: ArrayLike, *, least: int = 2) -> tuple[Floats, Floats]:
    x, y = _paired(scores, mos, least=least)
    x = without_rounding(x)
    for values, what in ((x, "scores"), (y, "opinions")):
        if np.ptp(values) <= NO_SPREAD * np.max(np.abs(values)):
            raise InputError(f"All {what} are equal, so a correlation with them is undefined.")
    return x, y
