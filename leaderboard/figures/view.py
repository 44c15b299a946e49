"""Figures of a view: pure functions from tables to plotly figures, readable on a light and on a dark page.

Backgrounds are transparent and all text is a grey that holds on white and on near-black. A figure that cannot be drawn
is a figure that says why. Drawn are: dots with intervals, a heat map, a radar of up to five rows, agreement against
cost or size, with/without pairs, and ablation curves. A narrow figure, for a phone, has its rows' names above the dots
instead of beside them, since a name alone fills half such a screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from leaderboard.entries import MEASURED
from leaderboard.figures.style import (
    ABOVE,
    BELOW,
    BESIDE,
    COLOURS,
    DECADES,
    GRID,
    INK,
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
    distinct_labels,
    marker,
    message,
    name_rows,
    new_figure,
    titled,
    wrapped,
)
from leaderboard.ranking import shared_datasets
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
    having_some = [row for row in ranked.rows if any(name in row.cells and name not in row.apart for name in columns)]
    rows = _some_rows(having_some, ranked, narrow)
    labels = _labels(rows, narrow)
    figure = new_figure(110 + (40 if narrow else 24) * len(rows))
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
    labels = distinct_labels([wrapped(_cut(_brief(row), 44), 22) for row in rows]) if narrow else _labels(rows)
    columns = [dataset for dataset in ranked.datasets if any(dataset.slug in row.cells for row in rows)]
    names = [dataset.slug for dataset in columns]
    if not names:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away.")
    values = [[row.cells[name].value if name in row.cells else None for name in names] for row in rows]
    texts = [[f"{row.cells[name].value:.3f}{' §' if name in row.apart else ''}" if name in row.cells else ""
              for name in names] for row in rows]
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
    apart = any(row.apart for row in rows)
    others = "; § on other images of the set, or on a part that is not stated" if apart else ""
    return titled(figure, _caption(ranked, rows) + others, narrow)


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
    """Mean agreement against what a row costs, with the Pareto front: rows that none is both cheaper and better than.

    Published and measured rows are on different images, so each kind has its own mean, symbol and front; a front is
    never drawn through rows that saw the tested set, which are hollow.

    Args:
        ranked: the table in view.
        axis: a key of `links.COSTS`.

    Raises:
        FigureError: no row has a known cost and a mean, or RMSE.
    """
    if ranked.lower_is_better:
        raise FigureError("RMSE has each dataset's own unit, so it has no mean; choose a correlation.")
    figure = new_figure(620 if narrow else 540)
    fronts = []
    for index, (origin, what) in enumerate((("published", "published"), (MEASURED, "measured here"))):
        rows, shared = _with_cost(ranked, origin, axis)
        if not rows:
            continue
        names = ", ".join(ranked.short(name) for name in shared)
        fronts.append(f"{what}: {len(rows)} rows on {names}")
        clean = [row for row in rows if not any(_seen(row, name) for name in shared)]
        front = _front([(cost, _mean(row, shared), row) for row in clean
                        if (cost := _cost(row, axis)) is not None])
        figure.add_scatter(
            x=[cost for cost, _, _ in front], y=[mean for _, mean, _ in front], mode="lines", hoverinfo="skip",
            name=f"front, {what}", line={"color": COLOURS[index], "width": 1.5, "shape": "hv", "dash": "dot"})
        for some, kind, hollow in ((clean, what, ""), ([row for row in rows if row not in clean],
                                                       f"{what}, saw the tested set", "-open")):
            labels = {row.entry.id: _cut(_brief(row), 24 if narrow else 34) for _, _, row in front}
            if some:
                figure.add_scatter(
                    x=[_cost(row, axis) for row in some], y=[_mean(row, shared) for row in some], name=kind,
                    mode="markers" if hollow else "markers+text", textfont={"size": 10.5, "color": INK},
                    marker={**marker(index), "size": 10, "symbol": SYMBOLS[index] + hollow},
                    text=["" if hollow else labels.get(row.entry.id, "") for row in some],
                    customdata=[[row.entry.label] for row in some],
                    hovertemplate="%{customdata[0]}<br>" + _AXES[axis] + " %{x}: %{y:.3f}<extra></extra>")
    if not fronts:
        raise FigureError(f"No ranked row has a known {_WHAT[axis]}; take a filter away, show all rows, or choose "
                          "another axis.")
    costs = [x for trace in figure.data for x in trace.x if x > 0]
    logarithmic = axis != "passes" and bool(costs)
    figure.update_xaxes(title=_AXES[axis], type="log" if logarithmic else "linear")
    if axis == "parameters":
        figure.update_xaxes(range=[-3, 2], tickvals=DECADES, ticktext=[f"{tick:g}" for tick in DECADES])
    _lay_names(figure, narrow, logarithmic, DECADES if axis == "parameters" else ())
    figure.update_yaxes(title=f"mean {ranked.view.metric.upper()}")
    figure.update_layout(legend=BELOW if narrow else ABOVE)
    apart = ". Their images differ: compare along a front, not across" if len(fronts) > 1 else ""
    return titled(figure, "; ".join(fronts) + apart, narrow)


_AXES = {"parameters": "parameters (billions)", "weights": "weights (GB)", "passes": "LMM passes per image",
         "seconds": "seconds per image", "memory": "peak memory (GiB)"}
_WHAT = {"parameters": "number of parameters", "weights": "size of its weights", "passes": "number of LMM passes",
         "seconds": "time per image", "memory": "peak memory"}


_PLACES = {"top right": (1, -1), "top left": (-1, -1), "bottom right": (1, 1), "bottom left": (-1, 1),
           "middle right": (1, 0), "middle left": (-1, 0)}
"""plotly's place of a name, and where that is from its point: to the right and downwards."""


