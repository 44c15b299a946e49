"""The student's joint objective: the teacher's scores and preferences, each weighted by its reliability.

    sum_i r_i Huber(s^_i, s_i)  +  alpha sum_ij r_ij fidelity(pi_ij, Phi(s^_i - s^_j))

Point-wise judgements fix the scale but repeat the teacher's rounding to five words; pair-wise preferences order
images that share a word. An image or pair that the teacher knows nothing about has weight 0 and drops out.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Reduction = Literal["sum", "mean"]
_EPSILON = 1e-6


def pointwise(predicted: Tensor, target: Tensor, reliability: Tensor | None = None, *, delta: float = 0.1,
              reduction: Reduction = "sum") -> Tensor:
    """Reliability-weighted Huber loss of scores.

    Args:
        predicted: float [n], the student's scores.
        target: float [n], the teacher's scores in [0, 1].
        reliability: float [n], at least 0; all 1 where left out.
        delta: where the loss turns from squared to linear, in score units.
        reduction: "sum", or "mean": the sum divided by the sum of the reliabilities.

    Returns:
        A scalar, 0 where nothing has weight.

    Raises:
        ValueError: shapes differ.
    """
    predicted, target, weight = _aligned(predicted, target, reliability)
    return _reduced(F.huber_loss(predicted, target, reduction="none", delta=delta), weight, reduction)


def fidelity(truth: Tensor, predicted: Tensor) -> Tensor:
    """Fidelity loss of two preferences, 1 - sqrt(p q) - sqrt((1 - p)(1 - q)), element by element (Tsai et al. 2007).

    It is bounded by [0, 1] and 0 where the preferences agree. A small constant keeps the roots differentiable.
    """
    agreement = ((truth * predicted + _EPSILON).sqrt() + ((1 - truth) * (1 - predicted) + _EPSILON).sqrt())
    return 1 - agreement


def pairwise(predicted_i: Tensor, predicted_j: Tensor, preference: Tensor, reliability: Tensor | None = None, *,
             spread: float = 1.0, reduction: Reduction = "sum") -> Tensor:
    """Reliability-weighted fidelity loss of preferences.

    Args:
        predicted_i, predicted_j: float [m], the student's scores of each pair's images.
        preference: float [m] in [0, 1], the teacher's probability that i is better.
        reliability: float [m], at least 0; all 1 where left out.
        spread: standard deviation of a score difference in the student's Phi((s_i - s_j) / spread); 1 is the plain
            form. Scores in [0, 1] can be told apart with certainty only where it is smaller.
        reduction: as for `pointwise`.

    Returns:
        A scalar, 0 where nothing has weight.

    Raises:
        ValueError: shapes differ, or a spread that is not positive.
    """
    if not spread > 0:
        raise ValueError(f"The spread of score differences must be above 0; got {spread}.")
    predicted_i, predicted_j, _ = _aligned(predicted_i, predicted_j, None)
    difference, preference, weight = _aligned(predicted_i - predicted_j, preference, reliability)
    likelihood = torch.special.ndtr(difference / spread)
    return _reduced(fidelity(preference, likelihood), weight, reduction)


def joint(predicted: Tensor, target: Tensor, reliability: Tensor | None, pairs: Tensor, preference: Tensor,
          pair_reliability: Tensor | None = None, *, alpha: float = 1.0, delta: float = 0.1, spread: float = 1.0,
          reduction: Reduction = "sum") -> Tensor:
    """`pointwise` plus `alpha` times `pairwise` over the same images.

    Args:
        predicted: float [n], the student's scores.
        target, reliability: the teacher's point-wise judgements, as for `pointwise`.
        pairs: int [m, 2], positions i and j in `predicted`.
        preference, pair_reliability: the teacher's pair-wise judgements, as for `pairwise`.
        alpha: weight of the pair-wise part; 0 leaves it out.

    Raises:
        ValueError: shapes differ, or `pairs` is not [m, 2].
    """
    loss = pointwise(predicted, target, reliability, delta=delta, reduction=reduction)
    pairs = torch.as_tensor(pairs)
    if pairs.numel() == 0 or alpha == 0:
        return loss
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"Pairs are given as [m, 2] positions; got shape {tuple(pairs.shape)}.")
    predicted = torch.as_tensor(predicted)
    return loss + alpha * pairwise(predicted[pairs[:, 0]], predicted[pairs[:, 1]], preference, pair_reliability,
                                   spread=spread, reduction=reduction)


def _aligned(predicted: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    predicted = torch.as_tensor(predicted)
    if not predicted.is_floating_point():
        predicted = predicted.float()
    target = torch.as_tensor(target, dtype=predicted.dtype, device=predicted.device)
    weight = (torch.ones_like(target) if weight is None
              else torch.as_tensor(weight, dtype=predicted.dtype, device=predicted.device))
    if not predicted.shape == target.shape == weight.shape:
        raise ValueError(f"Scores, targets and reliabilities must have one shape; got {tuple(predicted.shape)}, "
                         f"{tuple(target.shape)} and {tuple(weight.shape)}.")
    return predicted, target, weight


def _reduced(loss: Tensor, weight: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in ("sum", "mean"):
        raise ValueError(f"The reduction is 'sum' or 'mean'; got {reduction!r}.")
    total = (weight * loss).sum()
    return total if reduction == "sum" else total / weight.sum().clamp_min(1e-12)
