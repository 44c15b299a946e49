"""Figures of a view: pure functions from tables to plotly figures, readable on a light and on a dark page.

Backgrounds are transparent and all text is a grey that holds on white and on near-black. A figure that cannot be drawn
is a figure that says why. Drawn are: dots with intervals, a heat map, a radar of up to five rows, agreement against
cost or size, with/without pairs, and ablation curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.pairs import Pair, pairs
from leaderboard.tables import Row, Table, table

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from leaderboard.links import View
    from leaderboard.schema import Board

INK = "#7d8794"
GRID = "rgba(125, 135, 148, 0.25)"
COLOURS = ("#1f8a8a", "#c2703d", "#7a6bb0", "#b3903a", "#4f86c6", "#a8556b")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
"""Colour never stands alone: every series has its own symbol too."""

SCALE = ((0.0, "#7a4b8f"), (0.35, "#6b7fae"), (0.65, "#4fa39b"), (1.0, "#d9c15a"))
"""Of the heat map, worst to best; its lightness rises steadily, so that it prints in grey."""

MOST_ROWS, MOST_RADAR = 40, 5


class FigureError(ValueError):
    """A figure that this view cannot give; the sentence says what to change."""


def draw(board: Board, view: View) -> go.Figure:
    """The view's figure; a message in its place where it cannot be drawn."""
    shown = table(board, view)
    try:
        if view.figure == "pairs":
            return with_without(board, view)
        if view.figure == "ablation":
            from leaderboard.ablation_figure import ablation

            return ablation(board, view.ablation)
        if view.figure == "cost":
            return against_cost(shown, view.axis)
        return {"dots": dots, "heat": heat, "radar": radar}[view.figure](shown)
    except FigureError as reason:
        return message(str(reason))


def message(sentence: str) -> go.Figure:
    """A figure that holds one sentence."""
    figure = _new(200)
    figure.update_layout(title=None, annotations=[{
        "text": _wrapped(sentence, 70), "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False,
        "font": {"size": 14, "color": INK}}])
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def dots(shown: Table) -> go.Figure:
    """One line a row, one dot a dataset, with its 95 % interval where one is known."""
    rows = _some_rows(shown)
    names = [dataset.slug for dataset in shown.datasets]
    drawn = [name for name in shown.shared if name in names] or names
    drawn = drawn[:len(COLOURS)]
    labels = _labels(rows)
    figure = _new(120 + 24 * len(rows))
    for index, name in enumerate(drawn):
        having = [(label, row.cells[name]) for label, row in zip(labels, rows) if name in row.cells]
        if not having:
            continue
        intervals = any(cell.has_interval for _, cell in having)
        error = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3,
                 "array": [cell.high - cell.value if cell.has_interval else 0 for _, cell in having],
                 "arrayminus": [cell.value - cell.low if cell.has_interval else 0 for _, cell in having]}
        figure.add_scatter(
            x=[cell.value for _, cell in having], y=[label for label, _ in having], mode="markers",
            name=shown.short(name), error_x=error if intervals else None,
            marker={"size": 9, "color": COLOURS[index], "symbol": SYMBOLS[index],
                    "line": {"width": 1, "color": "rgba(255,255,255,0.65)"}},
            hovertemplate="%{y}<br>" + shown.short(name) + ": %{x}<extra></extra>",
        )
    if not figure.data:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away.")
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], range=[-0.7, len(rows) - 0.3])
    figure.update_xaxes(title=shown.view.metric.upper() if shown.view.metric != "plcc_logistic4" else "PLCC (logistic)")
    return _titled(figure, _caption(shown, rows))


