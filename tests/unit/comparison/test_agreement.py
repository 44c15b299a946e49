"""Preferences, agreement and the sentence, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from tests.unit.comparison.made import compared
from ui.comparison.agreement import agreements, order, preference, preferences, verdict
from ui.comparison.records import Cell, Opinion


def test_preferences_come_from_the_errors_that_a_method_was_measured_to_make():
    table = preferences(compared([[0.7], [0.5]], error=16.45))
    assert table[0, 1] == pytest.approx(norm.cdf(20 / np.hypot(10, 10)))
    assert table[0, 1] + table[1, 0] == pytest.approx(1)
    assert np.isnan(table[0, 0])


def test_an_interval_that_ends_at_the_scale_counts_by_its_other_side():
    near, far = Cell(0, 0, score=0.95, opinion=Opinion(95, 75, 100)), Cell(1, 0, score=0.7, opinion=Opinion(70, 50, 90))
    assert preference(near, far) == pytest.approx(norm.cdf(25 / np.hypot(20 / 1.645, 20 / 1.645)))


def test_how_a_method_s_own_evidence_scatters_is_no_preference():
    table = preferences(compared([[0.55], [0.5]]))
    assert table[0, 1] == 1, "the spreads of a tenth say nothing of how far off a score is"


def test_a_method_that_is_not_calibrated_says_only_which_is_better():
    table = preferences(compared([[0.7], [0.5], [0.5]]))
    assert (table[0, 1], table[1, 0], table[1, 2]) == (1, 0, 0.5)


def test_several_systems_vote():
    table = preferences(compared([[0.7, 0.2], [0.5, 0.6]]))
    assert table[0, 1] == 0.5


def test_a_picture_that_no_system_scored_has_no_preference():
    table = preferences(compared([[0.7], [None], [0.2]]))
    assert np.isnan(table[1]).all()
    assert not np.isnan(table[0, 2])
    assert preferences(compared([[0.7, 0.6]])) is None


def test_agreement_counts_pairs_in_the_same_order():
    made = compared([[0.9, 0.8], [0.6, 0.3], [0.3, 0.4], [0.6, 0.1]])
    (agreement,) = agreements(made)
    # By the first system 0 > 1 = 3 > 2, by the second 0 > 2 > 1 > 3: five clear pairs, the three with 0 the same.
    assert (agreement.pictures, agreement.pairs, agreement.same) == (4, 5, 3)
    assert agreement.gap == pytest.approx(np.mean([0.1, 0.3, 0.1, 0.5]))
    assert agreement.share == pytest.approx(0.6)


def test_systems_without_a_picture_in_common_are_left_out():
    assert agreements(compared([[0.9, None], [None, 0.3]])) == []


def test_pictures_are_ordered_by_score_or_by_preference():
    assert order(compared([[0.2], [0.9], [None], [0.5]])) == [1, 3, 0]
    assert order(compared([[0.9, 0.5, 0.5], [0.1, 0.6, 0.7]])) == [1, 0]


def test_one_picture_several_systems_in_a_sentence():
    said = verdict(compared([[0.7, 0.65, 0.3]]))
    assert said.startswith("2 of 3 call it good.")
    assert "0.40 apart" in said
    assert "Q-Bench (0.70) is highest (because of 0.70)" in said
    assert "Q-Debias (0.30) lowest (because of 0.30)" in said
    assert verdict(compared([[0.70, 0.71, 0.72]])) == "All 3 call it good; all scores lie within 0.02 of each other."
    assert verdict(compared([[0.9, 0.1]])).startswith("They choose different levels.")
    assert "They lie 40 of 100 apart: Q-Bench (70) is highest" in verdict(compared([[0.7, 0.65, 0.3]], error=20))


def test_one_system_several_pictures_in_a_sentence():
    said = verdict(compared([[0.9], [0.5], [0.1]], error=20))
    assert said.startswith("Q-Bench puts photo 0 (90) before photo 1 (50), with a probability of 99% by the errors")
    assert "photo 2 is last with 10" in said
    assert "no clear difference between photo 0 (52) and photo 1 (50)" in verdict(compared([[0.52], [0.5]], error=20))
    assert "no clear difference" in verdict(compared([[0.5], [0.5]]))
    assert verdict(compared([[0.9], [0.5]])) == "Q-Bench puts photo 0 (0.90) before photo 1 (0.50)."


def test_a_grid_in_a_sentence():
    assert verdict(compared([[0.9, 0.8], [0.1, 0.2]])) == "Both systems put every pair of photos in the same order."
    said = verdict(compared([[0.9, 0.1, 0.9], [0.5, 0.5, 0.5], [0.1, 0.9, 0.2]]))
    assert "3 of 9 pairs of photos in the same order" in said
    assert "agree least (0 of 3)" in said
    assert "They differ most about photo 0" in said
    assert "1st of 3" in said
    assert "3rd of 3" in said


def test_equal_scores_everywhere_leave_no_order():
    assert "no order to agree on" in verdict(compared([[0.5, 0.5], [0.5, 0.5]]))


@pytest.mark.parametrize("table", [[[None]], [[0.5]], [[None, 0.5]], [[None], [None]]])
def test_nothing_to_compare_is_no_sentence(table):
    assert verdict(compared(table)) == ""
