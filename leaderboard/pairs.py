"""With/without pairs: one model on one dataset, once by itself and once inside a method.

Two results are a pair only if everything else is equal as printed: source, table, model, reference ratio, training set,
dataset and metric. What plays "without" is named by the sources: IQARAG prints its models without references in every
second row, Q-Debias prints the vanilla prompt, and here Q-Bench's prompt is the baseline of every measured method.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from leaderboard.entries import Cell, catalogue
from leaderboard.links import View
from leaderboard.schema import Board
from leaderboard.tables import Table, table

WITHOUT = re.compile(r"(?:^|; )without IQARAG\b|^vanilla prompt$")
WITH = re.compile(r"(?:^|; )with IQARAG\b|^debias scheme$")
BASELINE = "Q-Bench"


@dataclass(frozen=True)
class Pair:
    """`without` and `with_method` are values of `metric` on `dataset`; `condition` is what both share."""

    method: str
    backbone: str
    condition: str
    dataset: str
    metric: str
    without: float
    with_method: float
    source: str

    @property
    def gain(self) -> float:
        return self.with_method - self.without

    @property
    def label(self) -> str:
        condition = f", {self.condition}" if self.condition else ""
        return f"{self.method} · {self.backbone}{condition} · {self.dataset}"


def pairs(board: Board, view: View) -> list[Pair]:
    """The pairs among the results of a view; Q-Debias's comparison of models is an ablation table and included.

    Sorted by method, model, condition and dataset, in the order of the data.
    """
    ranked = table(board, view)
    couples = list(_from_results(ranked)) + list(_from_ablations(board, ranked, view))
    order = {name: index for index, name in enumerate(dict.fromkeys(pair.method for pair in couples))}
    return sorted(couples, key=lambda pair: (order[pair.method], pair.backbone, pair.condition))


def _from_results(ranked: Table) -> Iterator[Pair]:
    alone: dict[tuple, Mapping[str, Cell]] = {}
    for row in ranked.rows:
        entry = row.entry
        if WITHOUT.search(entry.variant):
            alone[(entry.paper, entry.backbone, _condition(entry.variant), entry.training)] = row.cells
        elif entry.method == BASELINE:
            alone.setdefault((entry.paper, entry.backbone, "", entry.training), row.cells)
    for row in ranked.rows:
        entry = row.entry
        if entry.method == BASELINE or WITHOUT.search(entry.variant) or not entry.backbone:
            continue
        condition = _condition(entry.variant) if WITH.search(entry.variant) else ""
        cells = alone.get((entry.paper, entry.backbone, condition, entry.training))
        if cells is None:
            continue
        condition_name = condition or ("" if WITH.search(entry.variant) else entry.variant)
        for dataset in ranked.datasets:
            if dataset.slug in row.cells and dataset.slug in cells:
                yield Pair(entry.method, entry.backbone, condition_name, dataset.short, ranked.view.metric,
                           cells[dataset.slug].value, row.cells[dataset.slug].value, entry.paper)


def _from_ablations(board: Board, ranked: Table, view: View) -> Iterator[Pair]:
    if view.origin == "measured":
        return
    frame = board.ablations
    frame = frame[(frame["metric"] == view.metric) & frame["setting"].str.fullmatch("vanilla prompt|debias scheme")]
    if view.papers:
        frame = frame[frame["paper"].isin(view.papers)]
    if "doubtful" in view.hide:
        frame = frame[~frame["doubtful"]]
    datasets = catalogue(board).by_dataset
    slugs = {dataset.slug for dataset in ranked.datasets}
    for key, rows in frame.groupby(["paper", "backbone", "dataset"], sort=False):
        paper, backbone, dataset = map(str, key)
        values = dict(zip(rows["setting"], rows["value"]))
        if dataset in slugs and len(values) == 2 and _wanted(view, rows["method"], backbone):
            method = rows.loc[rows["setting"] == "debias scheme", "method"].iloc[0]
            yield Pair(method, backbone, "", datasets[dataset].short, view.metric, values["vanilla prompt"],
                       values["debias scheme"], paper)


def _wanted(view: View, methods: Iterable[str], backbone: str) -> bool:
    from leaderboard.entries import slug

    if view.methods and not any(slug(method) in view.methods for method in methods):
        return False
    if view.backbones and slug(backbone) not in view.backbones:
        return False
    words = f"{' '.join(methods)} {backbone}".casefold()
    return all(word in words for word in view.search.casefold().split())


def _condition(variant: str) -> str:
    return "; ".join(part for part in variant.split("; ") if not re.fullmatch(r"with(?:out)? IQARAG", part))
