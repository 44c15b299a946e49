"""A comparison as one printable card, PNG or PDF: the images, the verdict, a table of opinions and intervals, what
computed it, and its link as text and as a QR code. On white, because it goes into papers and slides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from methods import files
from methods.levels import FIVE_LEVELS
from ui.comparison.agreement import order, verdict
from ui.comparison.records import Cell, Comparison
from ui.comparison.sheet import DARK, LINE, SOFT, Sheet
from ui.components.figures import LEVEL_COLOURS, SERIES
from ui.components.results import short_model

WIDTH, MARGIN = 8.0, 0.35
"""Inches; at 200 dots an inch a PNG is 1,600 pixels wide."""

DPI = 200
MARKERS = ("o", "D", "s", "^", "P", "*", "h", "v")
ROW, CODE = 0.29, 1.0
ABREAST, DRAWN = 6, 4
"""Systems in one table over several images, and up to how many of them the scores are drawn as well."""

PREVIEW = (1200, 630)
"""Pixels of the picture that a link's preview shows."""


def write_card(comparison: Comparison, pictures: Sequence[bytes], path: Path, *, link: str = "") -> None:
    """Draws the card.

    Args:
        pictures: encoded copies in the comparison's order.
        path: its suffix chooses the format, .png or .pdf.
        link: where the comparison was shared, "" if it was not.
    """
    files.replace(path, draw(comparison, pictures, link=link).encoded(path.suffix[1:]))


def draw(comparison: Comparison, pictures: Sequence[bytes], *, link: str = "") -> Sheet:
    """The card: what it holds decides its height, so it is laid out twice."""
    height = _lay_out(Sheet(WIDTH, 10, DPI), comparison, pictures, link)
    sheet = Sheet(WIDTH, height, DPI)
    _lay_out(sheet, comparison, pictures, link)
    return sheet


def _lay_out(sheet: Sheet, comparison: Comparison, pictures: Sequence[bytes], link: str) -> float:
    """Draws everything from top to bottom; the height that it takes, inches."""
    inner = WIDTH - 2 * MARGIN
    sheet.text(MARGIN, 0.32, "Mean Opinion", 15, weight="bold")
    sheet.text(WIDTH - MARGIN, 0.32, comparison.created[:10], 9, color=SOFT, ha="right")
    y = _pictures(sheet, comparison, pictures, 0.6)
    for line in sheet.wrapped(verdict(comparison), 9.5, inner):
        y += 0.19
        sheet.text(MARGIN, y, line, 9.5)
    y += 0.3
    if len(comparison.pictures) == 1 or len(comparison.systems) == 1:
        y = _list(sheet, comparison, y)
    else:
        for first in range(0, len(comparison.systems), ABREAST):
            y = _grid(sheet, comparison, range(first, min(first + ABREAST, len(comparison.systems))), y) + 0.12
    return _foot(sheet, comparison, link, y + 0.08)


def _pictures(sheet: Sheet, comparison: Comparison, pictures: Sequence[bytes], y: float) -> float:
    columns = min(len(pictures), 4)
    gap = 0.12
    width = (WIDTH - 2 * MARGIN - gap * (columns - 1)) / columns
    height = {1: 3.0, 2: 2.3}.get(columns, 1.35)
    for start in range(0, len(pictures), columns):
        strip = pictures[start : start + columns]
        left = (WIDTH - len(strip) * width - (len(strip) - 1) * gap) / 2
        for place, content in enumerate(strip):
            x = left + place * (width + gap)
            sheet.picture(content, x, y, width, height)
            sheet.text(x + width / 2, y + height + 0.13, comparison.pictures[start + place].name, 8, room=width,
                       color=SOFT, ha="center")
        y += height + 0.32
    return y


