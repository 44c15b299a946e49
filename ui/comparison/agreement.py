"""What a comparison's numbers say: who is preferred, where systems agree, and in a sentence where they differ.

Scores of different methods are not on one scale, so several images are compared by order only: every pair of
images that two systems both scored either has the same order in both or not. With one image there is no order, and
the sentence says how far the scores lie apart and what each rests on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from methods.levels import FIVE_LEVELS
from ui.comparison.records import Cell, Comparison

TIE = 5e-4
"""Scores nearer than this are equal: that is what three decimals show."""

DEVIATIONS = 1.645
"""Standard deviations from the middle of a normal distribution that hold nine of ten on both sides together."""


@dataclass(frozen=True)
class Agreement:
    """Two systems on the images that both scored.

    Attributes:
        first, second: indices of systems.
        pictures: how many both scored.
        pairs: pairs of images that neither scored equally.
        same: how many of them both put in the same order.
        gap: mean absolute difference of the scores.
    """

    first: int
    second: int
    pictures: int
    pairs: int
    same: int
    gap: float

    @property
    def share(self) -> float | None:
        """Of the pairs in the same order; None without a pair."""
        return self.same / self.pairs if self.pairs else None


def agreements(comparison: Comparison) -> list[Agreement]:
    """One entry for every two systems that have an image in common."""
    scores = _scores(comparison)
    result = []
    for first, second in itertools.combinations(range(len(comparison.systems)), 2):
        shared = [(row[first], row[second]) for row in scores if not np.isnan([row[first], row[second]]).any()]
        if not shared:
            continue
        orders = [(_order(a[0], b[0]), _order(a[1], b[1])) for a, b in itertools.combinations(shared, 2)]
        clear = [(one, other) for one, other in orders if one and other]
        result.append(Agreement(first, second, len(shared), len(clear), sum(one == other for one, other in clear),
                                float(np.mean([abs(one - other) for one, other in shared]))))
    return result


def _scores(comparison: Comparison) -> np.ndarray:
    """float [images, systems], NaN where there is no score."""
    scores = np.full((len(comparison.pictures), len(comparison.systems)), np.nan)
    for cell in comparison.scored:
        scores[cell.picture, cell.system] = cell.score
    return scores


def _order(first: float, second: float) -> int:
    return 0 if abs(first - second) < TIE else 1 if first > second else -1


def preferences(comparison: Comparison) -> np.ndarray | None:
    """How likely each image is better than each other one, mean over the systems that scored both.

    Phi((m_i - m_j) / sqrt(v_i + v_j)) with the expected opinions m and the variances v that their intervals come from:
    how far off the method was measured to be. Where a score is not calibrated, the method says only which is better: 1,
    0, or one half for equal scores.

    Returns:
        float [images, images], row better than column, NaN where no system scored both and on the diagonal; None
        for fewer than two scored images.
    """
    count = len(comparison.pictures)
    total, votes = np.zeros((count, count)), np.zeros((count, count))
    by_system: dict[int, list[Cell]] = {}
    for cell in comparison.scored:
        by_system.setdefault(cell.system, []).append(cell)
    for cells in by_system.values():
        for one, other in itertools.permutations(cells, 2):
            total[one.picture, other.picture] += preference(one, other)
            votes[one.picture, other.picture] += 1
    if not votes.any():
        return None
    return np.divide(total, votes, out=np.full_like(total, np.nan), where=votes > 0)


def preference(one: Cell, other: Cell) -> float:
    """The probability that the image of `one` is better than that of `other`, in the eyes of their system."""
    if one.opinion is None or other.opinion is None:
        return 0.5 * (_order(one.score, other.score) + 1)
    # An interval ends at 0 and 100, so its longer side is the one that was measured.
    errors = [max(opinion.mos - opinion.low, opinion.high - opinion.mos, 1e-6) / DEVIATIONS
              for opinion in (one.opinion, other.opinion)]
    return float(ndtr((one.opinion.mos - other.opinion.mos) / np.hypot(*errors)))


def order(comparison: Comparison) -> list[int]:
    """Indices of the scored images, best first: by mean preference over the others, or by score where one system or
    one image leaves nothing to weigh."""
    scores = _scores(comparison)
    scored = [index for index in range(len(comparison.pictures)) if not np.isnan(scores[index]).all()]
    table = preferences(comparison)
    if len(comparison.systems) == 1 or table is None:
        return sorted(scored, key=lambda index: -np.nanmean(scores[index]))
    means = {index: np.nanmean(table[index]) if not np.isnan(table[index]).all() else 0.0 for index in scored}
    return sorted(scored, key=lambda index: -means[index])


# --- the sentence -----------------------------------------------------------------------------------------------------


def verdict(comparison: Comparison) -> str:
    """Where the systems agree and where and why they differ; plain text, "" before there is anything to compare."""
    cells = comparison.scored
    if len(cells) < 2:
        return ""
    if len({cell.picture for cell in cells}) == 1:
        return _about_one_picture(comparison, cells)
    if len({cell.system for cell in cells}) == 1:
        return _about_one_system(comparison, cells)
    return _about_orders(comparison)


def _about_one_picture(comparison: Comparison, cells: Sequence[Cell]) -> str:
    ranked = sorted(cells, key=lambda cell: -comparison.value(cell))
    high, low = ranked[0], ranked[-1]
    gap = comparison.value(high) - comparison.value(low)
    apart = f"{100 * gap:.0f} of 100" if comparison.calibrated else f"{gap:.2f}"
    words = [FIVE_LEVELS.word_for(comparison.value(cell)) for cell in cells]
    common = max(FIVE_LEVELS.words, key=words.count)
    share = (f"{_all_or(words.count(common), len(words)).capitalize()} call it {common}" if words.count(common) > 1
             else "They choose different levels" if len(words) == 2 else
             f"No two of the {len(words)} choose the same level")
    if gap < 0.05:
        what = "opinions" if comparison.calibrated else "scores"
        return f"{share}; all {what} lie within {apart} of each other."
    return (f"{share}. They lie {apart} apart: {_said(comparison, high)} is highest"
            f"{_because(high)}, and {_said(comparison, low)} lowest{_because(low)}.")


def _about_one_system(comparison: Comparison, cells: Sequence[Cell]) -> str:
    ranked = sorted(cells, key=lambda cell: -cell.score)
    best, second = ranked[0], ranked[1]
    name = comparison.systems[best.system].title
    first, other = (comparison.pictures[cell.picture].name for cell in (best, second))
    sure, labels = preference(best, second), [_short(comparison, cell) for cell in (best, second)]
    if _order(best.score, second.score) == 0 or sure < 0.6:
        start = f"{name} sees no clear difference between {first} ({labels[0]}) and {other} ({labels[1]})"
    elif not comparison.calibrated:
        start = f"{name} puts {first} ({labels[0]}) before {other} ({labels[1]})"
    else:
        start = (f"{name} puts {first} ({labels[0]}) before {other} ({labels[1]}), with a probability of {sure:.0%} by "
                 "the errors that it was measured to make")
    if len(ranked) == 2:
        return f"{start}."
    last = ranked[-1]
    return f"{start}; {comparison.pictures[last.picture].name} is last with {_short(comparison, last)}{_because(last)}."


def _about_orders(comparison: Comparison) -> str:
    pairwise = agreements(comparison)
    pairs, same = sum(one.pairs for one in pairwise), sum(one.same for one in pairwise)
    if not pairs:
        return "The systems scored no two photos differently, so there is no order to agree on."
    names = [system.title for system in comparison.systems]
    if same == pairs:
        who = "Both systems" if len(names) == 2 else f"All {len(names)} systems"
        return f"{who} put every pair of photos in the same order."
    start = ("The two systems put the photos in opposite orders" if pairs == 1 else
             f"Taken two by two, the systems put {same} of {pairs} pairs of photos in the same order")
    worst = min((one for one in pairwise if one.pairs), key=lambda one: (one.share, -one.pairs))
    text = f"{start}."
    if len(pairwise) > 1:
        text = f"{start}; {names[worst.first]} and {names[worst.second]} agree least ({worst.same} of {worst.pairs})."
    picture, one, other = _most_disputed(comparison)
    places = [_place(comparison, cell) for cell in (one, other)]
    if places[0][0] == places[1][0]:
        return text
    return (f"{text} They differ most about {comparison.pictures[picture].name}: {names[one.system]} puts it "
            f"{_ordinal(places[0][0])} of {places[0][1]}{_because(one)}, {names[other.system]} "
            f"{_ordinal(places[1][0])} of {places[1][1]}{_because(other)}.")


def _most_disputed(comparison: Comparison) -> tuple[int, Cell, Cell]:
    """The image whose relative place differs most between two systems, and the two cells, the better place first."""
    best: tuple[float, int, Cell, Cell] | None = None
    for one, other in itertools.combinations(comparison.scored, 2):
        if one.picture != other.picture:
            continue
        (first, of_first), (second, of_second) = _place(comparison, one), _place(comparison, other)
        distance = abs(first / of_first - second / of_second)
        if best is None or distance > best[0]:
            best = (distance, one.picture, *((one, other) if first <= second else (other, one)))
    assert best is not None, "several systems scored several pictures"
    return best[1:]


def _place(comparison: Comparison, cell: Cell) -> tuple[int, int]:
    """The image's place in its system's order, ties sharing the better one, and how many that system scored."""
    scores = [one.score for one in comparison.scored if one.system == cell.system]
    return 1 + sum(_order(score, cell.score) == 1 for score in scores), len(scores)


def _said(comparison: Comparison, cell: Cell) -> str:
    return f"{comparison.systems[cell.system].title} ({_short(comparison, cell)})"


def _short(comparison: Comparison, cell: Cell) -> str:
    return comparison.text(cell) if comparison.calibrated else f"{cell.score:.2f}"


def _because(cell: Cell) -> str:
    return f" ({cell.why})" if cell.why else ""


def _all_or(part: int, whole: int) -> str:
    if part == whole:
        return "both" if whole == 2 else f"all {whole}"
    return f"{part} of {whole}"


def _ordinal(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}".replace(" ", "")
