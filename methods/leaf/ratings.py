"""Rated images for a student: a table of opinions, less the images that cannot be read.

One damaged file among hundreds must not cost a calibration, so it is left out and named. What remains has to be enough
to learn from.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from methods.data import RatedPictures, TableError, find_images, read_table
from methods.errors import InputError
from methods.images import ImageError, decode
from methods.patience import steps

FEWEST_LABELS = 5
"""Fewest ratings that a fit is made from: a line through five points has two unknowns, and three points to test it."""


def read_ratings(table: str | Path, images: str | Path | Iterable[str | Path], *, minimum: int = FEWEST_LABELS,
                 **options: Any) -> RatedPictures:
    """`methods.data.read_table` without the images that are missing or cannot be read; each of them is named in a note.

    Args:
        table, images, options: as there.
        minimum: fewest readable rated images that are of use.

    Raises:
        TableError: the table cannot be read or is of no use, or too few of its images can be read.
    """
    pictures = read_table(table, images, minimum=minimum, **options).present
    readable, notes = [], list(pictures.notes)
    if pictures.lower_is_better:
        notes.append("A student scores the other way round than your table: higher is better.")
    for row, path in steps(enumerate(pictures.paths)):
        try:
            decode(path)
            readable.append(row)
        except ImageError as error:
            notes.append(f"{path.name} is left out: {error}")
    ratings = dataclasses.replace(pictures.subset(readable), notes=tuple(notes))
    if len(ratings) == len(pictures):
        return ratings
    name = Path(table).name
    if len(ratings) < minimum:
        raise TableError(f"{len(ratings)} of the {len(pictures)} rated images of {name} can be read and at least "
                         f"{minimum} are needed. {notes[-1]}")
    if len(set(ratings.mos)) == 1:
        raise TableError(f"All {len(ratings)} MOS in {name} whose images can be read are "
                         f"{ratings[0].mos:g}; ratings that never differ hold nothing to learn from.")
    return ratings


def usable_images(folder: Path, known_good: Collection[Path] = (), notes: Collection[str] = ()) -> list[Path]:
    """The images of a folder that can be read; the others are named on stderr.

    Args:
        known_good: those that need not be tried.
        notes: sentences that have been said already.

    Raises:
        InputError: there is no such folder, or fewer than two are left.
    """
    usable, known_good = [], set(known_good)
    for path in find_images(folder):
        try:
            if path not in known_good:
                decode(path)
            usable.append(path)
        except ImageError as error:
            sentence = f"{path.name} is left out: {error}"
            if sentence not in notes:
                print(sentence, file=sys.stderr)
    if len(usable) < 2:
        raise InputError(f"The folder {folder} holds fewer than two usable images; add some.")
    return usable
