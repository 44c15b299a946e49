"""Level schemes: validation, softmax and expectation, and IQARAG's printed example."""

from __future__ import annotations

import numpy as np
import pytest

from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme

FIGURE_2 = (16.87, 20.37, 13.75, 9.62, 2.60)  # Excellent, Good, Fair, Poor, Bad


def test_iqarag_figure_2():
    assert FIVE_LEVELS.expectation(FIGURE_2) == pytest.approx(0.75698, abs=5e-6)
    assert round(FIVE_LEVELS.expectation(np.array([FIGURE_2], np.float32))[0], 4) == 0.7570


def test_the_five_levels_are_those_of_the_papers():
    assert FIVE_LEVELS.words == ("excellent", "good", "fair", "poor", "bad")
    assert FIVE_LEVELS.weights == (1.0, 0.75, 0.5, 0.25, 0.0)
    assert GOOD_POOR.words == ("good", "poor")


def test_probabilities_are_a_softmax_over_the_last_axis():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)) * 30
    probabilities = FIVE_LEVELS.probabilities(logits)
    assert probabilities.shape == (3, 4, 5)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1)
    odds = np.log(probabilities[..., :1] / probabilities[..., 1:])
    np.testing.assert_allclose(odds, logits[..., :1] - logits[..., 1:])
    np.testing.assert_allclose(FIVE_LEVELS.probabilities(logits + 1e4), probabilities, rtol=1e-9)


def test_temperature_moves_the_score_to_the_middle_but_keeps_the_ranks():
    logits = np.array([[3.0, 1.0], [1.0, 3.0], [0.5, 0.0]])
    sharp, soft = GOOD_POOR.expectation(logits), GOOD_POOR.expectation(logits, temperature=100)
    assert np.argsort(sharp).tolist() == np.argsort(soft).tolist()
    assert (np.abs(soft - 0.5) < np.abs(sharp - 0.5)).all()
    assert sharp[0] == pytest.approx(1 / (1 + np.exp(-2)))


@pytest.mark.parametrize(
    ("mos", "word"),
    [(0, "bad"), (0.19, "bad"), (0.2, "poor"), (0.4, "fair"), (0.6, "good"), (0.8, "excellent"), (1, "excellent"),
     ((0.7 - 0.1) / 1, "good")],
)  # fmt: skip
def test_word_for_cuts_the_range_into_equal_bins(mos: float, word: str):
    assert FIVE_LEVELS.word_for(mos) == word


@pytest.mark.parametrize("mos", [-0.01, 1.01, float("nan")])
def test_word_for_refuses_scores_that_were_not_rescaled(mos: float):
    with pytest.raises(ValueError, match="Rescale"):
        FIVE_LEVELS.word_for(mos)


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        (("good",), (1.0,)),
        (("good", "poor"), (1.0,)),
        (("good", "good"), (1.0, 0.0)),
        (("good", "poor"), (0.5, 0.5)),
        (("a", "b", "c"), (1.0, 0.0, 0.5)),
        (("a", "b", "c"), (0.0, 1.0, 0.5)),
        (("good", "poor"), (1.0, float("nan"))),
    ],
)
def test_a_scheme_that_cannot_be_right_is_refused(words: tuple, weights: tuple):
    with pytest.raises(ValueError, match=r"weights|words"):
        LevelScheme(words, weights)


@pytest.mark.parametrize(
    ("logits", "temperature"),
    [((1.0, 2.0, 3.0), 1.0), ((1.0, float("nan")), 1.0), ((1.0, float("inf")), 1.0), ((1.0, 2.0), 0.0),
     ((1.0, 2.0), -1.0), ((1.0, 2.0), float("nan"))],
)  # fmt: skip
def test_logits_that_cannot_be_scored_are_refused(logits: tuple, temperature: float):
    with pytest.raises(ValueError, match=r"logits|temperature"):
        GOOD_POOR.expectation(logits, temperature)


def test_a_scheme_may_run_from_worst_to_best():
    digits = LevelScheme(("1", "2", "3"), (1, 2, 3))
    assert digits.expectation((0.0, 0.0, 0.0)) == pytest.approx(2)
    assert digits.word_for(0.0) == "1"
    assert digits.word_for(1.0) == "3"
