"""Figures of a view: pure functions from tables to plotly figures, readable on a light and on a dark page.

Backgrounds are transparent and all text is a grey that holds on white and on near-black. A figure that cannot be drawn
is a figure that says why. Drawn are: dots with intervals, a heat map, a radar of up to five rows, agreement against
cost or size, with/without pairs, and ablation curves. A narrow figure, for a phone, has its rows' names above the dots
instead of beside them, since a name alone fills half such a screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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

SCALE = ((0.0, "#f5ecdb"), (0.45, "#c3dccb"), (1.0, "#459e95"))
"""Of the heat map, worst to best; it darkens steadily, so that it prints in grey, and dark text holds on all of it."""
SCALE_INK = "#14211f"

COARSE = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
FINE = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14,
        16, 20, 30, 50, 70, 100)
"""Ticks of an axis of sizes, in billions, that spans more or less than a factor of ten."""

MOST_ROWS, MOST_NARROW, MOST_RADAR = 40, 25, 5
NARROW_LINE = 46
"""Letters of a caption that fit on one line of a phone."""
NARROW_LABEL = 55
"""Letters of a row's name and source that fit there, in smaller type."""


ABOVE = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"}
BESIDE = {"orientation": "v", "y": 1.0, "yanchor": "top", "x": 1.02, "bgcolor": "rgba(0,0,0,0)"}
BELOW = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"}
"""Places of a legend; what it lists decides which of them leaves the plot most room."""


class FigureError(ValueError):
    """A figure that this view cannot give; the sentence says what to change."""


def draw(board: Board, view: View, *, narrow: bool = False) -> go.Figure:
    """The view's figure; a message in its place where it cannot be drawn.

    Args:
        board: the data.
        view: what to show.
        narrow: for a screen that is at most about 640 pixels wide.
    """
    shown = table(board, view)
    try:
        if view.figure == "pairs":
            from leaderboard.pairs_figure import with_without

            return with_without(board, view, narrow)
        if view.figure == "ablation":
            from leaderboard.ablation_figure import ablation

            return ablation(board, view.ablation, narrow)
        if view.figure == "cost":
            return against_cost(shown, view.axis, narrow)
        return {"dots": dots, "heat": heat, "radar": radar}[view.figure](shown, narrow)
    except FigureError as reason:
        return message(str(reason), narrow)


def message(sentence: str, narrow: bool = False) -> go.Figure:
    """A figure that holds one sentence."""
    figure = new_figure(200)
    figure.update_layout(title=None, annotations=[{
        "text": wrapped(sentence, 40 if narrow else 70), "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper",
        "showarrow": False, "font": {"size": 14, "color": INK}}])
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def dots(shown: Table, narrow: bool = False) -> go.Figure:
    """One line a row, one dot a dataset, with its 95 % interval where one is known.

    Drawn are the datasets that ranks are over; rows without any of them are left out.
    """
    names = [dataset.slug for dataset in shown.datasets]
    drawn = [name for name in shown.shared if name in names] or names
    drawn = drawn[:len(COLOURS)]
    having_some = [row for row in shown.rows if any(name in row.cells for name in drawn)]
    rows = _some_rows(having_some, shown, narrow)
    labels = _labels(rows, narrow)
    figure = new_figure(_height(rows, narrow))
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
            name=shown.short(name), error_x=error if intervals else None, marker=marker(index),
            hovertemplate="%{y}<br>" + shown.short(name) + ": %{x}<extra></extra>",
        )
    name_rows(figure, labels, narrow)
    figure.update_xaxes(title=shown.view.metric.upper() if shown.view.metric != "plcc_logistic4" else "PLCC (logistic)")
    return titled(figure, _caption(shown, rows), narrow)


def heat(shown: Table, narrow: bool = False) -> go.Figure:
    """Rows by datasets; the number stands in its field, a missing one stays empty."""
    rows = _some_rows(shown.rows, shown, narrow)
    labels = distinct([wrapped(_cut(_brief(row), 44), 22) for row in rows]) if narrow else _labels(rows)
    columns = [dataset for dataset in shown.datasets if any(dataset.slug in row.cells for row in rows)]
    names = [dataset.slug for dataset in columns]
    if not names:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away.")
    values = [[row.cells[name].value if name in row.cells else None for name in names] for row in rows]
    texts = [[f"{row.cells[name].value:.3f}" if name in row.cells else "" for name in names] for row in rows]
    figure = new_figure(150 + (32 if narrow else 24) * len(rows))
    figure.add_heatmap(
        x=[dataset.short for dataset in columns], y=labels, z=values, text=texts, texttemplate="%{text}",
        textfont={"size": 11, "color": SCALE_INK}, colorscale=[list(stop) for stop in SCALE],
        reversescale=shown.lower_is_better, xgap=1, ygap=1, hoverongaps=False, showscale=not narrow,
        hovertemplate="%{y}<br>%{x}: %{z}<extra></extra>",
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": ""}},
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, showline=False)
    figure.update_xaxes(side="top", tickangle=-35, showgrid=False, showline=False)
    if narrow:
        # Wider than the phone where it must be: numbers that cannot be read are worth less than scrolling sideways.
        figure.update_layout(width=max(340, 160 + 44 * len(names)))
        figure.update_yaxes(tickfont={"size": 10})
    return titled(figure, _caption(shown, rows), narrow)


def radar(shown: Table, narrow: bool = False) -> go.Figure:
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
    return titled(figure, _caption(shown, rows), narrow)


