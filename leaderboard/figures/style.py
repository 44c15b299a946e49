"""What the figures of the leaderboard share: colours, symbols, legends, titles and the figure that says why not.

Backgrounds are transparent and all text is a grey that holds on white and on near-black.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from methods.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#7d8794"
GRID = "rgba(125, 135, 148, 0.25)"
COLOURS = ("#1f8a8a", "#c2703d", "#7a6bb0", "#b3903a", "#4f86c6", "#a8556b")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
"""Colour never stands alone: every series has its own symbol too."""

SCALE = ((0.0, "#f5ecdb"), (0.45, "#c3dccb"), (1.0, "#459e95"))
"""Of the heat map, worst to best; it darkens steadily, so that it prints in grey, and dark text holds on all of it."""
SCALE_INK = "#14211f"

DECADES = (0.001, 0.01, 0.1, 1, 10, 100)
"""Ticks of an axis of sizes, in billions: from the smallest networks to the largest models."""

MOST_ROWS, MOST_NARROW, MOST_RADAR = 40, 25, 5
NARROW_LINE = 38
"""Letters of a caption that fit on one line of a phone."""
WIDE_LINE = 130
"""The same on a window of a thousand pixels."""
NARROW_LABEL = 55
"""Letters of a row's name and source that fit there, in smaller type."""


ABOVE = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"}
BESIDE = {"orientation": "v", "y": 1.0, "yanchor": "top", "x": 1.02, "bgcolor": "rgba(0,0,0,0)"}
BELOW = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"}
"""Places of a legend; what it lists decides which of them leaves the plot most room."""


class FigureError(InputError):
    """A figure that this view cannot give; the sentence says what to change."""


def message(sentence: str, narrow: bool = False) -> go.Figure:
    """A figure that holds one sentence."""
    figure = new_figure(200)
    figure.update_layout(title=None, annotations=[{
        "text": wrapped(sentence, 40 if narrow else 70), "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper",
        "showarrow": False, "font": {"size": 14, "color": INK}}])
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def distinct_labels(labels: Sequence[str]) -> list[str]:
    """Labels made different, since plotly would lay equal ones onto each other."""
    counts: dict[str, int] = {}
    result = []
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        result.append(label if counts[label] == 1 else f"{label} ({counts[label]})")
    return result


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
    """One horizontal line per label, from top to bottom; on a narrow figure the label stands above its line."""
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
    text = wrapped(title, NARROW_LINE if narrow else WIDE_LINE)
    lines = text.count("<br>") + 1
    figure.update_layout(title={"text": text, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "yref": "container",
                                "pad": {"l": 12, "t": 12 + 9 * (lines - 1)}, "font": {"size": 13, "color": INK}})
    named = [trace.name for trace in figure.data if trace.name is not None]
    above = figure.layout.legend.orientation == "h" and figure.layout.legend.yref != "container" and len(named) > 1
    if narrow:
        width = max(95, 26 + 7 * max(map(len, named), default=0))
        across = 2 if width <= 125 else 1
        room = 24 + 18 * lines + (20 * -(-len(named) // across) + 8 if above else 0)
        figure.update_layout(margin_t=max(room, figure.layout.margin.t if not above else 0),
                             legend={"entrywidth": width} if above else {})
        figure.for_each_xaxis(lambda axis: axis.title.text and axis.update(
            title_text=wrapped(axis.title.text, NARROW_LINE)))
    elif above:
        # All entries are as wide as the longest name; beside the rows' names there are about 700 pixels for them.
        across = max(1, 700 // (50 + 7 * max(map(len, named))))
        figure.update_layout(margin_t=45 + 19 * -(-len(named) // across) + 18 * (lines - 1))
    else:
        figure.update_layout(margin_t=figure.layout.margin.t + 18 * (lines - 1))
    return figure


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 1].rstrip() + "…"
