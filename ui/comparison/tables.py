"""A comparison as tables: HTML for the page, rows for CSV."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from methods import files
from methods.levels import FIVE_LEVELS
from ui.comparison.agreement import order
from ui.comparison.records import Cell, Comparison

CSV_COLUMNS = ("picture", "system", "method", "lmm", "score", "native_score", "native_low", "native_high", "mos",
               "mos_low", "mos_high", "spread_low", "spread_high", "spread_meaning", "seconds", "seed", "error")


def to_html(comparison: Comparison, running: tuple[int, int] | None = None, thumbnails: Sequence[str] = ()) -> str:
    """The comparison so far: rows of systems for one image, rows of images for one system, else a grid.

    Args:
        running: the (image, system) that is being scored.
        thumbnails: an address for each image.
    """
    if not comparison.systems or not comparison.pictures:
        return ""
    if len(comparison.pictures) == 1:
        rows = [(system.title, (0, index)) for index, system in enumerate(comparison.systems)]
        body = _list(comparison, rows, running, "System", ())
    elif len(comparison.systems) == 1:
        rows = [(picture.name, (index, 0)) for index, picture in enumerate(comparison.pictures)]
        body = _list(comparison, rows, running, "Photo", thumbnails)
    else:
        body = _grid(comparison, running, thumbnails)
    alone = _about(comparison, thumbnails) if len(comparison.pictures) == 1 else ""
    return f'<div class="comparison">{alone}<table>{body}</table>{_legend(comparison)}</div>'


def _list(comparison: Comparison, rows: list[tuple[str, tuple[int, int]]], running: tuple[int, int] | None,
          what: str, thumbnails: Sequence[str]) -> str:
    cells = {place: comparison.cell(*place) for _, place in rows}
    # Best first once a score is there; what is still to come keeps its order below.
    rows = sorted(rows, key=lambda row: -(_score(comparison, cells[row[1]])))
    first, track = ("Opinion", "0 to 100, nine of ten") if comparison.calibrated else ("Raw score", "0 to 1")
    head = f"<tr><th>{what}</th><th>{first}</th><th>{track}</th><th>Level</th><th>Native</th><th>Time</th></tr>"
    lines = [_line(comparison, _named(name, place[0], thumbnails), cells[place], place == running)
             for name, place in rows]
    return f"<thead>{head}</thead><tbody>{''.join(lines)}</tbody>"


def _score(comparison: Comparison, cell: Cell | None) -> float:
    return -1.0 if cell is None else -0.5 if cell.score is None else comparison.value(cell)


def _named(name: str, picture: int, thumbnails: Sequence[str]) -> str:
    """A row's name, with its image where there is one; HTML."""
    if picture >= len(thumbnails):
        return html.escape(name)
    thumbnail = f'<img src="{html.escape(thumbnails[picture])}" alt="">'
    return f'<span class="who">{thumbnail}<span>{html.escape(name)}</span></span>'


def _about(comparison: Comparison, thumbnails: Sequence[str]) -> str:
    """The one image above its table, with what was changed when it was read."""
    picture = comparison.pictures[0]
    notes = f" {html.escape(' '.join(picture.notes))}" if picture.notes else ""
    return (f'<p class="only">{_named(picture.name, 0, thumbnails)}<small>{picture.width} × {picture.height} pixels.'
            f'{notes}</small></p>')


def _line(comparison: Comparison, name: str, cell: Cell | None, running: bool) -> str:
    start = f'<th scope="row">{name}</th>'
    if cell is None:
        return f'<tr class="pending">{start}<td colspan="5">{"scoring …" if running else "waiting"}</td></tr>'
    if cell.score is None:
        return f'<tr class="failed">{start}<td colspan="5">{html.escape(cell.error)}</td></tr>'
    word = FIVE_LEVELS.word_for(comparison.value(cell))
    low, high = cell.native_range
    return (
        f'<tr>{start}<td class="number"><strong>{comparison.text(cell)}</strong></td>'
        f'<td class="bar">{_bar(comparison, cell)}</td>'
        f'<td class="level level-{word}">{word}</td>'
        f'<td class="number soft">{cell.native_score:.2f} on {low:g} to {high:g}</td>'
        f'<td class="number soft">{cell.seconds:.2f} s</td></tr>'
    )


