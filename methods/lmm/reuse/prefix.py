"""Which prompts share a prefix: the partition that saves the most tokens.

Rows are sorted, so that rows with a long common prefix are neighbours, and the sorted list is cut into runs. A run of
n rows with a common prefix of p tokens computes that prefix once and saves (n - 1) p tokens; dynamic programming over
the cuts finds the partition that saves most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Below these a second forward pass costs more than the tokens it saves.
LEAST_PREFIX = 16
LEAST_SAVING = 0.2


@dataclass(frozen=True)
class Group:
    """Rows that share their first `length` tokens; `length` is 0 for a row that shares nothing worth while."""

    members: tuple[int, ...]
    length: int


def sort_rows(keys: Sequence[np.ndarray]) -> list[int]:
    """Positions of the rows in lexicographic order of their keys."""
    return sorted(range(len(keys)), key=lambda index: keys[index].tolist())


def common_prefix(first: np.ndarray, second: np.ndarray) -> int:
    """Number of equal keys at the start."""
    length = min(len(first), len(second))
    differ = np.flatnonzero(first[:length] != second[:length])
    return int(differ[0]) if len(differ) else length


def share(keys: Sequence[np.ndarray]) -> list[Group]:
    """Partitions rows into groups with a common prefix.

    Args:
        keys: one int64 [tokens] a row; each has at least one token.

    Returns:
        groups that cover every row once. Each row keeps at least one token after its group's prefix, since that is
        where its next-token logits are read.
    """
    order = sort_rows(keys)
    count = len(order)
    # shared[i] is what row order[i] has in common with the row before it.
    shared = [0] + [common_prefix(keys[order[i - 1]], keys[order[i]]) for i in range(1, count)]
    best, cut = [0] * (count + 1), [0] * (count + 1)
    for stop in range(1, count + 1):
        best[stop], cut[stop] = best[stop - 1], stop - 1
        length = len(keys[order[stop - 1]]) - 1
        for start in range(stop - 2, -1, -1):
            length = min(length, shared[start + 1], len(keys[order[start]]) - 1)
            if length < LEAST_PREFIX:
                break
            saved = best[start] + (stop - start - 1) * length
            if saved > best[stop]:
                best[stop], cut[stop] = saved, start
    groups, stop = [], count
    while stop > 0:
        groups.append(_group([order[i] for i in range(cut[stop], stop)], keys))
        stop = cut[stop]
    return [single for group in reversed(groups) for single in group]


def _group(members: list[int], keys: Sequence[np.ndarray]) -> list[Group]:
    if len(members) > 1:
        length = min(common_prefix(keys[members[0]], keys[member]) for member in members)
        length = min(length, min(len(keys[member]) for member in members) - 1)
        total = sum(len(keys[member]) for member in members)
        if length >= LEAST_PREFIX and (len(members) - 1) * length >= LEAST_SAVING * total:
            return [Group(tuple(members), length)]
    return [Group((member,), 0) for member in members]
