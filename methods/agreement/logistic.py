"""The 4-parameter logistic map from scores to opinions, fitted once or for a thousand resamples at a time.

PLCC after such a fit is what most IQA papers print as "PLCC"; the map itself (Sheikh et al., IEEE TIP 15(11), 2006,
and the VQEG reports before it) allows for the saturation of opinion scales. A plain least-squares call from one start
fails on flat, reversed or nearly linear data, so the two parameters that enter linearly are eliminated, a small grid
finds the right valley, and only then a least-squares solver polishes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from methods.agreement.resampling import Floats

MIN_POINTS = 5
"""Fewer points than this are fitted exactly by four parameters, which says nothing."""

# Slopes and midpoints are in standard deviations of the scores. A wider slope is a straight line to 1e-4; a
# narrower one is a step between two neighbouring scores.
_MIN_SLOPE, _MAX_SLOPE = 0.02, 20.0
_MAX_MIDPOINT = 6.0
_GRID_POINTS = 2000
_BINS = 1500
_STEPS, _SETTLED = 12, 1e-8


@dataclass(frozen=True)
class Logistic4:
    """f(x) = lower + (upper - lower) / (1 + exp(-(x - midpoint) / slope)), slope > 0.

    `upper` is the limit for high scores: it is below `lower` where the scores run against the opinions.
    """

    upper: float
    lower: float
    midpoint: float
    slope: float

    def __call__(self, scores: Floats) -> Floats:
        """Scores of any shape, mapped to the opinion scale."""
        return self.lower + (self.upper - self.lower) * expit((np.asarray(scores, float) - self.midpoint) / self.slope)

    @property
    def increasing(self) -> bool:
        return self.upper >= self.lower


def fit(scores: Floats, mos: Floats) -> Logistic4:
    """The least-squares fit of `mos` on `scores`, both float [n], finite, not constant, n >= MIN_POINTS."""
    x, y = _standard(scores), _standard(mos)
    theta = _polish(x, y, _best_on_grid(x, y))
    return _unstandard(theta, scores, mos)


def _standard(values: Floats) -> Floats:
    standard: Floats = (values - values.mean()) / values.std()
    return standard


def _unstandard(theta: Floats, scores: Floats, mos: Floats) -> Logistic4:
    base, height, midpoint, log_slope = theta
    return Logistic4(
        upper=float(mos.mean() + mos.std() * (base + height)),
        lower=float(mos.mean() + mos.std() * base),
        midpoint=float(scores.mean() + scores.std() * midpoint),
        slope=float(scores.std() * np.exp(log_slope)),
    )


def _best_on_grid(x: Floats, y: Floats) -> Floats:
    """Start values [base, height, midpoint, log slope]: the grid point whose sigmoid correlates best with y."""
    if len(x) > _GRID_POINTS:
        sample = np.linspace(0, len(x) - 1, _GRID_POINTS).astype(int)
        order = np.argsort(x, kind="stable")[sample]
        x, y = x[order], y[order]
    midpoints = np.quantile(x, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
    slopes = np.geomspace(0.05, _MAX_SLOPE, 9)
    middle, slope = (grid.ravel() for grid in np.meshgrid(midpoints, slopes))
    shape = expit((x[None] - middle[:, None]) / slope[:, None])
    centred = shape - shape.mean(1, keepdims=True)
    spread = (centred**2).mean(1)
    covariance = centred @ (y - y.mean()) / len(y)
    gain = np.where(spread > 1e-14, covariance**2 / np.maximum(spread, 1e-14), -1.0)
    best = int(np.argmax(gain))
    height = covariance[best] / max(spread[best], 1e-14)
    base = y.mean() - height * shape[best].mean()
    return np.array([base, height, middle[best], np.log(slope[best])])


def _polish(x: Floats, y: Floats, start: Floats) -> Floats:
    low = np.array([-np.inf, -np.inf, -_MAX_MIDPOINT, np.log(_MIN_SLOPE)])
    high = np.array([np.inf, np.inf, _MAX_MIDPOINT, np.log(_MAX_SLOPE)])

    def residuals(theta: Floats) -> Floats:
        errors: Floats = theta[0] + theta[1] * expit((x - theta[2]) * np.exp(-theta[3])) - y
        return errors

    def jacobian(theta: Floats) -> Floats:
        z = (x - theta[2]) * np.exp(-theta[3])
        shape = expit(z)
        slope = theta[1] * shape * (1 - shape)
        return np.stack([np.ones_like(x), shape, -slope * np.exp(-theta[3]), -slope * z], axis=1)

    inside = np.clip(start, low + 1e-9, high - 1e-9)
    from scipy.optimize import least_squares  # not needed by whoever only applies a fit

    solution = least_squares(residuals, inside, jacobian, bounds=(low, high), x_scale="jac", max_nfev=200).x
    # A solver that wandered off is never allowed to be worse than its start.
    return solution if np.sum(residuals(solution) ** 2) <= np.sum(residuals(inside) ** 2) else inside


class Refitter:
    """Fits the same scores under many weightings at once, warm-started at the fit of the unweighted data.

    Args:
        scores, mos: float [n], as for `fit`.

    Above `_BINS` points the refits see the scores in equally filled bins (means of score and opinion, total weight):
    the map is smooth, so 1,500 bins move its parameters by far less than a resample does.
    """

    def __init__(self, scores: Floats, mos: Floats) -> None:
        self.x, self.y = _standard(scores), _standard(mos)
        self.start = _polish(self.x, self.y, _best_on_grid(self.x, self.y))
        self.order: NDArray[np.intp] | None = None
        if len(self.x) > _BINS:
            self.order = np.argsort(self.x, kind="stable")
            self.edges = np.linspace(0, len(self.x), _BINS + 1)[:-1].astype(int)
            self.sizes = np.diff(np.append(self.edges, len(self.x)))
            self.bin_x = np.add.reduceat(self.x[self.order], self.edges) / self.sizes

    def mapped(self, weights: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Weights float [b, n] -> (mapped scores on the standardised opinion scale [b, n], increasing bool [b])."""
        if self.order is None:
            x, y, w = self.x, np.broadcast_to(self.y, weights.shape), weights
        else:
            ordered = np.take(weights, self.order, axis=1)
            w = np.add.reduceat(ordered, self.edges, axis=1)
            total = np.add.reduceat(ordered * self.y[self.order], self.edges, axis=1)
            x, y = self.bin_x, total / np.maximum(w, 1e-12)
        theta = _levenberg_marquardt(x, y, w, np.tile(self.start, (len(weights), 1)))
        shape = expit((self.x - theta[:, 2:3]) * np.exp(-theta[:, 3:4]))
        return theta[:, :1] + theta[:, 1:2] * shape, theta[:, 1] >= 0


