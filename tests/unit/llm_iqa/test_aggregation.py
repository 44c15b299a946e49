"""Section 3.2 and Eq. 1 of LLM-IQA against numbers worked out by hand and the paper's Table 1."""

import csv

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from methods.llm_iqa.aggregation import (
    code_final_score,
    ensemble,
    final_score,
    local_score,
    native_range,
    quantise,
    region_weights,
    rescale,
)


def test_local_score_weighs_by_area():
    # (7 * 600 + 3 * 300 + 1 * 100) / 1000 = 5.2
    assert local_score([7, 3, 1], [600, 300, 100]) == pytest.approx(5.2)


def test_local_score_is_unchanged_by_the_unit_of_area():
    assert local_score([7, 3], [3, 1]) == pytest.approx(local_score([7, 3], [3000, 1000])) == pytest.approx(6.0)


def test_plain_mean_ignores_area():
    assert local_score([7, 3, 2], [10_000, 1, 1], weighting="mean") == pytest.approx(4.0)


def test_one_region_counts_fully():
    assert local_score([4], [17]) == 4.0


@pytest.mark.parametrize(
    ("scores", "areas", "weighting"),
    [([], [], "area"), ([1, 2], [1], "area"), ([1, 2], [1, 0], "area"), ([1], [float("nan")], "area"),
     ([1], [1], "volume")],
)
def test_local_score_refuses_what_it_cannot_weigh(scores, areas, weighting):
    with pytest.raises(ValueError, match=r"region|area|Regions"):
        local_score(scores, areas, weighting)


def test_weights_sum_to_one():
    assert region_weights([5, 3, 2]).tolist() == pytest.approx([0.5, 0.3, 0.2])


@pytest.mark.parametrize(("lam", "expected"), [(0.0, 6.0), (1.0, 10.5), (0.5, 8.25)])
def test_final_score_adds_the_regions_with_lambda(lam, expected):
    assert final_score(6.0, 4.5, lam) == pytest.approx(expected)


def test_final_score_defaults_to_the_papers_lambda():
    assert final_score(6, 4) == 10


def test_code_variant():
    # local 4.5 + 0.1 * 8 masks + 0.5 * global 6
    assert code_final_score(6.0, 4.5, 8) == pytest.approx(8.3)


def test_ensemble_is_the_mean_and_can_be_weighted():
    assert ensemble([10.0, 13.0]) == pytest.approx(11.5)
    assert ensemble([10.0, 13.0], [3, 1]) == pytest.approx(10.75)


@pytest.mark.parametrize(("scores", "weights"), [([], None), ([1.0], [0.0]), ([1.0, 2.0], [1.0]), ([1.0], [-1.0])])
def test_ensemble_refuses_what_it_cannot_average(scores, weights):
    with pytest.raises(ValueError, match="ensemble"):
        ensemble(scores, weights)


@pytest.mark.parametrize(
    ("uses_global", "uses_local", "lam", "expected"),
    [(True, True, 1.0, (2.0, 14.0)), (True, True, 0.5, (1.5, 10.5)), (True, False, 1.0, (1.0, 7.0)),
     (False, True, 3.0, (1.0, 7.0))],
)
def test_native_range(uses_global, uses_local, lam, expected):
    assert native_range(7, uses_global=uses_global, uses_local=uses_local, lam=lam) == expected


def test_code_range_starts_at_the_lowest_possible_score():
    low, high = native_range(7, uses_global=True, uses_local=True, code=True)
    assert low == pytest.approx(code_final_score(1, 1, 1))
    assert high > code_final_score(7, 7, 30)


def test_rescale_spans_the_unit_interval():
    assert [rescale(value, (2, 14)) for value in (2, 8, 14, 20)] == [0, 0.5, 1, 1]


def test_quantise_by_hand():
    # K = 4 on [0, 1]: 0.3 * 4 = 1.2 -> 1, 0.7 * 4 = 2.8 -> 3
    assert quantise([0.0, 0.3, 0.7, 1.0], 4).tolist() == [0, 1, 3, 4]


def test_quantise_refuses_constant_scores():
    with pytest.raises(ValueError, match="differ"):
        quantise([3.0, 3.0], 7)


@pytest.mark.parametrize(
    ("dataset", "k", "printed"),
    [("spaq", 7, 0.983), ("spaq", 9, 0.990), ("koniq-10k", 7, 0.967), ("koniq-10k", 9, 0.979),
     ("kadid-10k", 7, 0.988), ("kadid-10k", 9, 0.993)],
)
def test_table_1_upper_bounds(shared_data, dataset, k, printed):
    with (shared_data / "mos-tables" / f"{dataset}.csv").open() as file:
        mos = np.array([float(row["mos"]) for row in csv.DictReader(file)])
    levels = quantise(mos, k)
    mean = (spearmanr(mos, levels).statistic + pearsonr(mos, levels).statistic) / 2
    assert mean == pytest.approx(printed, abs=0.005)
