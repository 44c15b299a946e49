"""From the scores of an image and its regions to one number (section 3.2), and what K whole numbers can express.

Pure functions of numbers, so that a slider can move lambda or an LMM's weight without asking any model again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from methods.errors import InputError

CODE_MASK_BONUS = 0.1
CODE_GLOBAL_WEIGHT = 0.5
# 8 x 8 prompt points give at most this many masks that survive suppression in practice, and the complement.
CODE_MOST_MASKS = 65


def local_score(scores: Sequence[float], areas: Sequence[float], weighting: str = "area") -> float:
    """s_local: the mean of the regions' scores, weighted by mask area (section 3.2) or plain (Table 3 row 4).

    Args:
        scores: one per region, in [1, K].
        areas: mask areas in pixels (not box areas), above 0; any common scale will do.
        weighting: "area" or "mean".

    Returns:
        A number between the lowest and the highest score.

    Raises:
        InputError: another weighting.
        ValueError: no region, unequal lengths, or an area that is not positive.
    """
    weights = region_weights(areas, weighting)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != weights.shape:
        raise ValueError(f"Each region needs one score and one area; got {scores.size} and {weights.size}.")
    return float(scores @ weights)


def region_weights(areas: Sequence[float], weighting: str = "area") -> np.ndarray:
    """What each region counts in `local_score`: float64 [regions], sums to 1. Errors as there."""
    areas = np.asarray(areas, dtype=np.float64)
    if areas.ndim != 1 or areas.size == 0:
        raise ValueError("A local score needs at least one region.")
    if not (np.isfinite(areas).all() and (areas > 0).all()):
        raise ValueError("Every region needs an area above 0.")
    if weighting == "mean":
        return np.full(areas.size, 1 / areas.size)
    if weighting == "area":
        return areas / areas.sum()
    raise InputError(f"Regions are weighted by 'area' or 'mean'; got {weighting!r}.")


def final_score(global_: float, local: float, lam: float = 1.0) -> float:
    """s = s_global + lambda * s_local (section 3.2); in [1 + lambda, K (1 + lambda)]."""
    return float(global_ + lam * local)


def ensemble(scores: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The mean of several LMMs' final scores (section 3.2), or their weighted mean.

    Raises:
        InputError: a negative weight, or weights that are all zero.
        ValueError: no score, or unequal lengths.
    """
    scores = np.asarray(scores, dtype=np.float64)
    weights = np.ones_like(scores) if weights is None else np.asarray(weights, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0 or scores.shape != weights.shape:
        raise ValueError("An ensemble needs at least one score, and one weight a score.")
    if (weights < 0).any() or not weights.sum() > 0:
        raise InputError("The weights of an ensemble must not be negative, and one must be above 0.")
    return float(scores @ weights / weights.sum())


def code_final_score(global_: float, local: float, n_masks: int) -> float:
    """The released code's variant: s_local + 0.1 * masks + 0.5 * s_global. It rewards busy images."""
    return float(local + CODE_MASK_BONUS * n_masks + CODE_GLOBAL_WEIGHT * global_)


def native_range(k: int, *, uses_global: bool, uses_local: bool, lam: float = 1.0, code: bool = False,
                 lowest: int = 1) -> tuple[float, float]:
    """Lowest and highest final score that the aggregation can give for digits lowest..k."""
    if code:
        if not uses_local or not uses_global:
            return float(lowest), float(k)
        low = 1 + CODE_MASK_BONUS + CODE_GLOBAL_WEIGHT
        return low, k * (1 + CODE_GLOBAL_WEIGHT) + CODE_MASK_BONUS * CODE_MOST_MASKS
    parts = float(uses_global) + (lam if uses_global else 1.0) * float(uses_local)
    return lowest * parts, k * parts


def rescale(native: float, bounds: tuple[float, float]) -> float:
    """A native score as a fraction of its range, clipped to [0, 1]."""
    low, high = bounds
    return float(np.clip((native - low) / (high - low), 0.0, 1.0))


def quantise(mos: Sequence[float], k: int) -> np.ndarray:
    """Eq. 1: MOS rounded to whole numbers, Round(K (s - min) / (max - min)).

    As printed, this gives K + 1 values, 0 to K. It is the best that a model which can only say K digits could do, and
    Table 1's upper bounds follow from it.

    Args:
        mos: [n] MOS of one data set, not all equal.
        k: the number of levels, at least 2.

    Returns:
        int64 [n].

    Raises:
        InputError: constant or non-finite scores.
    """
    mos = np.asarray(mos, dtype=np.float64)
    low, high = mos.min(), mos.max()
    if not (np.isfinite([low, high]).all() and high > low):
        raise InputError("The MOS must be finite and differ from each other.")
    return np.rint(k * (mos - low) / (high - low)).astype(np.int64)
