"""A visitor's opinions of the photos of a folder: matched with them by name, and how well the methods agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from methods.agreement import Estimate, paired_difference, summary
from methods.data import RatedPictures, read_table
from methods.errors import InputError
from ui.folder.records import Folder

FEWEST = 3
"""Rated photos; a correlation of two is one or minus one."""


def read_ratings(table: str | Path, names: Sequence[str], *, scale: tuple[float, float] | None = None,
                 lower_is_better: bool | None = None) -> tuple[dict[str, float], tuple[str, ...]]:
    """The opinions of photos on 0 to 100, higher is better, by the photo's name; and how the table was read.

    Args:
        table: path of a CSV or another table that `methods.data` reads.
        names: of the photos; inside a zip with their folders, of which a table names none.
        scale: lowest and highest possible opinion; None guesses it.
        lower_is_better: the opinions are DMOS; None reads it off the column's title.

    Raises:
        InputError: the table cannot be read or can be read in two ways, rates none of the photos, or two photos have
            the same file name.
    """
    files = [PurePosixPath(name).name for name in names]
    if double := [file for file, count in Counter(files).items() if count > 1]:
        raise InputError(f"Two photos are named {double[0]}, so a table cannot say which of them it means; give each "
                         "a name of its own, or leave out the opinions.")
    read: RatedPictures = read_table(table, files, scale=scale, lower_is_better=lower_is_better, allow_missing=True,
                                     allow_constant=True, minimum=FEWEST)
    of = dict(zip(files, names))
    present = read.present
    return ({of[path.name]: 100 * value for path, value in zip(present.paths, present.mos01.tolist())},
            read.notes)


@dataclass(frozen=True)
class Agreement:
    """How well a method agrees with the ratings.

    Attributes:
        method: registry name, or "together".
        srcc, plcc: with 95 % bootstrap intervals.
        tied: whether a paired bootstrap cannot tell its SRCC from the best one; true of the best.
    """

    method: str
    srcc: Estimate
    plcc: Estimate
    tied: bool


def agreements(folder: Folder) -> list[Agreement]:
    """Of every method, and of all together, on the rated photos that all of them have scored; the best first. Empty
    with fewer than `FEWEST` of these."""
    photos = [photo for photo in folder.rated() if all(cell.score is not None for cell in photo.cells)]
    if len(photos) < FEWEST:
        return []
    people = [photo.rated for photo in photos]
    series = {method: [photo.cells[index].score for photo in photos] for index, method in enumerate(folder.methods)}
    common = [photo.together.mos for photo in photos if photo.together is not None]
    if len(common) == len(photos):
        series["together"] = common
    measured = {method: summary(values, people, metrics=("srcc", "plcc")) for method, values in series.items()}
    ranked = sorted(series, key=lambda method: -_or(measured[method]["srcc"].value, -2.0))
    return [Agreement(method, measured[method]["srcc"], measured[method]["plcc"],
                      method == ranked[0] or _tied(measured, series, ranked[0], method, people)) for method in ranked]


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _tied(measured: dict[str, dict[str, Estimate]], series: dict[str, list[float]], best: str, other: str,
          people: list[float]) -> bool:
    if measured[other]["srcc"].value is None:
        return False
    difference = paired_difference(series[best], series[other], people)
    return difference.low <= 0 <= difference.high


def interval_count(folder: Folder) -> tuple[int, int] | None:
    """Rated photos whose rating lies in the interval of their opinion, and all rated ones; None without opinions."""
    photos = [photo for photo in folder.rated() if photo.opinion is not None]
    if not photos or not folder.calibrated:
        return None
    return sum(photo.opinion.low <= photo.rated <= photo.opinion.high for photo in photos), len(photos)
