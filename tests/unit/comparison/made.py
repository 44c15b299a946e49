"""Comparisons for tests, out of a table of scores."""

from __future__ import annotations

from methods.base import Spread
from ui.comparison.records import Cell, Comparison, Opinion, Picture, System

TITLES = ("Q-Bench", "LEAF", "Q-Debias", "IQARAG")
METHODS = ("q-bench", "leaf", "q-debias", "iqarag")


def compared(table: list[list[float | None]], error: float | None = None) -> Comparison:
    """`table[picture][system]`; None is a failed cell. With an error, opinions are as the scores, so far off."""
    pictures = tuple(Picture(f"photo {index}", 64, 48, f"{index:064x}") for index in range(len(table)))
    systems = tuple(System(METHODS[index], TITLES[index], "" if METHODS[index] == "leaf" else "embedded")
                    for index in range(len(table[0])))
    cells = []
    for picture, row in enumerate(table):
        for system, score in enumerate(row):
            if score is None:
                cells.append(Cell(picture, system, error="The model failed."))
                continue
            spread = Spread(max(score - 0.1, 0), min(score + 0.1, 1), 0.1, "a test's spread")
            opinion = None if error is None else Opinion(100 * score, max(100 * score - error, 0),
                                                         min(100 * score + error, 100))
            cells.append(Cell(picture, system, score=score, native_score=4 * score + 1, native_range=(1.0, 5.0),
                              seconds=0.5, lmm="embedded@abcdef012345", options={"seed": 0}, explanation="**so**",
                              why=f"because of {score:.2f}", spread=spread, evidence={"words": ["good", "poor"]},
                              opinion=opinion))
    return Comparison(pictures, systems, tuple(cells), {"mean-opinion": "0.1.0", "torch": "2"},
                      "2026-01-02T03:04:05+00:00")
