"""Thurstone's model of sampled quality scores: who is better, and the reward for saying so (Eq. 1-4 and 7).

Pure functions of numbers, numpy only; the trainer, the method and the comparison tab all call these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from methods.errors import InputError

GAMMA = 1e-6
"""The small constant in Eq. 1's denominator; the paper gives no value, the released code uses 1e-6."""

VARIANTS = ("mean", "probability-average", "fixed-variance", "binary")
"""Eq. 1; Eq. 7; Eq. 7 with both variances set to one (Thurstone Case V); Eq. 1 rounded to a yes or no (Table 4)."""


def sample_variance(samples: np.ndarray) -> np.ndarray:
    """Unbiased variance over the last axis; 0 where there is one sample, which says nothing of its spread."""
    samples = np.asarray(samples, dtype=np.float64)
    if samples.shape[-1] < 2:
        return np.zeros(samples.shape[:-1])
    return samples.var(axis=-1, ddof=1)


def comparative_probability(q_ik: float | np.ndarray, q_i: np.ndarray, q_j: np.ndarray, gamma: float = GAMMA
                            ) -> float | np.ndarray:
    """Eq. 1: the probability that image i, as its k-th sample saw it, is better than image j.

    Phi((q_ik - mean(q_j)) / sqrt(var(q_i) + var(q_j) + gamma)), with unbiased sample variances.

    Args:
        q_ik: one sample of image i, or an array of them.
        q_i: float [K], all samples of image i; used for its variance.
        q_j: float [K'], all samples of image j.
        gamma: above 0, keeps the division possible where all samples agree.

    Returns:
        A probability, or one for each entry of `q_ik`.

    Raises:
        InputError: a gamma that is not above 0.
        ValueError: no sample, or a sample that is not finite.
    """
    q_i, q_j = _samples(q_i), _samples(q_j)
    _check_gamma(gamma)
    spread = np.sqrt(sample_variance(q_i) + sample_variance(q_j) + gamma)
    probability = ndtr((np.asarray(q_ik, dtype=np.float64) - q_j.mean()) / spread)
    return float(probability) if probability.ndim == 0 else probability


def true_preference(mos: Sequence[float]) -> np.ndarray:
    """Eq. 2 for every ordered pair: 1 where image i's MOS is higher, 0.5 where equal, 0 where lower; [n, n]."""
    mos = np.asarray(mos, dtype=np.float64)
    return 0.5 * (np.sign(mos[:, None] - mos[None, :]) + 1)


