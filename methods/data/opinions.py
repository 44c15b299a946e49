"""Opinion scores as people really keep them: any CSV of picture names and ratings, read into clean, checked arrays.

Calibration, reference sets and evaluation all begin with somebody's spreadsheet. It may use semicolons and decimal
commas, carry Windows paths, list a picture twice, miss a score, or hold DMOS where lower is better. Everything that
can be mended is mended and told in `Opinions.notes`; everything else is an `OpinionError` of one plain sentence.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from methods.errors import InputError
from methods.images import PICTURE_SUFFIXES

_IMAGE_COLUMNS = ("image", "images", "imagename", "imagefile", "imagepath", "imageid", "img", "imgname", "distimg",
                  "distortedimage", "name", "filename", "file", "filepath", "path", "picture", "photo", "id")
_SCORE_COLUMNS = ("mos", "mosmean", "meanmos", "moszscore", "meanopinionscore", "dmos", "score", "scores", "rating",
                  "ratings", "meanrating", "opinion", "quality", "qualityscore", "mosquality", "label", "mean",
                  "value", "y")
_SCALES = ((0.0, 1.0), (1.0, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (0.0, 100.0))


class OpinionError(InputError):
    """The ratings cannot be used; one sentence says why and what to do."""


@dataclass(frozen=True)
class Opinions:
    """Rated pictures, each once, in the order of the file.

    Attributes:
        images: the pictures' files.
        names: their names as the file writes them.
        mos: float64 [n], on the file's own scale.
        scale: lowest and highest value of that scale, given or guessed.
        lower_is_better: True for DMOS.
        notes: what was mended or assumed, one sentence each.
        missing: (name, rating) of every row whose picture is not there.
    """

    images: tuple[Path, ...]
    names: tuple[str, ...]
    mos: np.ndarray
    scale: tuple[float, float]
    lower_is_better: bool
    notes: tuple[str, ...] = ()
    missing: tuple[tuple[str, float], ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def mos01(self) -> np.ndarray:
        """float64 [n] in [0, 1], higher is better, whatever the file's scale and direction."""
        low, high = self.scale
        share = np.clip((self.mos - low) / (high - low), 0.0, 1.0)
        return 1.0 - share if self.lower_is_better else share


def read_opinions(
    table: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    image_column: str | None = None,
    score_column: str | None = None,
    scale: tuple[float, float] | None = None,
    lower_is_better: bool | None = None,
    minimum: int = 2,
    allow_constant: bool = False,
) -> Opinions:
    """Reads a CSV of ratings and finds its pictures.

    Args:
        table: a text file of rows; comma, semicolon, tab, bar or blanks between cells, with or without a header,
            UTF-8, UTF-16 or Latin-1. Rows that start with # are skipped.
        images: the folder that holds the pictures (searched with its subfolders), or the pictures' files. A name is
            matched by its path within the folder, else by its last part, else without its ending or case. Nothing
            outside is ever opened, whatever path the table holds.
        image_column, score_column: header names; guessed where not given.
        scale: lowest and highest possible rating; guessed from the values where not given.
        lower_is_better: True for DMOS; where not given, a score column named DMOS is taken so, and a note says it.
        minimum: fewest rated pictures that are of use.
        allow_constant: accept ratings that are all equal.

    Raises:
        OpinionError: the table cannot be read or is of no use; one plain sentence.
    """
    path = Path(table)
    notes: list[str] = []
    rows = _rows(path)
    name_index, score_index, header = _columns(rows, image_column, score_column, path)
    body = rows[1:] if header else rows
    if not body:
        raise OpinionError(f"{path.name} has a header but no rows; add one row a picture.")
    wanted = _numbers(body, name_index, score_index, bool(header), path, notes)
    index = _PictureIndex(images)
    found, missing = _find(wanted, index, path, notes)
    names, files, mos = _average(found, notes)
    if len(files) < minimum:
        raise OpinionError(f"Only {_count(len(files), 'rated picture')} of {path.name} can be used; "
                           f"at least {minimum} are needed." + (" " + " ".join(notes) if notes else ""))
    if not allow_constant and np.ptp(mos) == 0:
        raise OpinionError(f"All {len(mos)} opinion scores in {path.name} are {mos[0]:g}; ratings that never differ "
                           "hold nothing to learn from.")
    title = header[score_index] if header else ""
    if lower_is_better is None:
        lower_is_better = "dmos" in _plain(title)
        if lower_is_better:
            notes.append(f"The scores are in a column named {title!r}, so lower is taken as better; "
                         "say so if higher is better.")
    if scale is None:
        scale = usual_scale(mos)
        notes.append(f"The scores run from {mos.min():g} to {mos.max():g}, so a scale from {scale[0]:g} to "
                     f"{scale[1]:g} is assumed.")
    elif not (math.isfinite(scale[0]) and math.isfinite(scale[1]) and scale[0] < scale[1]):
        raise OpinionError(f"The rating scale must run from a lower to a higher number; got {scale[0]} to {scale[1]}.")
    elif mos.min() < scale[0] or mos.max() > scale[1]:
        raise OpinionError(f"The scores in {path.name} run from {mos.min():g} to {mos.max():g}, outside the scale "
                           f"from {scale[0]:g} to {scale[1]:g} that was given.")
    return Opinions(tuple(files), tuple(names), mos, (float(scale[0]), float(scale[1])), bool(lower_is_better),
                    tuple(notes), tuple(missing))


