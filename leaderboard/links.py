"""A view of the leaderboard as a short address, and back: what a paper prints is what its reader opens.

A `View` is the whole state of the tab. Equal views have equal addresses (values are sorted, defaults left out), and an
address restores its view exactly. Names that no longer exist are told to the reader and left out; an address of an
older data revision says so. Example: `?tab=leaderboard&d=koniq-10k,spaq&m=iqarag,q-debias&rev=3`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from leaderboard.entries import catalogue
from leaderboard.revisions import at, revision_names
from leaderboard.schema import METRICS, Board, load_board

TAB = "leaderboard"
FIGURES = ("dots", "heat", "radar", "cost", "pairs", "ablation")
COSTS = ("parameters", "weights", "passes", "seconds", "memory")
"""What a row costs, as columns and as horizontal axis of the figure against cost."""
AXES = COSTS
INSIDE = ("scatter", "calibration", "residuals")
"""Figures of a measured row."""
COST_COLUMNS = (*COSTS, "hardware", "licence", "released", "link")
COLUMNS = ("rank", "coverage", *COST_COLUMNS)
"""Columns beside the row's name and the datasets, in their order."""
ORIGINS = ("all", "published", "measured")
TRAINING = ("all", "free", "trained")
HIDE = ("doubtful", "in-domain")
ROWS = ("all", "comparable")
MAX_SEARCH = 80
MAX_LINK = 8000
MAX_CELLS = 99
"""`cells`: only rows with at least this many results on the shown datasets."""


@dataclass(frozen=True)
class View:
    """What the leaderboard shows. Tuples are sets: duplicates go, order does not matter, empty means no restriction.

    Attributes:
        metric: a key of `schema.METRICS`.
        datasets: columns, by slug; empty shows every image-quality set that has a result.
        methods: method slugs (all its rows) or entry ids (one row).
        papers: source slugs, or "measured".
        backbones, training_sets, kinds: slugs; of the model, of sets trained on, of dataset kinds.
        training: "all", "free" or "trained", by the source's own label.
        origin: "all", "published" or "measured".
        rows: "all", or "comparable": of what the filters leave only rows of one protocol, on the same images of each
            set, by models that are known to have seen nothing of them.
        hide: "doubtful" cells, "in-domain" cells (trained on the tested set, or with labels of it at hand).
        search: words that a row must contain, in any order and case.
        cells: see `MAX_CELLS`.
        rank_on: the datasets that ranks are over; empty chooses the ones that most shown rows share.
        sort: "rank", "method", "coverage", a dataset slug, one of `COSTS` or "released"; the best, cheapest or newest
            first unless `reverse`.
        costs: whether the table has columns of what a row costs.
        without: which of `COLUMNS` are left out.
        figure, axis, ablation: the figure below the table, the horizontal axis of "cost", the ablation of "ablation".
        row: the measured run that is looked into below the table; empty for none.
        inside, beside: the figure of that row, one of `INSIDE`, and the run that it is compared with; empty for none.
    """

    metric: str = "srcc"
    datasets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    training_sets: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    training: str = "all"
    origin: str = "all"
    rows: str = "all"
    hide: tuple[str, ...] = ()
    search: str = ""
    cells: int = 1
    rank_on: tuple[str, ...] = ()
    sort: str = "rank"
    reverse: bool = False
    costs: bool = False
    without: tuple[str, ...] = ()
    figure: str = "dots"
    axis: str = "parameters"
    ablation: str = ""
    row: str = ""
    inside: str = INSIDE[0]
    beside: str = ""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if isinstance(spec.default, tuple):
                object.__setattr__(self, spec.name, tuple(sorted(set(value))))
        clean = "".join(c if c.isprintable() else " " for c in self.search)
        object.__setattr__(self, "search", " ".join(clean.split())[:MAX_SEARCH].strip())
        object.__setattr__(self, "cells", min(max(int(self.cells), 1), MAX_CELLS))
        # Without any column of what a row costs, these are not left out one by one.
        object.__setattr__(self, "costs", self.costs and not set(COST_COLUMNS) <= set(self.without))
        if not self.costs:
            object.__setattr__(self, "without", tuple(name for name in self.without if name not in COST_COLUMNS))

        if not self.row:
            object.__setattr__(self, "inside", INSIDE[0])
        if not self.row or self.beside == self.row:
            object.__setattr__(self, "beside", "")

    @property
    def columns(self) -> list[str]:
        """Those of `COLUMNS` that the table has."""
        return [name for name in COLUMNS if name not in self.without and (self.costs or name not in COST_COLUMNS)]


