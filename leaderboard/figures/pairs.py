"""What a method adds to its own model: one line per model, a dot per dataset, right of zero where the method helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.figures.style import INK, FigureError, distinct_labels, marker, name_rows, new_figure, titled
from leaderboard.pairs import Pair, pairs

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from leaderboard.links import View
    from leaderboard.schema import Board

MOST_ROWS = 40


def with_without(board: Board, view: View, narrow: bool = False) -> go.Figure:
    """The gain of every pair of results of one model with and without a method.

    Raises:
        FigureError: the view holds no pair.
    """
    couples = pairs(board, view)
    if not couples:
        raise FigureError("This view holds no result of one model with and without a method; "
                          "show IQARAG, Q-Debias and Q-Bench on a dataset they share.")
    lines: dict[tuple, list[Pair]] = {}
    for pair in couples:
        lines.setdefault((pair.method, pair.backbone, pair.condition, pair.source), []).append(pair)
    lines = dict(list(lines.items())[:MOST_ROWS])
    labels = distinct_labels([_label(*key[:3]) for key in lines])
    points = [(label, pair) for label, members in zip(labels, lines.values()) for pair in members]
    figure = new_figure(130 + (42 if narrow else 30) * len(lines))
    for index, dataset in enumerate(dict.fromkeys(pair.dataset for _, pair in points)):
        some = [(label, pair) for label, pair in points if pair.dataset == dataset]
        figure.add_scatter(
            x=[pair.gain for _, pair in some], y=[label for label, _ in some], mode="markers", name=dataset,
            marker={**marker(index), "size": 10},
            text=[f"{pair.without:g} without, {pair.with_method:g} with" for _, pair in some],
            hovertemplate="%{y}<br>" + dataset + ": %{x:+.4f}<br>%{text}<extra></extra>")
    name_rows(figure, labels, narrow)
    figure.update_xaxes(title=f"{couples[0].metric.upper()} gained with the method", tickformat="+.2f", zeroline=True,
                        zerolinecolor=INK, zerolinewidth=1.5)
    better = sum(pair.gain > 0 for pair in couples)
    cut = f"; {len(points)} are drawn" if len(points) < len(couples) else ""
    caption = f"With the method {better} of {len(couples)} results are better than without it{cut}"
    return titled(figure, caption, narrow)


def _label(method: str, backbone: str, condition: str) -> str:
    ratio = condition.replace("ratio=", "")
    return f"{method} · {backbone.removesuffix('-Instruct')}{f', {ratio}' if ratio else ''}"
