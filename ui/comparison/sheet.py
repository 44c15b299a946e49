"""A white sheet measured in inches from its upper left corner, on which text is fitted to the room that it has."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ui.comparison.lettering import drawable, families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK, SOFT, LINE = "#1b2229", "#55606c", "#dfe3e8"


class Sheet:
    """A matplotlib figure of its own, outside pyplot's shared state.

    Args:
        width, height: inches.
        dpi: of what is written in the end, since letters are placed on its grid of dots.
    """

    def __init__(self, width: float, height: float, dpi: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
        self.width, self.height = width, height
        self._canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)

    def text(self, x: float, y: float, text: str, size: float = 8.5, *, room: float | None = None,
             color: str = DARK, **settings: Any) -> None:
        """One line, its middle at `y`; cut with "…" where it is longer than `room` inches."""
        fitting = drawable(text) if room is None else self.cut_text(text, size, room, settings.get("weight", "normal"))
        self.axes.text(x, y, fitting, fontsize=size, color=color, parse_math=False, family=list(families()),
                       **{"va": "center", "ha": "left", **settings})

    def length(self, text: str, size: float, weight: str = "normal") -> float:
        """Inches that a line of drawable text takes."""
        from matplotlib.font_manager import FontProperties

        font = FontProperties(family=list(families()), size=size, weight=weight)
        width, _, _ = self._canvas.get_renderer().get_text_width_height_descent(text, font, ismath=False)
        return width / self.figure.dpi

    def cut_text(self, text: str, size: float, room: float, weight: str = "normal") -> str:
        """The text, or as much of its beginning and its end as there is room for: names of series differ at the end."""
        text = drawable(text)
        if self.length(text, size, weight) <= room:
            return text
        for kept in range(len(text) - 1, 1, -1):
            end = kept // 3
            short = f"{text[:kept - end].rstrip()}…{text[len(text) - end:].lstrip() if end else ''}"
            if self.length(short, size, weight) <= room:
                return short
        return "…"

    def wrapped(self, text: str, size: float, room: float) -> list[str]:
        """The text in lines of at most `room` inches; a script without spaces breaks anywhere."""
        lines, line = [], ""
        for word in drawable(text).split():
            longer = f"{line} {word}".strip()
            if self.length(longer, size) <= room:
                line = longer
                continue
            if line:
                lines.append(line)
            while self.length(word, size) > room and len(word) > 1:
                kept = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or self.length(word[:n], size) <= room)
                lines.append(word[:kept])
                word = word[kept:]
            line = word
        return [*lines, *([line] if line else [])]

    def line(self, x: tuple[float, float], y: tuple[float, float], color: str = LINE, **settings: Any) -> None:
        self.axes.plot(x, y, color=color, **{"linewidth": 0.8, "solid_capstyle": "butt", **settings})

    def picture(self, content: bytes, x: float, y: float, width: float, height: float) -> tuple[float, float]:
        """An encoded image in the middle of a frame; the width and height that it takes, inches."""
        image = Image.open(io.BytesIO(content)).convert("RGB")
        scale = min(width / image.width, height / image.height)
        wide, high = image.width * scale, image.height * scale
        image.thumbnail((round(300 * width), round(300 * height)), Image.Resampling.LANCZOS)
        left, top = x + (width - wide) / 2, y + (height - high) / 2
        self._image(np.asarray(image), (left, left + wide, top + high, top), "antialiased")
        return wide, high

    def code(self, text: str, right: float, y: float, side: float) -> None:
        """A QR code of a link, at most `side` inches large; its modules are of whole dots, on the grid of dots."""
        import segno

        modules = np.array([list(row) for row in segno.make(text, micro=False, error="m").matrix], dtype=np.uint8)
        dots = max(int(side * self.figure.dpi / len(modules)), 1) * len(modules)
        side, x, y = dots / self.figure.dpi, *(round(at * self.figure.dpi) / self.figure.dpi
                                               for at in (right - dots / self.figure.dpi, y))
        grey = np.repeat(255 * (1 - modules)[:, :, None], 3, axis=2)
        self._image(grey, (x, x + side, y + side, y), "nearest")

    def encoded(self, kind: str, title: str = "Mean Opinion: comparison") -> bytes:
        """The sheet as "png" or "pdf"."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=kind, dpi=self.figure.dpi, metadata={"Title": title})
        return buffer.getvalue()

    def _image(self, pixels: np.ndarray, extent: tuple[float, float, float, float], interpolation: str) -> None:
        self.axes.imshow(pixels, extent=extent, interpolation=interpolation, aspect="auto")
        self.axes.set_xlim(0, self.width)  # imshow moves the limits to its own image
        self.axes.set_ylim(self.height, 0)
