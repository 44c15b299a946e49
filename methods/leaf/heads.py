"""The student's head: a line through standardised features, fitted in closed form and recalibrated the same way.

With a few hundred labels and thousands of features the only honest choice is strong shrinkage, chosen by predicting
each label from all others. The same closed form serves every label budget: the head it starts from (the teacher's
quality, or another population's) is one more feature, shrunk less than the rest. With few labels only its scale and
offset move, which cannot change a rank; the more labels there are, the more the features may overrule it.

What is known of two images without a label of either, such as a photo and a damaged copy of it, enters as a contrast:
by how much their scores should differ, whatever they are.

Shrinkage draws predictions to the middle, while people use the ends of a scale. Where there are labels enough, a
4-parameter logistic map, fitted to left-out predictions, gives the ends back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from methods.agreement import logistic
from methods.errors import InputError
from methods.patience import steps

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
        # Not by BLAS: its threads go on spinning for a while and take the cores from the next image's tower.
        rows = self.standardised(features).astype(np.float64)
        return np.einsum("...d,d->...", rows, self.weight.astype(np.float64)) + self.bias

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


@dataclass(frozen=True)
class Contrasts:
    """Pairs of images and how much better the first is.

    Attributes:
        better, worse: float32 [m, d], features of both.
        gap: float [m], the difference of their scores.
        groups: int [m], the group of labels (as of `fit_ridge`) that a pair is left out with.
        weight: of one pair's squared error against one label's.
    """

    better: np.ndarray
    worse: np.ndarray
    gap: np.ndarray
    groups: np.ndarray
    weight: float


def fit_ridge(features: np.ndarray, mos: np.ndarray, *, prior: Head | None = None, groups: np.ndarray | None = None,
              contrasts: Contrasts | None = None, penalties: tuple[float, ...] = PENALTIES) -> RidgeFit:
    """Fits a head to labels, with the penalty that predicts left-out labels best.

    Args:
        features: float32 [n, d], n >= 2.
        mos: float [n], labels in [0, 1].
        prior: a head over the same features to start from; its standardisation is kept, its link is not.
        groups: int [n], rows that belong together (an image and its mirror image) and are left out together; by
            default each row is its own group, numbered from 0.
        contrasts: pairs to fit beside the labels; not together with a prior.
        penalties: to choose from.

    Raises:
        ValueError: fewer than two labels, shapes that do not fit, or contrasts with a prior.
    """
    mos = np.asarray(mos, dtype=np.float64)
    if features.ndim != 2 or len(features) != len(mos) or len(mos) < 2:
        raise ValueError(f"A head is fitted to at least 2 labels, one per row of features; got {features.shape} and "
                         f"{mos.shape}.")
    if contrasts is not None and prior is not None:
        raise ValueError("Contrasts cannot be fitted together with a prior; give one of the two.")
    count, groups = len(mos), np.arange(len(mos)) if groups is None else np.asarray(groups)
    mean, scale = (prior.mean, prior.scale) if prior is not None else standardiser(features)
    shape = Head(mean, scale, np.zeros(len(mean), np.float32), 0.0)
    # With a prior, only what it leaves unexplained is fitted: an infinite penalty is the prior with another offset.
    start = prior.linear(features) if prior is not None else np.zeros(count)
    rows, targets = shape.standardised(features).astype(np.float64), mos - start
    if contrasts is not None:
        root = np.sqrt(contrasts.weight)
        apart = shape.standardised(contrasts.better) - shape.standardised(contrasts.worse)
        rows, targets = np.concatenate([rows, root * apart]), np.concatenate([targets, root * contrasts.gap])
        groups = np.concatenate([groups, contrasts.groups])
    width = rows.shape[1]
    gram = rows @ rows.T / width
    if prior is not None:
        base = start
        base_mean, base_scale = base.mean(), max(base.std(), 1e-6)
        base = (base - base_mean) / base_scale
        gram = gram + _PRIOR_SHARE * np.outer(base, base)
    # The bias is free: labels are fitted about their mean, contrasts as they are.
    free = np.arange(len(rows)) < count
    centre = targets[:count].mean()
    targets = targets - centre * free
    values, vectors = np.linalg.eigh(_centred(gram, free))
    values = np.maximum(values, 0)
    tried = [(penalty, _left_out(values, vectors, targets, penalty, groups, free)[:count] + centre)
             for penalty in steps(sorted(penalties))]
    few = len(np.unique(groups[:count])) < LABELS_FOR_A_LINK
    penalty, left_out = _chosen(tried, mos - start, cautious=prior is not None and few)
    dual = vectors @ ((vectors.T @ targets) / (values + penalty))
    dual -= dual[:count].mean() * free
    weight = rows.T @ dual / width
    bias = centre - rows[:count].mean(axis=0) @ weight
    if prior is not None:
        slope = _PRIOR_SHARE * float(base @ dual) / base_scale
        weight = weight + (1 + slope) * prior.weight
        bias += (1 + slope) * prior.bias - slope * base_mean
    return RidgeFit(Head(mean, scale, weight.astype(np.float32), float(bias)), penalty, left_out + start)


def fit_large(features: np.ndarray, mos: np.ndarray, penalty: float, contrasts: Contrasts | None = None) -> RidgeFit:
    """A head from thousands of labels under a given penalty; one Cholesky factor instead of a decomposition.

    Args:
        features: float32 [n, d].
        mos: float [n], labels in [0, 1].
        penalty: as `fit_ridge` chooses one.
        contrasts: pairs to fit beside the labels.

    Returns:
        the fit; each left-out prediction leaves its own label out, not its photo's contrasts.
    """
    from scipy.linalg import lapack

    mean, scale = standardiser(features)
    shape = Head(mean, scale, np.zeros(len(mean), np.float32), 0.0)
    # Standardised features and centred labels have mean zero, so the bias is the labels' mean.
    centre = float(np.mean(mos))
    rows, targets = shape.standardised(features), np.asarray(mos, dtype=np.float64) - centre
    if contrasts is not None:
        root = np.float32(np.sqrt(contrasts.weight))
        apart = shape.standardised(contrasts.better) - shape.standardised(contrasts.worse)
        rows = np.concatenate([rows, root * apart])
        targets = np.concatenate([targets, float(root) * contrasts.gap])
    gram = rows @ rows.T / np.float32(rows.shape[1])
    gram[np.diag_indices_from(gram)] += np.float32(penalty)
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, singular = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed or singular:
        raise InputError("The features cannot be fitted under so small a penalty; give a larger one.")
    diagonal = inverse.diagonal().astype(np.float64).copy()
    lower = np.tril(inverse)
    del inverse
    small = targets.astype(np.float32)
    dual = (lower @ small + lower.T @ small - diagonal.astype(np.float32) * small).astype(np.float64)
    weight = rows.T @ dual.astype(np.float32) / np.float32(rows.shape[1])
    left_out = (targets - dual / diagonal)[: len(mos)] + centre
    return RidgeFit(Head(mean, scale, weight.astype(np.float32), centre), penalty, left_out)


def _chosen(tried: list[tuple[float, np.ndarray]], target: np.ndarray, cautious: bool) -> tuple[float, np.ndarray]:
    """The penalty with the least left-out error; with caution, the largest whose error is not clearly more.

    Clearly is one standard error of the paired difference. A handful of labels would otherwise pick a penalty by luck
    and overrule what the student had learnt from hundreds of images.
    """
    errors = [(left_out - target) ** 2 for _, left_out in tried]
    best = int(np.argmin([error.mean() for error in errors]))
    if cautious:
        for index in range(len(tried) - 1, best, -1):
            difference = errors[index] - errors[best]
            if difference.mean() <= difference.std() / np.sqrt(len(target)):
                return tried[index]
    return tried[best]


def _centred(gram: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Gram matrix of the rows with the mean of the `free` ones taken off those."""
    rows = gram[free].mean(axis=0)
    shift = np.outer(free, rows)
    return gram - shift - shift.T + rows[free].mean() * np.outer(free, free)


