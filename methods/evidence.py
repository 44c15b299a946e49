"""Why a method gave its score: what a tab draws of it, how far it scatters, and half a sentence of reason.

Comparing methods needs the last two in one form, although every method gives another kind of evidence. What the spread
means is part of it and is shown wherever the bar is: the bars of two methods are not on one scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Spread:
    """How far a method's own evidence scatters about its score. It is no error bar: a model can be sure and wrong.

    Attributes:
        low, high: ends of the bar, in [0, 1].
        deviation: standard deviation in units of the score, for preferences; None where the bar is no such thing.
        meaning: what the bar shows, in a few words. It differs from method to method.
    """

    low: float
    high: float
    deviation: float | None
    meaning: str

    @classmethod
    def about(cls, score: float, deviation: float, meaning: str) -> Self:
        """One standard deviation to both sides of the score, within [0, 1]."""
        return cls(max(score - deviation, 0.0), min(score + deviation, 1.0), deviation, meaning)


def deviation(values: Sequence[float], weights: Sequence[float], mean: float) -> float:
    """Weighted standard deviation of `values` about `mean`; the weights need not sum to 1."""
    total = sum(weights)
    return math.sqrt(sum(weight * (value - mean) ** 2 for value, weight in zip(values, weights)) / total)


@dataclass(frozen=True)
class Evidence:
    """Why a method gave its score: base of each method's frozen dataclass, everything that its tab draws."""

    def spread(self, score: float) -> Spread | None:
        """How far this evidence scatters about the score; None where it shows no scatter."""
        return None

    def reason(self, score: float) -> str:
        """What drove the score in half a sentence, to be read after the method's name and score; "" for no word."""
        return ""

    def map_over(self, image: Image.Image) -> Image.Image:
        """The image under a map of where it loses quality, for a method that says what that shows (`map_legend`)."""
        raise NotImplementedError(f"{type(self).__name__} draws no map; leave map_legend of its method empty.")


def movement(before: float, after: float) -> str:
    """How a score changed by what a method adds, to be read after "it": "it rose from 0.31 to 0.52"."""
    one, other = f"{before:.2f}", f"{after:.2f}"
    if one == other:
        return f"it stayed at {other}"
    return f"it {'rose' if after > before else 'fell'} from {one} to {other}"
