"""The cells of a table: text or a spreadsheet in, rows of text cells with their line numbers out, nothing guessed.

Text is read by the `csv` module in strict mode, spreadsheets by calamine, and an encoding other than UTF-8 is named by
charset-normalizer. Nothing is a comment. A table whose lines do not fit one delimiter, or in which a quotation mark is
never closed, is refused with the line.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from methods.errors import InputError

DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "vertical bar", ",": "comma", " ": "blank"}
"""In the order in which they are tried: a comma can be a decimal comma, a blank a part of a name."""

_SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xef\xbb\xbf", "utf-8-sig"),
          (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Tried where charset-normalizer's first answer gives names that no file has: short texts fit many encodings.
_USUAL = ("cp1252", "gb18030", "shift_jis", "big5", "euc_kr", "cp1251", "mac_roman")


class TableError(InputError):
    """The table cannot be used; one sentence names the line or column and says what to do."""


@dataclass(frozen=True)
class Cells:
    """A table of equally long rows.

    Attributes:
        rows: text of each cell, without blanks around it; rows without any text are left out.
        lines: number of each row in its file, from 1.
        form: how it was read, such as "comma-separated, UTF-8".
        sheet: name of the sheet; "" for text.
    """

    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    form: str
    sheet: str = ""


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise TableError(f"There is no file {path}; check the path of the table.") from None
    except IsADirectoryError:
        raise TableError(f"{path} is a folder; name the table itself.") from None
    except PermissionError:
        raise TableError(f"{path} may not be read by this program; change its permissions.") from None
    if not content.strip():
        raise TableError(f"{path.name} is empty; it needs one row per image with its name and its score.")
    return content


def readings(path: Path) -> Iterator[Cells]:
    """The ways in which a table can be read, the likeliest first: delimiters, encodings or sheets.

    More than one is given only where several fit every line; which of them holds names of images decides.

    Raises:
        TableError: none does; the sentence names the line.
    """
    return _readings(path, _content(path))


def _readings(path: Path, content: bytes) -> Iterator[Cells]:
    if path.suffix.lower() in _SHEETS or content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        yield from _sheets(path, content)
        return
    refusals = []
    fits = False
    for text, encoding in _texts(path, content):
        try:
            for table in readings_of_text(text, encoding, path.name):
                fits = True
                yield table
        except TableError as refusal:
            refusals.append(refusal)
    if not fits:
        raise refusals[0]


def _texts(path: Path, content: bytes) -> Iterator[tuple[str, str]]:
    """(text, encoding), the likeliest first."""
    mark = next((encoding for start, encoding in _MARKS if content.startswith(start)), None)
    if mark is None and b"\0" in content:
        # UTF-16 without its mark: in a table every second byte is zero in the most usual characters.
        even, odd = content[::2].count(0), content[1::2].count(0)
        mark = "utf-16-be" if even > odd else "utf-16-le"
    for encoding in (mark,) if mark else ("utf-8",):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            if mark:
                raise TableError(f"{path.name} is not a text file; give a CSV file or a spreadsheet.") from None
        else:
            if "\0" in text:
                raise TableError(f"{path.name} is not a text file; give a CSV file or a spreadsheet.")
            yield text, {"utf-8-sig": "utf-8"}.get(encoding, encoding).upper()
            return
    from charset_normalizer import from_bytes

    tried: set[str] = set()
    for encoding in (*(match.encoding for match in from_bytes(content)), *_USUAL):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text not in tried:
            tried.add(text)
            yield text, encoding.replace("_", "-").upper()
    if not tried:
        raise TableError(f"{path.name} is in no encoding that is known here; save it as UTF-8.")


def readings_of_text(text: str, encoding: str, name: str) -> Iterator[Cells]:
    """The readings of a text, one for each delimiter that fits every line.

    Raises:
        TableError: none does.
    """
    declared = re.match(r"sep=(\t|\\t|.)\s*(\r\n|\r|\n)", text, re.IGNORECASE)
    offset = 1 if declared else 0
    candidates = list(DELIMITERS)
    if declared:
        candidates = ["\t" if declared[1] == "\\t" else declared[1]]
        text = text[declared.end():]
    tables: list[Cells] = []
    refusals: list[tuple[int, str]] = []
    for delimiter in candidates:
        if delimiter == " " and tables:
            break  # Blanks between cells, where nothing else separates them.
        try:
            tables.append(_table(text, delimiter, encoding, offset))
        except _Misfit as misfit:
            refusals.append((misfit.rows, str(misfit)))
    if not tables:
        raise TableError(f"{name}{max(refusals, key=lambda refusal: refusal[0])[1]}")
    yield from tables


class _Misfit(Exception):
    """A delimiter does not fit; `rows` counts those before the one that says so."""

    def __init__(self, rows: int, sentence: str) -> None:
        super().__init__(sentence)
        self.rows = rows


def _table(text: str, delimiter: str, encoding: str, offset: int) -> Cells:
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    blanks = delimiter == " "
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    # In quoted cells a line break counts as text, so the reader gets the lines with their ends.
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=delimiter, strict=True, skipinitialspace=True)
    while True:
        line = reader.line_num + 1 + offset
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _Misfit(len(rows), _broken(str(error), line)) from None
        if row is None:
            break
        cells = tuple(cell.strip() for cell in row)
        if blanks:
            cells = tuple(cell for cell in cells if cell)
        if not any(cells):
            continue
        width = len(rows[0]) if rows else len(cells)
        if width < 2:
            raise _Misfit(-1, " has one column only; it needs a name and a score in each row, separated by commas, "
                              "semicolons or tabs.")
        if len(cells) != width:
            raise _Misfit(len(rows), f", line {line}: {len(cells)} {'cell' if len(cells) == 1 else 'cells'} under "
                                     f"{width} in line {lines[0]} ({_short(delimiter.join(row))}); put cells that hold "
                                     f"a {DELIMITERS.get(delimiter, delimiter)} into quotation marks, write decimals "
                                     "with a point, and delete lines that are no rows.")
        if any(piece.count(delimiter) == width - 1 for cell in row for piece in cell.splitlines()[1:]):
            raise _Misfit(len(rows), f", line {line}: a quotation mark is closed only in line "
                                     f"{reader.line_num + offset}, and what lies between looks like rows; delete the "
                                     "mark, or close it in its line.")
        rows.append(cells)
        lines.append(line)
    if not rows:
        raise _Misfit(-1, " is empty; it needs one row per image with its name and its score.")
    return Cells(tuple(rows), tuple(lines), f"{DELIMITERS.get(delimiter, delimiter)}-separated, {encoding}")


def _broken(error: str, line: int) -> str:
    if "unexpected end" in error:
        return f", line {line}: a quotation mark is never closed; close it or delete it."
    return (f", line {line}: text follows the quotation mark that ends a cell; double the quotation marks inside a "
            "cell, or delete them.")


def _sheets(path: Path, content: bytes) -> Iterator[Cells]:
    """The sheets that hold rows."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
    except (CalamineError, OSError) as error:
        raise TableError(f"{path.name} is not a spreadsheet that can be read ({error}); save it as CSV.") from None
    filled = False
    for name, values in sheets.items():
        rows = [(line, [_text(value) for value in row]) for line, row in enumerate(values, start=1)]
        rows = [(line, row) for line, row in rows if any(row)]
        if not rows:
            continue
        filled = True
        columns = [index for index in range(max(len(row) for _, row in rows))
                   if any(index < len(row) and row[index] for _, row in rows)]
        yield Cells(tuple(tuple(row[index] if index < len(row) else "" for index in columns) for _, row in rows),
                    tuple(line for line, _ in rows), f"sheet {name!r}", name)
    if not filled:
        raise TableError(f"{path.name} is empty; it needs one row per image with its name and its score.")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value).strip()


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
