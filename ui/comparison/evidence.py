"""What a method's evidence says beside its score: how far it scatters, and in half a sentence what drove it.

Comparing methods needs both in one form, although every method gives another kind of evidence. What the spread means
is part of it and is shown wherever the bar is: the bars of two methods are not on one scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from methods.base import Assessment, Evidence
from ui.comparison.records import Spread


def spread_of(assessment: Assessment) -> Spread | None:
    """The scatter that the method's own evidence shows; None where it shows none."""
    return _reader(_SPREADS, assessment.method, _words_spread)(assessment.evidence, assessment.score)


def why(assessment: Assessment) -> str:
    """What drove the score, to be read after the method's name and score; "" where the evidence does not say."""
    return _reader(_REASONS, assessment.method, _words_reason)(assessment.evidence, assessment.score)


def _reader(table: dict[str, Callable], method: str, fallback: Callable) -> Callable:
    return table.get(method, fallback)


# --- spreads ----------------------------------------------------------------------------------------------------------


def _words_spread(seen: Evidence, score: float) -> Spread | None:
    weights, probabilities = (getattr(seen, name, None) for name in ("weights", "probabilities"))
    if not weights or probabilities is None or len(weights) != len(probabilities):
        return None
    return _about(score, _deviation(weights, probabilities, score),
                  f"standard deviation over its {len(weights)} words")


def _references_spread(seen: Any, score: float) -> Spread | None:
    deviation = _deviation(seen.weights, seen.probabilities_with, score)
    if seen.interval is not None:
        low, high = (min(max(float(end), 0.0), 1.0) for end in seen.interval)
        return Spread(low, high, deviation, "95 % of the scores with other references")
    return _about(score, deviation, f"standard deviation over its {len(seen.weights)} words")


def _regions_spread(seen: Any, score: float) -> Spread | None:
    if not seen.regions or not any(lmm.regions for lmm in seen.lmms):
        return None
    values = [_region_quality(seen, index) for index in range(len(seen.regions))]
    # How quality varies over the photo is no measure of how sure the method is of the whole.
    return Spread(min(values), max(values), None, "from its worst to its best region")


def _samples_spread(seen: Any, score: float) -> Spread | None:
    if seen.deviation is None:
        return None
    return _about(score, seen.deviation / 4, f"standard deviation of its {len(seen.samples)} answers")


def _conditions_spread(seen: Any, score: float) -> Spread | None:
    values = [condition.quality for condition in seen.conditions]
    if not values:
        return None
    weights = [condition.weight for condition in seen.conditions]
    return Spread(min(values), max(values), _deviation(values, weights, score),
                  "from its lowest to its highest condition")


def _student_spread(seen: Any, score: float) -> Spread | None:
    if seen.local is None:
        return None
    low, high = (min(max(float(end), 0.0), 1.0) for end in (seen.local.min(), seen.local.max()))
    # As with regions: it varies over the photo, which is not how sure the student is.
    return Spread(min(low, score), max(high, score), None, "from its worst to its best neighbourhood")


_SPREADS: dict[str, Callable[[Any, float], Spread | None]] = {
    "iqarag": _references_spread, "llm-iqa": _regions_spread, "visualquality-r1": _samples_spread,
    "q-debias": _conditions_spread, "leaf": _student_spread,
}


def _deviation(values: Sequence[float], weights: Sequence[float], mean: float) -> float:
    total = sum(weights)
    return math.sqrt(sum(weight * (value - mean) ** 2 for value, weight in zip(values, weights)) / total)


def _about(score: float, deviation: float, meaning: str) -> Spread:
    return Spread(max(score - deviation, 0.0), min(score + deviation, 1.0), deviation, meaning)


# --- reasons ----------------------------------------------------------------------------------------------------------


def _words_reason(seen: Evidence, score: float) -> str:
    words, probabilities = (getattr(seen, name, None) for name in ("words", "probabilities"))
    if not words or probabilities is None or len(words) != len(probabilities):
        return ""
    likeliest = max(range(len(words)), key=lambda index: probabilities[index])
    return f"its likeliest word is {words[likeliest]}, at {probabilities[likeliest]:.0%}"


def _references_reason(seen: Any, score: float) -> str:
    if not seen.references:
        return "it was shown no reference"
    best, worst = max(one.mos for one in seen.references), min(one.mos for one in seen.references)
    return (f"{_moved(seen.score_without, seen.score_with)} when it saw {len(seen.references)} rated "
            f"picture{'s' if len(seen.references) > 1 else ''} of {worst:.2f} to {best:.2f}")


def _regions_reason(seen: Any, score: float) -> str:
    if not seen.regions:
        return "it scored the whole picture only"
    values = [_region_quality(seen, index) for index in range(len(seen.regions))]
    worst = min(range(len(values)), key=values.__getitem__)
    return (f"its {len(values)} regions score {min(values):.2f} to {max(values):.2f}, the worst on "
            f"{seen.regions[worst].weight:.0%} of the weight")


def _samples_reason(seen: Any, score: float) -> str:
    if len(seen.samples) == 1:
        return "it answered once"
    low, high = min(seen.scores), max(seen.scores)
    return f"its {len(seen.samples)} answers lie between {low:.2f} and {high:.2f} of 5"


def _conditions_reason(seen: Any, score: float) -> str:
    moved = f"{_moved(seen.vanilla, seen.score)} beside degraded copies"
    pulls = [condition for condition in seen.conditions if condition.effect is not None]
    if not pulls:
        return moved
    strongest = max(pulls, key=lambda condition: abs(condition.effect))
    return f"{moved}, most by {strongest.distortion.replace('_', ' ')}"


def _student_reason(seen: Any, score: float) -> str:
    parts = []
    if seen.percentile is not None:
        parts.append(f"better than {seen.percentile:.0f} % of {seen.population}")
    if seen.local is not None:
        parts.append(f"neighbourhoods from {float(seen.local.min()):.2f} to {float(seen.local.max()):.2f}")
    return ", ".join(parts)


_REASONS: dict[str, Callable[[Any, float], str]] = {
    "iqarag": _references_reason, "llm-iqa": _regions_reason, "visualquality-r1": _samples_reason,
    "q-debias": _conditions_reason, "leaf": _student_reason,
}


def _region_quality(seen: Any, index: int) -> float:
    """A region's mean digit over the models, as a fraction of the scale 1..K."""
    digits = [lmm.regions[index].read(seen.reading) for lmm in seen.lmms if lmm.regions]
    return (sum(digits) / len(digits) - 1) / (seen.k - 1)


def _moved(before: float, after: float) -> str:
    change = after - before
    if abs(change) < 0.005:
        return f"it stayed at {after:.2f}"
    return f"it {'rose' if change > 0 else 'fell'} from {before:.2f} to {after:.2f}"
