"""Runs what a manifest names with what is there, cell by cell; what is not there gives a reason instead of a number."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard.reproduce.manifest import Manifest, Row
from leaderboard.runs.evaluation import Evaluation
from leaderboard.runs.folder import RunFolder
from methods.data import LAYOUTS, RatedPictures, read_dataset, read_table
from methods.lmm.base import LMMError

_KEYS = {"srcc": "srcc", "plcc": "plcc", "mean_srcc_plcc": "mean"}
_TABLE = "scores.csv"
IQARAG_FOUR = ("kadid-10k", "koniq-10k", "live-challenge", "spaq")


@dataclass(frozen=True)
class Cell:
    """One number of the paper and ours.

    Attributes:
        label: method, backbone and setting as the paper has them.
        dataset, metric: slugs.
        paper: the paper's number; NaN where it printed none.
        ours: NaN where there is none; `reason` then says why.
        low, high: 95 % interval of ours, NaN where the experiment gives none.
        n: pictures that ours is from.
        reason: "" where there is a number.
    """

    label: str
    dataset: str
    metric: str
    paper: float
    ours: float = math.nan
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    reason: str = ""


@dataclass
class Reproduction:
    """Settings of one reproduction, and what has been run so far.

    Attributes:
        manifest: the table.
        data: dataset slug -> its folder.
        out: folder for runs.
        lmm: backbone or manifest name of a model -> what to load instead; the key "" stands for every one.
        limit: the first so many pictures of each dataset (of each part, for IQARAG's experiments).
        seed: of splits and methods.
    """

    manifest: Manifest
    data: Mapping[str, Path]
    out: Path
    lmm: Mapping[str, str]
    limit: int | None = None
    seed: int = 0
    _done: dict[tuple, dict[str, Any] | str] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Every cell of the rows that the manifest knows, in the table's order."""
        result = []
        for _, cell in self.manifest.cells.iterrows():
            row = self.manifest.row_of(cell)
            if row is not None:
                result.append(self._cell(cell, row))
        return result

    def quoted(self) -> list[str]:
        """Methods of the table that are other people's and are quoted only."""
        known = [self.manifest.row_of(cell) is not None for _, cell in self.manifest.cells.iterrows()]
        return sorted(set(self.manifest.cells["method"][[not one for one in known]]))

    def _cell(self, cell: pd.Series, row: Row) -> Cell:
        parts = [cell["method"], cell["backbone"], cell.get("setting", ""), cell["variant"]]
        label = ", ".join(dict.fromkeys(part for part in parts if part))
        base = {"label": label, "dataset": cell["dataset"], "metric": cell["metric"], "paper": float(cell["value"])}
        result = self._result(row, cell["dataset"])
        if isinstance(result, str):
            return Cell(**base, reason=result)
        if cell["metric"] in result:
            entry = result[cell["metric"]]
        elif cell["metric"] == "mean_srcc_plcc":
            values = [result[name]["value"] for name in ("srcc", "plcc")]
            entry = {"value": None if None in values else sum(values) / 2, "n": result["srcc"]["n"]}
        else:
            return Cell(**base, reason=f"no {cell['metric']} is computed")
        if entry["value"] is None:
            return Cell(**base, n=entry["n"], reason=entry.get("note", "undefined"))
        low, high = (math.nan if entry.get(key) is None else entry[key] for key in ("low", "high"))
        return Cell(**base, ours=entry["value"], low=low, high=high, n=entry["n"])

    def _result(self, row: Row, dataset: str) -> dict[str, Any] | str:
        """Metrics as metrics.json has them, or the reason why there are none."""
        if row.missing:
            return row.missing
        wanted: tuple[str, ...] = IQARAG_FOUR if dataset.startswith("combined:") else (dataset,)
        if row.experiment == "cross":
            wanted = ("live-challenge", dataset)
        absent = [slug for slug in wanted if slug not in self.data]
        if absent:
            return _how_to_add(absent[0], row.experiment)
        table = next((slug for slug in wanted if self.data[slug].is_file()), None)
        if table is not None and row.experiment != "levels":
            return f"{table} is a table without pictures; name the folder of the dataset in --data {table}=FOLDER"
        key = (row.experiment, row.method, row.lmm, repr(sorted(row.options.items())), row.ratio, dataset)
        if key not in self._done:
            try:
                self._done[key] = self._run(row, dataset, wanted)
            except (LMMError, ValueError) as error:
                self._done[key] = " ".join(str(error).split())
        done = self._done[key]
        if isinstance(done, str) or row.experiment in ("evaluate", "levels"):
            return done
        measured: dict[str, Any] | str = done.get(row.condition, f"the experiment has no condition {row.condition!r}")
        return measured

    def _run(self, row: Row, dataset: str, wanted: tuple[str, ...]) -> dict[str, Any]:
        if row.experiment == "evaluate":
            return self._evaluate(row, dataset)
        if row.experiment == "levels":
            return self._levels(row, dataset)
        return self._iqarag(row, dataset, wanted)

    def _model(self, row: Row) -> str | None:
        return self.lmm.get(row.lmm) or self.lmm.get("") or row.lmm or None

    def _evaluate(self, row: Row, dataset: str) -> dict[str, Any]:
        split = self.manifest.split.get(dataset, "all")
        pictures = self._pictures(dataset, split)
        name = "-".join([row.method, *(f"{key}={value}" for key, value in sorted(row.options.items()))])
        safe = "".join(letter if letter.isalnum() or letter in "=.-_" else "_" for letter in name)
        folder = self.out / self.manifest.name / safe / dataset
        print(f"{row.method} on {dataset}: {folder}", file=sys.stderr)
        with RunFolder(folder) as opened:
            return Evaluation(opened, pictures, limit=self.limit).perform(
                row.method, self._model(row), {**row.options, "seed": self.seed},
                command=f"mean-opinion reproduce {self.manifest.name}")

    def _pictures(self, dataset: str, split: str = "all") -> RatedPictures:
        if dataset in LAYOUTS:
            return read_dataset(dataset, self.data[dataset], split)
        return read_table(self.data[dataset] / _TABLE, self.data[dataset], dataset=dataset, split=split,
                          allow_constant=True)

    def _levels(self, row: Row, dataset: str) -> dict[str, Any]:
        """The best that K whole-number levels can do: the opinions themselves, rounded (LLM-IQA Eq. 1)."""
        from methods.agreement import metrics as stats
        from methods.llm_iqa.aggregation import quantise

        if self.data[dataset].is_file():
            table = read_table(self.data[dataset], None, dataset=dataset, allow_constant=True)
            mos = table.mos[: self.limit].tolist()
        else:
            mos = [picture.mos for picture in self._pictures(dataset)[: self.limit]]
        levels = quantise(mos, int(row.options["k"]))
        estimates = stats.summary(levels, mos, metrics=("srcc", "plcc"))
        return {name: estimate.to_dict() for name, estimate in estimates.items()}

    def _iqarag(self, row: Row, dataset: str, wanted: tuple[str, ...]) -> dict[str, Any]:
        """Condition -> metrics of one of IQARAG's experiments."""
        from methods.iqarag import experiments
        from methods.lmm.loading import default_lmm, load_lmm

        lmm = load_lmm(self._model(row) or default_lmm("iqarag"))
        run = experiments.Run(lmm, self.out / self.manifest.name / lmm.name.replace("/", "_"), seed=self.seed,
                              limit=self.limit, options=row.options,
                              tell=lambda sentence: print(sentence, file=sys.stderr))
        data = [read_dataset(slug, self.data[slug]) for slug in wanted]
        if row.experiment == "cross":
            parts = experiments.cross(run, data)
        elif row.experiment in ("ratios", "combined"):
            parts = getattr(experiments, row.experiment)(run, data, [row.ratio])
        else:
            parts = getattr(experiments, row.experiment)(run, data)
        return {outcome["condition"]: {name: {"value": outcome[key], "n": outcome["n"]} for name, key in _KEYS.items()}
                for outcome in experiments.perform(run, parts)}


def _how_to_add(slug: str, experiment: str) -> str:
    if slug not in LAYOUTS:
        return (f"the dataset {slug} is not here, and there is no reader for its layout; add --data {slug}=FOLDER, a "
                f"folder of its pictures with {_TABLE} (image,mos)")
    return (f"the dataset {slug} is not here; add --data {slug}=FOLDER"
            + (" or a table image,mos of its opinions" if experiment == "levels" else ""))
