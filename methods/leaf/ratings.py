"""Rated pictures for a student: a table of opinion scores, less the pictures that cannot be read.

One damaged file among hundreds must not cost a calibration, so it is left out and named, like a picture that is not
there at all. What remains has to be enough to learn from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from methods.data.opinions import OpinionError, Opinions, read_opinions
from methods.images import ImageError, decode

FEWEST_LABELS = 5
"""Below this a fit says nothing: five points on a line with two unknowns leave three to be wrong about."""


def read_ratings(table: str | Path, images: str | Path | Iterable[str | Path], *,
                 scale: tuple[float, float] | None = None, lower_is_better: bool | None = None,
                 minimum: int = FEWEST_LABELS) -> Opinions:
    """`methods.data.opinions.read_opinions`, with rated pictures that cannot be read left out and noted; for DMOS a
    note says that a student's own scores run the other way.

    Args:
        table, images, scale, lower_is_better: as there.
        minimum: fewest readable rated pictures that are of use.

    Raises:
        OpinionError: the table cannot be read or is of no use, or too few of its pictures can be read.
    """
    opinions = read_opinions(table, images, scale=scale, lower_is_better=lower_is_better, minimum=minimum)
    if opinions.lower_is_better:
        turned = "A student scores the other way round than your table: higher is better."
        opinions = dataclasses.replace(opinions, notes=(*opinions.notes, turned))
    kept, broken = [], []
    for row, path in enumerate(opinions.images):
        try:
            decode(path)
            kept.append(row)
        except ImageError as error:
            broken.append(f"{path.name} is left out: {error}")
    if not broken:
        return opinions
    name = Path(table).name
    if len(kept) < minimum:
        raise OpinionError(f"{len(kept)} of the {len(opinions)} rated pictures of {name} can be read and at least "
                           f"{minimum} are needed. {broken[0]}")
    mos = opinions.mos[kept]
    if np.ptp(mos) == 0:
        raise OpinionError(f"All {len(mos)} opinion scores in {name} whose pictures can be read are {mos[0]:g}; "
                           "ratings that never differ hold nothing to learn from.")
    return dataclasses.replace(
        opinions, images=tuple(opinions.images[row] for row in kept), names=tuple(opinions.names[row] for row in kept),
        mos=mos, notes=(*opinions.notes, *broken),
    )