def _levenberg_marquardt(x: Floats, y: Floats, w: Floats, theta: Floats) -> Floats:
    """One damped least-squares fit per row: x [m]; y, w [b, m]; theta [b, 4] start values -> [b, 4].

    A row is left alone once a step changes its loss by less than `_SETTLED` of it.
    """
    bounds = np.array([[-np.inf, -np.inf, -_MAX_MIDPOINT, np.log(_MIN_SLOPE)],
                       [np.inf, np.inf, _MAX_MIDPOINT, np.log(_MAX_SLOPE)]])
    result = theta.copy()
    left = np.arange(len(theta))
    damping = np.full(len(theta), 1e-3)
    shape, residual, loss = _evaluate(x, y, w, theta)
    for _ in range(_STEPS):
        inverse_slope = np.exp(-theta[:, 3:4])
        bump = theta[:, 1:2] * shape * (1 - shape)
        jacobian = np.stack([np.ones_like(shape), shape, -bump * inverse_slope,
                             -bump * (x - theta[:, 2:3]) * inverse_slope], axis=1)
        weighted = jacobian * w[:, None]
        normal = weighted @ jacobian.transpose(0, 2, 1)
        gradient = (weighted @ residual[:, :, None])[:, :, 0]
        diagonal = np.einsum("bii->bi", normal)
        damped = normal + np.einsum("bi,ij->bij", damping[:, None] * diagonal + 1e-9, np.eye(4))
        step = np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
        trial = np.clip(theta - step, *bounds)
        new_shape, new_residual, new_loss = _evaluate(x, y, w, trial)
        better = new_loss < loss
        moving = np.abs(loss - new_loss) > _SETTLED * loss
        pick = better[:, None]
        theta, shape = np.where(pick, trial, theta), np.where(pick, new_shape, shape)
        residual, loss = np.where(pick, new_residual, residual), np.where(better, new_loss, loss)
        damping = np.clip(np.where(better, damping * 0.2, damping * 8), 1e-9, 1e6)
        result[left] = theta
        if not moving.all():
            left = left[moving]
            y, w, theta, damping, shape, residual, loss = (
                values[moving] for values in (y, w, theta, damping, shape, residual, loss))
        if not len(left):
            break
    return result


def _evaluate(x: Floats, y: Floats, w: Floats, theta: Floats) -> tuple[Floats, ...]:
    shape = expit((x - theta[:, 2:3]) * np.exp(-theta[:, 3:4]))
    residual = theta[:, :1] + theta[:, 1:2] * shape - y
    return shape, residual, np.sum(w * residual**2, axis=1)
