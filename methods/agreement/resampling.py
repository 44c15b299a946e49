"""Bootstrap resamples as counts, and correlations of all of them at once without sorting again.

A resample of n observations is the number of times that each was drawn. Every statistic here takes a matrix of such
counts [b, n]: order and ties of the data are worked out once, ranks of a resample are a running sum of its counts, and
the discordant pairs of Kendall's tau-b are counted bit by bit of the ranks. A thousand resamples of a thousand
images take a fraction of a second, of a hundred thousand images well under half a minute.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CHUNK_CELLS = 200_000
_MOST_THREADS = 8


def counts(n: int, samples: int, seed: int) -> Iterator[Floats]:
    """`samples` resamples of n observations, as float64 [b, n] pieces whose size bounds the memory used."""
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK_CELLS // n)
    for first in range(0, samples, rows):
        b = min(rows, samples - first)
        indices = rng.integers(0, n, size=(b, n))
        indices += np.arange(b)[:, None] * n
        yield np.bincount(indices.ravel(), minlength=b * n).reshape(b, n).astype(float)


def spread(function: Callable[[Floats], Floats], pieces: Iterable[Floats]) -> Iterator[Floats]:
    """`map` in order, on as many threads as this process may use cores; few pieces are in memory at a time.

    numpy lets other threads run while it sorts, sums and multiplies, which is nearly all that happens here.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[Floats]] = deque()
    with ThreadPoolExecutor(min(cores, _MOST_THREADS)) as pool:
        for piece in pieces:
            waiting.append(pool.submit(function, piece))
            if len(waiting) > cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def pearson(x: Floats, y: Floats, w: Floats) -> Floats:
    """Weighted Pearson correlations. x, y: [n] or [b, n]; w: [b, n] -> [b], NaN where either side is constant."""
    total = w.sum(1, keepdims=True)
    x = x - (w * x).sum(1, keepdims=True) / total
    y = y - (w * y).sum(1, keepdims=True) / total
    wx = w * x
    xx, yy, xy = (wx * x).sum(1), (w * y * y).sum(1), (wx * y).sum(1)
    # A resample of one repeated value leaves rounding noise instead of zero: relative to the data, that is constant.
    flat = (xx <= 1e-24 * total[:, 0]) | (yy <= 1e-24 * total[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(flat, np.nan, np.clip(xy / np.sqrt(xx * yy), -1.0, 1.0))


class Ranker:
    """Average ranks of one variable, float [n], in any resample.

    Attributes:
        order: int [n], the observations by ascending value.
        inverse: int [n], the place of each observation's value among the distinct values.
    """

    def __init__(self, values: Floats | NDArray[np.intp]) -> None:
        _, inverse = np.unique(values, return_inverse=True)
        self.order = np.argsort(inverse, kind="stable")
        self.inverse = inverse
        ordered = inverse[self.order]
        self.starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self.distinct = len(self.starts) == len(values)

    def tied(self, w: Floats) -> Floats:
        """Counts per distinct value: [b, n] -> [b, number of distinct values], values ascending."""
        ordered = np.take(w, self.order, axis=1)
        return ordered if self.distinct else np.add.reduceat(ordered, self.starts, axis=1)

    @staticmethod
    def ranks(groups: Floats) -> Floats:
        """What `tied` gave -> the rank of each distinct value, [b, groups].

        Scaled to about [-0.5, 0.5] and centred: their mean over the resample is zero.
        """
        middle = np.cumsum(groups, axis=1)
        middle -= groups / 2
        middle /= groups.sum(1, keepdims=True)
        middle -= 0.5
        return middle


class Spearman:
    """SRCC of any resample of two variables, float [n] each."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.x, self.y = Ranker(x), Ranker(y)
        # Everything is added up in the order of x, where the ranks of x need no shuffling.
        self.groups_of_x, self.groups_of_y = self.x.inverse[self.x.order], self.y.inverse[self.x.order]

    def __call__(self, w: Floats) -> Floats:
        groups_x, groups_y = self.x.tied(w), self.y.tied(w)
        ranks_x, ranks_y = Ranker.ranks(groups_x), Ranker.ranks(groups_y)
        xx = np.einsum("bn,bn,bn->b", groups_x, ranks_x, ranks_x)
        yy = np.einsum("bn,bn,bn->b", groups_y, ranks_y, ranks_y)
        if self.x.distinct:
            ordered, x = groups_x, ranks_x
        else:
            ordered, x = np.take(w, self.x.order, axis=1), np.take(ranks_x, self.groups_of_x, axis=1)
        xy = np.einsum("bn,bn,bn->b", ordered, x, np.take(ranks_y, self.groups_of_y, axis=1))
        scale = np.sqrt(xx * yy)  # exactly zero where one side of the resample is constant
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(scale > 0, np.clip(xy / scale, -1.0, 1.0), np.nan)


class Kendall:
    """Kendall's tau-b of any resample of two variables, float [n] each.

    Observations are put in the order of x (ties by y), so that a discordant pair is an inversion of the ranks of y.
    Two ranks compare at the highest bit in which they differ. From the highest bit down, every group of equal higher
    bits is parted stably into its zeros and ones: a running sum of the ones counts the inversions decided at that
    bit, and each parting moves the counts along in two streams, which memory likes better than one long shuffle.
    """

    def __init__(self, x: Floats, y: Floats) -> None:
        self.x, self.y = Ranker(x), Ranker(y)
        rank_x, rank_y = self.x.inverse, self.y.inverse
        self.both = Ranker(rank_x * (int(rank_y.max()) + 1) + rank_y)
        # Products of a count and a running sum of counts are whole numbers that float32 holds up to 2**24.
        self.dtype = np.float32 if len(x) < 2**20 else np.float64
        self.first = np.lexsort((rank_y, rank_x))
        ranks = rank_y[self.first]
        self.levels: list[tuple[NDArray[np.intp], ...]] = []
        for bit in reversed(range(int(ranks.max()).bit_length())):
            group, one = ranks >> (bit + 1), (ranks >> bit & 1).astype(bool)
            begin = np.searchsorted(group, group, side="left")
            before = np.r_[0, np.cumsum(one)]
            zeros = np.flatnonzero(~one)
            start, stop = before[begin[zeros]], before[zeros]
            useful = stop > start
            parting = np.argsort(ranks >> bit, kind="stable")
            self.levels.append((np.flatnonzero(one), zeros[useful], start[useful], stop[useful], parting))
            ranks = ranks[parting]

    def __call__(self, w: Floats) -> Floats:
        discordant = np.zeros(len(w))
        current = np.take(w.astype(self.dtype), self.first, axis=1)
        for ones, zeros, start, stop, parting in self.levels:
            running = np.zeros((len(w), len(ones) + 1), self.dtype)
            np.cumsum(np.take(current, ones, axis=1), axis=1, out=running[:, 1:])
            inversions = np.take(running, stop, axis=1)
            inversions -= np.take(running, start, axis=1)
            inversions *= np.take(current, zeros, axis=1)
            discordant += inversions.sum(1, dtype=float)
            current = np.take(current, parting, axis=1)
        n = w.sum(1)
        pairs = n * (n - 1) / 2
        tied_x, tied_y, tied_both = (_pairs(ranker.tied(w)) for ranker in (self.x, self.y, self.both))
        difference = pairs - tied_x - tied_y + tied_both - 2 * discordant
        scale = np.sqrt((pairs - tied_x) * (pairs - tied_y))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(scale > 0, difference / scale, np.nan)


def _pairs(groups: Floats) -> Floats:
    return np.asarray((groups * (groups - 1) / 2).sum(1), dtype=float)
