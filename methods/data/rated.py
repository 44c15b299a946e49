"""The pictures of a run and what people thought of them: from a table beside a folder, or a dataset as distributed.

Opinions are always handed on as higher is better, in the units of their source: DMOS d on a scale from a to b becomes
a + b - d. So a run's correlations have one sign whatever its dataset, and its RMSE is in the dataset's own units.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from methods.data.datasets import Dataset, LayoutError, read_dataset
from methods.data.opinions import read_opinions


@dataclass(frozen=True)
class Rated:
    """One picture of a run.

    Attributes:
        name: as its source names it; unique in a run.
        mos: mean opinion, higher is better.
        path: the file; "" where it is not there.
        fold: the part that it was left out with, where every picture is scored by a model trained without it.
    """

    name: str
    mos: float
    path: str
    fold: int | None = None


@dataclass(frozen=True)
class RatedSet:
    """What a run evaluates.

    Attributes:
        dataset: slug under which results are recorded.
        split: which part of it; "all" for the whole.
        items: the pictures in the order of their source, those whose file is missing at the end.
        low, high: the scale of the opinions.
        notes: what was mended, assumed or turned round, one sentence each.
    """

    dataset: str
    split: str
    items: tuple[Rated, ...]
    low: float
    high: float
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Content hash of names and opinions: a run goes on only with the ones that it began with."""
        text = "\n".join(f"{item.name}\t{item.mos!r}" for item in self.items)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def from_table(
    images: str | Path,
    scores: str | Path,
    *,
    dataset: str | None = None,
    split: str = "all",
    image_column: str | None = None,
    score_column: str | None = None,
    scale: tuple[float, float] | None = None,
    lower_is_better: bool | None = None,
) -> RatedSet:
    """A folder of pictures and a table such as `image,mos[,std]`.

    Args:
        images, scores: folder and table, read by `methods.data.opinions.read_opinions`.
        dataset: slug; by default the name of the folder that holds the table.
        split: a label that is recorded with the results.
        image_column, score_column, scale, lower_is_better: as `read_opinions`.

    Raises:
        methods.data.opinions.OpinionError: the table or the folder cannot be used.
    """
    read = read_opinions(scores, images, image_column=image_column, score_column=score_column, scale=scale,
                         lower_is_better=lower_is_better, minimum=1, allow_constant=True)
    low, high = read.scale
    present = [(name, float(mos), str(path)) for name, mos, path in zip(read.names, read.mos, read.images)]
    absent = Counter()
    missing = []
    for name, mos in read.missing:
        absent[name] += 1
        if absent[name] == 1:
            missing.append((name, mos, ""))
    notes = [note.replace("not found and left out", "not found; their rows carry the error") for note in read.notes]
    if read.lower_is_better:
        notes.append(f"Lower is better in this table, so {low + high:g} minus the score is used as the opinion.")
    return RatedSet(dataset or _slug(Path(scores)), split, _items(present + missing, low, high, read.lower_is_better),
                    low, high, tuple(notes))


def from_dataset(slug: str, root: str | Path, split: str = "all") -> RatedSet:
    """A dataset in the layout in which its authors distribute it.

    Args:
        slug: key of `methods.data.datasets.LAYOUTS`.
        root: its folder.
        split: "all", or one of the authors' own parts ("training", "validation", "test").

    Raises:
        methods.data.datasets.LayoutError: it is not there, or has no such part.
    """
    data = read_dataset(slug, root)
    chosen = [item for item in data.items if split in ("all", item.split)]
    if not chosen:
        parts = sorted({item.split for item in data.items} - {""})
        has = f"its parts are {', '.join(parts)}" if parts else "it is distributed without a split"
        raise LayoutError(f"{data.title} has no part {split!r}; {has}.")
    rows = [(item.name, item.score, str(item.path)) for item in chosen]
    notes = _told(data)
    return RatedSet(slug, split, _items(rows, data.low, data.high, not data.higher_is_better), data.low, data.high,
                    tuple(notes))


def _told(data: Dataset) -> list[str]:
    notes = []
    if data.missing:
        notes.append(f"{len(data.missing)} rated pictures of {data.title} are not in the folder and are left out; "
                     f"the first is {data.missing[0]}.")
    if not data.higher_is_better:
        notes.append(f"{data.title} publishes DMOS, where lower is better, so {data.low + data.high:g} minus the "
                     "score is used as the opinion.")
    return notes


def _items(rows: list[tuple[str, float, str]], low: float, high: float, lower_is_better: bool) -> tuple[Rated, ...]:
    repeated = [name for name, count in Counter(name for name, _, _ in rows).items() if count > 1]
    if repeated:
        raise LayoutError(f"{len(repeated)} pictures are listed twice, {repeated[0]!r} first; keep one row of each.")
    return tuple(Rated(name, low + high - mos if lower_is_better else mos, path) for name, mos, path in rows)


def _slug(table: Path) -> str:
    name = table.resolve().parent.name
    return "-".join(name.lower().replace("_", " ").split()) or "unnamed"
