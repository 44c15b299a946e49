"""The label-budget curve as a figure: SRCC, PLCC and what the teacher adds, each with its 95 % interval.

Plain SVG, so that it goes into a README and, converted, into a paper. The background is left open and ink follows the
reader's light or dark setting; the two sides differ in colour, marker and dash, so that print in grey will do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from methods.leaf.report import Report

HEIGHT = 372
_TOP, _BOTTOM, _FIRST, _PANEL, _GAP = 66, 72, 58, 256, 60

_STYLE = (
    "text{font:12px Helvetica,Arial,sans-serif;fill:#1b2229}.soft{fill:#55606c}.title{font-weight:bold;font-size:13px}"
    ".grid{stroke:#dfe3e8}.zero{stroke:#55606c}.without{stroke:#d55e00;fill:#d55e00}.with{stroke:#0072b2;fill:#0072b2}"
    ".line{fill:none!important;stroke-width:2}.without.line{stroke-dasharray:5 4}.bar{stroke-width:1.4}"
    "@media(prefers-color-scheme:dark){text{fill:#e6eaee}.soft{fill:#a3aeb9}.grid{stroke:#2b333c}.zero{stroke:#a3aeb9}"
    ".without{stroke:#f0884a;fill:#f0884a}.with{stroke:#58a6e0;fill:#58a6e0}}"
)


@dataclass(frozen=True)
class _Mark:
    place: int
    value: float
    low: float
    high: float


def svg(report: Report) -> str:
    """The figure: two panels, or three where there is a teacher to compare with.

    Points without a student (no label and no teacher) are left out.
    """
    budgets = sorted({point.budget for point in report.points})
    labels = {point.budget: point.labels for point in report.points}
    place = {budget: index for index, budget in enumerate(budgets)}
    panels = []
    for number, metric in enumerate(("srcc", "plcc")):
        sides = {}
        for side, name in ((False, "without"), (True, "with")):
            line = [point for point in report.points if point.teacher == side and point.srcc is not None]
            if line:
                sides[name] = [_Mark(place[point.budget], getattr(point, metric), *getattr(point, f"{metric}_interval"))
                               for point in line]
        panels.append(_panel(number, metric.upper(), sides, budgets, labels))
    if report.gains:
        gains = [_Mark(place[gain.budget], gain.value, gain.low, gain.high) for gain in report.gains]
        panels.append(_panel(2, "SRCC that the teacher adds", {"with": gains}, budgets, labels, zero=True))
    width = _FIRST + len(panels) * (_PANEL + _GAP) - _GAP + 14
    named = [("without", "without teacher"), ("with", "with teacher")][: 2 if report.teacher else 1]
    legend = "".join(
        f'<line class="{side} line" x1="{_FIRST + 150 * index}" x2="{_FIRST + 150 * index + 30}" y1="16" y2="16"/>'
        + _marker(side, _FIRST + 150 * index + 15, 16)
        + f'<text x="{_FIRST + 150 * index + 38}" y="20">{words}</text>' for index, (side, words) in enumerate(named))
    about = (f"{report.pictures} pictures, {report.seeds} seeds; bars: 95 % bootstrap intervals over pictures"
             + (", paired in the last panel" if report.gains else ""))
    beside = len(panels) > 2
    where = f'x="{width - 14}" y="20" text-anchor="end"' if beside else f'x="{_FIRST}" y="38"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="Accuracy of a student against its label budget">', f"<style>{_STYLE}</style>", legend,
        f'<text class="soft" {where}>{about}</text>', *panels, "</svg>",
    ])


def _panel(number: int, title: str, sides: dict[str, list[_Mark]], budgets: Sequence[float],
           labels: dict[float, float], zero: bool = False) -> str:
    left, right = _FIRST + number * (_PANEL + _GAP), _FIRST + number * (_PANEL + _GAP) + _PANEL
    base = HEIGHT - _BOTTOM
    every = [mark for marks in sides.values() for mark in marks]
    low = math.floor(10 * min((mark.low for mark in every), default=0.0) - 1e-9) / 10
    high = math.ceil(10 * max((mark.high for mark in every), default=1.0) + 1e-9) / 10
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    step = 0.1 if high - low <= 1.05 else 0.2

    def x(place: float) -> float:
        # Evenly spaced: on a linear axis the budgets that matter would lie on top of each other.
        return left + (right - left) * (place + 0.5) / len(budgets)

    def y(value: float) -> float:
        return base - (base - _TOP) * (value - low) / (high - low)

    parts = [f'<text class="title" x="{left}" y="{_TOP - 12}">{title}</text>']
    for index in range(round((high - low) / step) + 1):
        tick = low + index * step
        kind = "zero" if abs(tick) < 1e-9 else "grid"
        parts.append(f'<line class="{kind}" x1="{left}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
                     f'<text class="soft" x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">'
                     f'{tick + 0.0:.1f}</text>')
    for place, budget in enumerate(budgets):
        parts.append(f'<text x="{x(place):.1f}" y="{base + 18}" text-anchor="middle">{100 * budget:g} %</text>'
                     f'<text class="soft" x="{x(place):.1f}" y="{base + 34}" text-anchor="middle">'
                     f'{labels[budget]:.0f}</text>')
    parts.append(f'<text class="soft" x="{(left + right) / 2:.1f}" y="{base + 56}" text-anchor="middle">'
                 'share of labels used, and their number</text>')
    for side, marks in sides.items():
        shift = 0.0 if len(sides) == 1 else (-5.0 if side == "without" else 5.0)
        path = " ".join(f"{x(mark.place) + shift:.1f},{y(mark.value):.1f}" for mark in marks)
        parts.append(f'<polyline class="{side} line" points="{path}"/>')
        for mark in marks:
            at = x(mark.place) + shift
            parts.append(f'<path class="{side} bar" d="M{at:.1f} {y(mark.low):.1f}V{y(mark.high):.1f}'
                         f'M{at - 3:.1f} {y(mark.low):.1f}h6M{at - 3:.1f} {y(mark.high):.1f}h6"/>'
                         + _marker(side, at, y(mark.value)))
    return "".join(parts)


def _marker(side: str, x: float, y: float) -> str:
    if side == "with":
        return f'<circle class="with" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<rect class="without" x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2"/>'
