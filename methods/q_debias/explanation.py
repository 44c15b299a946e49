"""The paragraph under a score: which condition mattered, and why, from the numbers alone."""

from __future__ import annotations

import numpy as np

from methods.q_debias.evidence import Condition, DebiasEvidence

NAMES = {"zoom_blur": "zoom blur", "spatter": "spatter", "saturate": "oversaturation", "fog": "fog"}
"""The distortions as a person calls them."""

STATES_THE_CONDITION = ("full", "T3")
"""Prompt variants that tell the model that the degraded image is poor."""

NOTHING = 0.0005
"""Differences that vanish in three decimals."""


def explain(evidence: DebiasEvidence) -> str:
    """One Markdown paragraph about the debiased score, the vanilla one and the conditions between them."""
    sentences = [_outcome(evidence)]
    if len(evidence.conditions) > 1:
        sentences += [_what_mattered(evidence), _weights(evidence)]
    else:
        (only,) = evidence.conditions
        sentences.append(f"There was one condition, {NAMES[only.distortion]}, so its score is the result.")
    sentences.append(_recognition(evidence.conditions, evidence.consistent))
    return " ".join(sentence for sentence in sentences if sentence)


def _outcome(evidence: DebiasEvidence) -> str:
    count = len(evidence.conditions)
    if evidence.consistent:
        copies = "a degraded copy of it" if count == 1 else f"{_number(count)} degraded copies of it"
    else:
        copies = "a degraded other photo" if count == 1 else f"{_number(count)} degraded other photos"
    if evidence.prompt in STATES_THE_CONDITION:
        setup = f"Told that {copies} {'is' if count == 1 else 'are'} poor"
    else:
        setup = f"Shown {copies} and told nothing about {'it' if count == 1 else 'them'}"
    rated = f"{setup}, the model rates this photo **{evidence.score:.3f}** of 1"
    change = evidence.score - evidence.vanilla
    if abs(change) < NOTHING:
        return f"{rated}, the same as when it is asked about the photo alone."
    return (f"{rated}; asked about the photo alone it says {evidence.vanilla:.3f}, so the comparison "
            f"{'raised' if change > 0 else 'lowered'} the score by {abs(change):.3f}.")


def _what_mattered(evidence: DebiasEvidence) -> str:
    most = max(evidence.conditions, key=lambda condition: abs(condition.effect))
    if abs(most.effect) < NOTHING:
        return "No condition mattered more than another: without any one of them the score would be the same."
    others = [condition for condition in evidence.conditions if condition is not most]
    elsewhere = float(np.mean([condition.quality for condition in others]))
    direction = "lower" if most.effect > 0 else "higher"
    name = NAMES[most.distortion]
    first = (f"The **{name}** condition mattered most: without it the score would be "
             f"{evidence.score - most.effect:.3f}, {abs(most.effect):.3f} {direction}.")
    return (f"{first} Beside that copy the model calls the photo good with probability {most.quality:.2f}, beside "
            f"the {'other' if len(others) == 1 else 'others'} with {elsewhere:.2f}"
            f"{'' if len(others) == 1 else ' on average'}, and the condition carries {most.weight:.0%} of the weight.")


def _weights(evidence: DebiasEvidence) -> str:
    heaviest = max(evidence.conditions, key=lambda condition: condition.weight)
    lightest = min(evidence.conditions, key=lambda condition: condition.weight)
    name = NAMES[heaviest.distortion]
    if evidence.aggregation == "average":
        return "All conditions weigh the same, as the chosen aggregation has it."
    if evidence.aggregation == "winner-takes-all":
        return f"All weight is on {name}, the copy that the model is surest shows the same thing."
    if heaviest.weight - lightest.weight < 0.005:
        return "The conditions weigh nearly the same."
    measure = "likeness to the photo (SSIM)" if evidence.aggregation == "quality-similarity" else \
        "how surely the model sees the same thing in the copy"
    return (f"Weights follow {measure}: from {lightest.weight:.0%} for {NAMES[lightest.distortion]} to "
            f"{heaviest.weight:.0%} for {name}.")


def _recognition(conditions: tuple[Condition, ...], consistent: bool) -> str:
    doubted = [NAMES[condition.distortion] for condition in conditions if condition.similarity < 0.5]
    if not doubted:
        return ""
    if len(doubted) == len(conditions):
        if not consistent:
            return "The model sees something else in all of them (P(yes) below 0.5), as is meant here."
        return ("The model does not recognise the content in any degraded copy (P(yes) below 0.5), so the method's "
                "assumption that the content survives does not hold for it here.")
    return (f"It does not recognise the content in the copy with {' and '.join(doubted)} (P(yes) below 0.5); that "
            f"condition is the least to be trusted." if len(doubted) == 1 else
            f"It does not recognise the content in the copies with {', '.join(doubted[:-1])} and {doubted[-1]} (P(yes) "
            f"below 0.5); those conditions are the least to be trusted.")


def _number(count: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))