OPENING = View(rows="comparable", costs=True)
"""What the page opens with. A link says so in words, so that one without them is the whole table as it always was."""


class Restored(NamedTuple):
    """A decoded address: its view, one sentence for everything that could not be restored, and its revision ("")."""

    view: View
    notes: tuple[str, ...]
    revision: str


# Address name of every field; the order is that of the address.
_NAMES = {"metric": "metric", "datasets": "d", "methods": "m", "papers": "from", "backbones": "lmm",
          "training_sets": "trained-on", "kinds": "kind", "training": "training", "origin": "origin", "rows": "show",
          "hide": "hide", "search": "q", "cells": "cells", "rank_on": "rank", "sort": "sort", "reverse": "reverse",
          "costs": "costs", "without": "without", "figure": "fig", "axis": "axis", "ablation": "ablation",
          "row": "row", "inside": "inside", "beside": "beside"}
_FIELDS = {short: name for name, short in _NAMES.items()}
_WHAT = {"metric": "metric", "datasets": "dataset", "methods": "method", "papers": "source", "backbones": "model",
         "training_sets": "training set", "kinds": "kind of dataset", "rank_on": "dataset", "sort": "column",
         "figure": "figure", "ablation": "ablation", "without": "column", "row": "measured row",
         "inside": "figure of a row", "beside": "measured row"}
# Parameters that the page's framework adds to an address.
FRAMEWORK = re.compile(r"__.*|view|deep_link|logs|session_hash|theme")


def encode(view: View, *, base: str = "", revision: str | None = None, board: Board | None = None) -> str:
    """The canonical address of a view.

    Args:
        view: any view.
        base: what stands before the "?", such as "https://example.org/".
        revision: of the data; None takes the board's newest.
        board: the data; None loads the repository's own.
    """
    if revision is None:
        revision = (board or load_board()).revision
    default = View()
    parts = [f"tab={TAB}"]
    for name, short in _NAMES.items():
        value = getattr(view, name)
        if value != getattr(default, name):
            parts.append(f"{short}={_text(value)}")
    if revision:
        parts.append(f"rev={quote(revision, safe='')}")
    return f"{base}?{'&'.join(parts)}"


