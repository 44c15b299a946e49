"""A comparison as plotly figures: every opinion as a dot with its interval, and who is preferred to whom."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np

from ui.comparison.agreement import agreements, order, preferences
from ui.comparison.records import Cell, Comparison
from ui.components.figures import ACCENT, INK, SECOND, SERIES, themed

if TYPE_CHECKING:
    import plotly.graph_objects as go

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "triangle-down")
HEAT = [[0, SECOND], [0.5, "#7d8794"], [1, ACCENT]]
"""Opaque, and dark enough for white text on a page of either theme."""

LANE = 0.12
"""Distance of two systems' dots on a row, in rows."""


def dots(comparison: Comparison) -> go.Figure | None:
    """One row per system for a single image, else one row per image with a colour and symbol for each system.

    Opinions with their intervals; raw scores without any where not all are calibrated.
    """
    import plotly.graph_objects as go

    cells = comparison.scored
    if not cells:
        return None
    single, scale = len(comparison.pictures) == 1, 100 if comparison.calibrated else 1
    rows = ([cell.system for cell in sorted(cells, key=lambda cell: -comparison.value(cell))] if single
            else order(comparison))
    names = [comparison.systems[index].title if single else comparison.pictures[index].name for index in rows]
    figure = go.Figure()
    for system in dict.fromkeys(cell.system for cell in cells):
        mine = [cell for cell in cells if cell.system == system]
        heights = [rows.index(cell.system if single else cell.picture)
                   + (0 if single else _lane(system, len(comparison.systems))) for cell in mine]
        colour = ACCENT if single else SERIES[system % len(SERIES)]
        _bars(figure, comparison, mine, heights, colour)
        figure.add_scatter(
            x=[scale * comparison.value(cell) for cell in mine], y=heights,
            mode="markers+text" if single else "markers", text=[comparison.text(cell) for cell in mine],
            cliponaxis=False, textposition="top center",
            name=html.escape(comparison.systems[system].title), showlegend=not single and len(comparison.systems) > 1,
            marker={"size": 12, "color": colour, "symbol": SYMBOLS[0 if single else system % len(SYMBOLS)]},
            hovertext=[_hover(comparison, cell) for cell in mine], hoverinfo="text",
        )
    themed(figure, height=90 + 44 * len(rows) + (0 if single or len(comparison.systems) < 2 else 40))
    title = "opinion, nine of ten" if comparison.calibrated else "raw score, not calibrated"
    figure.update_xaxes(range=[-0.02 * scale, 1.02 * scale], tickvals=[scale * part / 4 for part in range(5)],
                        title={"text": title, "font": {"color": INK}})
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=[_short(name) for name in names],
                        range=[len(rows) - 0.4, -0.7], showgrid=False, zeroline=False)
    # Anchored at its lower edge, it grows upwards where a narrow page breaks it into lines.
    figure.update_layout(legend={"y": 1.0, "yanchor": "bottom"})
    return figure


def _lane(system: int, count: int) -> float:
    return LANE * (system - (count - 1) / 2) * min(1.0, 5 / max(count, 1))


def _bars(figure: go.Figure, comparison: Comparison, cells: list[Cell], heights: list[float], colour: str
          ) -> None:
    x: list[float | None] = []
    y: list[float | None] = []
    for cell, height in zip(cells, heights):
        if (interval := comparison.interval(cell)) is not None:
            # None lifts the pen: one trace draws all intervals of a system.
            x += [100 * interval[0], 100 * interval[1], None]
            y += [height, height, None]
    if x:
        figure.add_scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 3}, opacity=0.4, hoverinfo="skip",
                           showlegend=False)


def _hover(comparison: Comparison, cell: Cell) -> str:
    lines = [comparison.systems[cell.system].title, comparison.pictures[cell.picture].name]
    if cell.opinion is not None:
        lines.append(f"opinion {cell.opinion.mos:.0f}, nine of ten {cell.opinion.low:.0f} to {cell.opinion.high:.0f}")
    lines.append(f"raw score {cell.score:.3f}")
    if cell.spread is not None:
        lines.append(f"{cell.spread.meaning}: {cell.spread.low:.2f} to {cell.spread.high:.2f}")
    return "<br>".join(map(html.escape, lines))


def preference_matrix(comparison: Comparison) -> go.Figure | None:
    """How likely the image of a row is better than that of a column, best first; None below two images."""
    import plotly.graph_objects as go

    table = preferences(comparison)
    if table is None:
        return None
    rows = order(comparison)
    values = table[np.ix_(rows, rows)]
    names = [_short(comparison.pictures[index].name) for index in rows]
    # Names may repeat; a heat map would lay equal ones over each other, so places are drawn and named.
    places = list(range(len(rows)))
    text = [["" if np.isnan(value) else share(value) for value in row] for row in values]
    figure = go.Figure(go.Heatmap(
        z=[[None if np.isnan(value) else float(value) for value in row] for row in values], x=places, y=places,
        text=text, texttemplate="%{text}", zmin=0, zmax=1, showscale=False, xgap=2, ygap=2,
        colorscale=HEAT, textfont={"color": "#ffffff"}, hoverinfo="text",
        hovertext=[[f"{one} better than {other}" for other in names] for one in names],
    ))
    themed(figure, height=130 + 36 * len(rows), title="Probability that the row is better")
    figure.update_xaxes(tickvals=places, ticktext=names, showgrid=False, zeroline=False)
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed", showgrid=False, zeroline=False)
    return figure


def share(probability: float) -> str:
    """In percent; what is nearly sure is not called sure. One and zero are those of systems that are not calibrated."""
    if 0 < probability < 0.01:
        return "< 1%"
    return "> 99%" if 0.99 < probability < 1 else f"{probability:.0%}"


def agreement_matrix(comparison: Comparison) -> go.Figure | None:
    """The share of image pairs that two systems put in the same order; None below two systems with such pairs."""
    import plotly.graph_objects as go

    pairwise = [one for one in agreements(comparison) if one.pairs]
    if not pairwise:
        return None
    systems = sorted({index for one in pairwise for index in (one.first, one.second)})
    size = len(systems)
    shares: list[list[float | None]] = [[None] * size for _ in range(size)]
    text = [[""] * size for _ in range(size)]
    for one in pairwise:
        for first, second in ((one.first, one.second), (one.second, one.first)):
            row, column = systems.index(first), systems.index(second)
            shares[row][column] = one.share
            text[row][column] = f"{one.same} of {one.pairs}"
    names = [_short(comparison.systems[index].title) for index in systems]
    figure = go.Figure(go.Heatmap(
        z=shares, x=names, y=names, text=text, texttemplate="%{text}", zmin=0, zmax=1, showscale=False, xgap=2, ygap=2,
        colorscale=HEAT, textfont={"color": "#ffffff"},
        hovertemplate="%{y} and %{x}: %{text} pairs in the same order<extra></extra>",
    ))
    themed(figure, height=130 + 36 * size, title="Pairs of photos in the same order")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False)
    return figure


def _short(name: str) -> str:
    return html.escape(name if len(name) <= 22 else f"{name[:21]}…")
