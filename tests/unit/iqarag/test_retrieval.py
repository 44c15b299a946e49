"""Eq. 5-8 by hand: bins, first hits, ties, ends of the range, K too small and too large."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.iqarag.retrieval import bin_edges, bins_of, empty_bins, select_references
from methods.levels import FIVE_LEVELS


def test_the_nearest_of_each_bin_worst_bin_first():
    #       bin   4     2     0     2     3     0     1
    mos = [0.95, 0.55, 0.10, 0.50, 0.70, 0.05, 0.30]
    order = [3, 5, 1, 0, 2, 4, 6]
    assert select_references(mos, order, k=7) == [5, 6, 3, 4, 0]


def test_only_the_top_k_are_looked_at_and_bins_stay_empty():
    mos = [0.95, 0.55, 0.10, 0.50, 0.70]
    order = [3, 1, 0, 2, 4]
    assert select_references(mos, order, k=3) == [3, 0]
    assert empty_bins(mos, [3, 0]) == [0, 1, 3]


def test_one_neighbour_gives_one_reference():
    assert select_references([0.2, 0.9, 0.4], [2, 0, 1], k=1) == [2]


def test_more_neighbours_than_references_means_all():
    mos = [0.9, 0.1]
    assert select_references(mos, [0, 1], k=50) == select_references(mos, [0, 1], k=None) == [1, 0]


def test_the_ends_and_the_edges_of_the_range():
    assert bins_of([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]).tolist() == [0, 1, 2, 3, 4, 4]
    assert bins_of([0.19999, 0.39999, 0.59999, 0.79999, 0.99999]).tolist() == [0, 1, 2, 3, 4]
    assert select_references([1.0, 0.0], [0, 1], k=2) == [1, 0]
    assert select_references([1.0, 0.85], [0, 1], k=2) == [0]


def test_a_rescaled_score_on_an_edge_belongs_to_the_bin_above():
    # 2.6 of 1..5 is 0.4 but for a rounding error below.
    rescaled = (2.6 - 1) / 4
    assert bins_of([rescaled, (0.7 - 0.1) / 1.0]).tolist() == [2, 3]


def test_equal_distances_keep_the_given_order():
    assert select_references([0.5, 0.5, 0.5], [1, 2, 0], k=3) == [1]


def test_faiss_fills_short_lists_with_minus_one():
    assert select_references([0.5, 0.9], [1, 0, -1, -1], k=4) == [0, 1]


def test_other_numbers_of_bins():
    mos = [0.1, 0.4, 0.6, 0.9]
    assert select_references(mos, [0, 1, 2, 3], k=4, bins=1) == [0]
    assert select_references(mos, [3, 2, 1, 0], k=4, bins=2) == [1, 3]
    assert bin_edges(2) == [(0.0, 0.5), (0.5, 1.0)]


def test_nothing_to_choose_from():
    assert select_references([], [], k=5) == []
    assert select_references([0.5], [], k=5) == []


@pytest.mark.parametrize(("mos", "order", "k", "bins", "sentence"), [
    ([1.2], [0], 1, 5, "in \\[0, 1\\]"), ([-0.1], [0], 1, 5, "in \\[0, 1\\]"), ([np.nan], [0], 1, 5, "in \\[0, 1\\]"),
    ([0.5], [0], 0, 5, "K = 0"), ([0.5], [0], 1, 0, "at least one bin"),
    ([0.5], [1], 1, 5, "outside 0 .. 0"), ([0.5, 0.5], [1, 1], 2, 5, "twice"),
])
def test_what_cannot_be_meant_is_refused(mos, order, k, bins, sentence):
    with pytest.raises(ValueError, match=sentence):
        select_references(mos, order, k, bins)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(1, 60))
def test_the_rule_holds_for_any_set(mos, random, k):
    order = list(range(len(mos)))
    random.shuffle(order)
    chosen = select_references(mos, order, k)
    bins = bins_of(mos).tolist()
    assert sorted({bins[i] for i in order[:k]}) == [bins[i] for i in chosen]
    for index in chosen:
        before = order[:order.index(index)]
        assert bins[index] not in {bins[i] for i in before}
    # The bin and the level word of a reference never disagree.
    assert [FIVE_LEVELS.words[4 - bins[i]] for i in chosen] == [FIVE_LEVELS.word_for(mos[i]) for i in chosen]
