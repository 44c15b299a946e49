"""The student's head: a line through standardised features, fitted in closed form and recalibrated the same way.

With a few hundred labels and thousands of features the only honest choice is strong shrinkage, chosen by predicting
each label from all others. The same closed form serves every label budget: the head it starts from (the teacher's
quality, or another population's) is one more feature, shrunk less than the rest. With few labels only its scale and
offset move, which cannot change a rank; the more labels there are, the more the features may overrule it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PENALTIES = tuple(float(10**power) for power in np.arange(-3.0, 6.01, 0.25))
"""Ridge penalties to choose from, in units of the features' mean squared length."""

_CLIP = 4.0
_PRIOR_SHARE = 100.0  # How much less the head that it starts from is shrunk than the features.


@dataclass(frozen=True)
class Head:
    """score = weight . z + bias, with z the standardised features, clipped at four standard deviations.

    Attributes:
        mean, scale: float32 [d], of the features that the head was fitted on.
        weight: float32 [d].
        bias: float.
    """

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: float

    def standardised(self, features: np.ndarray) -> np.ndarray:
        return np.clip((features - self.mean) / self.scale, -_CLIP, _CLIP).astype(np.float32)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 [...] of float [..., d]; not clipped to [0, 1]."""
        return self.standardised(features).astype(np.float64) @ self.weight.astype(np.float64) + self.bias


def standardiser(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of features [n, d]; a feature that never changes gets scale 1 and so stays 0."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32)


@dataclass(frozen=True)
class RidgeFit:
    """A fitted head and how it was chosen.

    Attributes:
        head: ready to score.
        penalty: the ridge penalty chosen.
        left_out: float64 [n], each label predicted from all the others under that penalty.
    """

    head: Head
    penalty: float
    left_out: np.ndarray


def fit_ridge(features: np.ndarray, mos: np.ndarray, *, prior: Head | None = None, groups: np.ndarray | None = None,
              penalties: tuple[float, ...] = PENALTIES) -> RidgeFit:
    """Fits a head to labels, with the penalty that predicts left-out labels best.

    Args:
        features: float32 [n, d], n >= 2.
        mos: float [n], labels in [0, 1].
        prior: a head over the same features to start from; its standardisation is kept.
        groups: int [n], rows that belong together (a picture and its mirror image) and are left out together.
        penalties: to choose from.

    Raises:
        ValueError: fewer than two labels, or shapes that do not fit.
    """
    mos = np.asarray(mos, dtype=np.float64)
    if features.ndim != 2 or len(features) != len(mos) or len(mos) < 2:
        raise ValueError(f"A head is fitted to at least 2 labels, one a row of features; got {features.shape} and "
                         f"{mos.shape}.")
    mean, scale = (prior.mean, prior.scale) if prior is not None else standardiser(features)
    z = Head(mean, scale, np.zeros(len(mean), np.float32), 0.0).standardised(features).astype(np.float64)
    width = z.shape[1]
    gram = z @ z.T / width
    base, base_mean, base_scale = None, 0.0, 1.0
    if prior is not None:
        base = prior(features)
        base_mean, base_scale = base.mean(), max(base.std(), 1e-6)
        base = (base - base_mean) / base_scale
        gram = gram + _PRIOR_SHARE * np.outer(base, base)
    groups = np.arange(len(mos)) if groups is None else np.asarray(groups)
    values, vectors = np.linalg.eigh(_centred(gram))
    values = np.maximum(values, 0)
    # With a prior, only what it leaves unexplained is fitted: an infinite penalty is the prior with another offset.
    start = prior(features) if prior is not None else np.zeros(len(mos))
    target = mos - start
    tried = [(penalty, _left_out(values, vectors, target, penalty, groups)) for penalty in sorted(penalties)]
    penalty, left_out = _chosen(tried, target, cautious=prior is not None)
    dual = vectors @ ((vectors.T @ (target - target.mean())) / (values + penalty))
    dual -= dual.mean()
    weight, bias = z.T @ dual / width, target.mean() - z.mean(axis=0) @ (z.T @ dual / width)
    if prior is not None:
        slope = _PRIOR_SHARE * float(base @ dual) / base_scale
        weight = weight + (1 + slope) * prior.weight
        bias += (1 + slope) * prior.bias - slope * base_mean
    left_out = left_out + start
    return RidgeFit(Head(mean, scale, weight.astype(np.float32), float(bias)), penalty, left_out)


def _chosen(tried: list[tuple[float, np.ndarray]], target: np.ndarray, cautious: bool) -> tuple[float, np.ndarray]:
    """The penalty with the least left-out error; with caution, the largest whose error is not clearly more.

    Clearly is one standard error of the paired difference. A handful of labels would otherwise pick a penalty by luck
    and overrule what the student had learnt from hundreds of pictures.
    """
    errors = [(left_out - target) ** 2 for _, left_out in tried]
    best = int(np.argmin([error.mean() for error in errors]))
    if cautious:
        for index in range(len(tried) - 1, best, -1):
            difference = errors[index] - errors[best]
            if difference.mean() <= difference.std() / np.sqrt(len(target)):
                return tried[index]
    return tried[best]


def _centred(gram: np.ndarray) -> np.ndarray:
    rows = gram.mean(axis=0)
    return gram - rows[None] - rows[:, None] + rows.mean()


def _left_out(values: np.ndarray, vectors: np.ndarray, mos: np.ndarray, penalty: float,
              groups: np.ndarray) -> np.ndarray:
    """Each group's labels predicted without that group, from one decomposition (the hat matrix identity)."""
    count = len(mos)
    hat = (vectors * (values / (values + penalty))) @ vectors.T + 1.0 / count
    residual = mos - hat @ mos
    predicted = np.empty(count)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        block = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
        predicted[rows] = mos[rows] - np.linalg.solve(block + 1e-9 * np.eye(len(rows)), residual[rows])
    return predicted
