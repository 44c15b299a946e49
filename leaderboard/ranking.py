"""Ranks over shared cells only: which datasets a set of rows has in common, and who is ahead on them.

A mean over whatever cells a row happens to have rewards rows that were tested on easy sets only. Here a row is ranked
only if it has a result on every dataset that ranks are over, and these are chosen so that as many cells as possible
take part: it is always said which they are and how many rows they leave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MAX_SETS = 4096


@dataclass(frozen=True)
class Ranks:
    """Ranks of rows by position in the input.

    Attributes:
        datasets: the shared datasets that ranks are over, in the order given.
        position: row -> competition rank (1, 2, 2, 4).
        mean_rank: row -> mean over the datasets of its average rank, 1 is best.
        borda: row -> Borda points, one for every other ranked row beaten on a dataset and half for a tie.
        most_points: Borda points of a row that beats all others everywhere.
    """

    datasets: tuple[str, ...]
    position: Mapping[int, int]
    mean_rank: Mapping[int, float]
    borda: Mapping[int, float]
    most_points: float


def shared_datasets(rows: Sequence[frozenset[str]], order: Sequence[str]) -> tuple[str, ...]:
    """The datasets that ranks should be over: the set for which (rows that have all of it) x (its size) is largest.

    Args:
        rows: datasets on which each row has a result.
        order: all datasets; the answer keeps their order.

    Returns:
        The best set; at equal size of the block the one with more datasets. () where no dataset has two rows.
    """
    patterns: dict[frozenset[str], int] = {}
    for row in rows:
        patterns[row & frozenset(order)] = patterns.get(row & frozenset(order), 0) + 1
    patterns.pop(frozenset(), None)
    # The best set is what some group of rows has in common: an intersection of the rows' own sets.
    closed = set(patterns)
    frontier = list(closed)
    while frontier and len(closed) < _MAX_SETS:
        candidate = frontier.pop()
        fresh = {candidate & pattern for pattern in patterns} - closed - {frozenset()}
        closed |= fresh
        frontier.extend(fresh)
    best: tuple = (0, 0, ())
    for candidate in closed:
        complete = sum(count for pattern, count in patterns.items() if candidate <= pattern)
        if complete >= 2:
            earliest = tuple(-index for index, name in enumerate(order) if name in candidate)
            best = max(best, (complete * len(candidate), len(candidate), earliest))
    return tuple(order[-index] for index in best[2])


def rank(rows: Sequence[Mapping[str, float]], datasets: Sequence[str], *, lower_is_better: bool = False) -> Ranks:
    """Ranks the rows that have a value on every one of `datasets`.

    Args:
        rows: dataset -> value of every row.
        datasets: the shared datasets; none gives no ranks.
        lower_is_better: for RMSE.
    """
    complete = [index for index, row in enumerate(rows) if datasets and all(name in row for name in datasets)]
    if not complete:
        return Ranks(tuple(datasets), {}, {}, {}, 0.0)
    total = dict.fromkeys(complete, 0.0)
    for name in datasets:
        for index, place in _average_ranks({i: rows[i][name] for i in complete}, lower_is_better).items():
            total[index] += place
    mean_rank = {index: total[index] / len(datasets) for index in complete}
    # Beating k of m - 1 others on a dataset is an average rank of m - k, ties halved on both sides.
    points = {index: len(datasets) * len(complete) - total[index] for index in complete}
    ordered = sorted(mean_rank.values())
    position = {index: ordered.index(value) + 1 for index, value in mean_rank.items()}
    return Ranks(tuple(datasets), position, mean_rank, points, float(len(datasets) * (len(complete) - 1)))


def _average_ranks(values: Mapping[int, float], lower_is_better: bool) -> dict[int, float]:
    ordered = sorted(values, key=lambda index: values[index], reverse=not lower_is_better)
    places: dict[int, float] = {}
    first = 0
    while first < len(ordered):
        last = first
        while last + 1 < len(ordered) and values[ordered[last + 1]] == values[ordered[first]]:
            last += 1
        for index in ordered[first:last + 1]:
            places[index] = (first + last) / 2 + 1
        first = last + 1
    return places


def marks(values: Mapping[int, float], *, lower_is_better: bool = False) -> dict[int, int]:
    """Row -> 1 for the best and 2 for the second-best value; ties share a mark, one lone row gets none."""
    if len(values) < 2:
        return {}
    distinct = sorted(set(values.values()), reverse=not lower_is_better)[:2]
    marked = {index: distinct.index(value) + 1 for index, value in values.items() if value in distinct}
    # Two rows that share the best value leave no second place.
    if sum(mark == 1 for mark in marked.values()) > 1:
        marked = {index: mark for index, mark in marked.items() if mark == 1}
    return marked
