"""Every plotly figure of the page passes through `themed`: one look, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

INK = "#7d8794"
"""A grey that keeps a contrast of at least 3.5:1 on both page backgrounds; plotly cannot follow the page's theme."""

GRID = "rgba(125, 135, 148, 0.22)"
ACCENT = "#1f8a8a"
SECOND = "#c2703d"
MUTED = "rgba(125, 135, 148, 0.55)"
SERIES = (ACCENT, SECOND, "#7a6bb0", "#b3903a", "#4f86c6", "#a8556b")
"""Told apart with every common colour-vision deficiency; figures add a symbol or a label all the same."""

LEVEL_COLOURS = ("#2f8f83", "#6fa06a", "#c4a23f", "#d07f4a", "#b9494b")
"""Best to worst; used with the level's word, never instead of it."""


def themed(figure: go.Figure, *, height: int = 280, title: str | None = None) -> go.Figure:
    """`figure` with transparent backgrounds, the page's fonts and quiet axes; changed in place and returned."""
    axes = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "ticks": "", "automargin": True}
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", height=height, colorway=list(SERIES),
        margin={"l": 8, "r": 12, "t": 40 if title else 12, "b": 8}, dragmode=False,
        font={"family": "ui-sans-serif, system-ui, sans-serif", "size": 13, "color": INK},
        title={"text": title, "x": 0, "font": {"size": 14}} if title else None,
        legend={"orientation": "h", "y": 1.08, "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"font": {"family": "ui-sans-serif, system-ui, sans-serif"}},
    )
    figure.update_xaxes(**axes)
    figure.update_yaxes(**axes)
    return figure


def word_probabilities(
    words: Sequence[str], groups: dict[str, Sequence[float]], *, height: int = 260
) -> go.Figure:
    """How likely each word was: one horizontal bar per word, grouped where there is more than one distribution.

    Args:
        words: best first; drawn from top to bottom.
        groups: name -> probabilities in the order of `words`, each in [0, 1].
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    single = len(groups) == 1
    coloured = LEVEL_COLOURS if len(words) == 5 else None
    for index, (name, probabilities) in enumerate(groups.items()):
        colour = coloured if single and coloured else [SERIES[index % len(SERIES)]] * len(words)
        figure.add_bar(
            y=list(words), x=[float(value) for value in probabilities], orientation="h", name=name,
            showlegend=not single,
            marker={"color": list(colour), "line": {"width": 0}}, text=[f"{value:.1%}" for value in probabilities],
            textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.2%}<extra>" + name + "</extra>",
        )
    themed(figure, height=height)
    # Its lower edge stays above the bars where a narrow page breaks it into lines.
    figure.update_layout(bargap=0.35, barmode="group", legend={"y": 1.0, "yanchor": "bottom"})
    figure.update_xaxes(range=[0, 1.12], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure
