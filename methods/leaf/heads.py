"""The student's head: a line through standardised features, fitted in closed form and recalibrated the same way.

With a few hundred labels and thousands of features the only honest choice is strong shrinkage, chosen by predicting
each label from all others. The same closed form serves every label budget: the head it starts from (the teacher's
quality, or another population's) is one more feature, shrunk less than the rest. With few labels only its scale and
offset move, which cannot change a rank; the more labels there are, the more the features may overrule it.

Shrinkage draws predictions to the middle, while people use the ends of a scale. Where there are labels enough, a
4-parameter logistic map, fitted to left-out predictions, gives the ends back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from leaderboard import logistic

PENALTIES = tuple(float(10**power) for power in np.arange(-3.0, 6.01, 0.25))
"""Ridge penalties to choose from, in units of the features' mean squared length."""

_CLIP = 4.0
_PRIOR_SHARE = 100.0  # How much less the head that it starts from is shrunk than the features.
LABELS_FOR_A_LINK = 100
"""Below this, a straight line to the scale: four parameters would follow the luck of the draw."""


@dataclass(frozen=True)
class Head:
    """score = link(weight . z + bias), with z the standardised features, clipped at four standard deviations.

    Attributes:
        mean, scale: float32 [d], of the features that the head was fitted on.
        weight: float32 [d].
        bias: float.
        link: increasing map from the line to the opinion scale; None leaves the line as it is.
    """

    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: float
    link: logistic.Logistic4 | None = None

    def standardised(self, features: np.ndarray) -> np.ndarray:
        return np.clip((features - self.mean) / self.scale, -_CLIP, _CLIP).astype(np.float32)

    def linear(self, features: np.ndarray) -> np.ndarray:
        """float64 [...] of float [..., d], before the link."""
        return self.standardised(features).astype(np.float64) @ self.weight.astype(np.float64) + self.bias

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """float64 [...] of float [..., d]; not clipped to [0, 1]."""
        line = self.linear(features)
        return line if self.link is None else self.link(line)


def standardiser(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale of features [n, d]; a feature that never changes gets scale 1 and so stays 0."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    return mean.astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32)


@dataclass(frozen=True)
class RidgeFit:
    """A fitted head and how it was chosen.

    Attributes:
        head: ready to score, without a link.
        penalty: the ridge penalty chosen.
        left_out: float64 [n], each label predicted from all the others under that penalty.
    """

    head: Head
    penalty: float
    left_out: np.ndarray

    def linked(self, mos: np.ndarray) -> Head:
        """The head with a link fitted to the left-out predictions of `mos` [n]; without one where n is below
        `LABELS_FOR_A_LINK` or the predictions do not rise with the labels."""
        if len(mos) < LABELS_FOR_A_LINK or np.ptp(self.left_out) == 0:
            return self.head
        link = logistic.fit(self.left_out, np.asarray(mos, dtype=np.float64))
        return replace(self.head, link=link) if link.increasing else self.head


def fit_ridge(features: np.ndarray, mos: np.ndarray, *, prior: Head | None = None, groups: np.ndarray | None = None,
              penalties: tuple[float, ...] = PENALTIES) -> RidgeFit:
    """Fits a head to labels, with the penalty that predicts left-out labels best.

    Args:
        features: float32 [n, d], n >= 2.
        mos: float [n], labels in [0, 1].
        prior: a head over the same features to start from; its standardisation is kept, its link is not.
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
        base = prior.linear(features)
        base_mean, base_scale = base.mean(), max(base.std(), 1e-6)
        base = (base - base_mean) / base_scale
        gram = gram + _PRIOR_SHARE * np.outer(base, base)
    groups = np.arange(len(mos)) if groups is None else np.asarray(groups)
    values, vectors = np.linalg.eigh(_centred(gram))
    values = np.maximum(values, 0)
    # With a prior, only what it leaves unexplained is fitted: an infinite penalty is the prior with another offset.
    start = prior.linear(features) if prior is not None else np.zeros(len(mos))
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
    count, shrunk = len(mos), values / (values + penalty)
    residual = mos - vectors @ (shrunk * (vectors.T @ mos)) - mos.mean()
    predicted = np.empty(count)
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    in_order = np.argsort(group_of, kind="stable")
    for size in np.unique(sizes):
        # All groups of one size at once: [groups, size] rows and as many blocks of the hat matrix.
        rows = in_order[sizes[group_of[in_order]] == size].reshape(-1, size)
        part = vectors[rows]
        hat = (part * shrunk) @ part.swapaxes(1, 2) + 1.0 / count
        block = (1 + 1e-9) * np.eye(size) - hat
        predicted[rows] = mos[rows] - np.linalg.solve(block, residual[rows][..., None])[..., 0]
    return predicted