def _list(sheet: Sheet, comparison: Comparison, y: float) -> float:
    """A line per system for one image, or per image for one system; a column for everything that is known of each."""
    single = len(comparison.pictures) == 1
    ends = {"Level": 5.75, "Native scale": 6.85, "Seconds": WIDTH - MARGIN}
    rail = (2.55, 4.35)
    sheet.text(MARGIN, y, "Method" if single else "Photo", 8, color=SOFT)
    _scale(sheet, comparison, rail, y)
    sheet.text(4.95, y, "Opinion" if comparison.calibrated else "Raw score", 8, color=SOFT, ha="right")
    sheet.text(5.08, y, "Level", 8, color=SOFT)
    for name in ("Native scale", "Seconds"):
        sheet.text(ends[name], y, name, 8, color=SOFT, ha="right")
    cells = sorted(comparison.cells, key=lambda cell: -1.0 if cell.score is None else comparison.value(cell),
                   reverse=True)
    for cell in cells:
        y += ROW
        sheet.line((MARGIN, WIDTH - MARGIN), (y - ROW / 2, y - ROW / 2))
        name = comparison.systems[cell.system].title if single else comparison.pictures[cell.picture].name
        sheet.text(MARGIN, y, name, 9, room=rail[0] - MARGIN - 0.15, weight="bold")
        if cell.score is None:
            sheet.text(rail[0], y, cell.error, 8, room=WIDTH - MARGIN - rail[0], color=SOFT)
            continue
        _dot(sheet, comparison, rail, y, cell, SERIES[0], MARKERS[0])
        sheet.text(4.95, y, comparison.text(cell), 9, ha="right", weight="bold")
        word = FIVE_LEVELS.word_for(comparison.value(cell))
        sheet.line((5.08, 5.16), (y, y), LEVEL_COLOURS[FIVE_LEVELS.words.index(word)], linewidth=6)
        sheet.text(5.22, y, word, 8.5)
        low, high = cell.native_range
        native = f"{cell.native_score:.2f} on {low:g} to {high:g}"
        sheet.text(ends["Native scale"], y, native, 8, ha="right", color=SOFT)
        sheet.text(ends["Seconds"], y, f"{cell.seconds:.2f}", 8, ha="right", color=SOFT)
    return y + ROW / 2


def _grid(sheet: Sheet, comparison: Comparison, systems: range, y: float) -> float:
    """A line per image and a column per system; up to `DRAWN` of them are drawn as well, each with its own mark."""
    drawn = len(systems) <= DRAWN
    rail = (2.3, 4.0)
    left = rail[1] + 0.15 if drawn else 2.3
    step = (WIDTH - MARGIN - left) / len(systems)
    heads = {system: sheet.wrapped(comparison.systems[system].title, 8, step - 0.12)[:2] for system in systems}
    y += 0.15 * (max(map(len, heads.values())) - 1)
    sheet.text(MARGIN, y, "Photo", 8, color=SOFT)
    if drawn:
        _scale(sheet, comparison, rail, y)
    for place, system in enumerate(systems):
        right = left + (place + 1) * step
        for up, line in enumerate(reversed(heads[system])):
            sheet.text(right, y - 0.15 * up, line, 8, room=step - 0.12, color=SOFT, ha="right")
        if drawn:
            sheet.axes.plot([right - sheet.length(heads[system][-1], 8) - 0.09], [y], MARKERS[system % len(MARKERS)],
                            color=SERIES[system % len(SERIES)], markersize=4.5)
    best = {system: max((cell.score for cell in comparison.scored if cell.system == system), default=None)
            for system in systems}
    ranked = order(comparison)
    for picture in [*ranked, *(index for index in range(len(comparison.pictures)) if index not in ranked)]:
        y += ROW
        sheet.line((MARGIN, WIDTH - MARGIN), (y - ROW / 2, y - ROW / 2))
        sheet.text(MARGIN, y, comparison.pictures[picture].name, 9, room=rail[0] - MARGIN - 0.15, weight="bold")
        for place, system in enumerate(systems):
            cell = comparison.cell(picture, system)
            right = left + (place + 1) * step
            if cell is None or cell.score is None:
                sheet.text(right, y, "failed" if cell is not None else "–", 8.5, color=SOFT, ha="right")
                continue
            sheet.text(right, y, comparison.text(cell), 9, ha="right",
                       weight="bold" if cell.score == best[system] else "normal")
            if drawn:
                lane = 0.055 * (place - (len(systems) - 1) / 2)
                _dot(sheet, comparison, rail, y + lane, cell, SERIES[system % len(SERIES)],
                     MARKERS[system % len(MARKERS)])
    return y + ROW / 2


