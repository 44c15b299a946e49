"""What references changed on photos that people have rated, and whether they did so to this photo.

Both sides are measured already: IQARAG's table and that of its plain question, which is Q-Bench's with five levels, of
the same model on the same photos. Where either is missing, nothing is said.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from methods import meaning
from methods.agreement import Difference, paired_difference

if TYPE_CHECKING:
    from methods.base import Assessment

_NEIGHBOURHOOD = 6
"""The photos of like plain scores are the nearest n / 6, as many as give an interval of `methods.meaning` its width."""

_MOST = 2 / 3
"""Share of the photos of like scores from which on a direction is their effect."""

_EQUAL = 5e-4
"""Of a score in [0, 1]; it is shown with three digits."""


@dataclass(frozen=True)
class Effect:
    """Attributes:
    srcc: rank correlation with opinions, with references minus without, with its 95 % paired bootstrap interval.
    error_without, error_with: mean absolute error of 100 times the score as an opinion on 0 to 100.
    population: which photos these are, and whose opinions, in half a sentence.
    alike: photos whose plain scores lie nearest to this one's.
    raised, lowered: how many of their scores the references raised, and lowered.
    moved: this score with references minus without.
    """

    srcc: Difference
    error_without: float
    error_with: float
    population: str
    alike: int
    raised: int
    lowered: int
    moved: float

    @property
    def against(self) -> bool:
        """Whether this score was moved the other way than most of those alike."""
        other = self.lowered if self.moved > 0 else self.raised
        return abs(self.moved) >= _EQUAL and other >= _MOST * self.alike

    def sentences(self) -> tuple[str, ...]:
        """For a person: the effect on all, on those alike, and here."""
        low, high = self.srcc.low, self.srcc.high
        ranks = "better" if low > 0 else "worse" if high < 0 else "neither better nor worse, as far as can be told"
        nearer = "nearer to" if self.error_with < self.error_without else "farther from"
        word, count = ("raised", self.raised) if self.raised > self.lowered else ("lowered", self.lowered)
        own = "left it" if abs(self.moved) < _EQUAL else "raised it" if self.moved > 0 else "lowered it"
        here = f"Here they {own}, against that effect; trust it less." if self.against else f"Here they {own}."
        return (
            f"Measured on {self.population}: with references the scores lie {nearer} people's opinions (mean error "
            f"{self.error_with:.1f} of 100, without {self.error_without:.1f}) and rank the photos {ranks} (SRCC "
            f"{self.srcc.a:.3f}, without {self.srcc.b:.3f}; difference {self.srcc.value:+.3f}, 95 % {low:+.3f} to "
            f"{high:+.3f}).",
            f"Of the {self.alike} photos that the model scores most alike without references, they {word} {count}.",
            here,
        )


def effect(assessment: Assessment) -> Effect | None:
    """What is known of the references behind an assessment of IQARAG; None where nobody has measured it."""
    table = meaning.table_of(assessment)
    if table is None or not assessment.evidence.references:
        return None
    plain = meaning.table_for("q-bench", table.weights, {"question": "five-level",
                                                             "temperature": assessment.options["temperature"]})
    if plain is None or plain.dataset != table.dataset or plain.max_pixels != table.max_pixels:
        return None
    names, before, after = _scores(table.key, plain.key)
    if len(names) < meaning.FEWEST:
        return None
    evidence = assessment.evidence
    nearest = np.argsort(np.abs(before - evidence.score_without), kind="stable")[: len(names) // _NEIGHBOURHOOD]
    moves = (after - before)[nearest]
    srcc, without, with_them = _agreement(table.key, plain.key)
    return Effect(srcc, without, with_them, table.population, len(nearest), int((moves >= _EQUAL).sum()),
                  int((moves <= -_EQUAL).sum()), evidence.score_with - evidence.score_without)


def _scores(key: str, plain_key: str) -> tuple[list[str], meaning.Floats, meaning.Floats]:
    """The photos that both tables hold, with their scores without and with references."""
    tables = meaning.tables()
    before, after = (dict(zip(tables[one].images, tables[one].scores)) for one in (plain_key, key))
    names = sorted(set(before) & set(after))
    return names, np.array([before[name] for name in names]), np.array([after[name] for name in names])


@functools.lru_cache(maxsize=8)
def _agreement(key: str, plain_key: str) -> tuple[Difference, float, float]:
    names, before, after = _scores(key, plain_key)
    table = meaning.tables()[key]
    opinions = dict(zip(table.images, table.mos))
    mos = np.array([opinions[name] for name in names])
    return (paired_difference(after, before, mos), *(float(np.abs(100 * scores - mos).mean())
                                                     for scores in (before, after)))