def against_cost(shown: Table, axis: str, narrow: bool = False) -> go.Figure:
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
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.entry.method, []).append(row)
    figure = new_figure(340 + 20 * len(grouped) if narrow else 460)
    for index, (method, members) in enumerate(grouped.items()):
        figure.add_scatter(
            x=[_cost(row, axis) for row in members], y=[_mean(row, shown.shared) for row in members], name=method,
            mode="markers", text=[row.entry.label for row in members], marker={**marker(index), "size": 11},
            hovertemplate="%{text}<br>%{x}: %{y:.3f}<extra></extra>",
        )
    names = ", ".join(shown.short(name) for name in shown.shared)
    figure.update_xaxes(title="parameters (billions)" if axis == "parameters" else "LMM passes a picture",
                        type="log" if axis == "parameters" else "linear")
    if axis == "parameters":
        sizes = [_cost(row, axis) for row in rows]
        ticks = COARSE if max(sizes) > 10 * min(sizes) else FINE
        figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    figure.update_yaxes(title=f"mean {shown.view.metric.upper()}")
    figure.update_layout(legend=BELOW if narrow else ABOVE)
    caption = f"{len(rows)} rows that all have {names}; means are over exactly these"
    return titled(figure, caption, narrow)


def _cost(row: Row, axis: str) -> float | None:
    return row.entry.parameters if axis == "parameters" else row.entry.lmm_passes


def _mean(row: Row, names: Sequence[str]) -> float:
    return sum(row.cells[name].value for name in names) / len(names)


def _some_rows(rows: Sequence[Row], shown: Table, narrow: bool) -> tuple[Row, ...]:
    if not rows:
        raise FigureError("No shown row has a result on the shown datasets; take a filter away." if shown.rows else
                          "Nothing matches these filters; take one away.")
    return tuple(rows[:MOST_NARROW if narrow else MOST_ROWS])


def _height(rows: Sequence, narrow: bool) -> int:
    return 110 + (40 if narrow else 24) * len(rows)


def _caption(shown: Table, rows: Sequence[Row]) -> str:
    some = f"{len(rows)} of {len(shown.rows)} rows" if len(rows) < len(shown.rows) else f"{len(rows)} rows"
    return f"{shown.metric_name}, {some}"


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


def distinct(labels: Sequence[str]) -> list[str]:
    """Labels made different, since plotly would lay equal ones onto each other."""
    seen: dict[str, int] = {}
    result = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        result.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return result


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 1].rstrip() + "…"


def wrapped(sentence: str, width: int) -> str:
    """The text in lines of about `width` characters; a word is never broken."""
    lines = [""]
    for word in sentence.split():
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += f"{word} "
    return "<br>".join(line.strip() for line in lines)


def marker(index: int) -> dict:
    """Colour and symbol of the series with this number; the symbols move on where the colours start again."""
    return {"size": 9, "color": COLOURS[index % len(COLOURS)], "opacity": 0.92,
            "symbol": SYMBOLS[(index + index // len(COLOURS)) % len(SYMBOLS)],
            "line": {"width": 1, "color": "rgba(255,255,255,0.65)"}}


def name_rows(figure: go.Figure, labels: Sequence[str], narrow: bool) -> None:
    """One horizontal line a label, from top to bottom; on a narrow figure the label stands above its line."""
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1],
                        range=[-0.5, len(labels) - 0.2] if narrow else [-0.7, len(labels) - 0.3])
    if narrow:
        # Plotly's own labels inside the plot would take the other axis's numbers away.
        figure.update_yaxes(showticklabels=False)
        for label in labels:
            figure.add_annotation(text=label, x=0, xref="paper", xanchor="left", y=label, yanchor="bottom", yshift=5,
                                  showarrow=False, font={"size": 10.5, "color": INK})


def new_figure(height: int) -> go.Figure:
    """An empty figure in this package's style."""
    import plotly.graph_objects as go

    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "automargin": True, "ticks": ""}
    figure = go.Figure()
    figure.update_layout(
        template="none", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", height=height, dragmode=False,
        font={"family": "ui-sans-serif, system-ui, sans-serif", "size": 12, "color": INK}, hovermode="closest",
        margin={"l": 12, "r": 18, "t": 64, "b": 12}, xaxis=axis, yaxis=axis, legend=ABOVE,
    )
    return figure


def titled(figure: go.Figure, title: str, narrow: bool = False) -> go.Figure:
    """The figure with its caption on top; on a narrow one in lines, with room for them and the legend."""
    text = wrapped(title, NARROW_LINE) if narrow else title
    lines = text.count("<br>") + 1
    figure.update_layout(title={"text": text, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "yref": "container",
                                "pad": {"l": 12, "t": 12 + 9 * (lines - 1)}, "font": {"size": 13, "color": INK}})
    named = [trace.name for trace in figure.data if trace.name is not None]
    above = figure.layout.legend.orientation == "h" and figure.layout.legend.yref != "container" and len(named) > 1
    if narrow:
        room = 24 + 18 * lines + (20 * -(-len(named) // 2) + 8 if above else 0)
        figure.update_layout(margin_t=max(room, figure.layout.margin.t if not above else 0),
                             legend={"entrywidth": 95} if above else {})
    elif above:
        # All entries are as wide as the longest name; beside the rows' names there are about 700 pixels for them.
        across = max(1, 700 // (50 + 7 * max(map(len, named))))
        figure.update_layout(margin_t=45 + 19 * -(-len(named) // across))
    return figure