def fidelity_reward(samples: np.ndarray, mos: Sequence[float], gamma: float = GAMMA, *, variant: str = "mean",
                    eps: float = 0.0) -> np.ndarray:
    """Eq. 3: how well each sample orders its image among the others of the batch.

    Args:
        samples: float [n, K], K scores of each of n >= 2 images. NaN stands for a text without a readable score: it
            earns 0 and does not count in its image's mean and variance, and an image without any readable score is
            nobody's opponent.
        mos: float [n], human scores on any one scale; only their order counts.
        gamma: as in `comparative_probability`.
        variant: one of `VARIANTS`. "binary" rewards 1 where the comparison falls on the human side of one half, else 0,
            averaged over the pairs.
        eps: added inside both roots; the released code uses 1e-6, the paper nothing.

    Returns:
        float64 [n, K]; in [0, 1] for eps = 0, where 1 is full agreement with every preference.

    Raises:
        InputError: an unknown variant, or a gamma that is not above 0.
        ValueError: fewer than two images, shapes that do not fit, or an infinite score.
    """
    samples = np.asarray(samples, dtype=np.float64)
    mos = np.asarray(mos, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[0] < 2 or samples.shape[1] < 1:
        raise ValueError(f"The reward compares at least two images' samples [n, K]; got shape {samples.shape}.")
    if mos.shape != samples.shape[:1] or np.isinf(samples).any() or not np.isfinite(mos).all():
        raise ValueError("Every image needs one finite MOS and K samples that are finite or NaN.")
    if variant not in VARIANTS:
        raise InputError(f"The reward's variant must be one of {', '.join(VARIANTS)}; got {variant!r}.")
    _check_gamma(gamma)
    probability = _pair_probabilities(samples, gamma, variant)  # [n, K, n]
    preference = true_preference(mos)[:, None, :]
    if variant == "binary":
        # A tie of opinions is met by an even comparison only; both sides of one half miss it.
        pairwise = (np.sign(probability - 0.5) == np.sign(preference - 0.5)).astype(np.float64)
    else:
        pairwise = np.sqrt(preference * probability + eps) + np.sqrt((1 - preference) * (1 - probability) + eps)
    opponents = (~np.eye(len(mos), dtype=bool) & ~np.isnan(samples).all(axis=1))[:, None, :]
    total = np.where(opponents, pairwise, 0.0).sum(axis=-1) / np.maximum(opponents.sum(axis=-1), 1)
    return np.where(np.isnan(samples), 0.0, total)


def _pair_probabilities(samples: np.ndarray, gamma: float, variant: str) -> np.ndarray:
    """Probability [n, K, n] that sample k of image i beats image j; NaN where either says nothing."""
    variance = np.ones(len(samples)) if variant == "fixed-variance" else _readable_variance(samples)
    spread = np.sqrt(variance[:, None] + variance[None, :] + gamma)  # [n, n]
    readable = ~np.isnan(samples)
    if variant in ("mean", "binary"):
        counts = readable.sum(axis=1)
        means = np.divide(np.nansum(samples, axis=1), counts, out=np.full(len(samples), np.nan), where=counts > 0)
        return ndtr((samples[:, :, None] - means[None, None, :]) / spread[:, None, :])
    differences = samples[:, :, None, None] - samples[None, None, :, :]  # [n, K, n, K']
    probabilities = ndtr(differences / spread[:, None, :, None])
    counts = readable.sum(axis=1)[None, None, :]
    return np.divide(np.nansum(probabilities, axis=-1), counts, out=np.full(probabilities.shape[:3], np.nan),
                     where=(counts > 0) & readable[:, :, None])


def _readable_variance(samples: np.ndarray) -> np.ndarray:
    return np.array([float(sample_variance(row[~np.isnan(row)])) for row in samples])


def advantages(rewards: np.ndarray) -> np.ndarray:
    """Eq. 4: each image's K rewards, standardised; zeros where they are all equal. [n, K] -> [n, K]."""
    rewards = np.asarray(rewards, dtype=np.float64)
    spread = rewards.std(axis=1, ddof=1 if rewards.shape[1] > 1 else 0, keepdims=True)
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)


class Preference(float):
    """The probability that the first of two images is better; a number in [0, 1] that knows how sure it is.

    Attributes:
        difference: mean of the first's samples minus mean of the second's.
        spread: sqrt(var_i + var_j + gamma); the probability is Phi(difference / spread).
        low, high: central 95 % bootstrap interval of the probability over the drawn samples.
    """

    difference: float
    spread: float
    low: float
    high: float

    def __new__(cls, difference: float, spread: float, low: float, high: float) -> Preference:
        self = super().__new__(cls, ndtr(difference / spread))
        self.difference, self.spread, self.low, self.high = difference, spread, low, high
        return self

    def __getnewargs__(self) -> tuple[float, float, float, float]:
        return self.difference, self.spread, self.low, self.high

    @property
    def probability(self) -> float:
        return float(self)


def preference(samples_i: Sequence[float], samples_j: Sequence[float], gamma: float = GAMMA, *,
               resamples: int = 1000, seed: int = 0) -> Preference:
    """The probability that image i is better than image j: Phi((mu_i - mu_j) / sqrt(var_i + var_j + gamma)).

    Args:
        samples_i, samples_j: the images' sampled scores, any number of each.
        gamma: as in `comparative_probability`.
        resamples: bootstrap draws behind the interval.
        seed: of the bootstrap.

    Raises:
        ValueError: no sample, or one that is not finite.
    """
    first, second = _samples(samples_i), _samples(samples_j)
    _check_gamma(gamma)
    difference = float(first.mean() - second.mean())
    spread = float(np.sqrt(sample_variance(first) + sample_variance(second) + gamma))
    rng = np.random.default_rng(seed)
    drawn_i = first[rng.integers(0, len(first), (resamples, len(first)))]
    drawn_j = second[rng.integers(0, len(second), (resamples, len(second)))]
    # The spread stays that of all samples: a draw that repeats one sample would claim to be certain.
    chances = ndtr((drawn_i.mean(axis=1) - drawn_j.mean(axis=1)) / spread)
    low, high = np.quantile(chances, [0.025, 0.975])
    return Preference(difference, spread, float(low), float(high))


def _samples(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError("A comparison needs at least one finite sample of each image.")
    return values


def _check_gamma(gamma: float) -> None:
    if not (np.isfinite(gamma) and gamma > 0):
        raise InputError(f"gamma must be above 0; got {gamma}.")
