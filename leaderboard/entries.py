"""Rows and cells of the leaderboard before any filter: who was tested, by whom, on what, with which result.

An entry is one method as one table of one source reports it (or one measured run). The same method in two papers is
two entries, because their numbers are not comparable without reading both protocols. Entries have short readable ids
that follow from their key alone, so that links keep their meaning when results are added.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from leaderboard.schema import ENSEMBLE, OUTSIDE_IQA, WHOLE, Board, label_sets, part_of
from methods import files

if TYPE_CHECKING:
    import pandas as pd

MEASURED = "measured"


def slug(name: str) -> str:
    """A name as links write it: lower case, "+" as "plus", anything but letters, digits and dots a hyphen."""
    return re.sub(r"[^a-z0-9.:]+", "-", name.lower().replace("+", "-plus-")).strip("-")


@dataclass(frozen=True)
class Dataset:
    """A test set; `related` and `possibly_related` name sets that share images with it."""

    slug: str
    name: str
    short: str
    kind: str
    related: frozenset[str] = frozenset()
    possibly_related: frozenset[str] = frozenset()

    @property
    def is_iqa(self) -> bool:
        return self.kind not in OUTSIDE_IQA


@dataclass(frozen=True)
class Cell:
    """One result.

    Attributes:
        printed: the source's own text.
        overlap: "", "yes" or "possible": whether the model was trained on this set.
        part: which of the set's images it is on: `schema.WHOLE`, or the part in a few words.
        labels: whether the method sees opinions of this set when it scores (references) or was calibrated with some.
    """

    value: float
    printed: str
    low: float | None
    high: float | None
    n: int | None
    protocol: str
    note: str
    doubtful: bool
    overlap: str
    table: str
    source: str
    part: str = WHOLE
    labels: bool = False

    @property
    def has_interval(self) -> bool:
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class Entry:
    """One method in one source.

    Attributes:
        id: "method~hash", stable.
        training: slugs of the training sets; () for none, None where the source does not say.
        paper: slug in papers.csv, or "measured".
        cells: metric -> dataset slug -> Cell.
        provenance: of a measured run, by name; empty for a published entry.
    """

    id: str
    method: str
    backbone: str
    variant: str
    training: tuple[str, ...] | None
    training_free: str
    paper: str
    table: str
    source: str
    source_kind: str
    origin: str
    lmm_passes: float | None
    parameters: float | None
    cells: Mapping[str, Mapping[str, Cell]] = field(hash=False, compare=False)
    provenance: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @cached_property
    def method_slug(self) -> str:
        return slug(self.method)

    @property
    def details(self) -> str:
        """What tells this entry from others of its method: backbone and variant."""
        parts = [part for part in (self.backbone, self.variant) if part]
        return "; ".join(parts)

    @property
    def label(self) -> str:
        return f"{self.method} ({self.details})" if self.details else self.method

    @cached_property
    def words(self) -> str:
        """Everything that the search looks through."""
        return " ".join([self.method, self.backbone, self.variant, self.paper, self.table, self.source,
                         *(self.training or ())]).casefold()


@dataclass(frozen=True, eq=False)
class Catalogue:
    """All entries of a board, and the values that filters and links may name."""

    board: Board = field(repr=False)
    entries: tuple[Entry, ...]
    datasets: tuple[Dataset, ...]

    @cached_property
    def by_dataset(self) -> dict[str, Dataset]:
        return {dataset.slug: dataset for dataset in self.datasets}

    @cached_property
    def vocabulary(self) -> dict[str, tuple[str, ...]]:
        """Filter name -> the values that exist, sorted."""
        trained = {name for entry in self.entries for name in entry.training or ()}
        values_of = {
            "methods": {entry.method_slug for entry in self.entries} | {entry.id for entry in self.entries},
            "datasets": {dataset.slug for dataset in self.datasets},
            "papers": {entry.paper for entry in self.entries} | {MEASURED},
            "backbones": {slug(entry.backbone) for entry in self.entries if entry.backbone},
            "training_sets": trained | {"none", "not-stated"},
            "kinds": {dataset.kind for dataset in self.datasets},
        }
        return {name: tuple(sorted(values)) for name, values in values_of.items()}


@lru_cache(maxsize=4)
def catalogue(board: Board) -> Catalogue:
    """The board's entries in the order of its files; worked out once per board."""
    frame = board.results
    used = set(frame["dataset"])
    amount = frame["dataset"].value_counts()
    listed = [_dataset(record) for record in board.datasets.to_dict("records") if record["slug"] in used]
    # The sets that most results are on come first: it is the order of the columns.
    datasets = tuple(sorted(listed, key=lambda dataset: -int(amount[dataset.slug])))
    by_slug = {dataset.slug: dataset for dataset in datasets}
    parameters = _numbers(board.models, "backbone", "parameters_billion")
    passes = _numbers(board.costs, "method", "lmm_passes")
    grouped: dict[tuple[str, ...], list[dict]] = {}
    for record in frame.to_dict("records"):
        grouped.setdefault(_key(record), []).append(record)
    entries = tuple(_entry(key, records, by_slug, parameters, passes) for key, records in grouped.items())
    return Catalogue(board, entries, datasets)