def direction_warning(mos01: Sequence[float], scores: Sequence[float], threshold: float = -0.2) -> str | None:
    """A sentence if ratings run against a model's scores so clearly that the table is probably DMOS, else None.

    Args:
        mos01: ratings, taken as higher is better.
        scores: any reasonable model's scores of the same pictures, higher is better.
        threshold: rank correlation below which to warn; fewer than 8 pictures never warn.
    """
    from scipy.stats import spearmanr

    if len(mos01) < 8 or np.ptp(mos01) == 0 or np.ptp(scores) == 0:
        return None
    correlation = float(spearmanr(mos01, scores).statistic)
    if correlation >= threshold:
        return None
    return (f"The ratings fall where the model's scores rise (rank correlation {correlation:.2f}); "
            "if lower is better in your table, as with DMOS, set that option.")


def _rows(path: Path) -> list[list[str]]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise OpinionError(f"There is no file {path.name}; check the path of the ratings.") from None
    except OSError as error:
        raise OpinionError(f"{path.name} cannot be read ({error.strerror}).") from None
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise OpinionError(f"{path.name} is a spreadsheet workbook; save it as CSV first.")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = raw.decode("utf-16", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    if "\x00" in text:
        raise OpinionError(f"{path.name} is not a text file; ratings are read from CSV.")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    separator = ","
    if lines and (declared := re.fullmatch(r"sep=(.)", lines[0].strip(), re.IGNORECASE)):
        separator, lines = declared[1], lines[1:]
    elif lines:
        separator = _separator(lines)
    if not lines:
        raise OpinionError(f"{path.name} is empty; it needs one row a picture with its name and score.")
    if separator == " ":
        rows = [line.split() for line in lines]
    else:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, skipinitialspace=True))
    rows = [[cell.strip() for cell in row] for row in rows]
    if max(map(len, rows)) < 2:
        raise OpinionError(f"{path.name} has one column only; it needs a picture name and a score in each row, "
                           "separated by commas, semicolons or tabs.")
    return rows


def _separator(lines: Sequence[str]) -> str:
    sample = lines[:50]
    for candidate in ("\t", ";", "|"):
        # These do not occur by chance, while commas may be decimal commas and blanks may be part of names.
        if all(candidate in line for line in sample):
            return candidate
    if any("," in line for line in sample):
        return ","
    return " " if all(len(line.split()) > 1 for line in sample) else ","


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9]", "", title.lower())


def _number(cell: str) -> float | None:
    """The number in a cell, NaN where it says that there is none, None where it is text."""
    text = cell.strip().replace("−", "-")
    if text.lower() in ("", "nan", "na", "n/a", "null", "none", "-", "?"):
        return math.nan
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


def _columns(rows: list[list[str]], image_column: str | None, score_column: str | None,
             path: Path) -> tuple[int, int, list[str] | None]:
    """Index of the name column, of the score column, and the header if there is one."""
    first = rows[0]
    titles = [_plain(cell) for cell in first]
    known = any(title in _IMAGE_COLUMNS or title in _SCORE_COLUMNS for title in titles)
    has_number = any((value := _number(cell)) is not None and not math.isnan(value) for cell in first)
    header = first if image_column or score_column or known or not has_number else None
    if header is None:
        numeric = [index for index in range(len(first)) if _number(first[index]) is not None]
        names = [index for index in range(len(first)) if index not in numeric] or [0]
        scores = [index for index in numeric if index != names[0]]
        if not scores:
            raise OpinionError(f"{path.name} has no column of numbers; it needs a picture name and a score a row.")
        return names[0], scores[0], None

    def pick(asked: str | None, candidates: Sequence[str], what: str, taken: int | None) -> int:
        if asked is not None:
            if _plain(asked) not in titles:
                raise OpinionError(f"{path.name} has no column {asked!r}; its columns are {', '.join(header)}.")
            return titles.index(_plain(asked))
        for candidate in candidates:
            if candidate in titles and titles.index(candidate) != taken:
                return titles.index(candidate)
        free = [index for index in range(len(header)) if index != taken and _mostly(rows[1:], index, what == "score")]
        if len(free) == 1 or (free and what == "name"):
            return free[0]
        raise OpinionError(f"{path.name} does not say which column holds the picture's {what}; "
                           f"name one of {', '.join(header)}.")

    score_at = pick(score_column, _SCORE_COLUMNS, "score", None)
    name_at = pick(image_column, _IMAGE_COLUMNS, "name", score_at)
    return name_at, score_at, header


