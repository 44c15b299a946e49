"""Which references the LMM is shown: near the image in content, spread out in quality (IQARAG Eq. 5-8).

The rule is pure arithmetic on MOS values and an order of candidates. It knows nothing of images, encoders or
FAISS, so that it can be checked by hand, and the ablations, the bootstrap and the method all call the same function.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from methods.errors import InputError
from methods.iqarag.reference_set import Neighbours, ReferenceSet

__all__ = ["Neighbours", "ReferenceSet", "bin_edges", "bins_of", "empty_bins", "select_references"]


def bins_of(mos: np.ndarray | Sequence[float], bins: int = 5) -> np.ndarray:
    """The quality bin of each MOS (Eq. 6).

    Bin j holds [j / bins, (j + 1) / bins), counted from 0 = worst; a MOS of exactly 1 belongs to the top bin. A
    score on an edge belongs to the bin above, also where rescaling left it a rounding error below.

    Args:
        mos: [n], each in [0, 1].
        bins: at least 1.

    Returns:
        int64 [n], each in 0 .. bins - 1.

    Raises:
        InputError: a score is NaN or outside [0, 1], or `bins` is below 1.
    """
    values = np.asarray(mos, dtype=np.float64).reshape(-1)
    if bins < 1:
        raise InputError(f"The MOS range is cut into at least one bin; got {bins}.")
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise InputError("Every reference needs a MOS in [0, 1]; rescale it first.")
    # The same nudge as LevelScheme.word_for, so that with five bins a reference's bin and its level never disagree.
    return np.minimum((values * bins + 1e-9).astype(np.int64), bins - 1)


def bin_edges(bins: int = 5) -> list[tuple[float, float]]:
    """(low, high) of each bin, worst first."""
    return [(index / bins, (index + 1) / bins) for index in range(bins)]


def select_references(
    mos: np.ndarray | Sequence[float], order: np.ndarray | Sequence[int], k: int | None, bins: int = 5
) -> list[int]:
    """The nearest reference of each quality bin, among the `k` nearest of all (Eq. 5-8).

    Args:
        mos: [n] MOS in [0, 1] of all references.
        order: indices into `mos` by ascending distance to the image (tau of Eq. 5). It may be a part of all
            references; -1, with which FAISS fills a list that is too short, is passed over.
        k: how many of the nearest are considered; more than there are means all, and so does None.
        bins: number of equal bins of [0, 1].

    Returns:
        At most `bins` indices, one per bin that the top k reach, in the order of Eq. 7: by bin, worst quality first. A
        bin without a hit is left out. The order in which they are shown to the LMM is a matter of the prompt.

    Raises:
        InputError: `k` or `bins` is below 1, or a MOS is outside [0, 1].
        ValueError: an index is out of range or repeated.
    """
    bin_of = bins_of(mos, bins)
    if k is not None and k < 1:
        raise InputError(f"At least one neighbour has to be considered; got K = {k}.")
    candidates = [int(index) for index in np.asarray(order).reshape(-1) if index != -1]
    if len(set(candidates)) != len(candidates):
        raise ValueError("The order of candidates names a reference twice.")
    if any(not 0 <= index < len(bin_of) for index in candidates):
        raise ValueError(f"The order of candidates names a reference outside 0 .. {len(bin_of) - 1}.")
    first: dict[int, int] = {}
    for index in candidates[:k]:
        first.setdefault(int(bin_of[index]), index)
    return [first[j] for j in sorted(first)]


def empty_bins(mos: np.ndarray | Sequence[float], chosen: Sequence[int], bins: int = 5) -> list[int]:
    """The bins for which no reference was chosen, worst first."""
    bin_of = bins_of(mos, bins)
    return sorted(set(range(bins)) - {int(bin_of[index]) for index in chosen})
