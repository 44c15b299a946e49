"""The closed forms against brute force, and what a teacher is worth."""

from __future__ import annotations

import numpy as np
import pytest

from methods.agreement import metrics as stats
from methods.leaf import figures, report
from methods.leaf.distil import distil
from methods.leaf.heads import Contrasts, Head, fit_large, fit_ridge
from methods.leaf.teacher import Judgements
from methods.levels import FIVE_LEVELS


def made(n: int = 60, width: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of a few hidden factors, and a quality in [0, 1] that depends on two of them."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 8))
    features = factors @ np.random.default_rng(9).normal(size=(8, width)) + 0.3 * rng.normal(size=(n, width))
    quality = 1 / (1 + np.exp(-(factors[:, 0] + 0.7 * factors[:, 1])))
    return features.astype(np.float32), quality


def judged(quality: np.ndarray, noise: float = 0.02, seed: int = 0) -> Judgements:
    rng = np.random.default_rng(seed)
    scores = np.clip(quality + noise * rng.normal(size=len(quality)), 0, 1)
    logits = -((scores[:, None] - np.asarray(FIVE_LEVELS.weights)) ** 2) / 0.03
    pairs = rng.permutation(len(quality))[: len(quality) // 2 * 2].reshape(-1, 2)
    preference = 1 / (1 + np.exp(-12 * (scores[pairs[:, 0]] - scores[pairs[:, 1]])))
    return Judgements(FIVE_LEVELS.probabilities(logits), pairs, preference, preference, "made@1")


def test_left_out_predictions_are_those_of_refitting() -> None:
    features, quality = made(25, 40)
    fit = fit_ridge(features, quality, prior=Head(features.mean(0), features.std(0), np.zeros(40, np.float32), 0.5),
                    penalties=(0.1,))
    for row in (0, 7, 24):
        rest = np.arange(25) != row
        again = fit_ridge(features[rest], quality[rest],
                          prior=Head(features.mean(0), features.std(0), np.zeros(40, np.float32), 0.5),
                          penalties=(0.1,))
        assert again.head(features[row][None])[0] == pytest.approx(fit.left_out[row], abs=1e-5)


def test_rows_of_one_picture_are_left_out_together() -> None:
    features, quality = made(20, 40)
    groups = np.tile(np.arange(20), 2)
    both, labels = np.concatenate([features, features]), np.tile(quality, 2)
    together = fit_ridge(both, labels, groups=groups, penalties=(0.001,)).left_out
    apart = fit_ridge(both, labels, penalties=(0.001,)).left_out
    assert np.mean((together - labels) ** 2) > 10 * np.mean((apart - labels) ** 2)


def test_the_head_is_the_ridge_solution() -> None:
    features, quality = made(30, 12)
    fit = fit_ridge(features, quality, penalties=(0.5,))
    z = np.clip((features - features.mean(0)) / features.std(0), -4, 4).astype(np.float64)
    centred = z - z.mean(0)
    weight = np.linalg.solve(centred.T @ centred / 12 + 0.5 * np.eye(12), centred.T @ (quality - quality.mean()) / 12)
    assert fit.head.weight == pytest.approx(weight, abs=1e-5)
    assert fit.head(features).mean() == pytest.approx(quality.mean(), abs=1e-6)


def test_few_labels_keep_the_order_of_a_good_prior_and_move_its_scale() -> None:
    features, quality = made(300)
    prior = fit_ridge(features[:200], quality[:200]).head
    rows = np.arange(200, 206)
    fit = fit_ridge(features[rows], 0.3 + 0.2 * quality[rows], prior=prior)
    test = features[220:]
    assert stats.srcc(fit.head(test), prior(test)) > 0.95
    assert fit.head(test).mean() == pytest.approx(0.3 + 0.2 * quality[220:].mean(), abs=0.05)


def test_many_labels_overrule_a_wrong_prior() -> None:
    features, quality = made(300)
    wrong = fit_ridge(features[:200], 1 - quality[:200]).head
    fit = fit_ridge(features[:200], quality[:200], prior=wrong)
    assert stats.srcc(fit.head(features[200:]), quality[200:]) > 0.85


def test_a_link_gives_the_ends_of_the_scale_back_and_keeps_the_order() -> None:
    features, quality = made(400)
    ends = 1 / (1 + np.exp(-12 * (quality - 0.5)))  # people use the ends more than the middle
    fit = fit_ridge(features[:200], ends[:200])
    linked = fit.linked(ends[:200])
    test, truth = features[200:], ends[200:]
    assert linked.link.increasing
    assert np.array_equal(np.argsort(linked.linear(test)), np.argsort(linked(test)))
    assert stats.plcc(linked(test), truth) > stats.plcc(fit.head(test), truth) + 0.005
    assert np.ptp(linked(test)) > np.ptp(np.clip(fit.head(test), 0, 1)) - 0.1
    few = fit_ridge(features[:40], ends[:40])
    assert few.linked(ends[:40]).link is None
    # As the start of another fit, a head counts without its link.
    again = fit_ridge(features[:10], ends[:10], prior=linked).head
    plain = fit_ridge(features[:10], ends[:10], prior=fit.head).head
    assert again(test) == pytest.approx(plain(test))


def test_distillation_learns_scores_and_preferences() -> None:
    features, quality = made(200)
    head = distil(features[:120], judged(quality[:120]))
    assert stats.srcc(head(features[120:]), quality[120:]) > 0.85
    # Scores without information: what is learnt comes from the pairs.
    blind = judged(quality[:120])
    flat = np.full((120, 5), 0.2) + 1e-3 * np.random.default_rng(0).normal(size=(120, 5))
    flat = np.abs(flat) / np.abs(flat).sum(1, keepdims=True)
    blind = Judgements(flat, blind.pairs, blind.forward, blind.backward, "made@1")
    paired = distil(features[:120], blind, alpha=50.0)
    alone = distil(features[:120], blind, alpha=0.0)
    assert stats.srcc(paired(features[120:]), quality[120:]) > 0.5
    assert np.ptp(alone(features[120:])) < 1e-5, "without pairs there is nothing to rank by"


def test_a_teacher_without_an_opinion_is_refused() -> None:
    features, quality = made(20)
    said = judged(quality)
    same = Judgements(np.full((20, 5), 0.2), said.pairs, said.forward, said.backward, "made@1")
    with pytest.raises(ValueError, match="same score"):
        distil(features, same)


@pytest.mark.slow
def test_the_report_shows_what_a_good_teacher_adds(tmp_path) -> None:
    features, quality = made(100)
    curve = report.label_budget(features, quality, judged(quality), budgets=(0.0, 0.1, 1.0), seeds=2)
    by = {(point.budget, point.teacher): point for point in curve.points}
    assert by[0.0, False].srcc is None
    assert by[0.0, True].srcc > 0.8
    assert by[0.1, False].labels == 8
    gain = {one.budget: one for one in curve.gains}[0.1]
    assert gain.low > 0
    assert gain.value == pytest.approx(by[0.1, True].srcc - by[0.1, False].srcc, abs=1e-6)
    table, figure = figures.write(curve, tmp_path)
    rows = table.read_text().splitlines()
    assert len(rows) == 7
    assert rows[1].startswith("0.0,0,,,")
    assert figure.read_text().count('id="gain-bar-') == len(curve.gains) == 2
    with pytest.raises(ValueError, match="at least 20"):
        report.label_budget(features[:10], quality[:10], None)


def test_contrasts_are_rows_without_a_bias() -> None:
    features, quality = made(30, 12)
    better, worse = made(20, 12, seed=1)[0], made(20, 12, seed=2)[0]
    contrasts = Contrasts(better, worse, np.linspace(-0.2, 0.4, 20), np.arange(20), 0.3)
    fit = fit_ridge(features, quality, contrasts=contrasts, penalties=(0.5,))
    label = fit.head.standardised(features).astype(np.float64)
    pair = (fit.head.standardised(better) - fit.head.standardised(worse)).astype(np.float64)

    def solved(labels: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, float]:
        z, c, mean = label[labels], pair[pairs], label[labels].mean(0)
        y = quality[labels]
        left = ((z - mean).T @ (z - mean) + 0.3 * c.T @ c) / 12 + 0.5 * np.eye(12)
        weight = np.linalg.solve(left, ((z - mean).T @ (y - y.mean()) + 0.3 * c.T @ contrasts.gap[pairs]) / 12)
        return weight, y.mean() - mean @ weight

    weight, bias = solved(np.arange(30), np.arange(20))
    assert fit.head.weight == pytest.approx(weight, abs=1e-5)
    assert fit.head.bias == pytest.approx(bias, abs=1e-6)
    for row in (3, 19, 25):
        # A label is left out together with the pair of its group; labels from 20 on have none.
        weight, bias = solved(np.delete(np.arange(30), row), np.flatnonzero(np.arange(20) != row))
        assert fit.left_out[row] == pytest.approx(label[row] @ weight + bias, abs=1e-6)


def test_contrasts_do_not_go_with_a_prior() -> None:
    features, quality = made(30, 12)
    contrasts = Contrasts(features[:20], features[10:], np.arange(20.0), np.arange(20), 1.0)
    with pytest.raises(ValueError, match="prior"):
        fit_ridge(features, quality, contrasts=contrasts, prior=fit_ridge(features, quality).head)


def test_contrasts_teach_what_the_labels_do_not_show() -> None:
    features, quality = made(200)
    rng = np.random.default_rng(3)
    hidden = rng.normal(size=features.shape[1]).astype(np.float32)  # a damage that no labelled picture has
    spoilt = features + hidden
    contrasts = Contrasts(features[:100], spoilt[:100], np.full(100, 0.3), np.arange(100), 0.1)
    without, taught = fit_ridge(features, quality).head, fit_ridge(features, quality, contrasts=contrasts).head
    assert (taught(features[100:]) - taught(spoilt[100:])).mean() == pytest.approx(0.3, abs=0.05)
    assert abs((without(features[100:]) - without(spoilt[100:])).mean() - 0.3) > 0.1


def test_thousands_of_labels_are_fitted_as_a_few_are() -> None:
    """The Cholesky route against the eigenvalues of `fit_ridge`: same scores, same left-out predictions."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((90, 40)).astype(np.float32)
    mos = np.clip(0.5 + 0.1 * features[:, 0] + 0.05 * rng.standard_normal(90), 0, 1)
    slow, fast = fit_ridge(features, mos, penalties=(0.3,)), fit_large(features, mos, 0.3)
    assert fast.head(features) == pytest.approx(slow.head(features), abs=1e-4)
    # `fit_ridge` fits its offset anew without the label, which moves a prediction by an n-th of its error.
    assert fast.left_out == pytest.approx(slow.left_out, abs=0.01)
    worse = features - np.float32(0.5)
    pairs = Contrasts(features, worse, np.full(90, 0.2), np.arange(90), 0.5)
    with_pairs = fit_large(features, mos, 0.3, pairs).head
    assert (with_pairs(features) - with_pairs(worse)).mean() > (fast.head(features) - fast.head(worse)).mean()
