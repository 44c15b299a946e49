"""One ablation table as curves: settings from left to right, one line per dataset (and metric, and model)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from leaderboard.entries import catalogue
from leaderboard.figures.style import (
    BELOW,
    BESIDE,
    COLOURS,
    SYMBOLS,
    FigureError,
    distinct_labels,
    new_figure,
    titled,
    wrapped,
)
from leaderboard.links import ablation_slug, ablations

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from leaderboard.schema import Board

MOST_LINES = 12
_METRIC = {"srcc": "SRCC", "plcc": "PLCC", "krcc": "KRCC", "mean_srcc_plcc": "(SRCC + PLCC) / 2"}


def ablation(board: Board, name: str, narrow: bool = False) -> go.Figure:
    """The curves of one ablation.

    Args:
        board: the data.
        name: "paper:table" as in `links.ablations`; "" takes the first one.
        narrow: as in `figures.draw`.

    Raises:
        FigureError: there is no such ablation.
    """
    known = ablations(board)
    name = name or (known[0] if known else "")
    frame = board.ablations
    slugs = [ablation_slug(paper, table) for paper, table in zip(frame["paper"], frame["table"])]
    frame = frame[[slug == name for slug in slugs]]
    if frame.empty:
        raise FigureError(f"There is no ablation {name!r}; choose one from the list.")
    first = frame.iloc[0]
    metric = _metric(frame)
    frame = frame[frame["metric"] == metric]
    # Where a table compares models rather than settings, the models are the axis.
    axis = "backbone" if frame["setting"].nunique() <= 2 and frame["backbone"].nunique() > 6 else "setting"
    settings = list(dict.fromkeys(frame[axis]))
    numbered = sum(bool(re.search(r"=\d+$", setting)) for setting in settings) >= len(settings) - 1
    groups = ["dataset"]
    if frame.groupby(["dataset", axis]).size().max() > 1:
        groups.append("setting" if axis == "backbone" else "backbone")
    ticks = dict(zip(settings, _ticks(settings, 8 if narrow and numbered else 60 if narrow else 26)))
    short = catalogue(board).by_dataset
    figure = new_figure(650 if narrow and not numbered else 470)
    lines = list(frame.groupby(groups, sort=False))
    for index, (key, rows) in enumerate(lines[:MOST_LINES]):
        dataset, *rest = map(str, key)
        values = dict(zip(rows[axis], rows["value"]))
        label = " · ".join([short[dataset].short if dataset in short else dataset, *rest])
        x = [ticks[setting] for setting in settings if setting in values]
        figure.add_scatter(
            x=x, y=[values[setting] for setting in settings if setting in values], name=label,
            mode="lines+markers", text=[setting for setting in settings if setting in values],
            line={"color": COLOURS[index % len(COLOURS)], "width": 2 if numbered else 1,
                  "dash": "solid" if numbered else "dot"},
            marker={"size": 9, "symbol": SYMBOLS[(index + index // len(COLOURS)) % len(SYMBOLS)]},
            hovertemplate="%{text}<br>%{y}<extra>" + label + "</extra>",
        )
    figure.update_xaxes(categoryorder="array", categoryarray=list(ticks.values()),
                        tickangle=0 if numbered else -90 if narrow else -30)
    figure.update_yaxes(title=_METRIC.get(metric, metric))
    figure.update_layout(legend=BELOW if narrow else BESIDE)
    some = f", {MOST_LINES} of {len(lines)} lines" if len(lines) > MOST_LINES else ""
    caption = f"{first['paper']}, {first['table']}: {first['ablation']}{some}"
    return titled(figure, caption, narrow)


def _metric(frame: pd.DataFrame) -> str:
    present = set(frame["metric"])
    return next(name for name in ("srcc", "mean_srcc_plcc", "plcc", "krcc") if name in present)


def _ticks(settings: list[str], width: int) -> list[str]:
    """Settings in lines of `width` letters: what all of them share is left out, what tells them apart stays."""
    split = [setting.split("; ") for setting in settings]
    shared = set.intersection(*(set(parts) for parts in split)) if len(split) > 1 else set()
    texts = ["; ".join(part for part in parts if part not in shared) or parts[0] for parts in split]
    texts = [text.replace("; semantic consistency=yes", "").replace("semantic consistency=no", "no consistency")
             for text in texts]
    texts = [re.sub(r"\b(conditional images|aggregation|segmentation|standard|features)=", "", text) for text in texts]
    return distinct_labels([wrapped(text, width) for text in texts])