def _text(value: str | int | bool | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return ",".join(quote(item, safe=":~.") for item in value)
    return quote(str(int(value)) if isinstance(value, (bool, int)) else value, safe=":~.")


def decode(link: str | Mapping[str, str], *, board: Board | None = None) -> Restored:
    """The view of an address; never fails.

    Args:
        link: a whole address, its query (with or without "?"), or the query's names and values.
        board: the data that names are looked up in; None loads the repository's own.

    Returns:
        The view, made of everything that is understood, and a sentence for everything that is not.
    """
    board = board or load_board()
    notes: list[str] = []
    words: dict[str, str] = {}
    for name, value in _pairs(link, notes):
        if name in words:
            notes.append(f"The link says {name!r} twice; the first one counts.")
        words.setdefault(name, value)
    words.pop("tab", None)
    revision = words.pop("rev", "")
    choices = _known(board)
    changes: dict[str, Any] = {}
    for short, text in words.items():
        if short in _FIELDS:
            name = _FIELDS[short]
            setting = _value(name, text, choices, notes)
            if setting is not None:
                changes[name] = setting
        elif not FRAMEWORK.fullmatch(short):
            notes.append(f"{quotation(short)} is not part of a leaderboard link; it was ignored.")
    if revision:
        notes.extend(_about_revision(revision, board))
    return Restored(replace(View(), **changes), tuple(notes), revision)


def board_of(link: str | Mapping[str, str], newest: Board | None = None) -> Board:
    """The data that a link was made with: of its revision where that is kept, else the newest."""
    newest = newest or load_board()
    revision = dict(reversed(_pairs(link, []))).get("rev", "")
    return at(revision, newest) or newest


def _pairs(link: str | Mapping[str, str], notes: list[str]) -> list[tuple[str, str]]:
    if isinstance(link, Mapping):
        return [(str(name), str(value)) for name, value in link.items()]
    if len(link) > MAX_LINK:
        notes.append(f"The link is longer than {MAX_LINK} characters, so the default view is shown.")
        return []
    try:
        query = urlsplit(link).query if "?" in link or "://" in link else link
        return parse_qsl(query, keep_blank_values=True, max_num_fields=60)
    except ValueError:
        notes.append("The link cannot be read, so the default view is shown.")
        return []


def _known(board: Board) -> dict[str, tuple[str, ...]]:
    vocabulary, runs = catalogue(board).vocabulary, tuple(board.measured["run"].unique())
    return {
        **vocabulary, "metric": tuple(METRICS), "training": TRAINING, "origin": ORIGINS, "rows": ROWS, "hide": HIDE,
        "figure": FIGURES, "axis": AXES, "rank_on": vocabulary["datasets"], "ablation": ablations(board),
        "sort": columns(board), "without": COLUMNS, "row": runs, "inside": INSIDE, "beside": runs,
    }


def columns(board: Board) -> tuple[str, ...]:
    """What the table can be sorted by."""
    return ("rank", "method", "coverage", *COSTS, "released", *catalogue(board).vocabulary["datasets"])


def ablations(board: Board) -> tuple[str, ...]:
    """Slugs of the ablation tables, "paper:table", in the order of the data."""
    frame = board.ablations[["paper", "table"]].drop_duplicates()
    return tuple(ablation_slug(paper, table) for paper, table in frame.itertuples(index=False))


def ablation_slug(paper: str, table: str) -> str:
    return f"{paper}:{re.sub(r'[^a-z0-9]+', '-', table.lower()).strip('-')}"


def _value(name: str, text: str, known: Mapping[str, tuple[str, ...]], notes: list[str]) -> object | None:
    """A field's value from its text; None (and a note) where nothing of it is understood."""
    default = getattr(View(), name)
    if name == "search":
        return text
    if isinstance(default, (bool, int)):
        most = 1 if isinstance(default, bool) else MAX_CELLS
        if re.fullmatch(r"\d{1,3}", text, re.ASCII) and int(text) <= most:
            return bool(int(text)) if isinstance(default, bool) else int(text)
        notes.append(f"{quotation(text)} is no value for {_NAMES[name]!r}; it was ignored.")
        return None
    values = [item for item in text.split(",") if item] if isinstance(default, tuple) else [text]
    good = [value for value in values if value in known[name]]
    for value in values:
        if value not in known[name]:
            notes.append(_unknown(name, value, known[name]))
    if isinstance(default, tuple):
        return tuple(good) or None
    return good[0] if good else None


def _unknown(name: str, value: str, known: Iterable[str]) -> str:
    what = _WHAT.get(name)
    subject = (f"There is no {what} {quotation(value)} here" if what else
               f"{quotation(value)} is no value for {_NAMES[name]!r}")
    near = difflib.get_close_matches(value.lower(), list(known), n=1, cutoff=0.75)
    return f"{subject}; it was ignored" + (f" (did you mean {near[0]!r}?)." if near else ".")


def quotation(text: str) -> str:
    """Text from an address as a sentence can hold it: printable and short."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return repr(clean if len(clean) <= 40 else clean[:39] + "…")


def _about_revision(revision: str, board: Board) -> list[str]:
    newest = load_board(board.folder)
    history = newest.revisions
    if revision == board.revision == newest.revision:
        return []
    match = history[history["revision"] == revision]
    if match.empty:
        return [f"There is no data revision {quotation(revision)} here; revision {board.revision} is shown."]
    old, new = match.iloc[0], history.iloc[-1]
    added = sum(int(new[name]) - int(old[name]) for name in ("published", "ablations", "measured"))
    change = f"{added:+d} results since" if added else "values or notes were changed since"
    if revision == board.revision:
        return [f"You see data revision {revision} of {old['date']}, with which this link was made; the newest is "
                f"{newest.revision} of {new['date']} ({change}). Reset shows that."]
    names = revision_names(board.folder)
    first = "".join(f" (the first that is: {name})" for name in names[:1])
    lost = "" if revision in names else f", which is not kept{first}"
    return [f"This link was made with data revision {revision} of {old['date']}{lost}; you see revision "
            f"{board.revision} of {new['date']} ({change})."]