def _key(record: Mapping) -> tuple[str, ...]:
    if record["origin"] == MEASURED:
        return (MEASURED, record["run"])
    return tuple(record[name] for name in ("paper", "table", "method", "backbone", "variant", "training_set"))


def _dataset(record: Mapping[object, str]) -> Dataset:
    return Dataset(record["slug"], record["name"], record["short"], record["kind"],
                   frozenset(filter(None, record["related"].split("+"))),
                   frozenset(filter(None, record["possibly_related"].split("+"))))


def _numbers(frame: pd.DataFrame, key: str, column: str) -> dict[str, float]:
    return {record[key]: float(record[column]) for record in frame.to_dict("records")}


def _entry(key: tuple[str, ...], records: list[dict], known: dict[str, Dataset], parameters: dict[str, float],
           passes: dict[str, float]) -> Entry:
    first = records[0]
    training = _training(first["training_set"])
    cells: dict[str, dict[str, Cell]] = {}
    for record in records:
        if math.isnan(record["value"]):
            continue
        name = record["dataset"]
        dataset = known.get(name) or Dataset(name, name, name, kind="")
        cells.setdefault(record["metric"], {})[name] = _cell(record, dataset, training, known)
    own_passes, own_parameters = _number(first["lmm_passes"]), _number(first["parameters_billion"])
    return Entry(
        id=f"{slug(first['method'])}~{files.hash_joined([chr(31).join(key)])[:5]}",
        method=first["method"], backbone=first["backbone"], variant=first["variant"], training=training,
        training_free=first["training_free"], paper=first["paper"], table=first["table"], source=first["source"],
        source_kind=first["source_kind"], origin=first["origin"],
        lmm_passes=own_passes if own_passes is not None or first["backbone"].startswith(ENSEMBLE)
        else passes.get(first["method"]),
        parameters=own_parameters if own_parameters is not None else parameters.get(first["backbone"]),
        cells=cells, provenance=_provenance(first),
    )


def _provenance(record: Mapping) -> dict[str, str]:
    if record["origin"] != MEASURED:
        return {}
    names = ("run", "lmm", "lmm_revision", "split", "options", "seed", "commit", "date", "command", "n_failed")
    return {name: str(record[name]) for name in names}


def _training(text: str) -> tuple[str, ...] | None:
    if text == "":
        return None
    return () if text == "none" else tuple(text.split("+"))


def _cell(record: Mapping, dataset: Dataset, training: tuple[str, ...] | None, known: dict[str, Dataset]) -> Cell:
    n = _number(record["n"])
    if record["origin"] == MEASURED:
        part = WHOLE if record["split"] in ("", "all") else f"{record['split']} part"
    else:
        part = part_of(record["protocol"], record["paper"])
    readable = label_sets(record["protocol"], dataset.slug)
    return Cell(
        value=record["value"], printed=record["printed"], low=_number(record["low"]), high=_number(record["high"]),
        n=int(n) if n is not None else None, protocol=record["protocol"], note=record["note"],
        doubtful=bool(record["doubtful"]), overlap=overlap(training, dataset, known), table=record["table"],
        source=record["source"], part=part, labels=bool(overlap(tuple(readable), dataset, known)),
    )


def overlap(training: tuple[str, ...] | None, dataset: Dataset, known: Mapping[str, Dataset]) -> str:
    """Whether a method saw the test set in training: "yes", "possible" (a set that may be the same) or "".

    A set counts as seen when the set itself, a part of it or a set that contains it was trained on; official splits
    of one set are no exception, since they share cameras, scenes and raters.
    """
    trained = set(training or ())
    if dataset.slug in trained or trained & dataset.related:
        return "yes"
    if any(dataset.slug in known[name].related for name in trained if name in known):
        return "yes"
    return "possible" if trained & dataset.possibly_related else ""


def _number(value: float) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
