"""Which images decide how far two scorers differ: the difference of an agreement, image by image.

Every agreement here is a mean over images, or can be written as one: a correlation r of standardised values is
1 - sum((x_i - y_i)^2) / 2n, Kendall's tau a mean over pairs of which each image has half, and an RMSE the root of a
mean. So the difference of two agreements is the sum of one number per image, exactly and without leaving images out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from methods.agreement import metrics
from methods.agreement.metrics import _checked, _unit
from methods.errors import InputError

Floats = NDArray[np.float64]


def shares(scores_a: ArrayLike, scores_b: ArrayLike, mos: ArrayLike, metric: str = "srcc") -> Floats:
    """What each image adds to metric of A minus metric of B, float [n]; they sum to that difference.

    A positive share of a correlation says that A has this image more nearly in its place than B has. Of the RMSE it
    says that A errs more on it.

    Args:
        scores_a, scores_b, mos: [n], one row per image.
        metric: a key of `metrics.METRICS`.

    Raises:
        InputError: an unknown metric, or one that is not defined on these values.
    """
    if metric not in metrics.METRICS:
        raise InputError(f"There is no metric {metric!r}; choose from {', '.join(metrics.METRICS)}.")
    a, y = _checked(scores_a, mos)
    b, _ = _checked(scores_b, mos)
    if metric == "rmse":
        return _of_errors(metrics.logistic4(a, y), metrics.logistic4(b, y), y)
    return _of(a, y, metric) - _of(b, y, metric)


def _of(scores: Floats, mos: Floats, metric: str) -> Floats:
    """What each image adds to one scorer's correlation, float [n]."""
    if metric == "krcc":
        return _of_pairs(scores, mos)
    if metric == "srcc":
        from scipy.stats import rankdata  # late, as in `metrics.srcc`

        return _of_correlation(rankdata(scores), rankdata(mos))
    if metric == "plcc":
        return _of_correlation(scores, mos)
    mapping = metrics.fit_logistic4(scores, mos)
    return _of_correlation(mapping(scores), mos) * (1.0 if mapping.increasing else -1.0)


def _of_correlation(x: Floats, y: Floats) -> Floats:
    share: Floats = (1 - (_unit(x) - _unit(y)) ** 2 / 2) / len(x)
    return share


def _of_pairs(x: Floats, y: Floats) -> Floats:
    """Kendall's tau b; a row of pairs at a time, since all pairs of 10,000 images would take a gigabyte."""
    agreeing, apart_x, apart_y = np.empty(len(x)), 0.0, 0.0
    for i in range(len(x)):
        signs = np.sign(x - x[i]), np.sign(y - y[i])
        agreeing[i] = signs[0] @ signs[1]
        apart_x, apart_y = apart_x + np.abs(signs[0]).sum(), apart_y + np.abs(signs[1]).sum()
    agreeing /= np.sqrt(apart_x * apart_y)
    return agreeing


def _of_errors(a: Floats, b: Floats, mos: Floats) -> Floats:
    squared_a, squared_b = (a - mos) ** 2, (b - mos) ** 2
    total = np.sqrt(squared_a.mean()) + np.sqrt(squared_b.mean())
    # rmse_a - rmse_b = (mse_a - mse_b) / (rmse_a + rmse_b)
    share: Floats = (squared_a - squared_b) / (len(mos) * max(total, float(np.finfo(float).tiny)))
    return share
