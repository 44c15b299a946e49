"""A view turned into a table: which rows and columns, in which order, with ranks, marks and coverage.

Everything here is a pure function of the data and a `View`; the page, the exports and the command line all draw the
same `Table`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from leaderboard.cards import Cost, cost
from leaderboard.entries import MEASURED, Catalogue, Cell, Dataset, Entry, catalogue, slug
from leaderboard.groups import Groups, group
from leaderboard.links import COSTS, View
from leaderboard.ranking import marks, rank, shared_datasets
from leaderboard.schema import LOWER_IS_BETTER, METRICS, WHOLE, Board


@dataclass(frozen=True)
class Row:
    """One entry as shown.

    Attributes:
        cells: dataset slug -> Cell, of the shown datasets only; a missing one is a dash.
        apart: dataset slugs where the cell is on other images than the column's `Table.parts`, so that it is neither
            ranked nor marked there.
        marks: dataset slug -> 1 (best of the shown rows) or 2 (second best).
        position, mean_rank, borda: over the table's shared datasets; None where the row lacks one of them.
        cost: what the row costs, and its model's licence, date and address.
        group: letters of the groups of measured rows that it cannot be told apart from; "" where that is not known.
    """

    entry: Entry
    cells: Mapping[str, Cell]
    marks: Mapping[str, int]
    position: int | None
    mean_rank: float | None
    borda: float | None
    cost: Cost
    apart: frozenset[str] = frozenset()
    group: str = ""

    @property
    def covered(self) -> int:
        """k of coverage k/N."""
        return len(self.cells)


@dataclass(frozen=True)
class Table:
    """What is shown.

    Attributes:
        shared: slugs of the datasets that ranks are over.
        parts: dataset slug -> the part of its images that most cells in view are on; only these are ranked.
        ranked: rows that have all of them.
        of: entries that the board has, before any filter.
        most_points: the Borda points of a row that wins everywhere.
        revision, revision_date: of the data.
        protocol: what all rows have in common where only comparable ones are shown, for a sentence; "" otherwise.
        shared_places: whether positions are those of groups: rows that cannot be told apart from any better one share
            the first place.
    """

    view: View
    datasets: tuple[Dataset, ...]
    rows: tuple[Row, ...]
    shared: tuple[str, ...]
    ranked: int
    of: int
    most_points: float
    revision: str
    revision_date: str
    parts: Mapping[str, str] = field(default_factory=dict)
    protocol: str = ""
    shared_places: bool = False

    @property
    def metric_name(self) -> str:
        return METRICS[self.view.metric]

    @property
    def lower_is_better(self) -> bool:
        return self.view.metric in LOWER_IS_BETTER

    @property
    def papers(self) -> tuple[str, ...]:
        """Slugs of the sources in view, in order of appearance."""
        return tuple(dict.fromkeys(row.entry.paper for row in self.rows))

    def short(self, dataset: str) -> str:
        return next((one.short for one in self.datasets if one.slug == dataset), dataset)

    @property
    def sentence(self) -> str:
        """What is shown and what ranks are over, for a caption."""
        rows = f"{len(self.rows)} of {self.of} rows, {self.metric_name}"
        if self.protocol:
            rows += (f". Comparable only: {self.protocol}, without models that saw the tested set or whose training is "
                     "not stated")
        if not self.shared:
            return f"{rows}. No two rows share a dataset here, so nothing is ranked."
        names = ", ".join(self.short(name) + (f" ({self.parts[name]})" if self.parts[name] != WHOLE else "")
                          for name in self.shared)
        out = len(self.rows) - self.ranked
        missing = f"; {out} without all of them {'is' if out == 1 else 'are'} not ranked" if out else ""
        apart = sum(bool(row.apart) for row in self.rows)
        have = "1 row has a result" if apart == 1 else f"{apart} rows have results"
        others = (f" {have} on other images of a set, or on a part that is not stated (§); these are never ranked "
                  "with it." if apart else "")
        return f"{rows}. Ranks are over {names}, which {self.ranked} rows have{missing}.{others} {self.certainty}"

    @property
    def certainty(self) -> str:
        """Which ranks are more than chance, for a caption."""
        if self.shared_places:
            return ("Rows that share a letter cannot be told apart by a paired bootstrap of their predictions "
                    "(95 %, all pairs at once); a row's place counts only the rows that are surely better.")
        if any(row.group for row in self.rows):
            return ("Letters group the measured rows that a paired bootstrap cannot tell apart; published rows come "
                    "without predictions, so places go by value alone.")
        if any(row.position is not None and row.entry.origin != MEASURED for row in self.rows):
            return ("Published rows come without predictions: which of these differences are more than chance is not "
                    "known, and places go by value alone.")
        return "Predictions on the same images are not at hand, so places go by value alone."


def table(board: Board, view: View | None = None) -> Table:
    """The table of a view.

    Args:
        board: the data.
        view: what to show; None is the default view.
    """
    view = view or View()
    contents = catalogue(board)
    entries = [entry for entry in contents.entries if _matches(entry, view)]
    columns = _columns(contents, view)
    cells = [_visible(entry, view, columns) for entry in entries]
    covered = [index for index, row in enumerate(cells) if len(row) >= view.cells]
    entries, cells = [entries[index] for index in covered], [cells[index] for index in covered]
    protocol = ""
    if view.rows == "comparable":
        # A model that may have seen the tested set is no more comparable than one that has.
        stated = [index for index, entry in enumerate(entries) if entry.training is not None]
        entries, cells = [entries[index] for index in stated], [cells[index] for index in stated]
        entries, cells, protocol = _comparable(entries, cells, [dataset.slug for dataset in columns])
    if not view.datasets:
        present = {name for row in cells for name in row}
        columns = tuple(dataset for dataset in columns if dataset.slug in present)
    names = [dataset.slug for dataset in columns]
    parts = {name: _common_part([row[name] for row in cells if name in row]) for name in names}
    # Results on different images never share a ranked column.
    values = [{name: cell.value for name, cell in row.items() if cell.part == parts[name]} for row in cells]
    shared = tuple(name for name in names if name in view.rank_on)
    if not shared:
        shared = shared_datasets([frozenset(row) for row in values], names)
    lower = view.metric in LOWER_IS_BETTER
    ranks = rank(values, shared, lower_is_better=lower)
    groups = _groups(board, entries, values, ranks.position, shared, view.metric)
    column_marks = {name: marks({i: row[name] for i, row in enumerate(values) if name in row}, lower_is_better=lower)
                    for name in names}
    rows = [
        Row(entry=entry, cells=row, marks={name: column_marks[name][i] for name in row if i in column_marks[name]},
            position=ranks.position.get(i), mean_rank=ranks.mean_rank.get(i), borda=ranks.borda.get(i),
            cost=cost(board, entry),
            apart=frozenset(row) - frozenset(values[i]), group=groups.letters.get(i, "") if groups else "")
        for i, (entry, row) in enumerate(zip(entries, cells))
    ]
    together = groups is not None and set(groups.place) == set(ranks.position)
    if groups is not None and together:
        rows = [replace(row, position=groups.place.get(i)) for i, row in enumerate(rows)]
    return Table(view=view, datasets=columns, rows=tuple(_sorted(rows, view, lower)), shared=shared,
                 ranked=len(ranks.position), of=len(contents.entries), most_points=ranks.most_points,
                 revision=board.revision, revision_date=board.revision_date, parts=parts,
                 protocol=protocol, shared_places=together)


def _comparable(entries: list[Entry], cells: list[dict[str, Cell]],
                names: Sequence[str]) -> tuple[list[Entry], list[dict[str, Cell]], str]:
    """The rows of one protocol, and the cells on the images that most of them are on; with the protocol's name.

    A protocol is that of one table of one source, or of `evaluate`. What is measured here goes first if two rows can be
    ranked; else the table with the most results that are ranked against each other.
    """
    tables: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(entries):
        key = (MEASURED, "") if entry.origin == MEASURED else (entry.paper, entry.table)
        tables.setdefault(key, []).append(index)
    best, kept = (False, -1, -1), {}
    protocol = ""
    for (source, name), indices in tables.items():
        parts = {column: _common_part([cells[i][column] for i in indices if column in cells[i]]) for column in names}
        own = {i: {column: cell for column, cell in cells[i].items() if cell.part == parts[column]} for i in indices}
        own = {i: row for i, row in own.items() if row}
        shared = shared_datasets([frozenset(row) for row in own.values()], names)
        block = sum(set(shared) <= set(row) for row in own.values()) * len(shared)
        size = (source == MEASURED and block > 0, block, len(own))
        if size > best:
            best, kept = size, own
            protocol = "measured here" if source == MEASURED else f"{source}, {name}"
    return [entries[i] for i in kept], list(kept.values()), protocol


def _groups(board: Board, entries: Sequence[Entry], values: Sequence[Mapping[str, float]],
            ranked: Mapping[int, int], shared: Sequence[str], metric: str) -> Groups | None:
    """Groups of the ranked rows that were measured here; a run is on one set, so ranks over several have none."""
    if len(shared) != 1:
        return None
    runs = {i: (entries[i].provenance["run"], values[i][shared[0]]) for i in ranked if entries[i].origin == MEASURED}
    return group(runs, metric, board.folder.parent / "submissions")


def _common_part(cells: Sequence[Cell]) -> str:
    """The part that most of a column's cells are on; among equals the whole set, then the alphabet's first."""
    counted = Counter(cell.part for cell in cells)
    return min(counted, key=lambda part: (-counted[part], part != WHOLE, part), default=WHOLE)


def _columns(known: Catalogue, view: View) -> tuple[Dataset, ...]:
    if view.datasets:
        columns = [dataset for dataset in known.datasets if dataset.slug in view.datasets]
    elif view.kinds:
        columns = list(known.datasets)
    else:
        columns = [dataset for dataset in known.datasets if dataset.is_iqa]
    if view.kinds:
        columns = [dataset for dataset in columns if dataset.kind in view.kinds]
    return tuple(columns)


def _matches(entry: Entry, view: View) -> bool:
    if view.metric not in entry.cells:
        return False
    if view.methods and entry.id not in view.methods and entry.method_slug not in view.methods:
        return False
    if view.papers and (MEASURED if entry.origin == MEASURED else entry.paper) not in view.papers:
        return False
    if view.backbones and slug(entry.backbone) not in view.backbones:
        return False
    if view.training_sets and not _trained_on(entry, view.training_sets):
        return False
    if view.training != "all" and entry.training_free != ("true" if view.training == "free" else "false"):
        return False
    if view.origin != "all" and entry.origin != view.origin:
        return False
    return all(word in entry.words for word in view.search.casefold().split())


def _trained_on(entry: Entry, wanted: tuple[str, ...]) -> bool:
    if entry.training is None:
        return "not-stated" in wanted
    return bool(set(entry.training or ("none",)) & set(wanted))


def _visible(entry: Entry, view: View, columns: tuple[Dataset, ...]) -> dict[str, Cell]:
    cells = entry.cells.get(view.metric, {})
    unseen = "in-domain" in view.hide or view.rows == "comparable"
    return {
        dataset.slug: cells[dataset.slug] for dataset in columns
        if dataset.slug in cells
        and not ("doubtful" in view.hide and cells[dataset.slug].doubtful)
        and not (unseen and (cells[dataset.slug].overlap or cells[dataset.slug].labels))
    }


def _sorted(rows: list[Row], view: View, lower: bool) -> list[Row]:
    """The best first, the alphabet for methods; `reverse` turns that round but leaves rows without a value last."""
    def by_name(row: Row) -> tuple:
        return (row.entry.method.casefold(), row.entry.details.casefold(), row.entry.paper, row.entry.table)

    # Two stable sorts: names settle ties the same way in both directions.
    rows = sorted(rows, key=lambda row: (-row.covered, by_name(row)))
    if view.sort == "method":
        return sorted(rows, key=by_name, reverse=view.reverse)

    if view.sort == "released":
        dated = [row for row in rows if row.cost.released]
        dated.sort(key=lambda row: row.cost.released, reverse=not view.reverse)
        return dated + [row for row in rows if not row.cost.released]

    def key(row: Row) -> float | None:
        if view.sort == "coverage":
            return -row.covered
        if view.sort == "rank":
            return row.mean_rank
        if view.sort in COSTS:
            amount: float | None = getattr(row.cost, view.sort)
            return amount
        cell = row.cells.get(view.sort)
        return None if cell is None else (cell.value if lower else -cell.value)

    keys = {id(row): key(row) for row in rows}
    with_value = [(value, row) for row in rows if (value := keys[id(row)]) is not None]
    with_value.sort(key=lambda pair: pair[0], reverse=view.reverse)
    return [row for _, row in with_value] + [row for row in rows if keys[id(row)] is None]
