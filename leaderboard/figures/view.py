"""Figures of a view: pure functions from tables to plotly figures, readable on a light and on a dark page.

Backgrounds are transparent and all text is a grey that holds on white and on near-black. A figure that cannot be drawn
is a figure that says why. Drawn are: dots with intervals, a heat map, a radar of up to five rows, agreement against
cost or size, with/without pairs, and ablation curves. A narrow figure, for a phone, has its rows' names above the dots
instead of beside them, since a name alone fills half such a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.figures.style import (
    ABOVE,
    BELOW,
    BESIDE,
    COARSE,
    COLOURS,
    FINE,
    GRID,
    MOST_NARROW,
    MOST_RADAR,
    MOST_ROWS,
    NARROW_LABEL,
    NARROW_LINE,
    SCALE,
    SCALE_INK,
    SYMBOLS,
    FigureError,
    _cut,
    distinct,
    marker,
    message,
    name_rows,
    new_figure,
    titled,
    wrapped,
)
from leaderboard.tables import Row, Table, table

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from leaderboard.links import View
    from leaderboard.schema import Board


def draw(board: Board, view: View, *, narrow: bool = False) -> go.Figure:
    """The view's figure; a message in its place where it cannot be drawn.

    Args:
        board: the data.
        view: what to show.
        narrow: for a screen that is at most about 640 pixels wide.
    """
    ranked = table(board, view)
    try:
        if view.figure == "pairs":
            from leaderboard.figures.pairs import with_without

            return with_without(board, view, narrow)
        if view.figure == "ablation":
            from leaderboard.figures.ablation import ablation

            return ablation(board, view.ablation, narrow)
        if view.figure == "cost":
            return against_cost(ranked, view.axis, narrow)
        return {"dots": dots, "heat": heat, "radar": radar}[view.figure](ranked, narrow)
    except FigureError as reason:
        return message(str(reason), narrow)


def dots(ranked: Table, narrow: bool = False) -> go.Figure:
    """One line per row, one dot per dataset, with its 95 % interval where one is known.

    Drawn are the datasets that ranks are over; rows without any of them are left out.
    """
    names = [dataset.slug for dataset in ranked.datasets]
    columns = [name for name in ranked.shared if name in names] or names
    columns = columns[:len(COLOURS)]
    having_some = [row for row in ranked.rows if any(name in row.cells for name in columns)]
    rows = _some_rows(having_some, ranked, narrow)
    labels = _labels(rows, narrow)
    figure = new_figure(_height(rows, narrow))
    for index, name in enumerate(columns):
        having = [(label, row.cells[name]) for label, row in zip(labels, rows)
                  if name in row.cells and name not in row.apart]
        if not having:
            continue
        intervals = any(cell.has_interval for _, cell in having)
        error = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3,
                 "array": [0 if cell.high is None else cell.high - cell.value for _, cell in having],
                 "arrayminus": [0 if cell.low is None else cell.value - cell.low for _, cell in having]}
        figure.add_scatter(
            x=[cell.value for _, cell in having], y=[label for label, _ in having], mode="markers",
            name=ranked.short(name), error_x=error if intervals else None, marker=marker(index),
            hovertemplate="%{y}<br>" + ranked.short(name) + ": %{x}<extra></extra>",
        )
    name_rows(figure, labels, narrow)
    metric = ranked.view.metric
    figure.update_xaxes(title=metric.upper() if metric != "plcc_logistic4" else "PLCC (logistic)")
    return titled(figure, _caption(ranked, rows), narrow)


def heat(ranked: Table, narrow: bool = False) -> go.Figure:
    """Rows by datasets; the number stands in its field, a missing one stays empty."""
    rows = _some_rows(ranked.rows, ranked, narrow)
    labels = distinct([wrapped(_cut(_brief(row), 44), 22) for row in rows]) if narrow else _labels(rows)
    columns = [dataset for dataset in ranked.datasets if any(dataset.slug in row.cells for row in rows)]
    names = [dataset.slug for dataset in columns]
    if not names:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away.")
    values = [[row.cells[name].value if name in row.cells else None for name in names] for row in rows]
    texts = [[f"{row.cells[name].value:.3f}" if name in row.cells else "" for name in names] for row in rows]
    figure = new_figure(150 + (32 if narrow else 24) * len(rows))
    figure.add_heatmap(
        x=[dataset.short for dataset in columns], y=labels, z=values, text=texts, texttemplate="%{text}",
        textfont={"size": 11, "color": SCALE_INK}, colorscale=[list(stop) for stop in SCALE],
        reversescale=ranked.lower_is_better, xgap=1, ygap=1, hoverongaps=False, showscale=not narrow,
        hovertemplate="%{y}<br>%{x}: %{z}<extra></extra>",
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": ""}},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False)
    figure.update_xaxes(side="top", tickangle=-35, showgrid=False, showline=False)
    if narrow:
        # Wider than the phone where it must be: numbers that cannot be read are worth less than scrolling sideways.
        figure.update_layout(width=max(340, 160 + 44 * len(names)))
        figure.update_yaxes(tickfont={"size": 10})
    return titled(figure, _caption(ranked, rows), narrow)


def radar(ranked: Table, narrow: bool = False) -> go.Figure:
    """Up to five rows over the datasets that all of them have.

    Raises:
        FigureError: fewer than three shared datasets, or no rows.
    """
    rows = ranked.rows[:MOST_RADAR]
    shared = [dataset for dataset in ranked.datasets if rows and all(dataset.slug in row.cells for row in rows)
              and len({row.cells[dataset.slug].part for row in rows}) == 1]
    if ranked.lower_is_better:
        raise FigureError("A radar needs a metric that is the same on every dataset; RMSE has each dataset's own unit.")
    if len(shared) < 3:
        raise FigureError(f"A radar needs three datasets that all its rows have; the first {len(rows)} rows share "
                          f"{len(shared)}. Choose up to five methods that were tested on the same images.")
    figure = new_figure(560 if narrow else 520)
    axes = [wrapped(dataset.short, 8) if narrow else dataset.short for dataset in shared]
    for index, (row, label) in enumerate(zip(rows, _labels(rows))):
        values = [row.cells[dataset.slug].value for dataset in shared]
        label = wrapped(label, NARROW_LINE) if narrow else label
        figure.add_scatterpolar(
            r=[*values, values[0]], theta=[*axes, axes[0]], name=label, mode="lines+markers",
            line={"color": COLOURS[index], "width": 2}, marker={"symbol": SYMBOLS[index], "size": 7},
            hovertemplate="%{theta}: %{r}<extra>" + label + "</extra>",
        )
    low = min(min(trace.r) for trace in figure.data)
    polar = {"gridcolor": GRID, "linecolor": GRID, "ticks": ""}
    # The numbers stand upright between two spokes, where no line passes through them.
    between = 90 - 180 / len(axes)
    spokes = {**polar, "rotation": 90, "direction": "clockwise", "tickfont": {"size": 11 if narrow else 12}}
    figure.update_layout(legend=BELOW if narrow else BESIDE, polar={
        "bgcolor": "rgba(0,0,0,0)", "angularaxis": spokes,
        "radialaxis": {**polar, "range": [max(-1.0, low - 0.1) // 0.1 * 0.1, 1.0], "tickfont": {"size": 10},
                       "tickformat": ".1f", "dtick": 0.1 if low > 0.45 else 0.2, "angle": between,
                       "tickangle": between}})
    # Plotly leaves no room for the names of spokes by itself.
    figure.update_layout(margin={"l": 60, "r": 60, "t": 64, "b": 40} if narrow else {"t": 76, "b": 40})
    return titled(figure, _caption(ranked, rows), narrow)


def against_cost(ranked: Table, axis: str, narrow: bool = False) -> go.Figure:
    """The mean over the shared datasets against model size ("parameters") or LMM passes per image ("passes").

    Raises:
        FigureError: no ranked row has a known cost, or RMSE.
    """
    if ranked.lower_is_better:
        raise FigureError("RMSE has each dataset's own unit, so it has no mean; choose a correlation.")
    rows = [row for row in ranked.rows if row.mean_rank is not None and _cost(row, axis) is not None]
    if not rows:
        what = "a known number of parameters" if axis == "parameters" else "a known number of LMM passes"
        raise FigureError(f"No ranked row has {what}; take a filter away or choose the other axis.")
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.entry.method, []).append(row)
    figure = new_figure(340 + 20 * len(grouped) if narrow else 460)
    for index, (method, members) in enumerate(grouped.items()):
        figure.add_scatter(
            x=[_cost(row, axis) for row in members], y=[_mean(row, ranked.shared) for row in members], name=method,
            mode="markers", text=[row.entry.label for row in members], marker={**marker(index), "size": 11},
            hovertemplate="%{text}<br>%{x}: %{y:.3f}<extra></extra>",
        )
    names = ", ".join(ranked.short(name) for name in ranked.shared)
    figure.update_xaxes(title="parameters (billions)" if axis == "parameters" else "LMM passes per image",
                        type="log" if axis == "parameters" else "linear")
    if axis == "parameters":
        sizes = [row.entry.parameters for row in rows if row.entry.parameters is not None]
        ticks = COARSE if max(sizes) > 10 * min(sizes) else FINE
        figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    figure.update_yaxes(title=f"mean {ranked.view.metric.upper()}")
    figure.update_layout(legend=BELOW if narrow else ABOVE)
    caption = f"{len(rows)} rows that all have {names}; means are over exactly these"
    return titled(figure, caption, narrow)


def _cost(row: Row, axis: str) -> float | None:
    return row.entry.parameters if axis == "parameters" else row.entry.lmm_passes


def _mean(row: Row, names: Sequence[str]) -> float:
    return sum(row.cells[name].value for name in names) / len(names)


def _some_rows(rows: Sequence[Row], ranked: Table, narrow: bool) -> tuple[Row, ...]:
    if not rows:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away." if ranked.rows else
                          "Nothing matches these filters; take one away.")
    return tuple(rows[:MOST_NARROW if narrow else MOST_ROWS])


def _height(rows: Sequence, narrow: bool) -> int:
    return 110 + (40 if narrow else 24) * len(rows)


def _caption(ranked: Table, rows: Sequence[Row]) -> str:
    some = f"{len(rows)} of {len(ranked.rows)} rows" if len(rows) < len(ranked.rows) else f"{len(rows)} rows"
    return f"{ranked.metric_name}, {some}"


def _labels(rows: Sequence[Row], narrow: bool = False) -> list[str]:
    """Names of the rows with their source, and with its table where two would be the same."""
    short = [f"{_cut(_brief(row), NARROW_LABEL - len(row.entry.paper) if narrow else 62)} · {row.entry.paper}"
             for row in rows]
    return distinct([f"{label}, {row.entry.table}" if short.count(label) > 1 else label
                     for label, row in zip(short, rows)])


def _brief(row: Row) -> str:
    """A row's label without what its method's name says already."""
    entry = row.entry
    backbone = entry.backbone.removesuffix("-Instruct")
    variant = entry.variant.replace("ratio=", "").replace("; with IQARAG", "").replace("; without IQARAG", "")
    variant = variant.removeprefix("† (").removesuffix(")") if variant.startswith("† (") else variant
    name = backbone if backbone.startswith(entry.method) else entry.method
    details = "; ".join(part for part in ("" if name == backbone else backbone, variant) if part)
    return f"{name} ({details})" if details else name
