"""BibTeX of what is in view: this app, every source of a shown row, and the methods behind measured rows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from leaderboard.entries import MEASURED
from leaderboard.schema import Board
from leaderboard.tables import Table
from methods.errors import InputError

_APP = """@misc{{meanopinion,
  title = {{Mean Opinion: No-Reference Image Quality Assessment with Large Multimodal Models}},
  author = {{{{Mean Opinion contributors}}}},
  year = {{{year}}},
  note = {{Leaderboard, data revision {revision} of {date}}},{url}
}}"""

APP_KEY = "meanopinion"

_TOGETHER = {"llm-iqa": ("dog-iqa",)}
"""A source -> further ones to cite with it: the public version of an anonymous submission."""


@dataclass(frozen=True)
class Citation:
    """One BibTeX entry; `key` is what a LaTeX table cites."""

    key: str
    bibtex: str


def key_of(bibtex: str) -> str:
    """The citation key of a BibTeX entry.

    Raises:
        InputError: the text is not a BibTeX entry.
    """
    match = re.match(r"\s*@\w+\s*\{\s*([^,\s{}]+)\s*,", bibtex)
    if not match:
        raise InputError(f"This is not a BibTeX entry: {bibtex[:60]!r}.")
    return match[1]


def source_keys(board: Board) -> dict[str, str]:
    """Source slug -> citation key; "measured" is this app's."""
    keys = {record["slug"]: key_of(record["bibtex"]) for record in board.papers.to_dict("records")}
    return {**keys, MEASURED: APP_KEY}


def citations(board: Board, table: Table, *, link: str = "") -> list[Citation]:
    """This app first, then the sources in view in their order, then the papers of measured methods, each once.

    Args:
        board: the data.
        table: the table in view.
        link: the view's address, cited with the app.
    """
    url = f"\n  howpublished = {{\\url{{{link}}}}}," if link else ""
    app = _APP.format(year=table.revision_date[:4] or "2026", revision=table.revision or "unstated",
                      date=table.revision_date or "unstated", url=url)
    bibtex = dict(zip(board.papers["slug"], board.papers["bibtex"]))
    slugs = [slug for slug in table.papers if slug != MEASURED]
    # A measured row stands on its method's paper too, where that is one of the sources.
    slugs += [row.entry.method_slug for row in table.rows if row.entry.origin == MEASURED]
    slugs = [one for slug in slugs for one in (slug, *_TOGETHER.get(slug, ()))]
    cited = [slug for slug in dict.fromkeys(slugs) if slug in bibtex]
    return [Citation(APP_KEY, app), *(Citation(key_of(bibtex[slug]), _pretty(bibtex[slug])) for slug in cited)]


def bibtex(board: Board, table: Table, *, link: str = "") -> str:
    """A .bib file of `citations`, with the references of the shown datasets as comments on top."""
    names = {record["slug"]: record for record in board.datasets.to_dict("records")}
    notes = [f"% {dataset.name}: {names[dataset.slug]['reference']}" for dataset in table.datasets]
    head = ["% Datasets in view, as their authors ask to be cited:", *notes, ""] if notes else []
    return "\n".join([*head, "\n\n".join(one.bibtex for one in citations(board, table, link=link)), ""])


def _pretty(entry: str) -> str:
    """One field per line; the fields themselves stay as the source has them."""
    return re.sub(r", (?=[a-z_]+\s*=\s*\{)", ",\n  ", entry.strip())
