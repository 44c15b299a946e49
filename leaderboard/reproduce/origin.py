"""Which opinions a model has seen: what a cell has to say of the model that computed it."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.entries import catalogue, overlap
from leaderboard.runs.scoring import trained_on
from leaderboard.schema import load_board
from methods.lmm.catalogue import find


def training_marks(name: str, datasets: Sequence[str]) -> list[str]:
    """Why the scores of a model on some datasets say little, or cannot be judged; nothing where they can.

    Args:
        name: of the model, as an `LMM` has it.
        datasets: slugs of the test sets.
    """
    trained = trained_on(name)
    if trained is None:
        return [f"{name} was trained on opinions, and its authors do not say of which sets"
                if find(name.rpartition("#")[2]) else f"nothing is known here of what {name} was trained on"]
    known = catalogue(load_board()).by_dataset
    overlaps = {slug: overlap(trained, known[slug], known) for slug in datasets if slug in known}
    words = {"yes": "was trained on opinions of", "possible": "may have been trained on opinions of"}
    return [f"{name} {words[degree]} {known[slug].name}" for slug, degree in overlaps.items() if degree]
