"""Joint distillation: a head over frozen features that agrees with the teacher's scores and preferences.

The head lies in the span of its training images (the representer theorem), so it is found over one number per image
instead of one per feature: n unknowns however wide the backbone is. It starts from the ridge fit to the teacher's
scores, whose penalty was chosen by leaving images out, and moves to where the joint loss is least.
"""

from __future__ import annotations

import numpy as np

from methods.errors import InputError
from methods.leaf import losses
from methods.leaf.heads import Head, fit_ridge
from methods.leaf.teacher import Judgements

MOST_PICTURES = 6000
"""More would need gigabytes for the matrix of all pairs; the most reliable ones are kept."""


def distil(features: np.ndarray, judgements: Judgements, *, alpha: float = 1.0, delta: float = 0.1,
           spread: float = 0.2, steps: int = 300) -> Head:
    """A head that has learnt the teacher's view of quality from unlabelled images.

    Args:
        features: float32 [n, d], n >= 2, of the images judged.
        judgements: the teacher's.
        alpha: weight of the pair-wise part, per pair against per image.
        delta: of the Huber loss.
        spread: of a score difference in the student's preference; 0.2 of the scale lets neighbouring levels differ
            with 90 % certainty.
        steps: of L-BFGS, at most; it stops where the loss is least, usually long before.

    Raises:
        InputError: a teacher that gives every image one score.
        ValueError: fewer than two images, or counts that differ.
    """
    import torch

    if len(features) != len(judgements.scores):
        raise ValueError(f"There must be one judgement per image; got {len(judgements.scores)} and {len(features)}.")
    if np.ptp(judgements.scores) == 0:
        raise InputError("The teacher gives every image the same score, so there is nothing to learn from it.")
    if len(features) > MOST_PICTURES:
        most_reliable = np.sort(np.argsort(-judgements.reliability, kind="stable")[:MOST_PICTURES])
        features, judgements = features[most_reliable], judgements.subset(most_reliable)
    start = fit_ridge(features, judgements.scores)
    z = start.head.standardised(features).astype(np.float64)
    width = z.shape[1]
    gram = torch.from_numpy(z @ z.T / width)
    # Entropies of five words are high all over; only their ratios say which score to trust more. A preference that
    # turns with the order is worth nothing in itself, so pairs keep their absolute reliability.
    weight = torch.from_numpy(judgements.reliability / max(judgements.reliability.mean(), 1e-9))
    pair_weight = torch.from_numpy(judgements.pair_reliability * len(z) / max(len(judgements.pairs), 1))
    target, preference = torch.from_numpy(judgements.scores), torch.from_numpy(judgements.preference)
    pairs = torch.from_numpy(judgements.pairs)
    dual = torch.zeros(len(z), dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(float(np.mean(judgements.scores)), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([dual, bias], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        predicted = gram @ dual + bias
        # Half the squared error within delta, so half the ridge penalty keeps the balance that was cross-validated.
        loss = losses.joint(predicted, target, weight, pairs, preference, pair_weight, alpha=alpha * delta**2,
                            delta=delta, spread=spread) + 0.5 * start.penalty * dual @ (gram @ dual)
        loss.backward()
        return loss

    optimiser.step(closure)
    weights = z.T @ dual.detach().numpy() / width
    return Head(start.head.mean, start.head.scale, weights.astype(np.float32), float(bias.detach()))