def heat(shown: Table) -> go.Figure:
    """Rows by datasets; the number stands in its field, a missing one stays empty."""
    rows = _some_rows(shown)
    labels = _labels(rows)
    columns = [dataset for dataset in shown.datasets if any(dataset.slug in row.cells for row in rows)]
    names = [dataset.slug for dataset in columns]
    if not names:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away.")
    values = [[row.cells[name].value if name in row.cells else None for name in names] for row in rows]
    texts = [[f"{row.cells[name].value:.3f}" if name in row.cells else "" for name in names] for row in rows]
    figure = _new(150 + 24 * len(rows))
    figure.add_heatmap(
        x=[dataset.short for dataset in columns], y=labels, z=values, text=texts, texttemplate="%{text}",
        textfont={"size": 11}, colorscale=[list(stop) for stop in SCALE], reversescale=shown.lower_is_better,
        xgap=1, ygap=1, hoverongaps=False, hovertemplate="%{y}<br>%{x}: %{z}<extra></extra>",
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": ""}},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(side="top", tickangle=-35, showgrid=False)
    return _titled(figure, _caption(shown, rows))


def radar(shown: Table) -> go.Figure:
    """Up to five rows over the datasets that all of them have.

    Raises:
        FigureError: fewer than three shared datasets, or no rows.
    """
    rows = shown.rows[:MOST_RADAR]
    shared = [dataset for dataset in shown.datasets if rows and all(dataset.slug in row.cells for row in rows)]
    if shown.lower_is_better:
        raise FigureError("A radar needs a metric that is the same on every dataset; RMSE has each dataset's own unit.")
    if len(shared) < 3:
        raise FigureError(f"A radar needs three datasets that all its rows have; the first {len(rows)} rows share "
                          f"{len(shared)}. Choose up to five methods that were tested on the same datasets.")
    figure = _new(540)
    axes = [dataset.short for dataset in shared]
    for index, (row, label) in enumerate(zip(rows, _labels(rows))):
        values = [row.cells[dataset.slug].value for dataset in shared]
        figure.add_scatterpolar(
            r=[*values, values[0]], theta=[*axes, axes[0]], name=label, mode="lines+markers",
            line={"color": COLOURS[index], "width": 2}, marker={"symbol": SYMBOLS[index], "size": 7},
            hovertemplate="%{theta}: %{r}<extra>" + label + "</extra>",
        )
    figure.update_layout(legend={"orientation": "v", "y": -0.08, "yanchor": "top"})
    low = min(min(trace.r) for trace in figure.data)
    polar = {"gridcolor": GRID, "linecolor": GRID}
    figure.update_layout(polar={
        "bgcolor": "rgba(0,0,0,0)", "angularaxis": polar,
        "radialaxis": {**polar, "range": [max(-1.0, low - 0.1) // 0.1 * 0.1, 1.0], "tickfont": {"size": 10},
                       "tickformat": ".1f"}})
    return _titled(figure, _caption(shown, rows))


def against_cost(shown: Table, axis: str) -> go.Figure:
    """The mean over the shared datasets against model size ("parameters") or LMM passes a picture ("passes").

    Raises:
        FigureError: no ranked row has a known cost, or RMSE.
    """
    if shown.lower_is_better:
        raise FigureError("RMSE has each dataset's own unit, so it has no mean; choose a correlation.")
    rows = [row for row in shown.rows if row.mean_rank is not None and _cost(row, axis) is not None]
    if not rows:
        what = "a known number of parameters" if axis == "parameters" else "a known number of LMM passes"
        raise FigureError(f"No ranked row has {what}; take a filter away or choose the other axis.")
    figure = _new(460)
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.entry.method, []).append(row)
    for index, (method, members) in enumerate(grouped.items()):
        figure.add_scatter(
            x=[_cost(row, axis) for row in members], y=[_mean(row, shown.shared) for row in members], name=method,
            mode="markers", text=[row.entry.label for row in members],
            marker={"size": 11, "color": COLOURS[index % len(COLOURS)],
                    "symbol": SYMBOLS[(index + index // len(COLOURS)) % len(SYMBOLS)]},
            hovertemplate="%{text}<br>%{x}: %{y:.3f}<extra></extra>",
        )
    names = ", ".join(shown.short(name) for name in shown.shared)
    figure.update_xaxes(title="parameters (billions)" if axis == "parameters" else "LMM passes a picture",
                        type="log" if axis == "parameters" else "linear")
    if axis == "parameters":
        figure.update_xaxes(tickvals=[0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20],
                            ticktext=["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "20"])
    figure.update_yaxes(title=f"mean {shown.view.metric.upper()}")
    return _titled(figure, f"{len(rows)} rows that all have {names}; means are over exactly these")


def with_without(board: Board, view: View) -> go.Figure:
    """What a method adds to its own model: an open dot without it, a filled one with it, one line a pair.

    Raises:
        FigureError: the view holds no pair.
    """
    found = pairs(board, view)
    if not found:
        raise FigureError("This view holds no result of one model with and without a method; "
                          "show IQARAG, Q-Debias and Q-Bench on a dataset they share.")
    total, better = len(found), sum(pair.gain > 0 for pair in found)
    found = found[:MOST_ROWS]
    labels = _distinct([pair.label for pair in found])
    figure = _new(120 + 22 * len(found))
    for gained, colour, name in ((True, COLOURS[0], "better with it"), (False, COLOURS[1], "worse with it")):
        some = [(label, pair) for label, pair in zip(labels, found) if (pair.gain > 0) == gained]
        if not some:
            continue
        x: list[float | None] = []
        y: list[str | None] = []
        for label, pair in some:
            x += [pair.without, pair.with_method, None]
            y += [label, label, None]
        figure.add_scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 2}, showlegend=False,
                           hoverinfo="skip")
        figure.add_scatter(x=[pair.without for _, pair in some], y=[label for label, _ in some], mode="markers",
                           marker={"symbol": "circle-open", "size": 9, "color": colour}, showlegend=False,
                           hovertemplate="%{y}<br>without: %{x}<extra></extra>")
        figure.add_scatter(x=[pair.with_method for _, pair in some], y=[label for label, _ in some], mode="markers",
                           marker={"symbol": "circle", "size": 9, "color": colour}, name=name,
                           text=[f"{pair.gain:+.3f}" for _, pair in some],
                           hovertemplate="%{y}<br>with: %{x} (%{text})<extra></extra>")
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], range=[-0.7, len(found) - 0.3])
    figure.update_xaxes(title=_axis_name(found[0]))
    drawn = f"; the first {len(found)} are drawn" if len(found) < total else ""
    return _titled(figure, f"{better} of {total} pairs are better with the method{drawn} (open: without, filled: with)")


def _axis_name(pair: Pair) -> str:
    return "(SRCC + PLCC) / 2" if pair.metric == "mean_srcc_plcc" else pair.metric.upper()


def _cost(row: Row, axis: str) -> float | None:
    return row.entry.parameters if axis == "parameters" else row.entry.lmm_passes


def _mean(row: Row, names: Sequence[str]) -> float:
    return sum(row.cells[name].value for name in names) / len(names)


def _some_rows(shown: Table) -> tuple[Row, ...]:
    if not shown.rows:
        raise FigureError("Nothing matches these filters; take one away.")
    return shown.rows[:MOST_ROWS]


def _caption(shown: Table, rows: Sequence[Row]) -> str:
    some = f"the first {len(rows)} of {len(shown.rows)} rows" if len(rows) < len(shown.rows) else f"{len(rows)} rows"
    return f"{shown.metric_name}, {some}"


def _labels(rows: Sequence[Row]) -> list[str]:
    return _distinct([f"{_cut(_brief(row), 44)} · {row.entry.paper}" for row in rows])


def _brief(row: Row) -> str:
    """A row's label without what its method's name says already."""
    entry = row.entry
    backbone = entry.backbone.removesuffix("-Instruct")
    variant = entry.variant.replace("ratio=", "").replace("; with IQARAG", "").replace("; without IQARAG", "")
    name = backbone if backbone.startswith(entry.method) else entry.method
    details = "; ".join(part for part in ("" if name == backbone else backbone, variant) if part)
    return f"{name} ({details})" if details else name


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels made different, since plotly would lay equal ones onto each other."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 1].rstrip() + "…"


def _wrapped(sentence: str, width: int) -> str:
    lines = [""]
    for word in sentence.split():
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "<br>".join(line.strip() for line in lines)


def _new(height: int) -> go.Figure:
    import plotly.graph_objects as go

    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "automargin": True, "ticks": ""}
    figure = go.Figure()
    figure.update_layout(
        template="none", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", height=height, dragmode=False,
        font={"family": "ui-sans-serif, system-ui, sans-serif", "size": 12, "color": INK}, hovermode="closest",
        margin={"l": 8, "r": 16, "t": 72, "b": 8}, xaxis=axis, yaxis=axis,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
    )
    return figure


def _titled(figure: go.Figure, title: str) -> go.Figure:
    figure.update_layout(title={"text": title, "x": 0, "xanchor": "left", "y": 0.99, "yanchor": "top",
                                "font": {"size": 13, "color": INK}, "automargin": True})
    return figure
