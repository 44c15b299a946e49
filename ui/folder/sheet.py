"""A folder as a contact sheet: a PDF with every photo small, its opinion and interval, drawn for print on white."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from PIL import Image

from methods.base import method_class
from ui.folder.drawn import title_of
from ui.folder.ratings import agreements
from ui.folder.records import Folder, Photo

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = (8.27, 11.69)
"""Inches: A4."""

COLUMNS, ROWS = 4, 6
MARGIN, HEAD, GAP, CAPTION = 0.45, 0.62, 0.14, 0.4
"""Inches: around the page, for its head, between the photos, and below each."""

DARK, SOFT = "#1b2229", "#55606c"


def write_sheet(folder: Folder, target: Path | IO[bytes], order: str) -> None:
    """Draws the sheet: as many pages as it takes, the photos in one of `ui.folder.records.ORDERS`."""
    from matplotlib.backends.backend_pdf import PdfPages

    photos = folder.ordered(order)
    per_page = COLUMNS * ROWS
    pages = [photos[start:start + per_page] for start in range(0, len(photos), per_page)]
    with PdfPages(target, metadata={"Title": "Mean Opinion: contact sheet"}) as pdf:
        for number, some in enumerate(pages, 1):
            figure = _page(folder, some, order, number, len(pages))
            pdf.savefig(figure, dpi=150)


def _page(folder: Folder, photos: list[Photo], order: str, number: int, pages: int) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=PAGE)
    FigureCanvasAgg(figure)
    # One pair of axes in inches, downwards from the page's upper left corner, holds all of it.
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    _write(axes, MARGIN, MARGIN + 0.1, "Mean Opinion", 13, weight="bold")
    _write(axes, PAGE[0] - MARGIN, MARGIN + 0.1, f"{datetime.date.today().isoformat()}, page {number} of {pages}", 8,
           SOFT, ha="right")
    _write(axes, MARGIN, MARGIN + 0.34, _head(folder, order), 7.5, SOFT)
    width = (PAGE[0] - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
    height = (PAGE[1] - 2 * MARGIN - HEAD - (ROWS - 1) * GAP) / ROWS
    for place, photo in enumerate(photos):
        row, column = divmod(place, COLUMNS)
        _photo(axes, folder, photo, MARGIN + column * (width + GAP), MARGIN + HEAD + row * (height + GAP), width,
               height - CAPTION)
    axes.set_xlim(0, PAGE[0])
    axes.set_ylim(PAGE[1], 0)
    axes.set_aspect("auto")
    return figure


def _head(folder: Folder, order: str) -> str:
    methods = ", ".join(method_class(method).title for method in folder.methods)
    what = "opinion on 0 to 100, nine of ten in brackets" if folder.calibrated else "raw score, not calibrated yet"
    parts = [f"{len(folder.photos)} photos, {order}", methods, what]
    if measured := agreements(folder):
        best = measured[0].srcc
        if best.value is not None and best.low is not None:
            parts.append(f"SRCC {best.value:.2f} [{best.low:.2f}, {best.high:.2f}] on {best.n} ratings "
                         f"({title_of(measured[0].method)})")
    return " · ".join(parts)


def _photo(axes: Axes, folder: Folder, photo: Photo, left: float, top: float, width: float, height: float) -> None:
    """One photo, whole, in the lower left of its place, with its caption below."""
    if photo.thumbnail and Path(photo.thumbnail).is_file():  # else it was deleted with the visit
        with Image.open(photo.thumbnail) as image:
            scale = min(width / image.width, height / image.height)
            wide, tall = image.width * scale, image.height * scale
            x, y = left, top + height - tall
            axes.imshow(image.convert("RGB"), extent=(x, x + wide, y + tall, y), interpolation="none")
    line = top + height + 0.12
    name = photo.name if len(photo.name) <= 30 else f"…{photo.name[-29:]}"
    if photo.failed:
        _write(axes, left, line, "no score", 8, SOFT)
    elif folder.calibrated and photo.opinion is not None:
        text = f"{photo.opinion.mos:.0f}  [{photo.opinion.low:.0f}, {photo.opinion.high:.0f}]"
        rated = "" if photo.rated is None else f"  rated {photo.rated:.0f}"
        _write(axes, left, line, text + rated, 9, weight="bold")
    else:
        _write(axes, left, line, f"{photo.score:.2f}", 9, weight="bold")
    _write(axes, left, line + 0.14, name, 6.5, SOFT)


def _write(axes: Axes, x: float, y: float, text: str, size: float, color: str = DARK, **settings: str) -> None:
    axes.text(x, y, text, fontsize=size, color=color, va="center", parse_math=False, **settings)
