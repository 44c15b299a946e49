"""Eq. 1-4 and 7 against numbers worked out by hand with the normal distribution function alone."""

import pickle
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from methods.visualquality_r1.thurstone import (
    VARIANTS,
    advantages,
    comparative_probability,
    fidelity_reward,
    preference,
    sample_variance,
    true_preference,
)


def phi(x):
    return 0.5 * (1 + erf(x / sqrt(2)))


# Picture 1: samples 2, 4 (mean 3, unbiased variance 2). Picture 2: samples 1, 2 (mean 1.5, variance 0.5).
ONE, TWO = [2.0, 4.0], [1.0, 2.0]
GAMMA = 0.0625
SPREAD = sqrt(2 + 0.5 + GAMMA)


def test_variance_is_unbiased():
    assert sample_variance(np.array([ONE, TWO])).tolist() == [2.0, 0.5]
    assert sample_variance(np.array([3.0])) == 0


def test_equation_1():
    assert comparative_probability(4.0, ONE, TWO, GAMMA) == pytest.approx(phi((4 - 1.5) / SPREAD))
    assert comparative_probability(2.0, ONE, TWO, GAMMA) == pytest.approx(phi((2 - 1.5) / SPREAD))
    assert comparative_probability(1.0, TWO, ONE, GAMMA) == pytest.approx(phi((1 - 3) / SPREAD))


def test_equation_1_is_asymmetric_in_the_sample():
    both = comparative_probability(np.array(ONE), ONE, TWO, GAMMA)
    assert both.shape == (2,)
    assert both[0] < both[1]


def test_one_sample_each_leaves_gamma():
    assert comparative_probability(3.0, [3.0], [2.0], 0.25) == pytest.approx(phi(1 / 0.5))


def test_agreeing_samples_are_a_certain_but_finite_comparison():
    assert comparative_probability(3.0, [3.0] * 6, [2.0] * 6) == pytest.approx(1.0)
    assert comparative_probability(2.0, [2.0] * 6, [2.0] * 6) == pytest.approx(0.5)


@pytest.mark.parametrize(("q_i", "q_j", "gamma"), [([], [1.0], 1), ([1.0], [float("nan")], 1), ([1.0], [1.0], 0)])
def test_what_cannot_be_compared_is_refused(q_i, q_j, gamma):
    with pytest.raises(ValueError, match=r"sample|gamma"):
        comparative_probability(1.0, q_i, q_j, gamma)


def test_equation_2():
    assert true_preference([3, 1, 3]).tolist() == [[0.5, 1, 0.5], [0, 0.5, 0], [0.5, 1, 0.5]]


def test_equation_3_for_two_pictures():
    rewards = fidelity_reward(np.array([ONE, TWO]), [80, 20], GAMMA)
    expected = [
        [sqrt(phi((2 - 1.5) / SPREAD)), sqrt(phi((4 - 1.5) / SPREAD))],
        [sqrt(1 - phi((1 - 3) / SPREAD)), sqrt(1 - phi((2 - 3) / SPREAD))],
    ]
    assert rewards == pytest.approx(np.array(expected))


def test_equation_3_with_tied_opinions():
    rewards = fidelity_reward(np.array([ONE, TWO]), [5, 5], GAMMA)
    p = phi((2 - 1.5) / SPREAD)
    assert rewards[0, 0] == pytest.approx(sqrt(0.5 * p) + sqrt(0.5 * (1 - p)))


def test_equation_3_averages_over_the_other_pictures():
    samples = np.array([ONE, TWO, [5.0, 3.0]])
    rewards = fidelity_reward(samples, [2, 1, 3], GAMMA)
    first = sqrt(phi((4 - 1.5) / SPREAD))
    second = sqrt(1 - phi((4 - 4) / sqrt(2 + 2 + GAMMA)))
    assert rewards.shape == (3, 2)
    assert rewards[0, 1] == pytest.approx((first + second) / 2)


def test_the_codes_eps_stands_inside_both_roots():
    p = phi((2 - 1.5) / SPREAD)
    reward = fidelity_reward(np.array([ONE, TWO]), [80, 20], GAMMA, eps=1e-6)[0, 0]
    assert reward == pytest.approx(sqrt(p + 1e-6) + sqrt(1e-6), abs=1e-12)


def test_equation_7_averages_probabilities():
    reward = fidelity_reward(np.array([ONE, TWO]), [80, 20], GAMMA, variant="probability-average")[0, 1]
    assert reward == pytest.approx(sqrt((phi(3 / SPREAD) + phi(2 / SPREAD)) / 2))


def test_fixed_variance_is_equation_7_with_ones():
    reward = fidelity_reward(np.array([ONE, TWO]), [80, 20], GAMMA, variant="fixed-variance")[0, 1]
    spread = sqrt(2 + GAMMA)
    assert reward == pytest.approx(sqrt((phi(3 / spread) + phi(2 / spread)) / 2))


