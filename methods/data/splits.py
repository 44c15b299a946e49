"""Deals images at random into folds and into parts, with contents kept together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from methods.errors import InputError


def deal_folds(n: int, k: int, seed: int = 0) -> NDArray[np.int64]:
    """The fold, 0 to k - 1, of each of n images, int64 [n]; sizes differ by one at most."""
    order = np.random.default_rng(seed).permutation(n)
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % max(k, 1)
    return fold


def deal_parts(groups: Sequence[str], ratios: Sequence[float], seed: int = 0) -> NDArray[np.int64]:
    """The part, 0 to len(ratios) - 1, of each image, int64 [n]; none is empty.

    Contents are shuffled and dealt to the first part until it has its share of the images, then to the next one.

    Args:
        groups: content of each image; images of one content stay together. "" is a content of its own.
        ratios: sizes of the parts to each other.
        seed: the same seed gives the same deal.

    Raises:
        InputError: there are fewer contents than parts.
    """
    names = [group or f"\0{row}" for row, group in enumerate(groups)]
    sizes = Counter(names)
    contents = sorted(sizes)
    if len(contents) < len(ratios):
        raise InputError(f"{len(contents)} contents cannot be dealt into {len(ratios)} parts; add images of others.")
    bounds = [round(len(names) * sum(ratios[: part + 1]) / sum(ratios)) for part in range(len(ratios))]
    of: dict[str, int] = {}
    part = size = 0
    for left, place in zip(range(len(contents), 0, -1), np.random.default_rng(seed).permutation(len(contents))):
        # The last contents go to the parts that would otherwise stay empty.
        full = size >= bounds[part] or left < len(ratios) - part
        if full and part < len(ratios) - 1 and part in of.values():
            part += 1
        of[contents[place]] = part
        size += sizes[contents[place]]
    return np.array([of[name] for name in names], dtype=np.int64)