def _bar(comparison: Comparison, cell: Cell) -> str:
    interval = ""
    if (ends := comparison.interval(cell)) is not None:
        interval = f'<i style="left:{100 * ends[0]:.1f}%;width:{100 * (ends[1] - ends[0]):.1f}%"></i>'
    return f'<span class="rail">{interval}<b style="left:{100 * comparison.value(cell):.1f}%"></b></span>'


def _grid(comparison: Comparison, running: tuple[int, int] | None, thumbnails: Sequence[str]) -> str:
    head = "".join(f"<th>{html.escape(system.title)}</th>" for system in comparison.systems)
    ranked = order(comparison)
    rest = [index for index in range(len(comparison.pictures)) if index not in ranked]
    best = {system: max((cell.score for cell in comparison.scored if cell.system == system), default=None)
            for system in range(len(comparison.systems))}
    lines = []
    for picture in [*ranked, *rest]:
        cells = []
        for system in range(len(comparison.systems)):
            cells.append(_grid_cell(comparison, comparison.cell(picture, system), (picture, system) == running,
                                    best[system]))
        name = _named(comparison.pictures[picture].name, picture, thumbnails)
        lines.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    seconds = [sum(cell.seconds for cell in comparison.scored if cell.system == system)
               for system in range(len(comparison.systems))]
    foot = "".join(f'<td class="number soft">{value:.2f} s</td>' for value in seconds)
    return (f'<thead><tr><th>Photo</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
            f'<tfoot><tr><th scope="row">Time</th>{foot}</tr></tfoot>')


def _grid_cell(comparison: Comparison, cell: Cell | None, running: bool, best: float | None) -> str:
    if cell is None:
        return f'<td class="number pending">{"…" if running else "–"}</td>'
    if cell.score is None:
        return f'<td class="failed" title="{html.escape(cell.error)}">failed</td>'
    word, text = FIVE_LEVELS.word_for(comparison.value(cell)), comparison.text(cell)
    number = f"<strong>{text}</strong>" if cell.score == best else text
    return (f'<td class="number level-{word}" title="{word}, {cell.seconds:.2f} s">{number}'
            f'<small>{cell.seconds:.2f} s</small></td>')


def _legend(comparison: Comparison) -> str:
    if not comparison.scored:
        return ""
    if comparison.calibrated:
        text = ("Bars hold nine of ten opinions of photos with such a score, as measured on rated photos. What lies "
                "inside each other's bars is hardly told apart.")
    else:
        text = ("Raw scores from 0 to 1: not all of these methods are calibrated with their models and options, so "
                "nothing is known of how far off a score is, and scores of two methods are on two scales.")
    return f'<p class="spread-note">{text}</p>'


def to_csv(comparison: Comparison) -> str:
    """One line per cell, failed ones with their error."""
    rows: list[Sequence[object]] = [CSV_COLUMNS]
    for cell in sorted(comparison.cells, key=lambda cell: (cell.picture, cell.system)):
        system, spread = comparison.systems[cell.system], cell.spread
        failed = cell.score is None
        rows.append([
            harmless(comparison.pictures[cell.picture].name), system.title, system.method, cell.lmm,
            *([""] * 4 if failed else [f"{cell.score:.6f}", f"{cell.native_score:.6f}",
                                       *(f"{end:g}" for end in cell.native_range)]),
            *(["", "", ""] if cell.opinion is None else [f"{end:.2f}" for end in cell.opinion]),
            *(["", "", ""] if spread is None else [f"{spread.low:.6f}", f"{spread.high:.6f}", spread.meaning]),
            f"{cell.seconds:.3f}", cell.seed, cell.error,
        ])
    return files.csv_text(rows)


def harmless(text: str) -> str:
    """A name that a spreadsheet shows instead of running it as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; text that a spreadsheet would run is made harmless."""
    return files.csv_text([columns, *([harmless(value) if isinstance(value, str) else value for value in row]
                                      for row in rows)])
