"""Deals images into folds and into parts, with contents kept together: at random, or as a paper has published it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from methods.errors import InputError

KADID_SPLIT = "visualquality-r1"
"""Name of the split of KADID-10k by content, into 49, 16 and 16 contents of 125 images each.

KADID-10k itself comes without a split; this is the one that VisualQuality-R1's authors published (section 4.1). Read
from datasets/KADID-10K/KADID-10K_{train,val,test}_set.txt of github.com/TianheWu/VisualQuality-R1 at
a16dcdb64eea03a27afdb411d43cc1c9d723a1b2; the rule behind it is not stated.
"""

_CONTENTS = {
    "validation": {7, 12, 14, 15, 16, 27, 32, 35, 36, 41, 44, 49, 55, 66, 67, 70},
    "test": {19, 29, 30, 34, 37, 38, 43, 50, 64, 71, 72, 73, 74, 78, 80, 81},
}


def kadid_part(name: str) -> str:
    """The part ("training", "validation", "test") of an image of KADID-10k in the split `KADID_SPLIT`.

    Args:
        name: of the distorted image, such as I01_05_02.png; folders before it and its ending do not matter.

    Returns:
        "" where it is no name of KADID-10k.
    """
    match = re.search(r"(?:^|[/\\])I(\d\d)_(\d\d)_0[1-5](?:\.\w+)?$", name, re.IGNORECASE)
    if not match or not (1 <= int(match[1]) <= 81 and 1 <= int(match[2]) <= 25):
        return ""
    return next((part for part, contents in _CONTENTS.items() if int(match[1]) in contents), "training")


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
