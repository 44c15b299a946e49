"""The label-budget curve on disk: a table, and a figure of SRCC, PLCC and what the teacher adds, with 95 % intervals.

The two sides differ in colour, marker and dash, so that print in grey will do.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from methods.leaf.report import Report

TABLE, FIGURE = "label-budget.csv", "label-budget.svg"
_SIDES = {False: ("without teacher", {"color": "#d55e00", "marker": "s", "linestyle": "--"}),
          True: ("with teacher", {"color": "#0072b2", "marker": "o", "linestyle": "-"})}
_Mark = tuple[int, float, tuple[float, float]]  # place on the axis, value, interval


def svg(report: Report) -> str:
    """The figure as SVG: two panels, or three where there is a teacher to compare with.

    Points without a student (no label and no teacher) are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    place = {budget: index for index, budget in enumerate(sorted({point.budget for point in report.points}))}
    labels = {point.budget: point.labels for point in report.points}
    titles = ["SRCC", "PLCC", *(["SRCC that the teacher adds"] if report.gains else [])]
    figure = Figure(figsize=(3.6 * len(titles), 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(titles), squeeze=False)[0]
    for axes, title in zip(panels, titles):
        axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
        # Evenly spaced: on a linear axis the budgets that matter would lie on top of each other.
        axes.set_xticks(range(len(place)), [f"{100 * budget:g} %\n{labels[budget]:.0f}" for budget in place])
        axes.set_xlim(-0.5, len(place) - 0.5)
        axes.set_xlabel("share of labels used, and their number")
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    for axes, metric in zip(panels, ("srcc", "plcc")):
        for side in _SIDES if report.teacher else [False]:
            marks = [(place[point.budget], getattr(point, metric), getattr(point, f"{metric}_interval"))
                     for point in report.points if point.teacher == side and point.srcc is not None]
            _curve(axes, marks, side, f"{metric}-{'with' if side else 'without'}")
    if report.gains:
        gains = [(place[gain.budget], gain.value, (gain.low, gain.high)) for gain in report.gains]
        _curve(panels[2], gains, True, "gain")
        panels[2].axhline(0, color="#55606c", linewidth=1)
    sample = (f"{report.pictures} images, {report.seeds} seeds; bars: 95 % bootstrap intervals over images"
              + (", paired in the last panel" if report.gains else ""))
    figure.suptitle(sample, fontsize=9, color="#55606c")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return _text(figure)


def calibration_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """SRCC and PLCC of a calibrated student against the number of labels, as SVG.

    Args:
        rows: one per number of labels and start, with labels, start, n, and srcc, srcc_low, srcc_high, plcc, plcc_low
            and plcc_high; two starts.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    place = {labels: index for index, labels in enumerate(sorted({row["labels"] for row in rows}))}
    starts = dict.fromkeys(row["start"] for row in rows)
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, squeeze=False)[0]
    for axes, metric in zip(panels, ("srcc", "plcc")):
        axes.set_title(metric.upper(), fontsize=10, loc="left", fontweight="bold")
        axes.set_xticks(range(len(place)), [str(labels) for labels in place])
        axes.set_xlabel("labels used")
        axes.grid(axis="y", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        for side, start in zip((True, False), starts):
            marks = [(place[row["labels"]], row[metric], (row[f"{metric}_low"], row[f"{metric}_high"]))
                     for row in rows if row["start"] == start]
            _curve(axes, marks, side, f"{metric}-{start}", f"from {start}")
    figure.suptitle(f"{rows[0]['n']} images, each scored without its own label; bars: 95 % bootstrap intervals",
                    fontsize=9, color="#55606c")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return _text(figure)


def _text(figure: Figure) -> str:
    import matplotlib

    text = io.StringIO()
    # Text stays text, for readers and searches; the same report gives the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "label-budget"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None,
                                                     "Title": "Accuracy of a student against its label budget"})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _curve(axes: Axes, marks: list[_Mark], side: bool, name: str, label: str = "") -> None:
    usual, style = _SIDES[side]
    x = [place + (0.06 if side else -0.06) for place, _, _ in marks]
    y = [value for _, value, _ in marks]
    # Bars as lines of their own: a percentile interval need not contain its estimate.
    for number, (at, (_, _, (low, high))) in enumerate(zip(x, marks)):
        axes.plot([at, at], [low, high], color=style["color"], linewidth=1.2, marker="_", markersize=6,
                  gid=f"{name}-bar-{number}")
    axes.plot(x, y, markersize=5, label=label or usual, gid=name, **style)


def write(report: Report, folder: str | Path) -> tuple[Path, Path]:
    """Writes label-budget.csv and label-budget.svg; returns their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    table, figure = folder / TABLE, folder / FIGURE
    gains = {gain.budget: gain for gain in report.gains}
    rows = [["budget", "labels", "teacher", "srcc", "srcc_low", "srcc_high", "srcc_sd", "plcc", "plcc_low", "plcc_high",
             "gain_srcc", "gain_low", "gain_high", "pictures", "seeds"]]
    for point in report.points:
        gain = gains.get(point.budget) if point.teacher else None
        added = (gain.value, gain.low, gain.high) if gain else (None, None, None)
        cells = [point.srcc, *(point.srcc_interval or (None, None)), point.srcc_sd, point.plcc,
                 *(point.plcc_interval or (None, None)), *added]
        rows.append([point.budget, f"{point.labels:g}", report.teacher if point.teacher else "",
                     *("" if cell is None else f"{cell:.4f}" for cell in cells), report.pictures, report.seeds])
    files.replace(table, files.csv_text(rows))
    files.replace(figure, svg(report))
    return table, figure