def test_binary_reward_counts_the_pairs_on_the_right_side():
    samples = np.array([[2.0, 4.0], [3.0, 3.0], [1.0, 1.0]])
    rewards = fidelity_reward(samples, [3, 2, 1], GAMMA, variant="binary")
    assert rewards.tolist() == [[0.5, 1.0], [0.5, 0.5], [1.0, 1.0]]


def test_equation_4():
    # rewards .2, .4, .6: mean .4, unbiased deviation .2
    assert advantages(np.array([[0.2, 0.4, 0.6]]))[0] == pytest.approx([-1, 0, 1])
    assert advantages(np.array([[0.3, 0.3]])).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("samples", "mos", "variant"),
    [([[1.0, 2.0]], [1], "mean"), ([[1.0], [2.0]], [1], "mean"), ([[1.0], [np.inf]], [1, 2], "mean"),
     ([[1.0], [2.0]], [1, np.nan], "mean"),
     ([[1.0], [2.0]], [1, 2], "kendall")],
)
def test_batches_that_cannot_be_rewarded_are_refused(samples, mos, variant):
    with pytest.raises(ValueError, match=r"image|variant"):
        fidelity_reward(np.array(samples), mos, variant=variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_unreadable_texts_earn_nothing_and_are_left_out_of_the_rest(variant):
    mos = [3, 2, 1]
    full = fidelity_reward(np.array([[4.0, 3.0], [3.0, 2.0], [1.0, 2.0]]), mos, variant=variant)
    holes = np.array([[4.0, 3.0, np.nan], [3.0, np.nan, 2.0], [1.0, 2.0, np.nan]])
    rewards = fidelity_reward(holes, mos, variant=variant)
    assert rewards[np.isnan(holes)].tolist() == [0, 0, 0]
    assert rewards[~np.isnan(holes)] == pytest.approx(full.ravel())


def test_a_picture_without_any_score_is_nobodys_opponent():
    samples = np.array([ONE, TWO, [np.nan, np.nan]])
    rewards = fidelity_reward(samples, [80, 20, 50], GAMMA)
    assert rewards[:2] == pytest.approx(fidelity_reward(samples[:2], [80, 20], GAMMA))
    assert rewards[2].tolist() == [0, 0]
    assert fidelity_reward(np.full((2, 3), np.nan), [1, 2]).tolist() == [[0, 0, 0]] * 2


batches = arrays(np.float64, st.tuples(st.integers(2, 5), st.integers(1, 6)), elements=st.floats(1, 5))


@given(batches, st.sampled_from(VARIANTS))
def test_rewards_lie_in_the_unit_interval(samples, variant):
    rewards = fidelity_reward(samples, np.arange(len(samples)), variant=variant)
    assert rewards.shape == samples.shape
    assert (rewards >= 0).all()
    assert (rewards <= 1 + 1e-12).all()


@given(batches)
def test_only_the_order_of_opinions_counts(samples):
    mos = np.arange(len(samples), dtype=float)
    assert fidelity_reward(samples, mos) == pytest.approx(fidelity_reward(samples, np.exp(mos) * 7))


@given(batches)
def test_the_vectorised_reward_is_the_written_sum(samples):
    mos = np.random.default_rng(0).permutation(len(samples))
    expected = np.zeros_like(samples)
    for i in range(len(samples)):
        for k in range(samples.shape[1]):
            for j in range(len(samples)):
                if j != i:
                    p = comparative_probability(samples[i, k], samples[i], samples[j])
                    expected[i, k] += sqrt(p) if mos[i] > mos[j] else sqrt(1 - p)
    assert fidelity_reward(samples, mos) == pytest.approx(expected / (len(samples) - 1))


def test_preference_by_hand():
    verdict = preference(ONE, TWO, GAMMA)
    assert verdict.probability == pytest.approx(phi(1.5 / SPREAD))
    assert float(verdict) == verdict.probability
    assert verdict.difference == 1.5
    assert verdict.low <= verdict <= verdict.high


def test_a_preference_survives_pickling():
    verdict = preference(ONE, TWO)
    again = pickle.loads(pickle.dumps(verdict))
    assert (again, again.low, again.high) == (verdict, verdict.low, verdict.high)


def test_preference_turns_around():
    there, back = preference(ONE, TWO), preference(TWO, ONE)
    assert there.probability + back.probability == pytest.approx(1)


def test_more_samples_narrow_the_interval():
    rng = np.random.default_rng(3)
    first, second = rng.normal(3.2, 0.4, 60), rng.normal(3.0, 0.4, 60)
    few, many = preference(first[:4], second[:4]), preference(first, second)
    assert many.high - many.low < few.high - few.low
