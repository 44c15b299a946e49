"""What a table of a paper is made of: rows of the transcribed results, and what to run for each of them.

A manifest is a TOML file. It names the table, and for its rows the method, options and model, or the reason why a row
cannot be run here. The paper's numbers are not repeated in it: they come from the leaderboard's data, so that a
correction there reaches every place.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard.schema import DATA, load_board
from methods.errors import InputError

MANIFESTS = Path(__file__).resolve().parent / "manifests"
EXPERIMENTS = ("evaluate", "levels", "ratios", "combined", "cross", "encoders", "references")


class ManifestError(InputError):
    """A manifest that is not there or says something that cannot be done."""


@dataclass(frozen=True)
class Row:
    """How to reproduce the rows of a table that `match` picks out.

    Attributes:
        match: column -> value, of the transcribed results.
        experiment: "evaluate" runs a method; "levels" rounds the opinions themselves (LLM-IQA, Table 1); the others are
            `methods.iqarag.experiments`.
        method, lmm, options: as for `evaluate`; `lmm` is a name of the catalogue, or one that --lmm has to give.
        ensemble: the score is the mean over several models, which --lmm has to name.
        condition: which of an experiment's conditions the row is.
        ratio: reference:test, where the experiment has one.
        departs: what is not the paper's in this row whatever model runs it; marked in the table.
        missing: why it cannot be run; with `lmm`, unless --lmm names a model for that name.
    """

    match: dict[str, str]
    experiment: str = "evaluate"
    method: str = ""
    lmm: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    ensemble: bool = False
    condition: str = ""
    ratio: str = ""
    departs: str = ""
    missing: str = ""

    def fits(self, cell: pd.Series) -> bool:
        return all(cell.get(column) == value for column, value in self.match.items())

    @property
    def runs(self) -> str:
        """The method whose options it has; "" where none runs."""
        if self.experiment == "levels" or (self.missing and not self.lmm):
            return ""
        return self.method if self.experiment == "evaluate" else "iqarag"


@dataclass(frozen=True)
class Manifest:
    """One table.

    Attributes:
        name: on the command line.
        title: what the table shows.
        rows: in order; the first that fits a cell counts.
        cells: the transcribed results of the table.
        split: dataset slug -> part that the paper tests on; the whole where it says nothing.
        note: what a reader has to know when comparing.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    cells: pd.DataFrame
    split: dict[str, str]
    note: str = ""

    def row_of(self, cell: pd.Series) -> Row | None:
        return next((row for row in self.rows if row.fits(cell)), None)

    @property
    def methods(self) -> list[str]:
        """The methods that its rows run, by registry name."""
        return sorted({row.runs for row in self.rows} - {""})

    def has_option(self, pair: str) -> bool:
        """Whether one of its methods has the option of a NAME=VALUE word."""
        return any(has_option(method, pair) for method in self.methods)


def has_option(method: str, pair: str) -> bool:
    """Whether a method has the option of a NAME=VALUE word."""
    from methods.base import method_class

    name = pair.partition("=")[0].strip().replace("-", "_")
    return name in {spec.name for spec in dataclasses.fields(method_class(method).options)}


def names() -> list[str]:
    """Every table that has a manifest."""
    return sorted(path.stem for path in MANIFESTS.glob("*.toml"))


def load(name: str, data: Path = DATA, folder: Path = MANIFESTS) -> Manifest:
    """Reads one manifest with the paper's numbers.

    Raises:
        ManifestError: there is none of that name, or it does not fit the leaderboard's data.
    """
    from methods.errors import suggestion

    path = folder / f"{name}.toml"
    if not path.is_file():
        known = sorted(one.stem for one in folder.glob("*.toml"))
        raise ManifestError(f"There is no table {name!r}{suggestion(name, known)}")
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        rows = tuple(Row(**row) for row in read["row"])
        board = load_board(data)
        frame = board.ablations if read.get("ablation") else board.published
        cells = frame[(frame["paper"] == read["paper"]) & frame["table"].isin(_listed(read["table"]))]
        manifest = Manifest(name, read["title"], rows, cells, read.get("split", {}), read.get("note", ""))
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ManifestError(f"{path.name} is no manifest ({error}).") from error
    wrong = [row.experiment for row in rows if row.experiment not in EXPERIMENTS]
    if wrong or cells.empty:
        what = f"the experiment {wrong[0]!r}, which there is not" if wrong else "a table without results"
        raise ManifestError(f"{path.name} names {what}; correct it.")
    return manifest


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
