"""Several images in order of quality, with how sure each place is: Thurstone's preferences between all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from methods.errors import InputError
from methods.visualquality_r1.thurstone import GAMMA, Preference, preference


@dataclass(frozen=True)
class Ranking:
    """Attributes:
    order: image indices, best first.
    means: mean sampled score of each image.
    intervals: central 95 % bootstrap interval of each mean.
    preferences: preferences[i][j] is the probability that image i is better than image j; None on the diagonal.
    rank_intervals: (best, worst) place of each image, 1 is first, in 95 % of the bootstrap draws.
    """

    order: tuple[int, ...]
    means: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]
    preferences: tuple[tuple[Preference | None, ...], ...]
    rank_intervals: tuple[tuple[int, int], ...]


def rank(samples: Sequence[Sequence[float]], gamma: float = GAMMA, *, resamples: int = 2000, seed: int = 0) -> Ranking:
    """Orders images by the mean of their sampled scores.

    Args:
        samples: the sampled scores of each of n >= 2 images; their numbers may differ.
        gamma: as in `thurstone.comparative_probability`.
        resamples: bootstrap draws behind the intervals.
        seed: of the bootstrap.

    Raises:
        InputError: fewer than two images.
        ValueError: an image without samples.
    """
    if len(samples) < 2:
        raise InputError("A comparison needs at least two images.")
    preferences = tuple(
        tuple(None if i == j else preference(first, second, gamma, seed=seed) for j, second in enumerate(samples))
        for i, first in enumerate(samples)
    )
    rng = np.random.default_rng(seed)
    resampled = np.stack([
        np.asarray(one, dtype=np.float64)[rng.integers(0, len(one), (resamples, len(one)))].mean(axis=1)
        for one in samples
    ])
    means = np.array([np.mean(one) for one in samples])
    # A place is one more than the number of better images, so equal images share the better place.
    places = 1 + (resampled[None, :, :] > resampled[:, None, :]).sum(axis=1)
    return Ranking(
        order=tuple(int(index) for index in np.argsort(-means, kind="stable")),
        means=tuple(float(mean) for mean in means),
        intervals=tuple((float(low), float(high)) for low, high in np.quantile(resampled, [0.025, 0.975], axis=1).T),
        preferences=preferences,
        rank_intervals=tuple((int(low), int(high)) for low, high in
                             np.quantile(places, [0.025, 0.975], axis=1, method="nearest").T),
    )


def describe(first: str, second: str, verdict: Preference) -> str:
    """The preference between two images in one sentence, with its interval."""
    ahead = verdict >= 0.5
    better, worse = (first, second) if ahead else (second, first)
    probability = max(float(verdict), 1 - float(verdict))
    low, high = (verdict.low, verdict.high) if ahead else (1 - verdict.high, 1 - verdict.low)
    # Rounded, the two ends may read the same.
    ends = list(dict.fromkeys((percent(low), percent(high))))
    between = f"between {ends[0]} and {ends[1]} with other samples" if len(ends) > 1 else "the same with other samples"
    if probability < 0.6:
        return (f"{first} and {second} look about equally good: {better} is better with probability "
                f"{percent(probability)} ({between}).")
    sure = "is almost certainly" if probability >= 0.95 else "is probably" if probability >= 0.75 else "may be"
    return (f"{better} {sure} better than {worse}: probability {percent(probability)} ({between}), "
            f"{abs(verdict.difference):.2f} points apart.")


def percent(probability: float) -> str:
    """A probability for reading; never 0 % or 100 %, which no sample can show."""
    return "under 1%" if probability < 0.01 else "over 99%" if probability > 0.99 else f"{probability:.0%}"
