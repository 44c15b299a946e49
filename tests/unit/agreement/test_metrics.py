"""The statistics against scipy, against themselves resample by resample, and on the inputs that break naive ones."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from methods.agreement import logistic, resampling
from methods.agreement import metrics as stats


def made(n=200, noise=0.3, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    mos = rng.uniform(0, 100, n)
    scores = 1 / (1 + np.exp(-(mos - 50) / 18)) + noise * rng.normal(size=n) * 0.3
    if ties:
        scores, mos = np.round(scores * 4) / 4, np.round(mos / 10) * 10
    return scores, mos


def test_point_values_are_scipys():
    scores, mos = made(ties=True)
    assert stats.srcc(scores, mos) == pytest.approx(scipy_stats.spearmanr(scores, mos).statistic, abs=1e-12)
    assert stats.plcc(scores, mos) == pytest.approx(np.corrcoef(scores, mos)[0, 1], abs=1e-12)
    assert stats.krcc(scores, mos) == pytest.approx(scipy_stats.kendalltau(scores, mos).statistic, abs=1e-12)
    assert stats.rmse([1, 2, 3], [1, 2, 5]) == pytest.approx(np.sqrt(4 / 3))


def test_worked_example_with_ties():
    # Ranks 1.5 1.5 3 4 against 1 2 3 4.
    assert stats.srcc([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert stats.krcc([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / np.sqrt(5 * 6))


@pytest.mark.parametrize("ties", [False, True])
def test_every_resample_equals_scipy_on_that_resample(ties):
    scores, mos = made(60, ties=ties)
    weights = np.concatenate(list(resampling.counts(60, 40, seed=3)))
    assert (weights.sum(1) == 60).all()
    srcc, krcc = resampling.Spearman(scores, mos)(weights), resampling.Kendall(scores, mos)(weights)
    for row, counts in enumerate(weights.astype(int)):
        x, y = np.repeat(scores, counts), np.repeat(mos, counts)
        assert srcc[row] == pytest.approx(scipy_stats.spearmanr(x, y).statistic, abs=1e-10)
        assert krcc[row] == pytest.approx(scipy_stats.kendalltau(x, y).statistic, abs=1e-10)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 5), st.integers(0, 3)), min_size=3, max_size=25))
def test_counted_kendall_on_any_ties_and_counts(rows):
    x, y, counts = (np.array(column) for column in zip(*rows))
    long_x, long_y = np.repeat(x, counts), np.repeat(y, counts)
    tau = resampling.Kendall(x.astype(float), y.astype(float))(counts[None].astype(float))[0]
    if len(long_x) < 2 or np.ptp(long_x) == 0 or np.ptp(long_y) == 0:
        assert np.isnan(tau)
    else:
        assert tau == pytest.approx(scipy_stats.kendalltau(long_x, long_y).statistic, abs=1e-10)


@pytest.mark.parametrize("name", stats.METRICS)
def test_interval_is_that_of_refitting_every_resample(name):
    scores, mos = made(120, seed=5)
    fast = stats.bootstrap_ci(scores, mos, name, samples=80, seed=1)
    function = stats._FUNCTIONS[name]
    draws = [function(np.repeat(scores, c), np.repeat(mos, c))
             for weights in resampling.counts(120, 80, 1) for c in weights.astype(int)]
    slow = np.quantile(draws, [0.025, 0.975])
    assert fast == pytest.approx(slow, rel=1e-3, abs=1e-4)
    assert fast.low < function(scores, mos) < fast.high


def test_intervals_repeat_with_the_seed_and_shrink_with_n():
    scores, mos = made(100)
    assert stats.bootstrap_ci(scores, mos) == stats.bootstrap_ci(scores, mos)
    assert stats.bootstrap_ci(scores, mos) != stats.bootstrap_ci(scores, mos, seed=1)
    wide, narrow = stats.bootstrap_ci(*made(60)), stats.bootstrap_ci(*made(3000))
    assert narrow.high - narrow.low < wide.high - wide.low


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(11)
    hits = 0
    for trial in range(200):
        x = rng.normal(size=150)
        y = 0.6 * x + 0.8 * rng.normal(size=150)
        low, high = stats.bootstrap_ci(x, y, "plcc", samples=300, seed=trial)
        hits += low <= 0.6 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_any_function_can_be_a_metric():
    scores, mos = made(50)
    by_name = stats.bootstrap_ci(scores, mos, "srcc", samples=50)
    assert stats.bootstrap_ci(scores, mos, stats.srcc, samples=50) == by_name
    assert stats.bootstrap_ci(scores, mos, lambda x, y: scipy_stats.spearmanr(x, y).statistic,
                              samples=50) == pytest.approx(by_name)


def test_paired_difference_sees_what_unpaired_intervals_cannot():
    rng = np.random.default_rng(2)
    mos = rng.normal(size=400)
    common = mos + 0.8 * rng.normal(size=400)
    a, b = common + 0.05 * rng.normal(size=400), common + 0.3 * rng.normal(size=400)
    difference = stats.paired_difference(a, b, mos)
    assert difference.value == pytest.approx(stats.srcc(a, mos) - stats.srcc(b, mos))
    assert 0 < difference.low < difference.value < difference.high
    assert difference.p < 0.05
    one, other = stats.bootstrap_ci(a, mos), stats.bootstrap_ci(b, mos)
    assert one.low < other.high, "the two single intervals overlap although the difference is clear"
    mirrored = stats.paired_difference(b, a, mos)
    assert (mirrored.low, mirrored.high) == pytest.approx((-difference.high, -difference.low))
    same = stats.paired_difference(a, a, mos)
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_logistic_recovers_a_known_map():
    x = np.linspace(-3, 5, 300)
    truth = logistic.Logistic4(upper=90, lower=10, midpoint=0.7, slope=0.8)
    fit = stats.fit_logistic4(x, truth(x))
    assert (fit.upper, fit.lower, fit.midpoint, fit.slope) == pytest.approx((90, 10, 0.7, 0.8), rel=1e-4)
    assert stats.plcc_logistic4(x, truth(x)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("transform", [
    lambda x: x, lambda x: 1e-3 * x + 5, lambda x: 1e6 * x, lambda x: np.exp(x), lambda x: x**3,
    lambda x: np.round(x), lambda x: (x > 0).astype(float) + 1e-3 * x,
])
def test_logistic_never_loses_to_the_straight_line(transform):
    rng = np.random.default_rng(4)
    mos = rng.normal(size=250)
    scores = transform(mos + 0.5 * rng.normal(size=250))
    mapped = stats.logistic4(scores, mos)
    assert mapped.shape == (250,)
    assert np.isfinite(mapped).all()
    order = np.argsort(scores)
    assert (np.diff(mapped[order]) >= -1e-9).all()
    assert stats.plcc_logistic4(scores, mos) >= stats.plcc(scores, mos) - 2e-4
    assert stats.rmse_logistic4(scores, mos) <= mos.std() + 1e-9


def test_ranking_backwards_stays_negative_after_the_fit():
    scores, mos = made(150)
    assert stats.plcc_logistic4(-scores, mos) == pytest.approx(-stats.plcc_logistic4(scores, mos), abs=1e-5)
    assert stats.bootstrap_ci(-scores, mos, "plcc_logistic4", samples=50).high < 0


def test_binned_refits_agree_with_exact_ones(monkeypatch):
    scores, mos = made(4000)
    binned = stats.bootstrap_ci(scores, mos, "plcc_logistic4", samples=60)
    monkeypatch.setattr(logistic, "_BINS", 10**9)
    assert stats.bootstrap_ci(scores, mos, "plcc_logistic4", samples=60) == pytest.approx(binned, abs=2e-5)


def test_summary_holds_every_metric_with_n():
    scores, mos = made(90)
    metrics = stats.summary(scores, mos, samples=100)
    assert tuple(metrics) == stats.METRICS
    for name, estimate in metrics.items():
        assert estimate.n == 90
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.to_dict() == {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": 90}
        assert estimate.low == stats.bootstrap_ci(scores, mos, name, samples=100).low
    assert metrics["rmse"].value < mos.std()


def test_summary_says_why_a_metric_is_missing():
    constant = stats.summary([0.5] * 10, np.arange(10.0))
    assert all(one.value is None and "equal" in one.note for one in constant.values())
    few = stats.summary([1, 2, 3], [1, 3, 2], samples=20)
    assert few["srcc"].value == pytest.approx(0.5)
    assert few["plcc_logistic4"].value is None
    assert "at least 5" in few["plcc_logistic4"].to_dict()["note"]
    assert all(one.value is None and one.n == 0 for one in stats.summary([], []).values())


@pytest.mark.parametrize(("scores", "mos", "sentence"), [
    ([1, 2, 3], [1, 2], "3 scores and 2 opinions"),
    ([1, 1, 1], [1, 2, 3], "All scores are equal"),
    ([1, 2, 3], [4, 4, 4], "All opinions are equal"),
    ([1, np.nan, 3], [1, 2, 3], "1 of 3 scores are not finite"),
    ([1, 2, 3], [1, 2, np.inf], "1 of 3 opinions are not finite"),
    ([1], [1], "at least"),
    ([[1, 2], [3, 4]], [1, 2], "one number per image"),
])
def test_bad_input_is_a_sentence(scores, mos, sentence):
    for function in (stats.srcc, stats.plcc, stats.krcc, stats.bootstrap_ci):
        with pytest.raises(ValueError, match=sentence):
            function(scores, mos)


def test_unknown_names_and_settings_are_sentences():
    scores, mos = made(20)
    with pytest.raises(ValueError, match="choose from srcc"):
        stats.bootstrap_ci(scores, mos, "spearman")
    with pytest.raises(ValueError, match="between 0 and 1"):
        stats.bootstrap_ci(scores, mos, confidence=95)
    with pytest.raises(ValueError, match="at least one resample"):
        stats.bootstrap_ci(scores, mos, samples=0)


def test_resamples_without_spread_are_left_out():
    low, high = stats.bootstrap_ci([0, 0, 1], [1, 2, 3], "srcc", samples=200)
    assert -1 <= low <= high <= 1


def test_pieces_come_back_in_order_and_errors_with_them():
    def slow(piece):
        time.sleep(0.002 * (piece[0] % 3))
        return piece * 2

    pieces = [np.array([number]) for number in range(40)]
    assert [int(part[0]) for part in resampling.spread(slow, iter(pieces))] == [2 * number for number in range(40)]
    with pytest.raises(ZeroDivisionError):
        list(resampling.spread(lambda piece: 1 // int(piece[0]), iter(pieces)))


def test_many_images_are_spread_over_threads_without_a_difference():
    scores, mos = made(4000)
    spread = stats.summary(scores, mos, samples=200)
    draws = [stats._Batched(scores, mos, set(stats.METRICS))(weights) for weights in resampling.counts(4000, 200, 0)]
    assert len(draws) > 2
    for name in stats.METRICS:
        low, high = np.quantile(np.concatenate([piece[name] for piece in draws]), [0.025, 0.975])
        assert (spread[name].low, spread[name].high) == (low, high)


def test_rounding_errors_of_float32_are_ties():
    """Eight copies of one picture, scored in batches: differences of 4e-8 are no finding."""
    rng = np.random.default_rng(0)
    mos = np.arange(8.0)
    noise = 0.43 + 4e-8 * rng.permutation(8)
    for function in (stats.srcc, stats.plcc, stats.krcc, stats.bootstrap_ci, stats.fit_logistic4):
        with pytest.raises(ValueError, match="All scores are equal"):
            function(noise, mos)
    assert all(one.value is None for one in stats.summary(noise, mos).values())
    with pytest.raises(ValueError, match="All scores are equal"):
        stats.paired_difference(noise, mos, mos)
    # The same beside other pictures, and in other units.
    scores = np.concatenate([noise, [0.1, 0.9]])
    exact = np.concatenate([np.full(8, 0.43), [0.1, 0.9]])
    mos = np.append(mos, [-3, -1])
    for unit in (1.0, 100.0, 1e-200):
        assert stats.srcc(scores * unit, mos) == stats.srcc(exact, mos)
        assert stats.krcc(scores * unit, mos) == stats.krcc(exact, mos)
        interval = stats.bootstrap_ci(scores * unit, mos, samples=50)
        assert interval == pytest.approx(stats.bootstrap_ci(exact, mos, samples=50), abs=1e-12)
    assert stats.summary(scores, mos)["krcc"].value == stats.krcc(exact, mos)


def test_a_dense_row_of_different_scores_never_becomes_one():
    # Neighbours are nearer than float precision, but the whole spans more than any rounding.
    scores = 0.5 + np.arange(1000) * 1e-6 / 20
    assert distinct(scores) == 1000
    assert stats.srcc(np.append(scores, 0.9), np.arange(1001.0)) == pytest.approx(1)
    # What is further apart than float precision keeps its order, however close the rest is.
    assert distinct(0.5 + np.arange(100) * 1e-6) == 100
    assert distinct(np.array([])) == 0
    # Among thousands, chance brings pairs together; among ten it does not.
    many = np.append(np.random.default_rng(0).uniform(0, 1, 5000), [0.5, 0.5 + 4e-8])
    assert distinct(many) == 5002
    assert distinct(np.append(many[:10], many[-2:])) == 11
    copies = 0.5 + 4e-8 * np.arange(4)
    assert distinct(np.append(many[:4000], copies)) == 4001


def distinct(scores):
    return len(np.unique(stats.without_rounding(scores)))


def test_the_mean_of_srcc_and_plcc_is_a_metric_with_an_interval():
    rng = np.random.default_rng(3)
    mos = rng.uniform(0, 100, 40)
    scores = mos + rng.normal(0, 25, 40)
    mean = stats.mean_srcc_plcc(scores, mos)
    assert mean == pytest.approx((stats.srcc(scores, mos) + stats.plcc(scores, mos)) / 2)
    estimate = stats.summary(scores, mos, metrics=("mean_srcc_plcc",))["mean_srcc_plcc"]
    assert estimate.low < estimate.value == mean < estimate.high
    # All resamples at once give what a function that is called once a resample gives.
    slow = stats.bootstrap_ci(scores, mos, lambda x, y: stats.mean_srcc_plcc(x, y), samples=50)
    assert stats.bootstrap_ci(scores, mos, "mean_srcc_plcc", samples=50) == pytest.approx(slow)
