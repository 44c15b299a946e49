"""From the conditional scores to one: the weighted sum of Eq. 9 and the alternatives of Table 5."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from methods.errors import InputError

SCHEMES = ("semantic", "average", "quality-similarity", "winner-takes-all")
"""The paper's own first, then Table 5's."""


def aggregate(
    quality: Sequence[float] | np.ndarray, similarity: Sequence[float] | np.ndarray, scheme: str = "semantic"
) -> float:
    """p(y | x) = sum of p(y | x, x'_i) * p(x'_i | x) over the conditional images (Eq. 9).

    Args:
        quality: p(y | x, x'_i) of Eq. 8, one a conditional image, each in [0, 1].
        similarity: as in `weights`; `average` does not look at it, but for its length.
        scheme: as in `weights`.

    Returns:
        The debiased score, in [0, 1].

    Raises:
        ValueError: the two differ in length, a quality is outside [0, 1], or as in `weights`.
    """
    scores = np.asarray(quality, dtype=np.float64)
    shares = weights(similarity, scheme)
    if scores.shape != shares.shape:
        raise ValueError(f"Every condition has one quality and one similarity; got {scores.shape} and {shares.shape}.")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"A conditional quality is a probability in [0, 1]; got {scores.tolist()}.")
    # The shares sum to 1 only up to rounding.
    return float(min(max(scores @ shares, 0.0), 1.0))


def weights(similarity: Sequence[float] | np.ndarray, scheme: str = "semantic") -> np.ndarray:
    """p(x'_i | x): how much each conditional image counts.

    Args:
        similarity: one number a conditional image, before any normalisation: the w_i = P(yes) of Eq. 11 for
            `semantic` and `winner-takes-all`, a full-reference similarity such as SSIM for `quality-similarity`.
        scheme:
            semantic: the softmax of the similarities (Eq. 10);
            average: all equal;
            quality-similarity: in proportion to the similarities, those below 0 counting as 0; equal if all are 0;
            winner-takes-all: everything on the largest similarity, the first of equals.

    Returns:
        float64 [n], not negative, sum 1.

    Raises:
        InputError: an unknown scheme.
        ValueError: no condition, or a similarity that is not finite.
    """
    similarities = np.asarray(similarity, dtype=np.float64)
    if similarities.ndim != 1 or similarities.size == 0:
        raise ValueError(f"Give one similarity per condition, for at least one condition; got {similarities.shape}.")
    if not np.isfinite(similarities).all():
        raise ValueError(f"The similarities must be finite; got {similarities.tolist()}.")
    if scheme == "average":
        return np.full(similarities.size, 1 / similarities.size)
    if scheme == "semantic":
        exponentials = np.exp(similarities - similarities.max())
        return exponentials / exponentials.sum()
    if scheme == "quality-similarity":
        positive = np.maximum(similarities, 0.0)
        return positive / positive.sum() if positive.sum() > 0 else weights(similarities, "average")
    if scheme == "winner-takes-all":
        return np.eye(similarities.size)[int(similarities.argmax())]
    raise InputError(f"There is no aggregation {scheme!r}; choose from {', '.join(SCHEMES)}.")
