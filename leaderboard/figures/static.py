"""A plotly figure of this package as SVG, PNG or PDF, without a browser.

Plotly's own exporter drives a Chrome that servers and clusters do not have. The figures here use three kinds of trace,
so they are drawn again with matplotlib from the very same figure object: black on white, embedded as vectors, text as
text. A trace that is not supported is an error, never an empty image.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from methods.errors import InputError

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.projections.polar import PolarAxes
    from matplotlib.ticker import NullLocator

FORMATS = ("svg", "png", "pdf")
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "x": "X", "star": "*",
            "circle-open": "o"}
_INCH = 96.0
_INK, _GRID = "#1b2229", "#dfe3e8"


def render(figure: go.Figure, file_format: str, *, width: int | None = None, dpi: int = 200) -> bytes:
    """The file's bytes.

    Args:
        figure: as made by `figures.draw`.
        file_format: "svg", "png" or "pdf".
        width: in CSS pixels (96 an inch); 900, and more for a heat map of many columns, unless said otherwise. The
            height is the figure's own.
        dpi: of a PNG.

    Raises:
        InputError: an unknown format, or a trace that this renderer does not know.
    """
    if file_format not in FORMATS:
        raise InputError(f"A figure is saved as {', '.join(FORMATS)}; got {file_format!r}.")
    import matplotlib

    settings: dict[Any, Any] = {"svg.fonttype": "none", "pdf.fonttype": 42, "font.family": "sans-serif", "font.size": 9,
                "axes.edgecolor": _GRID, "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK,
                "ytick.color": _INK, "svg.hashsalt": "mean-opinion"}
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(settings):
        height = figure.layout.height or 450
        canvas = Figure(figsize=((width or _width(figure)) / _INCH, height / _INCH), layout="constrained")
        FigureCanvasAgg(canvas)
        _draw(figure, canvas)
        stream = io.BytesIO()
        # No date in the file: the same view gives the same bytes.
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[file_format]
        canvas.savefig(stream, format=file_format, dpi=dpi, metadata=metadata, facecolor="white")
    return stream.getvalue()


def _width(figure: go.Figure) -> int:
    """Pixels in which the numbers of a heat map stand beside each other, with its rows' names and its scale."""
    columns = max((len(trace.x) for trace in figure.data if trace.type == "heatmap"), default=0)
    names = max((len(name) for trace in figure.data if trace.type == "heatmap" for name in trace.y), default=0)
    return max(900, 38 * columns + 6 * names + 130)


def _draw(figure: go.Figure, canvas: Any) -> None:
    layout = figure.layout
    kinds = {trace.type for trace in figure.data}
    unknown = kinds - {"scatter", "heatmap", "scatterpolar"}
    if unknown:
        raise InputError(f"A figure with {', '.join(sorted(unknown))} traces cannot be saved; choose another figure.")
    polar = "scatterpolar" in kinds
    axes = canvas.add_subplot(projection="polar" if polar else None)
    if polar:
        _radar(figure, axes)
    elif "heatmap" in kinds:
        _heat(figure, axes, canvas)
    else:
        _scatter(figure, axes)
    for note in layout.annotations:
        axes.text(0.5, 0.5, _plain(note.text), ha="center", va="center", transform=axes.transAxes)
    if layout.annotations and not figure.data:
        axes.set_axis_off()
    if layout.title.text:
        canvas.suptitle(_plain(layout.title.text), x=0.01, ha="left", fontsize=9)
    named = [handle for handle in axes.get_legend_handles_labels()[1] if not handle.startswith("_")]
    if len(named) > 1:
        # Beside a radar a legend would squeeze it, and the layout does not see the names of its spokes.
        place = "outside right upper" if layout.legend.orientation == "v" and not polar else "outside lower left"
        columns = 1 if layout.legend.orientation == "v" or polar else min(len(named), 4)
        canvas.legend(loc=place, ncols=columns, frameon=False, fontsize=8)


def _scatter(figure: go.Figure, axes: Axes) -> None:
    layout = figure.layout
    x_places, y_places = _places(layout.xaxis, figure, "x"), _places(layout.yaxis, figure, "y")
    for trace in figure.data:
        x = [_at(value, x_places) for value in trace.x]
        y = [_at(value, y_places) for value in trace.y]
        lines = "lines" in (trace.mode or "")
        marker = _MARKERS[trace.marker.symbol or "circle"] if "markers" in (trace.mode or "") else None
        colour = trace.marker.color or trace.line.color
        hollow = str(trace.marker.symbol).endswith("-open")
        name = trace.name if trace.name and trace.showlegend is not False else "_unnamed"
        style = {"solid": "-", "dot": ":", None: "-"}[trace.line.dash] if lines else ""
        line_width = (trace.line.width or 2) * 0.75
        if trace.error_x.array is not None:
            spread = [list(trace.error_x.arrayminus), list(trace.error_x.array)]
            axes.errorbar(x, y, xerr=spread, fmt="none", ecolor=colour, elinewidth=1, capsize=2)
        axes.plot(x, y, linestyle=style, marker=marker, color=colour or trace.line.color, label=name,
                  linewidth=line_width, markersize=(trace.marker.size or 8) * 0.65,
                  markerfacecolor="white" if hollow else colour)
    _finish(axes, layout.xaxis, x_places, "x")
    _finish(axes, layout.yaxis, y_places, "y")


