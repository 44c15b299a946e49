"""The objective and the weights, against hand-made cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from methods.leaf import losses, reliability


def test_pointwise_reliability_is_one_minus_relative_entropy() -> None:
    rows = np.array([[1, 0, 0, 0, 0], [0.2] * 5, [0.5, 0.5, 0, 0, 0]])
    assert reliability.pointwise(rows) == pytest.approx([1.0, 0.0, 1 - math.log(2) / math.log(5)])


def test_pairwise_reliability_needs_decision_and_agreement() -> None:
    forward, backward = np.array([1.0, 0.5, 1.0, 0.9]), np.array([1.0, 0.5, 0.0, 0.7])
    assert reliability.pairwise(forward, backward) == pytest.approx([1.0, 0.0, 0.0, 0.6 * 0.8])
    assert reliability.preference(forward, backward) == pytest.approx([1.0, 0.5, 0.5, 0.8])


@pytest.mark.parametrize(("rows", "said"), [
    ([0.5, 0.6], "must sum to 1"), ([1.2, -0.2], r"lies in \[0, 1\]"), ([float("nan"), 1.0], r"lies in \[0, 1\]"),
    ([1.0], "at least two levels"),
])
def test_what_is_no_distribution_is_refused(rows: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reliability.pointwise(np.array(rows))


def test_pointwise_loss_is_the_weighted_huber_sum() -> None:
    predicted, target = torch.tensor([0.5, 0.9]), torch.tensor([0.45, 0.4])
    weight = torch.tensor([2.0, 0.5])
    expected = 2.0 * 0.5 * 0.05**2 + 0.5 * 0.1 * (0.5 - 0.05)
    assert losses.pointwise(predicted, target, weight).item() == pytest.approx(expected, rel=1e-5)
    assert losses.pointwise(predicted, target, weight, reduction="mean").item() == pytest.approx(expected / 2.5)
    assert losses.pointwise(predicted, target, torch.zeros(2), reduction="mean").item() == 0


def test_pairwise_loss_is_fidelity_of_the_normal_preference() -> None:
    i, j = torch.tensor([0.8, 0.3]), torch.tensor([0.3, 0.3])
    truth = torch.tensor([1.0, 0.5])
    likelihood = 0.5 * (1 + math.erf(0.5 / math.sqrt(2)))
    assert losses.pairwise(i, j, truth).item() == pytest.approx(1 - math.sqrt(likelihood), abs=2e-3)
    assert losses.pairwise(j, i, truth).item() > losses.pairwise(i, j, truth).item()
    assert losses.pairwise(i, j, truth, spread=0.1).item() < losses.pairwise(i, j, truth).item()


def test_joint_adds_both_and_its_gradient_is_finite_at_certainty() -> None:
    predicted = torch.tensor([0.0, 1.0, 0.5], requires_grad=True)
    target, weight = torch.tensor([0.1, 0.9, 0.5]), torch.ones(3)
    pairs, preference, trust = torch.tensor([[1, 0], [2, 0]]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.5])
    loss = losses.joint(predicted, target, weight, pairs, preference, trust, alpha=2.0, spread=0.01)
    parts = losses.pointwise(predicted, target, weight) + 2 * losses.pairwise(
        predicted[[1, 2]], predicted[[0, 0]], preference, trust, spread=0.01)
    assert loss.item() == pytest.approx(parts.item())
    loss.backward()
    assert torch.isfinite(predicted.grad).all()


def test_shapes_and_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="one shape"):
        losses.pointwise(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="spread"):
        losses.pairwise(torch.zeros(1), torch.zeros(1), torch.zeros(1), spread=0)
    with pytest.raises(ValueError, match=r"\[m, 2\]"):
        losses.joint(torch.zeros(2), torch.zeros(2), None, torch.tensor([0, 1]), torch.tensor([0.5]))
    with pytest.raises(ValueError, match="reduction"):
        losses.pointwise(torch.zeros(2), torch.zeros(2), reduction="none")
