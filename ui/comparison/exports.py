"""A comparison as files that outlive the page: its whole record as JSON, its numbers as CSV."""

from __future__ import annotations

import json
from pathlib import Path

from methods import files
from ui.comparison.agreement import agreements, order, preferences, verdict
from ui.comparison.records import Comparison
from ui.comparison.tables import to_csv


def summary(comparison: Comparison) -> dict:
    """What the numbers say, JSON-safe: the verdict, the order of the images, preferences and agreement."""
    table = preferences(comparison)
    systems = [system.title for system in comparison.systems]
    return {
        "verdict": verdict(comparison),
        "order": order(comparison) if comparison.scored else [],
        "preferences": None if table is None else [[None if value != value else float(value) for value in row]
                                                   for row in table],
        "agreement": [{"systems": [systems[one.first], systems[one.second]], "pictures": one.pictures,
                       "pairs": one.pairs, "pairs_in_same_order": one.same, "mean_absolute_difference": one.gap}
                      for one in agreements(comparison)],
    }


def record(comparison: Comparison, *, figures: bool = False) -> dict:
    """Everything: the comparison and its summary. Drawings are left out unless asked for; they follow from the rest."""
    whole = comparison.to_dict()
    if not figures:
        for cell in whole["cells"]:
            del cell["figure"]
    return {**whole, "summary": summary(comparison)}


def write_json(comparison: Comparison, path: Path, *, share_id: str = "") -> None:
    """`record` as a file, with the id of its link where it was shared."""
    whole = record(comparison)
    if share_id:
        whole["share"] = share_id
    files.replace(path, json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(comparison: Comparison, path: Path) -> None:
    """One line per score."""
    files.replace(path, to_csv(comparison))