def _heat(figure: go.Figure, axes: Axes, canvas: Figure) -> None:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap

    trace = figure.data[0]
    stops = [(float(place), colour) for place, colour in trace.colorscale]
    colours = LinearSegmentedColormap.from_list("heat", stops)
    if trace.reversescale:
        colours = colours.reversed()
    values = np.array([[np.nan if value is None else value for value in row] for row in trace.z], float)
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap=colours, edgecolors="white", linewidth=0.8)
    axes.set_xticks(np.arange(len(trace.x)) + 0.5, trace.x, rotation=35, ha="left", rotation_mode="anchor")
    axes.set_yticks(np.arange(len(trace.y)) + 0.5, trace.y)
    axes.xaxis.tick_top()
    axes.invert_yaxis()
    axes.tick_params(length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for row, texts in enumerate(trace.text):
        for column, text in enumerate(texts):
            if text:
                red, green, blue, _ = mesh.cmap(mesh.norm(values[row, column]))
                dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7,
                          color="white" if dark else _INK)
    canvas.colorbar(mesh, ax=axes, fraction=0.03, pad=0.02).outline.set_visible(False)


def _radar(figure: go.Figure, axes: PolarAxes) -> None:
    import numpy as np

    spokes = list(figure.data[0].theta)[:-1]
    angles = np.linspace(0, 2 * np.pi, len(spokes), endpoint=False)
    around = [*angles, angles[0]]
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    for trace in figure.data:
        axes.plot(around, list(trace.r), color=trace.line.color, marker=_MARKERS[trace.marker.symbol], markersize=4,
                  linewidth=1.5, label=trace.name)
    axes.set_xticks(angles, spokes)
    radial = figure.layout.polar.radialaxis
    axes.set_ylim(*radial.range)
    axes.set_yticks(np.arange(radial.range[0], radial.range[1] + 1e-9, radial.dtick)[1:])
    axes.yaxis.set_major_formatter("{x:.1f}")
    axes.tick_params(axis="x", pad=12)
    axes.tick_params(axis="y", labelsize=7)
    axes.grid(color=_GRID)


def _places(axis: go.layout.XAxis | go.layout.YAxis, figure: go.Figure, letter: str) -> dict[str, int] | None:
    """Category -> place on the axis; None for an axis of numbers."""
    if axis.categoryarray:
        return {name: place for place, name in enumerate(axis.categoryarray)}
    names = [value for trace in figure.data for value in getattr(trace, letter) if isinstance(value, str)]
    return {name: place for place, name in enumerate(dict.fromkeys(names))} or None


def _at(value: Any, places: dict[str, int] | None) -> float:
    if value is None:
        return float("nan")
    return float(places[value]) if places is not None else float(value)


def _finish(axes: Axes, axis: go.layout.XAxis | go.layout.YAxis, places: dict[str, int] | None, letter: str) -> None:
    mine = axes.xaxis if letter == "x" else axes.yaxis
    if places is not None:
        mine.set_ticks(list(places.values()), labels=[_plain(name) for name in places])
    elif axis.type == "log":
        (axes.set_xscale if letter == "x" else axes.set_yscale)("log")
        limits = axes.get_xlim() if letter == "x" else axes.get_ylim()
        ticks = [(at, text) for at, text in zip(axis.tickvals, axis.ticktext) if limits[0] <= at <= limits[1]]
        mine.set_ticks([at for at, _ in ticks], labels=[text for _, text in ticks])
        mine.set_minor_locator(_no_ticks())
    if letter == "x" and places is not None and axis.tickangle:
        for label in mine.get_ticklabels():
            label.set(rotation=25, ha="right", rotation_mode="anchor")
    if axis.range is not None and places is not None:
        (axes.set_xlim if letter == "x" else axes.set_ylim)(*axis.range)
    if axis.title.text:
        mine.set_label_text(_plain(axis.title.text))
    if axis.zeroline:
        (axes.axvline if letter == "x" else axes.axhline)(0, color=_INK, linewidth=0.8)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _no_ticks() -> NullLocator:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _plain(text: str) -> str:
    """Plotly's HTML subset as plain text."""
    return re.sub(r"<[^>]+>", "", text.replace("<br>", "\n"))
