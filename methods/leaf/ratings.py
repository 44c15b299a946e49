"""Rated pictures for a student: a table of opinions, less the pictures that cannot be read.

One damaged file among hundreds must not cost a calibration, so it is left out and named. What remains has to be enough
to learn from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from methods.data import RatedPictures, TableError, read_table
from methods.images import ImageError, decode

FEWEST_LABELS = 5
"""Below this a fit says nothing: five points on a line with two unknowns leave three to be wrong about."""


def read_ratings(table: str | Path, images: str | Path | Iterable[str | Path], *, minimum: int = FEWEST_LABELS,
                 **options: Any) -> RatedPictures:
    """`methods.data.read_table` without the pictures that are not there or cannot be read, each of which is noted.

    Args:
        table, images, options: as there.
        minimum: fewest readable rated pictures that are of use.

    Raises:
        TableError: the table cannot be read or is of no use, or too few of its pictures can be read.
    """
    pictures = read_table(table, images, minimum=minimum, **options).present
    readable, notes = [], list(pictures.notes)
    if pictures.lower_is_better:
        notes.append("A student scores the other way round than your table: higher is better.")
    for row, path in enumerate(pictures.paths):
        try:
            decode(path)
            readable.append(row)
        except ImageError as error:
            notes.append(f"{path.name} is left out: {error}")
    kept = dataclasses.replace(pictures.subset(readable), notes=tuple(notes))
    if len(kept) == len(pictures):
        return kept
    name = Path(table).name
    if len(kept) < minimum:
        raise TableError(f"{len(kept)} of the {len(pictures)} rated pictures of {name} can be read and at least "
                         f"{minimum} are needed. {notes[-1]}")
    if len(set(kept.mos)) == 1:
        raise TableError(f"All {len(kept)} opinion scores in {name} whose pictures can be read are {kept[0].mos:g}; "
                         "ratings that never differ hold nothing to learn from.")
    return kept
