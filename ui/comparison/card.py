"""A comparison as one printable card, PNG or PDF: the images, every opinion with its interval, the verdict, and what
computed it. Drawn with matplotlib, so that it needs no browser; on white, because it goes into papers and slides.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from methods.levels import FIVE_LEVELS
from ui.comparison.agreement import order, verdict
from ui.comparison.records import Comparison
from ui.components.figures import SERIES
from ui.components.results import short_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches; at 200 dots an inch a PNG is 1,600 pixels wide."""

DPI = 200
DARK, SOFT, LINE = "#1b2229", "#55606c", "#dfe3e8"
MARKERS = ("o", "D", "s", "^", "P", "*", "h", "v")


def write_card(comparison: Comparison, pictures: Sequence[bytes], path: Path, *, share_id: str = "") -> None:
    """Draws the card.

    Args:
        pictures: encoded copies in the comparison's order.
        path: its suffix chooses the format, .png or .pdf.
        share_id: named in the footer where the comparison was shared.
    """
    figure = draw(comparison, pictures, share_id=share_id)
    figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Title": "Mean Opinion: comparison"})


def draw(comparison: Comparison, pictures: Sequence[bytes], *, share_id: str = "") -> Figure:
    """The card as a figure of its own, outside pyplot's shared state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _rows(comparison)
    columns = min(len(pictures), 6)
    strips = -(-len(pictures) // columns)
    lines = textwrap.wrap(verdict(comparison), 114)
    foot = [line for part in _footer(comparison, share_id) for line in textwrap.wrap(part, 142)]
    tall = 3.0 if len(pictures) == 1 else 2.0 if columns == 2 else 1.35
    # The empty strip below the scores belongs to the labels of their axis.
    heights = [0.55, tall * strips, 0.2 + 0.19 * max(len(lines), 1), 0.5 + 0.33 * len(rows), 0.3,
               0.15 + 0.15 * len(foot)]
    figure = Figure(figsize=(WIDTH, sum(heights)))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(6, 1, height_ratios=heights, left=0.035, right=0.965, top=1, bottom=0, hspace=0)
    _text(_blank(figure.add_subplot(grid[0])), 0, 0.42, "Mean Opinion", size=15, weight="bold")
    _text(figure.axes[-1], 1, 0.42, f"{comparison.created[:10]}", size=9, color=SOFT, ha="right")
    _draw_pictures(figure, grid[1], comparison, pictures, columns, strips)
    area = _blank(figure.add_subplot(grid[2]))
    _text(area, 0, 0.85, "\n".join(lines), size=9, va="top", linespacing=1.35)
    _draw_scores(figure, grid[3], comparison, rows)
    area = _blank(figure.add_subplot(grid[5]))
    _text(area, 0, 0.92, "\n".join(foot), size=6.8, color=SOFT, va="top", linespacing=1.4)
    return figure


def _rows(comparison: Comparison) -> list[int]:
    """Systems for one image, best first, else images, best first."""
    if len(comparison.pictures) > 1:
        return order(comparison)
    return [cell.system for cell in sorted(comparison.scored, key=lambda cell: -comparison.value(cell))]


def _draw_pictures(figure: Figure, place, comparison: Comparison, pictures: Sequence[bytes], columns: int,
                   strips: int) -> None:
    grid = place.subgridspec(strips, columns, wspace=0.05, hspace=0.12)
    for index, content in enumerate(pictures):
        axes = _blank(figure.add_subplot(grid[index // columns, index % columns]))
        image = Image.open(io.BytesIO(content)).convert("RGB")
        image.thumbnail((900, 900), Image.Resampling.LANCZOS)
        axes.imshow(image, interpolation="antialiased", aspect="equal", extent=(0, image.width, image.height, 0))
        axes.set_xlim(0, image.width)
        axes.set_ylim(image.height, 0)
        name = comparison.pictures[index].name
        axes.set_title(name if len(name) <= 26 else f"{name[:25]}…", fontsize=7.5, color=SOFT, pad=2.5,
                       parse_math=False)


def _draw_scores(figure: Figure, place, comparison: Comparison, rows: list[int]) -> None:
    single = len(comparison.pictures) == 1
    axes = figure.add_subplot(place.subgridspec(1, 3, width_ratios=[1.9, 4.2, 2.6], wspace=0)[1])
    for system in sorted({cell.system for cell in comparison.scored}):
        cells = [cell for cell in comparison.scored if cell.system == system]
        heights = [rows.index(system) if single else rows.index(cell.picture) + _lane(system, len(comparison.systems))
                   for cell in cells]
        colour = SERIES[0 if single else system % len(SERIES)]
        for cell, height in zip(cells, heights):
            if (ends := comparison.interval(cell)) is not None:
                axes.plot(ends, [height, height], color=colour, alpha=0.35,
                          linewidth=2.2, solid_capstyle="butt")
        axes.plot([comparison.value(cell) for cell in cells], heights, linestyle="none", color=colour, markersize=5.5,
                  marker=MARKERS[0 if single else system % len(MARKERS)], label=comparison.systems[system].title)
    names = [(comparison.systems if single else comparison.pictures)[index] for index in rows]
    labels = [one.title if single else one.name for one in names]
    axes.set_yticks(range(len(rows)), [label if len(label) <= 24 else f"{label[:23]}…" for label in labels],
                    fontsize=8.5, color=DARK, parse_math=False)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [f"{100 * tick:.0f}" if comparison.calibrated else f"{tick:g}" for tick in ticks])
    axes.tick_params(labelsize=7.5, length=0, labelcolor=SOFT, axis="x")
    axes.tick_params(length=0, axis="y")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    _numbers(axes, comparison, rows, single)
    if not single and len(comparison.systems) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, fontsize=7, frameon=False, handletextpad=0.3,
                    borderaxespad=0.1, columnspacing=1.2)


def _numbers(axes: Axes, comparison: Comparison, rows: list[int], single: bool) -> None:
    """The scores in figures, right of the dots, with the level where there is room for it."""
    for height, index in enumerate(rows):
        cells = [cell for cell in comparison.scored if (cell.system if single else cell.picture) == index]
        if len(cells) == 1:
            text = f"{comparison.text(cells[0])}  {FIVE_LEVELS.word_for(comparison.value(cells[0]))}"
            if single:
                text += f", {cells[0].seconds:.2f} s"
        else:
            scores = {cell.system: comparison.text(cell) if comparison.calibrated else f"{cell.score:.2f}"
                      for cell in cells}
            text = "  ".join(scores.get(system, "–") for system in range(min(len(comparison.systems), 6)))
        axes.text(1.05, height, text, fontsize=8, color=DARK, va="center", ha="left", parse_math=False, clip_on=False)


def _lane(system: int, count: int) -> float:
    return 0.12 * (system - (count - 1) / 2) * min(1.0, 5 / count)


def _footer(comparison: Comparison, share_id: str) -> list[str]:
    scale = ("Opinions from 0 to 100; bars hold nine of ten opinions of photos with such a score." if
             comparison.calibrated else
             "Raw scores from 0 to 1, higher is better; not calibrated, so each method has its own scale.")
    used = ", ".join(dict.fromkeys(f"{cell.lmm.partition('@')[0]}@{cell.lmm.rpartition('@')[2][:12]}"
                                   if "@" in cell.lmm else short_model(cell.lmm) for cell in comparison.scored))
    versions = comparison.versions
    lines = [f"{scale} Models: {used}. Mean Opinion {versions.get('mean-opinion', '?')}, torch "
             f"{versions.get('torch', '?')}, transformers {versions.get('transformers', '?')}."]
    if share_id:
        lines.append(f"Shared as ?share={share_id}")
    return lines


def _blank(axes: Axes) -> Axes:
    axes.set_axis_off()
    return axes


def _text(axes: Axes, x: float, y: float, text: str, *, size: float, color: str = DARK, **settings) -> None:
    axes.text(x, y, text, transform=axes.transAxes, fontsize=size, color=color, parse_math=False,
              **{"va": "center", **settings})
