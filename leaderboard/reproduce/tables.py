"""A reproduction as text: which model ran, the paper's number beside ours, what is not the paper's, what is empty."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from leaderboard.reproduce.perform import Cell
from methods import files

_METRICS = {"srcc": "SRCC", "plcc": "PLCC", "krcc": "KRCC", "mean_srcc_plcc": "mean"}


def render(cells: Sequence[Cell], heading: Sequence[str] = ()) -> str:
    """The models that ran, then a line per cell: the paper's number, ours with its interval, the difference, n.

    A cell without ours has the number of the reason, and one that is not the paper's has letters; both stand below.
    """
    reasons = list(dict.fromkeys(cell.reason for cell in cells if cell.reason))
    marks = list(dict.fromkeys(mark for cell in cells if not cell.reason for mark in cell.marks))
    letters = dict(zip(marks, _letters()))
    lines = [*heading, *models(cells)]
    lines += [""] * bool(lines)
    lines.append(f"{'':<28}{'paper':>8}{'ours':>8}{'diff':>9}   {'95 % interval':<18}{'n':>7}")
    for label in dict.fromkeys(cell.label for cell in cells):
        lines.append(label)
        for cell in (cell for cell in cells if cell.label == label):
            name = f"  {cell.dataset} {_METRICS.get(cell.metric, cell.metric)}"
            paper = "" if math.isnan(cell.paper) else f"{cell.paper:.4f}"
            if cell.reason:
                lines.append(f"{name:<28}{paper:>8}{f'[{reasons.index(cell.reason) + 1}]':>8}")
                continue
            interval = "" if math.isnan(cell.low) else f"{cell.low:.4f} to {cell.high:.4f}"
            gap = "" if math.isnan(cell.paper) else f"{cell.ours - cell.paper:+.4f}"
            noted = "  " * bool(cell.marks) + ",".join(letters[mark] for mark in cell.marks)
            lines.append(f"{name:<28}{paper:>8}{cell.ours:>8.4f}{gap:>9}   {interval:<18}{cell.n:>7}{noted}")
    if marks:
        lines += ["", *(f"({letters[mark]}) {mark}" for mark in marks)]
    lines += [""] * bool(reasons)
    counts = Counter(cell.reason for cell in cells)
    lines += [f"[{number}] {_count(counts[reason])}: {reason}" for number, reason in enumerate(reasons, start=1)]
    return "\n".join(lines)


def models(cells: Sequence[Cell]) -> list[str]:
    """One line per model (or ensemble) that computed a cell, with its revision and how many."""
    counts = Counter(cell.model for cell in cells if cell.model and not cell.reason)
    return [f"Model: {model} ({_count(count)})" for model, count in counts.items()]


def summary(done: Mapping[str, Sequence[Cell]]) -> str:
    """One line per table: its cells and how many are filled; then the models and, by table, why others are empty."""
    lines = [f"{'table':<28}{'cells':>7}{'filled':>8}{'marked':>8}"]
    everything = [cell for cells in done.values() for cell in cells]
    for name, cells in [*done.items(), (f"{len(done)} tables", everything)]:
        filled = [cell for cell in cells if not cell.reason]
        lines.append(f"{name:<28}{len(cells):>7}{len(filled):>8}{sum(bool(cell.marks) for cell in filled):>8}")
    lines += ["", *models(everything)]
    reasons = Counter((name, cell.reason) for name, cells in done.items() for cell in cells if cell.reason)
    lines += ["", "Empty cells:"] * bool(reasons)
    lines += [f"  {name}, {_count(count)}: {reason}" for (name, reason), count in reasons.items()]
    return "\n".join(lines)


def print_csv(done: Mapping[str, Sequence[Cell]]) -> None:
    rows: list[tuple[object, ...]] = [
        ("table", "row", "dataset", "metric", "paper", "ours", "low", "high", "n", "model", "marks", "reason")]
    for name, cells in done.items():
        for cell in cells:
            numbers = ("" if math.isnan(value) else repr(float(value))
                       for value in (cell.paper, cell.ours, cell.low, cell.high))
            rows.append((name, cell.label, cell.dataset, cell.metric, *numbers, cell.n, cell.model,
                         "; ".join(cell.marks), cell.reason))
    print(files.csv_text(rows), end="")


def _letters() -> list[str]:
    return [*ascii_lowercase, *(first + second for first in ascii_lowercase for second in ascii_lowercase)]


def _count(number: int) -> str:
    return f"{number} {'cell' if number == 1 else 'cells'}"
