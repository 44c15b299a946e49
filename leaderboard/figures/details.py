"""Figures of one measured row, and of the difference of two: scatter, calibration, residuals by quality, shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderboard.details import CALIBRATION_BINS, QUALITY_BINS
from leaderboard.figures.style import COLOURS, INK, FigureError, _cut, marker, message, name_rows, new_figure, titled

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from leaderboard.details import Bin, Contrast, Details

_FAINT = {"size": 6, "color": COLOURS[0], "opacity": 0.45}
_BAND = "rgba(31, 138, 138, 0.14)"


def draw(inside: Details, kind: str, narrow: bool = False) -> go.Figure:
    """One of `links.INSIDE`; a message in its place where too few images give no calibration.

    Args:
        inside: the row.
        kind: a name of `links.INSIDE`.
        narrow: for a screen that is at most about 640 pixels wide.
    """
    try:
        return {"scatter": scatter, "calibration": calibration, "residuals": residuals}[kind](inside, narrow)
    except FigureError as reason:
        return message(str(reason), narrow)


def scatter(inside: Details, narrow: bool = False) -> go.Figure:
    """Opinion against score, a dot per image; the fit with its interval of nine in ten; the worst errors are named."""
    images, curve = inside.images, inside.curve
    figure = new_figure(440)
    if inside.calibrated:
        figure.add_scatter(x=[*curve["score"], *curve["score"][::-1]], y=[*curve["high"], *curve["low"][::-1]],
                           fill="toself", fillcolor=_BAND, line={"width": 0}, mode="lines", hoverinfo="skip",
                           name="nine of ten opinions")
        figure.add_scatter(x=list(curve["score"]), y=list(curve["expected"]), mode="lines", name="expected opinion",
                           line={"color": COLOURS[0], "width": 2}, hoverinfo="skip")
    figure.add_scatter(x=list(images["score"]), y=list(images["mos"]), mode="markers", marker=_FAINT, name="images",
                       text=list(images["image"]),
                       hovertemplate="%{text}<br>score %{x:.3f}, opinion %{y:.4g}<extra></extra>")
    worst = inside.outliers
    if len(worst):
        figure.add_scatter(x=list(worst["score"]), y=list(worst["mos"]), mode="markers" if narrow else "markers+text",
                           marker={**marker(1), "size": 10}, name="largest errors", textposition="top center",
                           text=[_cut(name, 18) for name in worst["image"]], textfont={"size": 10.5, "color": INK},
                           customdata=[[name, error] for name, error in zip(worst["image"], worst["residual"])],
                           hovertemplate="%{customdata[0]}<br>score %{x:.3f}, opinion %{y:.4g}, expected "
                                         "%{customdata[1]:+.4g} of it<extra></extra>")
    figure.update_xaxes(title="score")
    figure.update_yaxes(title=_opinion(inside))
    return titled(figure, f"Score against opinion, {len(images)} images", narrow)


def calibration(inside: Details, narrow: bool = False) -> go.Figure:
    """Mean opinion against mean expected opinion, by tenths of the images; the diagonal is right.

    Raises:
        FigureError: too few images.
    """
    bins = _some(inside.calibration)
    figure = new_figure(440)
    ends = [min(min(one.x, one.y_low) for one in bins), max(max(one.x, one.y_high) for one in bins)]
    figure.add_scatter(x=ends, y=ends, mode="lines", name="as expected", hoverinfo="skip",
                       line={"color": INK, "width": 1, "dash": "dot"})
    figure.add_scatter(x=[one.x for one in bins], y=[one.y for one in bins], mode="markers", marker=marker(0),
                       name="tenths of the images", error_y=_interval(bins), text=[f"{one.n} images" for one in bins],
                       hovertemplate="%{text}: expected %{x:.4g}, opinion %{y:.4g}<extra></extra>")
    figure.update_xaxes(title="expected opinion, of images that the fit has not seen")
    figure.update_yaxes(title=_opinion(inside))
    return titled(figure, f"Calibration, {CALIBRATION_BINS} groups of like expectation with 95 % intervals", narrow)


def residuals(inside: Details, narrow: bool = False) -> go.Figure:
    """Expected opinion minus opinion against opinion, with the mean of every fifth of the images.

    Raises:
        FigureError: too few images.
    """
    bins = _some(inside.by_quality)
    images = inside.images
    figure = new_figure(440)
    figure.add_scatter(x=list(images["mos"]), y=list(images["residual"]), mode="markers", marker=_FAINT, name="images",
                       text=list(images["image"]), hovertemplate="%{text}<br>opinion %{x:.4g}, expected %{y:+.4g} of it"
                                                                 "<extra></extra>")
    figure.add_scatter(x=[one.x for one in bins], y=[one.y for one in bins], mode="lines+markers",
                       name="mean of a fifth of the images", marker={**marker(1), "size": 10}, error_y=_interval(bins),
                       line={"color": COLOURS[1], "width": 2}, text=[f"{one.n} images" for one in bins],
                       hovertemplate="%{text}: opinion %{x:.4g}, mean error %{y:+.4g}<extra></extra>")
    figure.update_xaxes(title=_opinion(inside))
    figure.update_yaxes(title="expected - opinion", zeroline=True, zerolinecolor=INK, zerolinewidth=1.5)
    return titled(figure, f"Error by quality, {QUALITY_BINS} groups of like opinion; above zero is too kind", narrow)


def deciding(both: Contrast, narrow: bool = False) -> go.Figure:
    """What the images that decide a difference add to it, the largest first."""
    rows = both.deciding
    names = [_cut(name, 40) for name in rows["image"]]
    figure = new_figure(130 + (40 if narrow else 24) * len(rows))
    lower = both.metric == "rmse"
    for index, (label, sign) in enumerate((("for the first", not lower), ("for the second", lower))):
        some = [(name, share) for name, share in zip(names, rows["share"]) if (share > 0) == sign]
        figure.add_scatter(x=[share for _, share in some], y=[name for name, _ in some], mode="markers", name=label,
                           marker={**marker(index), "size": 10}, hovertemplate="%{y}: %{x:+.5f}<extra></extra>")
    name_rows(figure, names, narrow)
    figure.update_xaxes(title=f"share of the difference in {both.metric.upper()}", zeroline=True, zerolinecolor=INK,
                        zerolinewidth=1.5)
    return titled(figure, f"The {len(rows)} images that decide most of {both.difference.n}", narrow)


def _some(bins: tuple[Bin, ...]) -> tuple[Bin, ...]:
    if not bins:
        raise FigureError("There are too few images, or too many equal scores, to say what a score means here.")
    return bins


def _interval(bins: tuple[Bin, ...]) -> dict:
    return {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3,
            "array": [one.y_high - one.y for one in bins], "arrayminus": [one.y - one.y_low for one in bins]}


def _opinion(inside: Details) -> str:
    low, high = inside.scale
    return f"mean opinion, {low:g} to {high:g}"
