"""Eq. 9 and 10 and the schemes of Table 5 against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from methods.q_debias.aggregation import SCHEMES, aggregate, weights

QUALITY = [0.2, 0.4, 0.6, 0.8]
SIMILARITY = [0.9, 0.5, 0.7, 0.1]


def test_semantic_is_the_softmax_of_the_probabilities():
    # e^0.9 = 2.459603, e^0.5 = 1.648721, e^0.7 = 2.013753, e^0.1 = 1.105171; their sum is 7.227248.
    expected = [0.340324, 0.228126, 0.278633, 0.152917]
    assert np.allclose(weights(SIMILARITY, "semantic"), expected, atol=1e-6)
    # 0.2 * 0.340324 + 0.4 * 0.228126 + 0.6 * 0.278633 + 0.8 * 0.152917
    assert aggregate(QUALITY, SIMILARITY, "semantic") == pytest.approx(0.448828, abs=1e-6)
    assert aggregate(QUALITY, SIMILARITY) == aggregate(QUALITY, SIMILARITY, "semantic")


def test_semantic_of_certain_yes_and_certain_no():
    # Probabilities bound the ratio of two weights by e.
    assert np.allclose(weights([1.0, 0.0], "semantic"), [math.e / (math.e + 1), 1 / (math.e + 1)])
    assert aggregate([1.0, 0.0], [1.0, 0.0], "semantic") == pytest.approx(0.7310586, abs=1e-7)


def test_average():
    assert aggregate(QUALITY, SIMILARITY, "average") == pytest.approx(0.5)


def test_quality_similarity_weighs_in_proportion():
    # (0.2 * 0.9 + 0.4 * 0.5 + 0.6 * 0.7 + 0.8 * 0.1) / 2.2
    assert aggregate(QUALITY, SIMILARITY, "quality-similarity") == pytest.approx(0.88 / 2.2)
    assert np.allclose(weights([0.3, -0.2, 0.1], "quality-similarity"), [0.75, 0, 0.25])
    assert np.allclose(weights([0.0, -0.2], "quality-similarity"), [0.5, 0.5])


def test_winner_takes_all():
    assert aggregate(QUALITY, SIMILARITY, "winner-takes-all") == pytest.approx(0.2)
    assert aggregate([0.3, 0.9], [0.4, 0.4], "winner-takes-all") == pytest.approx(0.3)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_shares_and_the_score_lies_between_the_extremes(scheme):
    rng = np.random.default_rng(0)
    for count in (1, 2, 4, 7):
        quality, similarity = rng.random(count), rng.random(count)
        shares = weights(similarity, scheme)
        assert shares.shape == (count,)
        assert shares.min() >= 0
        assert shares.sum() == pytest.approx(1)
        score = aggregate(quality, similarity, scheme)
        assert isinstance(score, float)
        assert quality.min() - 1e-12 <= score <= quality.max() + 1e-12
        order = rng.permutation(count)
        assert aggregate(quality[order], similarity[order], scheme) == pytest.approx(score)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_certainty_stays_within_bounds(scheme):
    assert 0 <= aggregate([1.0] * 7, [0.3, 0.1, 0.7, 0.2, 0.9, 0.6, 0.5], scheme) <= 1


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="median"):
        aggregate(QUALITY, SIMILARITY, "median")
    with pytest.raises(ValueError, match="one quality and one similarity"):
        aggregate(QUALITY, SIMILARITY[:3], "average")
    with pytest.raises(ValueError, match="at least one condition"):
        aggregate([], [], "semantic")
    with pytest.raises(ValueError, match="finite"):
        aggregate(QUALITY, [0.1, 0.2, float("nan"), 0.3], "semantic")
    with pytest.raises(ValueError, match="probability"):
        aggregate([0.1, 1.2], [0.5, 0.5], "semantic")
    with pytest.raises(ValueError, match="probability"):
        aggregate([0.1, float("nan")], [0.5, 0.5], "semantic")