def _lay_names(figure: go.Figure, narrow: bool, logarithmic: bool, ends: Sequence[float]) -> None:
    """Places each point's name where it covers nothing; a name without room is left out (hovering shows it).

    Args:
        figure: with traces whose points have a text.
        ends: what the horizontal axis holds whatever is drawn.
    """
    width, height = (270, 400) if narrow else (760, 380)  # pixels of the axes; then of a letter, a line and a marker
    letter, line, gap = 6.2, 14, 7
    points = [(trace, number, trace.x[number], trace.y[number]) for trace in figure.data if "markers" in trace.mode
              for number in range(len(trace.x))]
    low, high = min(y for *_, y in points), max(y for *_, y in points)
    across = [math.log10(max(x, 1e-9)) if logarithmic else x for _, _, x, _ in points]
    edges = [*across, *(math.log10(end) for end in ends)]
    start, span = min(edges), (max(edges) - min(edges)) or 1.0
    at = [(width * (x - start) / span, height * (high - y) / ((high - low) or 1.0))
          for x, (_, _, _, y) in zip(across, points)]
    boxes = [(x - gap, y - gap, x + gap, y + gap) for x, y in at]
    texts = {id(trace): list(trace.text or ()) for trace, *_ in points}
    places = {id(trace): ["top right"] * len(trace.x) for trace, *_ in points}
    # The best first, so that it is a name further down that goes.
    for index in sorted(range(len(points)), key=lambda one: at[one][1]):
        trace, number = points[index][:2]
        text = texts[id(trace)][number] if texts[id(trace)] else ""
        if not text:
            continue
        (x, y), long = at[index], letter * len(text)
        others = [box for one, box in enumerate(boxes) if one != index]
        for place, (right, down) in _PLACES.items():
            left = x + gap if right > 0 else x - gap - long
            top = y + down * (gap + line / 2) - line / 2
            box = (left, top, left + long, top + line)
            if left >= -2 * gap and left + long <= width + 2 * gap and not any(_meet(box, other) for other in others):
                places[id(trace)][number] = place
                boxes.append(box)
                break
        else:
            texts[id(trace)][number] = ""
    for trace in figure.data:
        if texts.get(id(trace)):
            trace.text, trace.textposition = texts[id(trace)], places[id(trace)]


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether two boxes (left, top, right, bottom) share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _with_cost(ranked: Table, origin: str, axis: str) -> tuple[list[Row], tuple[str, ...]]:
    """Rows of one origin that have a cost and all of the ranked sets, and these; or, where ranks are over the other
    origin's sets, those that most of these rows share without having seen them, if there are any."""
    own = [row for row in ranked.rows if (row.entry.origin == MEASURED) == (origin == MEASURED)
           and _cost(row, axis) is not None]
    datasets_of_rows = [frozenset(row.cells) - row.apart for row in own]
    shared = ranked.shared
    if all(row.position is None for row in own):
        order = [dataset.slug for dataset in ranked.datasets]
        unseen = [frozenset(name for name in sets if not _seen(row, name)) for row, sets in zip(own, datasets_of_rows)]
        shared = shared_datasets(unseen, order) or shared_datasets(datasets_of_rows, order)
    return [row for row, sets in zip(own, datasets_of_rows) if shared and set(shared) <= sets], shared


def _seen(row: Row, dataset: str) -> bool:
    return bool(row.cells[dataset].overlap or row.cells[dataset].labels)


def _front(points: Sequence[tuple[float, float, Row]]) -> list[tuple[float, float, Row]]:
    """The Pareto front: (cost, value, row), the cheapest first."""
    front: list[tuple[float, float, Row]] = []
    for point in sorted(points, key=lambda one: (one[0], -one[1])):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front


def _cost(row: Row, axis: str) -> float | None:
    amount: float | None = getattr(row.cost, axis)
    return amount


def _mean(row: Row, names: Sequence[str]) -> float:
    return sum(row.cells[name].value for name in names) / len(names)


def _some_rows(rows: Sequence[Row], ranked: Table, narrow: bool) -> tuple[Row, ...]:
    if not rows:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away." if ranked.rows else
                          "Nothing matches these filters; take one away.")
    return tuple(rows[:MOST_NARROW if narrow else MOST_ROWS])


def _caption(ranked: Table, rows: Sequence[Row]) -> str:
    some = f"{len(rows)} of {len(ranked.rows)} rows" if len(rows) < len(ranked.rows) else f"{len(rows)} rows"
    return f"{ranked.metric_name}, {some}"


def _labels(rows: Sequence[Row], narrow: bool = False) -> list[str]:
    """Names of the rows with their source, and with its table where two would be the same."""
    short = [f"{_cut(_brief(row), NARROW_LABEL - len(row.entry.paper) if narrow else 62)} · {row.entry.paper}"
             for row in rows]
    return distinct_labels([f"{label}, {row.entry.table}" if short.count(label) > 1 else label
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