def _scale(sheet: Sheet, comparison: Comparison, rail: tuple[float, float], y: float) -> None:
    most = 100 if comparison.calibrated else 1
    for value in (0, 0.5, 1):
        sheet.text(rail[0] + value * (rail[1] - rail[0]), y, f"{most * value:g}", 7.5, color=SOFT, ha="center")


def _dot(sheet: Sheet, comparison: Comparison, rail: tuple[float, float], y: float, cell: Cell, colour: str,
         marker: str, size: float = 1.0) -> None:
    """An opinion with its interval on its rail, or a raw score."""
    def at(value: float) -> float:
        return rail[0] + value * (rail[1] - rail[0])

    sheet.line(rail, (y, y), LINE, linewidth=0.6 * size)
    if (ends := comparison.interval(cell)) is not None:
        sheet.line((at(ends[0]), at(ends[1])), (y, y), colour, linewidth=2.6 * size, alpha=0.4)
    sheet.axes.plot([at(comparison.value(cell))], [y], marker, color=colour, markersize=5 * size,
                    markeredgecolor="white", markeredgewidth=0.5)


def _foot(sheet: Sheet, comparison: Comparison, link: str, y: float) -> float:
    """What the bars mean, what computed the scores, and the link beside its code."""
    top = y
    room = WIDTH - 2 * MARGIN - (CODE + 0.2 if link else 0)
    for part in _notes(comparison):
        for line in sheet.wrapped(part, 7.5, room):
            y += 0.15
            sheet.text(MARGIN, y, line, 7.5, color=SOFT)
    if not link:
        return y + 0.25
    sheet.code(link, WIDTH - MARGIN, top + 0.05, CODE)
    y += 0.22
    for line in sheet.wrapped(link, 7.5, room):
        sheet.text(MARGIN, y, line, 7.5, color=DARK)
        y += 0.15
    return max(y, top + 0.05 + CODE) + 0.2


def _notes(comparison: Comparison) -> list[str]:
    scale = ("Opinions from 0 to 100; bars hold nine of ten opinions of photos with such a score." if
             comparison.calibrated else
             "Raw scores from 0 to 1, higher is better; not calibrated, so each method has its own scale.")
    used = ", ".join(dict.fromkeys(f"{cell.lmm.partition('@')[0]}@{cell.lmm.rpartition('@')[2][:12]}"
                                   if "@" in cell.lmm else short_model(cell.lmm) for cell in comparison.scored))
    versions = comparison.versions
    return [scale, f"Models: {used}. Mean Opinion {versions.get('mean-opinion', '?')}, torch "
                   f"{versions.get('torch', '?')}, transformers {versions.get('transformers', '?')}."]


def preview(comparison: Comparison, pictures: Sequence[bytes]) -> bytes:
    """What a link's preview shows, PNG of `PREVIEW` pixels: the first image, and the scores in large letters."""
    dpi = 100
    width, height = (side / dpi for side in PREVIEW)
    sheet = Sheet(width, height, dpi)
    sheet.text(0.5, 0.55, "Mean Opinion", 20, weight="bold")
    sheet.text(width - 0.5, 0.55, comparison.created[:10], 14, color=SOFT, ha="right")
    sheet.picture(pictures[0], 0.5, 1.0, 5.0, 4.3)
    names = [picture.name for picture in comparison.pictures]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    first = sheet.cut_text(names[0], 15, 5.0 - sheet.length(more, 15))
    sheet.text(3.0, 5.65, first + more, 15, color=SOFT, ha="center")
    cells = sorted(comparison.scored, key=lambda cell: -comparison.value(cell))[:7]
    step = min(0.85, 4.9 / max(len(cells), 1))
    single = len(names) == 1
    for place, cell in enumerate(cells):
        y = 1.25 + place * step
        title = comparison.systems[cell.system].title
        label = title if single else f"{names[cell.picture]}, {title}"
        sheet.text(6.0, y, label, 17, room=4.2)
        sheet.text(width - 0.5, y, comparison.text(cell), 20, weight="bold", ha="right")
        _dot(sheet, comparison, (6.0, width - 0.5), y + 0.3, cell, SERIES[0], MARKERS[0], size=2.2)
    return sheet.encoded("png")
