"""A photo with its scored regions drawn on it: hover, focus or tap a region and its crop comes forward.

Plain SVG and CSS, no script: regions and cards are linked by `:has()` rules, so it also works in a saved page. Every
colour stands beside a number.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from methods.levels import FIVE_LEVELS
from ui.components.figures import LEVEL_COLOURS, themed
from ui.components.inline_images import data_url

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class DrawnRegion:
    """Attributes:
    outline: polygons of (x, y) points in the image's pixels.
    anchor: (x, y) where the label stands.
    label: what stands there, short.
    caption: one line for the card, plain text.
    quality: in [0, 1], chooses the colour.
    crop: what the model saw.
    """

    outline: tuple[tuple[tuple[float, float], ...], ...]
    anchor: tuple[float, float]
    label: str
    caption: str
    quality: float
    crop: Image.Image


def region_figure(image: Image.Image, size: tuple[int, int], regions: list[DrawnRegion], description: str) -> str:
    """The photo with its regions and one card per region; HTML.

    Args:
        image: the photo, reduced for display.
        size: (width, height) that outlines and anchors refer to.
        regions: in any order; numbered as given.
        description: read out by screen readers.
    """
    width, height = size
    unit = max(width, height) / 100
    shapes = "".join(_shape(index, region, unit) for index, region in enumerate(regions))
    cards = "".join(_card(index, region) for index, region in enumerate(regions))
    links = "".join(
        f".regions:has(.region-{index}:is(:hover,:focus)) .region-card-{index},"
        f".regions:has(.region-card-{index}:hover) .region-{index}{{--forward:1}}"
        for index in range(len(regions))
    )
    return (
        f'<figure class="regions"><style>{links}</style>'
        f'<svg viewBox="0 0 {width} {height}" role="group" aria-label="{html.escape(description)}">'
        f'<image href="{data_url(image)}" width="{width}" height="{height}"/>{shapes}</svg>'
        f'<ol class="region-cards">{cards}</ol></figure>'
    )


def region_plot(image: Image.Image, size: tuple[int, int], regions: list[DrawnRegion]) -> go.Figure:
    """The same as one plotly figure: hover a region for its caption. Arguments as `region_figure`."""
    import plotly.graph_objects as go

    width, height = size
    figure = go.Figure()
    figure.add_layout_image(source=data_url(image), xref="x", yref="y", x=0, y=0, sizex=width, sizey=height,
                            sizing="stretch", layer="below")
    for region in regions:
        colour = LEVEL_COLOURS[FIVE_LEVELS.words.index(_level(region).removeprefix("level-"))]
        xs, ys = [], []
        for polygon in region.outline:
            closed = [*polygon, polygon[0]]
            xs += [*(x for x, _ in closed), None]
            ys += [*(y for _, y in closed), None]
        figure.add_scatter(x=xs, y=ys, mode="lines", fill="toself", line={"color": colour, "width": 2},
                           fillcolor=f"rgba({_rgb(colour)}, 0.16)", hoveron="fills", name=region.caption,
                           text=f"{region.label}: {region.caption}", hoverinfo="text", showlegend=False)
        figure.add_annotation(x=region.anchor[0], y=region.anchor[1], text=f"<b>{region.label}</b>", showarrow=False,
                              font={"color": "#fff"}, bgcolor="rgba(16, 20, 25, 0.82)", borderpad=3)
    themed(figure, height=360)
    figure.update_xaxes(range=[0, width], visible=False, constrain="domain")
    figure.update_yaxes(range=[height, 0], visible=False, scaleanchor="x", constrain="domain")
    return figure


def _rgb(colour: str) -> str:
    return ", ".join(str(int(colour[place : place + 2], 16)) for place in (1, 3, 5))


def _shape(index: int, region: DrawnRegion, unit: float) -> str:
    path = " ".join("M" + " L".join(f"{x:g} {y:g}" for x, y in polygon) + " Z" for polygon in region.outline)
    x, y = region.anchor
    radius = max(1.8, 0.75 * len(region.label) + 0.9) * unit
    label = html.escape(region.label)
    return (
        f'<g class="region region-{index} {_level(region)}" tabindex="0" role="img" '
        f'aria-label="{html.escape(region.caption)}, {label}">'
        f'<path d="{path}" stroke-width="{0.45 * unit:.2f}"/>'
        f'<rect x="{x - radius:.1f}" y="{y - 1.8 * unit:.1f}" width="{2 * radius:.1f}" height="{3.6 * unit:.1f}" '
        f'rx="{1.8 * unit:.1f}"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{2.4 * unit:.1f}">{label}</text></g>'
    )


def _card(index: int, region: DrawnRegion) -> str:
    return (
        f'<li class="region-card region-card-{index} {_level(region)}">'
        f'<img src="{data_url(region.crop)}" alt=""><span class="region-label">{html.escape(region.label)}</span>'
        f'<span class="region-caption">{html.escape(region.caption)}</span></li>'
    )


def _level(region: DrawnRegion) -> str:
    return f"level-{FIVE_LEVELS.word_for(min(max(region.quality, 0.0), 1.0))}"
