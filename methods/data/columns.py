"""Which columns of a table hold the names of the images and the mean opinion scores, and the numbers in them.

A column is known by its title or asked for. It is never the first that holds numbers: row numbers, widths, class labels
and standard deviations are numbers too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from methods.data.cells import Cells, TableError
from methods.errors import suggestion

_NAMES = frozenset({
    "image", "images", "imagename", "imagefile", "imagefilename", "imagepath", "img", "imgname", "imgpath", "imgfile",
    "distimg", "distimage", "distortedimage", "distorted", "dist", "distname", "name", "filename", "file", "filepath",
    "path", "picture", "photo", "picturename", "photoname"})
_MOS: tuple[frozenset[str], ...] = (
    frozenset({"mos", "dmos", "meanopinionscore", "differentialmeanopinionscore", "differencemeanopinionscore"}),
    frozenset(),  # Titles with mos or dmos as a word in them.
    frozenset({"score", "scores", "meanscore", "averagescore", "rating", "ratings", "meanrating", "averagerating",
               "opinion", "opinions", "opinionscore", "meanopinion", "quality", "qualityscore", "subjectivescore",
               "mean", "average"}))
"""Titles of the column of scores, the surest first."""

_STD = frozenset({"std", "sd", "stddev", "stdev", "standarddeviation", "mosstd", "stdmos", "mossd", "sdmos", "dmosstd"})
_WORD = re.compile(r"(?<![a-z])d?mos(?![a-z])")
_SPREAD = re.compile(r"(?<![a-z])(std|sd|stddev|stdev|var|variance|ci|ci95|se|sem|count|n|num|min|max|median|votes|"
                     r"raters|rank|class|label|bin)(?![a-z])")
_NO_SCORE = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "none", "-", "?", "."})
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3},\d{3}")


@dataclass(frozen=True)
class Columns:
    """Where a table keeps what.

    Attributes:
        header: titles; None where the first row is one of data.
        names: rows of columns in which names of images may be; one, but for tables that do not say it.
        mos: column of the scores.
        std: column of their standard deviations, or None.
    """

    header: tuple[str, ...] | None
    names: tuple[int, ...]
    mos: int
    std: int | None

    def title(self, column: int) -> str:
        """What to call a column in a sentence."""
        return repr(self.header[column]) if self.header and self.header[column] else f"number {column + 1}"


def find_columns(table: Cells, name: str, name_column: str | None = None, mos_column: str | None = None) -> Columns:
    """The columns of a table.

    Args:
        table: its cells.
        name: of the table, for sentences.
        name_column, mos_column: titles that are asked for, or the number of a column from 1.

    Raises:
        TableError: there is no such column, or more than one may be meant; the sentence names them.
    """
    rows = table.rows
    titles = [column for column in (name_column, mos_column) if column is not None]
    header = rows[0] if _is_header(rows[0], titles) else None
    body = rows[1:] if header else rows
    if not body:
        raise TableError(f"{name} has a header but no rows; add one row per image.")
    numbers = [column for column in range(len(rows[0])) if _numeric(body, column)]
    if header:
        for column, title in enumerate(header):
            row = next((row for row, cells in enumerate(body) if cells[column]), None) if not title and column else None
            if row is not None:
                raise TableError(f"{name}, line {table.lines[row + 1]}: {body[row][column]!r} stands in column "
                                 f"{column + 1}, which has no title; give it one, or write decimals with a point.")
    mos = _asked(name, header, len(rows[0]), mos_column, "--mos-column") if mos_column is not None else \
        _titled_mos(name, header, name_column) if header else _only_numbers(name, numbers, name_column)
    if name_column is not None:
        names: tuple[int, ...] = (_asked(name, header, len(rows[0]), name_column, "--name-column"),)
    else:
        names = _names(header, body, numbers, mos)
    if mos in names:
        raise TableError(f"{name}: {Columns(header, names, mos, None).title(mos)} cannot hold names and scores; choose "
                         "others with --name-column and --mos-column.")
    spreads = [column for column, title in enumerate(header or ()) if _plain(title) in _STD and column in numbers]
    return Columns(header, names, mos, spreads[0] if len(spreads) == 1 else None)


def read_numbers(table: Cells, columns: Columns, column: int, name: str) -> list[float]:
    """The numbers of a column, NaN where a cell says that there is none.

    Raises:
        TableError: a cell holds something else, or decimals are written in two ways.
    """
    start = 1 if columns.header else 0
    cells = [row[column].replace("\u2212", "-") for row in table.rows[start:]]
    lines = table.lines[start:]
    commas = [row for row, cell in enumerate(cells) if _DECIMAL_COMMA.fullmatch(cell)]
    points = [row for row, cell in enumerate(cells) if "." in cell and _number(cell) is not None and cell != "."]
    title = columns.title(column)
    if commas and points:
        raise TableError(f"{name}: column {title} writes {cells[points[0]]} in line {lines[points[0]]} and "
                         f"{cells[commas[0]]} in line {lines[commas[0]]}; write all decimals with a point.")
    values = []
    for row, cell in enumerate(cells):
        value = _number(cell)
        if value is None or math.isinf(value):
            raise TableError(f"{name}, line {lines[row]}: {cell[:40]!r} in column {title} is not a score; mend it, "
                             "delete the line, or choose another column with --mos-column.")
        values.append(value)
    large = next((row for row, value in enumerate(values) if row not in commas and abs(value) >= 100), None)
    if commas and large is not None and all(_THOUSANDS.fullmatch(cells[row]) for row in commas):
        raise TableError(f"{name}: {cells[commas[0]]} in line {lines[commas[0]]} can be a decimal or a thousand beside "
                         f"{cells[large]} in line {lines[large]}; write decimals with a point and no thousands mark.")
    return values


def is_dmos(title: str) -> bool:
    """Whether a title says that lower is better."""
    return _plain(title) in {"dmos", "differentialmeanopinionscore", "differencemeanopinionscore"} \
        or re.search(r"(?<![a-z])dmos(?![a-z])", title.lower()) is not None


def _plain(title: str) -> str:
    return "".join(letter for letter in title.casefold() if letter.isalnum())


def _number(cell: str) -> float | None:
    """The number in a cell, NaN where it says that there is none, None where it is text."""
    if cell.casefold() in _NO_SCORE:
        return math.nan
    if "_" in cell or not cell.isascii():
        return None  # float() takes 1_000 and digits of other scripts.
    try:
        return float(cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell)
    except ValueError:
        return None


def _numeric(body: Sequence[Sequence[str]], column: int) -> bool:
    """Whether a column holds numbers and nothing else."""
    values = [_number(row[column]) for row in body]
    return None not in values and not all(map(math.isnan, filter(None, values)))


def _tier(title: str) -> int | None:
    """How surely a title is that of the scores, 0 the surest."""
    words = re.sub(r"[\W\d_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", title)).lower()
    plain = _plain(title)
    if plain in _MOS[0]:
        return 0
    if _SPREAD.search(words) or plain in _STD:
        return None
    return 1 if _WORD.search(words) else 2 if plain in _MOS[2] else None


def _is_header(first: Sequence[str], wanted: Sequence[str]) -> bool:
    titles = [_plain(cell) for cell in first]
    if any(column in first or (_plain(column) in titles and not column.isdigit()) for column in wanted):
        return True
    values = [_number(cell) for cell in first]
    if not any(value is not None and not math.isnan(value) for value in values):
        return any(cell.casefold() not in _NO_SCORE for cell in first)
    # Votes have numbers for titles ("image,1,2,3,4,5,mos").
    return any(_tier(cell) is not None for cell in first)


def _asked(name: str, header: Sequence[str] | None, width: int, column: str, option: str) -> int:
    titles = list(header or ())
    for form in (str, _plain):
        places = [place for place, title in enumerate(titles) if form(title) == form(column)]
        if len(places) == 1:
            return places[0]
        if places:
            raise TableError(f"{name} has {len(places)} columns {column!r}; give one of them another title.")
    if column.isdigit() and 1 <= int(column) <= width:
        return int(column) - 1
    if header is None:
        raise TableError(f"{name} has no header; give {option} the number of the column, from 1 to {width}.")
    shown = [title for title in titles if title]
    raise TableError(f"{name} has no column {column!r} for {option}{suggestion(column, shown)}")


def _titled_mos(name: str, header: Sequence[str], name_column: str | None) -> int:
    tiers: dict[int, list[int]] = {}
    for column, title in enumerate(header):
        tier = _tier(title)
        if tier is not None and title != name_column:
            tiers.setdefault(tier, []).append(column)
    if not tiers:
        raise TableError(f"{name} does not say which column holds the mean opinion scores; its columns are "
                         f"{', '.join(title or '(no title)' for title in header)}. Name one with --mos-column, or "
                         "give it the title mos.")
    columns = tiers[min(tiers)]
    if len(columns) > 1:
        raise TableError(f"{name} has {len(columns)} columns that may hold the mean opinion scores "
                         f"({', '.join(header[column] for column in columns)}); name one with --mos-column.")
    return columns[0]


def _only_numbers(name: str, numbers: Sequence[int], name_column: str | None) -> int:
    name_place = int(name_column) - 1 if name_column is not None and name_column.isdigit() else None
    columns = [column for column in numbers if column != name_place]
    if len(columns) == 1:
        return columns[0]
    if not columns:
        raise TableError(f"{name} has no column of numbers; it needs a name and a score in each row.")
    raise TableError(f"{name} has no header and numbers in the columns {', '.join(str(one + 1) for one in columns)}; "
                     "write the titles image and mos above the right ones, or give --mos-column the number of one.")


def _names(header: Sequence[str] | None, body: Sequence[Sequence[str]], numbers: Sequence[int], mos: int
           ) -> tuple[int, ...]:
    """The column of names, or several candidates that only the files can decide."""
    def different(column: int) -> bool:
        cells = [row[column] for row in body]
        return all(cells) and len(set(cells)) == len(cells)

    name_columns = [column for column, title in enumerate(header or ()) if _plain(title) in _NAMES and column != mos]
    if len(name_columns) == 1:
        return (name_columns[0],)
    text = [column for column in range(len(body[0])) if column not in numbers and column != mos]
    tests: tuple[Callable[[int], bool], ...] = (different, lambda column: column in text)
    columns = name_columns or text or [column for column in range(len(body[0])) if column != mos]
    # Every image stands in a row of its own, so a column that repeats itself holds references or kinds.
    for test in tests:
        if len(columns) > 1 and (fewer := [column for column in columns if test(column)]):
            columns = fewer
    return tuple(columns)
