"""How reliable each of the teacher's judgements is, estimated from its own probabilities.

LEAF weighs each judgement by its reliability. Only the paper's abstract was read, and it does not define reliability,
so the two definitions here are this project's own. A point-wise judgement is unreliable where the probability is spread
over all levels. A pair-wise one is unreliable where the answer changes when the two images swap places. Both need no
more passes than the scores do.
"""

from __future__ import annotations

import numpy as np


def pointwise(probabilities: np.ndarray) -> np.ndarray:
    """Reliability of a point-wise judgement, 1 - H(p) / ln K: 1 for certainty, 0 for a uniform answer.

    Args:
        probabilities: float [..., K], each row the teacher's distribution over K >= 2 quality levels.

    Returns:
        float64 [...] in [0, 1].

    Raises:
        ValueError: fewer than two levels, a negative or non-finite probability, or a row that does not sum to 1.
    """
    p = _unit_interval(probabilities, "A level's probability")
    if p.ndim == 0 or p.shape[-1] < 2:
        raise ValueError(f"A point-wise judgement needs at least two levels; got shape {p.shape}.")
    if not np.allclose(p.sum(axis=-1), 1.0, atol=1e-4):
        raise ValueError("The probabilities of a judgement's levels must sum to 1.")
    entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), axis=-1)
    return np.clip(1.0 - entropy / np.log(p.shape[-1]), 0.0, 1.0)


def preference(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Probability that i is better than j, the mean over both orders of asking, float64 [...].

    Args:
        forward: P(i better) when i was shown first.
        backward: P(i better) when j was shown first; 1 minus the probability that the answer named j.
    """
    return (_unit_interval(forward, "A preference") + _unit_interval(backward, "A preference")) / 2


def pairwise(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Reliability of a pair-wise judgement, |2 pi - 1| (1 - |forward - backward|) with pi the mean of the two.

    Args:
        forward, backward: float [...], as for `preference`.

    Returns:
        float64 [...] in [0, 1]: 1 where both orders are certain of the same image, 0 where they contradict each
        other or neither has a preference.

    Raises:
        ValueError: a preference outside [0, 1].
    """
    mean = preference(forward, backward)
    disagreement = np.abs(np.asarray(forward, dtype=np.float64) - np.asarray(backward, dtype=np.float64))
    return np.abs(2 * mean - 1) * (1 - disagreement)


def _unit_interval(values: np.ndarray, what: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all() or (array < -1e-6).any() or (array > 1 + 1e-6).any():
        raise ValueError(f"{what} lies in [0, 1]; got a value outside.")
    return np.clip(array, 0.0, 1.0)