def _left_out(values: np.ndarray, vectors: np.ndarray, targets: np.ndarray, penalty: float, groups: np.ndarray,
              free: np.ndarray) -> np.ndarray:
    """Each group's rows predicted without that group, from one decomposition (the hat matrix identity).

    Args:
        values, vectors: eigenvalues [n] and eigenvectors [n, n] of the gram matrix, centred over the `free` rows.
        wanted: float [n], of mean 0 over the `free` rows.
        groups: int [n].
        free: bool [n], the rows that the bias is part of.
    """
    shrunk = values / (values + penalty)
    residual = targets - vectors @ (shrunk * (vectors.T @ targets))
    predicted = np.empty(len(targets))
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    in_order = np.argsort(group_of, kind="stable")
    for size in np.unique(sizes):
        # All groups of one size at once: [groups, size] rows and as many blocks of the hat matrix.
        rows = in_order[sizes[group_of[in_order]] == size].reshape(-1, size)
        part = vectors[rows]
        bias = free[rows].astype(np.float64)
        hat = (part * shrunk) @ part.swapaxes(1, 2) + bias[:, :, None] * bias[:, None] / free.sum()
        block = (1 + 1e-9) * np.eye(size) - hat
        predicted[rows] = targets[rows] - np.linalg.solve(block, residual[rows][..., None])[..., 0]
    return predicted