def _mostly(rows: list[list[str]], index: int, numeric: bool) -> bool:
    cells = [row[index] for row in rows[:200] if index < len(row)]
    return bool(cells) and sum((_number(cell) is not None) == numeric for cell in cells) > len(cells) / 2


def _numbers(body: list[list[str]], name_index: int, score_index: int, header: bool, path: Path,
             notes: list[str]) -> list[tuple[str, float]]:
    kept, empty, wrong = [], [], []
    for number, row in enumerate(body, start=2 if header else 1):
        name = row[name_index] if name_index < len(row) else ""
        value = _number(row[score_index]) if score_index < len(row) else math.nan
        if not name or value is None:
            wrong.append(number)
        elif not math.isfinite(value):
            empty.append(number)
        else:
            kept.append((name, value))
    if not kept:
        raise OpinionError(f"{path.name} has no row with both a picture name and a number.")
    if empty:
        notes.append(f"{_count(len(empty), 'row')} without a finite score left out (row {_some(empty)}).")
    if wrong:
        notes.append(f"{_count(len(wrong), 'row')} without a name or with text for a score left out "
                     f"(row {_some(wrong)}).")
    return kept


class _PictureIndex:
    """Finds a picture by the name that a table gives it, among a fixed set of files."""

    def __init__(self, images: str | Path | Iterable[str | Path]) -> None:
        if isinstance(images, (str, Path)):
            root = Path(images)
            if not root.is_dir():
                raise OpinionError(f"There is no folder {root.name or root}; give the folder that holds the pictures.")
            files = [Path(folder, file) for folder, _, names in os.walk(root) for file in names
                     if Path(file).suffix.lower() in PICTURE_SUFFIXES]
            keyed = [(file.relative_to(root).as_posix().lower(), file) for file in sorted(files)]
            self.place = f"the folder {root.name or root}"
        else:
            keyed = [(Path(file).name.lower(), Path(file)) for file in images]
            self.place = "the pictures given"
        self.by_path: dict[str, list[Path]] = {}
        self.by_name: dict[str, list[Path]] = {}
        self.by_stem: dict[str, list[Path]] = {}
        for key, file in keyed:
            name = key.rpartition("/")[2]
            self.by_path.setdefault(key, []).append(file)
            self.by_name.setdefault(name, []).append(file)
            self.by_stem.setdefault(name.rpartition(".")[0] or name, []).append(file)

    def find(self, name: str) -> list[Path]:
        # PureWindowsPath understands both kinds of slash.
        parts = [part for part in PureWindowsPath(name.lower()).parts if part not in (".", "..")]
        for start in range(len(parts)):
            if hits := self.by_path.get("/".join(parts[start:])):
                return hits
        last = parts[-1] if parts else ""
        return self.by_name.get(last) or self.by_stem.get(last) or self.by_stem.get(last.rpartition(".")[0] or last, [])


def _find(wanted: list[tuple[str, float]], index: _PictureIndex, path: Path,
          notes: list[str]) -> tuple[list[tuple[str, Path, float]], list[tuple[str, float]]]:
    found, missing = [], []
    for name, value in wanted:
        hits = index.find(name)
        if len(hits) > 1:
            raise OpinionError(f"{name!r} in {path.name} fits {len(hits)} pictures ({hits[0].name} in "
                               f"{', '.join(sorted({hit.parent.name for hit in hits[:3]}))}); write its folder too.")
        if hits:
            found.append((name, hits[0], value))
        else:
            missing.append((name, value))
    if not found:
        raise OpinionError(f"None of the {_count(len(wanted), 'name')} in {path.name} is a picture in {index.place}; "
                           f"the first is {wanted[0][0]!r}.")
    if missing:
        notes.append(f"{_count(len(missing), 'picture')} of {path.name} not found and left out: "
                     f"{_some([name for name, _ in missing])}.")
    return found, missing


def _average(found: list[tuple[str, Path, float]], notes: list[str]) -> tuple[list[str], list[Path], np.ndarray]:
    by_file: dict[Path, tuple[str, list[float]]] = {}
    for name, file, value in found:
        by_file.setdefault(file, (name, []))[1].append(value)
    repeated = [name for name, values in by_file.values() if len(values) > 1]
    if repeated:
        notes.append(f"{_count(len(repeated), 'picture')} rated in more than one row; the mean of the rows is used: "
                     f"{_some(repeated)}.")
    mos = np.array([np.mean(values) for _, values in by_file.values()], dtype=np.float64)
    return [name for name, _ in by_file.values()], list(by_file), mos


def usual_scale(mos: np.ndarray) -> tuple[float, float]:
    """The first of the usual scales that holds all ratings: 0-1, 1-5, 0-5, 1-10, 0-10, 0-100, else their own range."""
    low, high = float(np.min(mos)), float(np.max(mos))
    for bottom, top in _SCALES:
        if bottom <= low and high <= top:
            return bottom, top
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _some(items: Sequence[object]) -> str:
    return ", ".join(map(str, items[:3])) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
