"""Rated images from a table of any kind: the one reader of evaluate, reference sets, calibration, training and page.

Its rules are written down in leaderboard/EVALUATE.md, with an example each. What can be read in two ways is refused
with the line or the columns in doubt, and the option that decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from methods.data.cells import Cells, TableError, readings
from methods.data.columns import Columns, find_columns, is_dmos, read_numbers
from methods.data.datasets import LAYOUTS, Layout
from methods.data.matching import ImageIndex, Match
from methods.data.pictures import RatedPicture, RatedPictures, usual_scale

_KADID = {"dist_img", "ref_img", "dmos"}
_LISTED = 5


def read_table(table: str | Path, images: str | Path | Iterable[str | Path] | None, *, name_column: str | None = None,
               mos_column: str | None = None, scale: tuple[float, float] | None = None,
               lower_is_better: bool | None = None, dataset: str | None = None, split: str = "all",
               allow_missing: bool = False, minimum: int = 1, allow_constant: bool = False) -> RatedPictures:
    """Reads a table of opinions and finds its images.

    Args:
        table: CSV or other delimited text in any encoding, or a spreadsheet (.xlsx, .xls, .ods).
        images: folder of the images, with its subfolders, or their files; None reads the opinions alone, without
            paths. Nothing outside is ever opened, whatever path the table holds.
        name_column, mos_column: titles of the columns, or their numbers from 1, where the titles do not say it.
        scale: lowest and highest possible opinion; else that of the known dataset, else the usual one that fits.
        lower_is_better: whether a lower score is better; else what the known dataset or a title DMOS says.
        dataset: slug under which results are recorded; by default the name of the table's folder.
        split: recorded with the results.
        allow_missing: keep rows whose image is not there, without a path, instead of refusing the table.
        minimum: fewest images with an opinion that are of use.
        allow_constant: accept opinions that are all equal.

    Raises:
        TableError: the table cannot be read, or can be read in two ways; one sentence.
        InputError: there is no such folder of images.
    """
    path = Path(table).expanduser()
    cells = readings(path)
    index = None if images is None else ImageIndex(images)
    rows = _rows(path, cells, index, name_column, mos_column)
    absent = [row for row, place in enumerate(rows.match.paths) if place is None] if index else []
    notes = []
    if index and absent:
        _check_missing(path.name, rows, absent, index.place, allow_missing)
        notes.append(f"{_count(len(absent), 'image')} of {path.name} not found in {index.place}: "
                     f"{_some([rows.names[row] for row in absent])}.")
    if rows.without:
        notes.append(f"{_count(len(rows.without), 'row')} without a score left out (line {_some(rows.without)}).")
    count = len(rows.names) - len(absent)
    if count < minimum:
        raise TableError(f"{path.name} rates {_count(count, 'image')} that can be used; at least {minimum} are needed.")
    lowest, highest = min(rows.scores), max(rows.scores)
    if not allow_constant and lowest == highest:
        raise TableError(f"All {len(rows.names)} scores in {path.name} are {lowest:g}; opinions that never differ "
                         "hold nothing to learn from.")
    layout = LAYOUTS.get(dataset or "")
    if layout is None and {title.lower() for title in rows.columns.header or ()} >= _KADID:
        layout = LAYOUTS["kadid-10k"]
    lower, why = _direction(path.name, rows.columns, layout, lower_is_better)
    (low, high), assumed = _scale(path.name, rows, layout, scale)
    notes.insert(0, f"{path.name}: {rows.form}; {_count(len(rows.names), 'image')} named in column "
                    f"{rows.columns.title(rows.name_column)}, opinions in column "
                    f"{rows.columns.title(rows.columns.mos)} from {lowest:g} to {highest:g} on a scale from "
                    f"{low:g} to {high:g}{assumed}, {'lower' if lower else 'higher'} is better.")
    if why:
        notes.insert(1, why)
    pictures = tuple(
        RatedPicture(name, place, low + high - score if lower else score, std)
        for name, place, score, std in zip(rows.names, rows.match.paths, rows.scores, rows.stds, strict=True))
    return RatedPictures(pictures, low, high, dataset or _slug(path), split, tuple(notes), lower)


@dataclass(frozen=True)
class _Rows:
    """The rows of a table that hold a score, under one reading of its file; lists of one length.

    `without` are the lines of those without a score.
    """

    form: str
    columns: Columns
    name_column: int
    names: tuple[str, ...]
    lines: tuple[int, ...]
    scores: tuple[float, ...]
    stds: tuple[float | None, ...]
    without: tuple[int, ...]
    match: Match


def _rows(path: Path, tables_of_cells: Iterable[Cells], index: ImageIndex | None, name_column: str | None,
          mos_column: str | None) -> _Rows:
    """The table under the first reading whose names all are images, else under the first that is a table."""
    tables: list[_Rows] = []
    refusals: list[TableError] = []
    sheets = False
    for cells in tables_of_cells:
        sheets |= bool(cells.sheet)
        try:
            rows = _read(cells, path.name, index, name_column, mos_column)
        except TableError as refusal:
            refusals.append(refusal)
            continue
        if not sheets and (index is None or None not in rows.match.paths):
            return rows
        tables.append(rows)
    if not tables:
        raise refusals[0]
    if sheets and len(tables) > 1:
        raise TableError(f"{path.name} has {len(tables)} sheets that may be the table "
                         f"({', '.join(rows.form.removeprefix('sheet ') for rows in tables)}); keep one of them, or "
                         "save it as CSV.")
    return tables[0]


def _read(cells: Cells, name: str, index: ImageIndex | None, name_column: str | None,
          mos_column: str | None) -> _Rows:
    columns = find_columns(cells, name, name_column, mos_column)
    scores = read_numbers(cells, columns, columns.mos, name)
    stds = read_numbers(cells, columns, columns.std, name) if columns.std is not None else [math.nan] * len(scores)
    start = 1 if columns.header else 0
    body, lines = cells.rows[start:], cells.lines[start:]
    rated = [row for row, score in enumerate(scores) if not math.isnan(score)]
    if not rated:
        raise TableError(f"{name} holds no score in column {columns.title(columns.mos)}; fill it, or choose another "
                         "with --mos-column.")
    tries = {column: index.match([body[row][column] for row in rated]) if index else Match((None,) * len(rated))
             for column in columns.names}
    fitting = [column for column, match in tries.items() if any(match.paths)]
    if len(columns.names) > 1 and len(fitting) != 1:
        doubt = " and ".join(columns.title(column) for column in fitting or columns.names)
        raise TableError(f"{name} does not say whether the names of the images are in column "
                         f"{doubt.replace(' and ', ' or ')}; name one with --name-column.")
    column = fitting[0] if fitting else columns.names[0]
    names = [body[row][column] for row in rated]
    first: dict[str, int] = {}
    for row, picture in zip(rated, names):
        if not picture:
            raise TableError(f"{name}, line {lines[row]}: a score without a name; delete the line, or write the name.")
        if picture in first:
            raise TableError(f"{name} rates {picture!r} in line {lines[first[picture]]} and in line {lines[row]}; keep "
                             "one row per image, such as the mean of its opinions.")
        first[picture] = row
    return _Rows(cells.form, columns, column, tuple(names), tuple(lines[row] for row in rated),
                 tuple(scores[row] for row in rated),
                 tuple(None if math.isnan(stds[row]) else stds[row] for row in rated),
                 tuple(line for line, score in zip(lines, scores) if math.isnan(score)),
                 tries[column])


def _check_missing(name: str, rows: _Rows, absent: Sequence[int], place: str, allow_missing: bool) -> None:
    """Refuses names that no file or more than one fits."""
    listed = []
    for row in absent:
        picture, line = rows.names[row], rows.lines[row]
        if picture in rows.match.several:
            files = rows.match.several[picture]
            raise TableError(f"{name}, line {line}: {picture!r} fits {len(files)} images "
                             f"({', '.join(path.as_posix() for path in files[:3])}); write its folder or ending too.")
        other = rows.match.taken.get(picture)
        listed.append(f"{picture!r} in line {line}" + (f" (another row means {other.name})" if other else ""))
    if len(absent) == len(rows.names) and not rows.match.taken:
        raise TableError(f"None of the {_count(len(absent), 'name')} in column {rows.columns.title(rows.name_column)} "
                         f"of {name} is an image in {place}: {_some(listed)}. Give the right folder, or another column "
                         "with --name-column.")
    if not allow_missing or len(absent) == len(rows.names):
        raise TableError(f"{_count(len(absent), 'image')} of the {len(rows.names)} in {name} not found in {place}: "
                         f"{_some(listed)}. Mend the names, or go on without these with --allow-missing.")


def _direction(name: str, columns: Columns, layout: Layout | None, choice: bool | None) -> tuple[bool, str]:
    """Whether lower is better, and the sentence that says why it was taken so."""
    if choice is not None:
        return choice, ""
    title = columns.header[columns.mos] if columns.header else ""
    if layout is not None:
        lower = not layout.higher_is_better
        direction = (None if not title or "mos" not in title.lower() or layout is LAYOUTS["kadid-10k"]
                     else is_dmos(title))
        if direction is not None and direction is not lower:
            raise TableError(f"{name} has a column {title!r}, but {layout.title} publishes scores where "
                             f"{'lower' if lower else 'higher'} is better; say which it is with --lower-is-better or "
                             "--no-lower-is-better.")
        if lower or is_dmos(title):
            return lower, (f"In {layout.title}, {'lower' if lower else 'higher'} is better; give "
                           f"{'--no-lower-is-better' if lower else '--lower-is-better'} if it is not so in this table.")
        return lower, ""
    if is_dmos(title):
        return True, (f"The scores are in a column {title!r}, so it is assumed that lower is better; give "
                      "--no-lower-is-better if higher is better.")
    return False, ""


def _scale(name: str, rows: _Rows, layout: Layout | None,
           choice: tuple[float, float] | None) -> tuple[tuple[float, float], str]:
    """The scale, and in brackets how it is known."""
    low, high = min(rows.scores), max(rows.scores)
    if choice is None:
        if layout is not None and layout.low <= low and high <= layout.high:
            return (layout.low, layout.high), f" (that of {layout.title})"
        return usual_scale([low, high]), " (assumed; --scale LOW HIGH sets it)"
    bottom, top = float(choice[0]), float(choice[1])
    if not (math.isfinite(bottom) and math.isfinite(top) and bottom < top):
        raise TableError(f"The scale of the opinions runs from a lower to a higher number; got {bottom:g} to {top:g}.")
    for line, score in zip(rows.lines, rows.scores):
        if not bottom <= score <= top:
            raise TableError(f"{name}, line {line}: the score {score:g} is outside the scale from {bottom:g} to "
                             f"{top:g}; give the right one with --scale LOW HIGH, or mend the score.")
    return (bottom, top), ""


def _slug(table: Path) -> str:
    name = table.resolve().parent.name
    return "-".join(name.lower().replace("_", " ").split()) or "unnamed"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _some(items: Sequence[object]) -> str:
    rest = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(map(str, items[:_LISTED])) + rest
