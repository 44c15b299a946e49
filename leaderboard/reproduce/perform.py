"""Runs what a manifest names with what is there, cell by cell; what is not there gives a reason instead of a number.

Each cell says what it rests on: the model that ran, and marks for whatever is not the paper's. Runs are kept below one
folder by method, options, model and dataset, so that tables which share a run share its scores.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from leaderboard.reproduce.manifest import Manifest, Row, has_option
from leaderboard.runs.evaluation import Evaluation
from leaderboard.runs.folder import RunFolder
from leaderboard.schema import Facts
from methods import files
from methods.cli.arguments import option_values
from methods.data import LAYOUTS, RatedPictures, read_dataset, read_table
from methods.errors import InputError, UserError

if TYPE_CHECKING:
    from leaderboard.runs.distributed import Cluster
    from methods.base import Method

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
        low, high: 95 % bootstrap interval of ours over the images; NaN where fewer than 3 were scored.
        n: images that ours is from.
        reason: "" where there is a number.
        model: what computed ours, "name@revision", several of them joined by commas; "" where no model takes part.
        marks: what is not the paper's in it, one sentence each.
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
    model: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Result:
    """Metrics as metrics.json has them (of an experiment, by condition), and the models that ran."""

    metrics: Facts
    model: str = ""


@dataclass
class Reproduction:
    """Settings of one reproduction, and what has been run so far.

    Attributes:
        manifest: the table.
        data: dataset slug -> its folder.
        out: folder for runs.
        lmm: name of a model in the manifest -> what to load instead; the key "" stands for every one. Several make an
            ensemble, in rows that are one.
        limit: the first so many images of each dataset (of each part, for IQARAG's experiments).
        seed: of splits and methods.
        options: NAME=VALUE words that change an option in every row whose method has it.
        by_content: IQARAG's splits keep images that were made from the same pristine one on one side.
        min_max: IQARAG's opinions run from the lowest to the highest of their dataset; else over its nominal scale.
        encoders: name of a vision encoder -> folder of its checkpoint, where the Hub cannot be reached.
        spread: a Ray cluster that scores; None for this process. IQARAG's experiments run in this process.
    """

    manifest: Manifest
    data: Mapping[str, Path]
    out: Path
    lmm: Mapping[str, Sequence[str]]
    limit: int | None = None
    seed: int = 0
    options: Sequence[str] = ()
    by_content: bool = False
    min_max: bool = True
    encoders: Mapping[str, str] = field(default_factory=dict)
    spread: Cluster | None = None
    _results: dict[tuple, _Result | str] = field(default_factory=dict)

    def cells(self) -> list[Cell]:
        """Every cell of the rows that the manifest knows, in the table's order.

        Raises:
            InputError: a bad value of an option.
        """
        self._changed  # noqa: B018 - refused before the first run
        rows = ((cell, self.manifest.row_of(cell)) for _, cell in self.manifest.cells.iterrows())
        return [self._cell(cell, row) for cell, row in rows if row is not None]

    def quotations(self) -> list[str]:
        """Methods of the table that are other people's and are quoted only."""
        quoted = [self.manifest.row_of(cell) is None for _, cell in self.manifest.cells.iterrows()]
        return sorted(set(self.manifest.cells["method"][quoted]))

    @cached_property
    def _changed(self) -> dict[str, Facts]:
        """Method -> the options that the command line changes."""
        taken = {name: [pair for pair in self.options if has_option(name, pair)] for name in self.manifest.methods}
        return {name: option_values(_kind(name), pairs) for name, pairs in taken.items()}

    def _cell(self, cell: pd.Series, row: Row) -> Cell:
        parts = [cell["method"], cell["backbone"], cell.get("setting", ""), cell["variant"]]
        label = ", ".join(dict.fromkeys(part for part in parts if part))
        base: Facts = {"label": label, "dataset": cell["dataset"], "metric": cell["metric"],
                                "paper": float(cell["value"])}
        result = self._result(row, cell["dataset"])
        if isinstance(result, str):
            return Cell(**base, reason=result)
        entry = result.metrics.get(cell["metric"])
        if entry is None:
            return Cell(**base, reason=f"no {cell['metric']} is computed")
        base |= {"n": entry["n"], "model": result.model, "marks": self._marks(row, cell["dataset"], result)}
        if entry["value"] is None:
            return Cell(**base, reason=entry.get("note") or "undefined")
        low, high = (math.nan if entry.get(key) is None else entry[key] for key in ("low", "high"))
        return Cell(**base, ours=entry["value"], low=low, high=high)

    def _marks(self, row: Row, dataset: str, result: _Result) -> tuple[str, ...]:
        from leaderboard.reproduce.origin import training_marks

        marks = []
        names = [one.rpartition("@")[0] for one in result.model.split(", ")] if result.model else []
        if names:
            marks += _other_models(row, names)
            marks += [mark for name in dict.fromkeys(names) for mark in training_marks(name, _slugs(dataset))]
        changed = self._changed.get(row.runs, {})
        default = dataclasses.asdict(_kind(row.runs).options) if changed else {}
        for name, value in changed.items():
            paper = row.options.get(name, default[name])
            if value != (tuple(paper) if isinstance(paper, list) else paper):
                marks.append(f"{name} is {value}, not the paper's {paper}")
        return (*marks, *([row.departs] if row.departs else []))

    def _result(self, row: Row, dataset: str) -> _Result | str:
        """What was measured, or the reason why nothing was."""
        if row.missing and (not row.lmm or row.lmm not in self.lmm):
            return row.missing + (f", and give it as --lmm {row.lmm}=MODEL" if row.lmm else "")
        slugs = _slugs(dataset)
        if row.experiment == "cross":
            slugs = ("live-challenge", dataset)
        absent = [slug for slug in slugs if slug not in self.data]
        if absent:
            return _how_to_add(absent[0], row.experiment)
        table = next((slug for slug in slugs if self.data[slug].is_file()), None)
        if table is not None and row.experiment != "levels":
            return f"{table} is a table without images; name the folder of the dataset in --data {table}=FOLDER"
        # An experiment measures all its conditions at once; of the encoders, one that cannot be had fails alone.
        alone = row.condition if row.experiment == "encoders" else ""
        key = (row.experiment, row.method, row.lmm, row.ensemble, repr(sorted(row.options.items())), row.ratio, alone,
               dataset)
        if key not in self._results:
            try:
                self._results[key] = self._run(row, dataset, slugs)
            except UserError as error:
                self._results[key] = " ".join(str(error).split())
        done = self._results[key]
        if isinstance(done, str) or row.experiment in ("evaluate", "levels"):
            return done
        if row.condition not in done.metrics:
            return f"the experiment has no condition {row.condition!r}"
        return _Result(done.metrics[row.condition], done.model)

    def _run(self, row: Row, dataset: str, wanted: tuple[str, ...]) -> _Result:
        if row.experiment == "evaluate":
            return self._evaluate(row, dataset)
        if row.experiment == "levels":
            return self._levels(row, dataset)
        return self._iqarag(row, wanted)

    def _models(self, row: Row) -> list[str]:
        """Names of the models to load.

        Raises:
            InputError: a row of one model is given several, or an ensemble too few.
        """
        given = list(self.lmm.get(row.lmm) or ([] if row.missing else self.lmm.get("", ())))
        if row.ensemble and len(given) < 2:
            raise InputError("the paper names no model of its ensemble; give at least two, as --lmm A --lmm B or as "
                             f"--lmm {row.lmm}=A --lmm {row.lmm}=B")
        if not row.ensemble and len(given) > 1:
            raise InputError(f"several models are given for a row of one; say which with --lmm {row.lmm}=MODEL")
        # An actor's working directory need not be this one.
        return [str(Path(name).expanduser().resolve()) if Path(name).expanduser().is_dir() else name
                for name in given or ([row.lmm] if row.lmm else [])]

    def _evaluate(self, row: Row, dataset: str) -> _Result:
        split = self.manifest.split.get(dataset, "all")
        pictures = self._pictures(dataset, split)
        options = {**row.options, **self._changed[row.method], "seed": self.seed}
        models = self._models(row)
        folder = self.out / _safe(row.method, options) / _model_folder(models) / f"{dataset}-{split}"
        print(f"{row.method} on {dataset}: {folder}", file=sys.stderr)
        with RunFolder(folder) as opened:
            metrics = Evaluation(opened, pictures, limit=self.limit).perform(
                row.method, ",".join(models) or None, options, spread=self.spread,
                command=f"mean-opinion reproduce {self.manifest.name}")
        if not metrics["srcc"]["n"]:
            failed = next((one.error for one in opened.resume().values() if one.error), "there was none")
            raise InputError(f"no image could be scored; the first: {failed}")
        return _Result(metrics, metrics["provenance"]["weights"] if models else "")

    def _pictures(self, dataset: str, split: str = "all") -> RatedPictures:
        if dataset in LAYOUTS:
            return read_dataset(dataset, self.data[dataset], split)
        return read_table(self.data[dataset] / _TABLE, self.data[dataset], dataset=dataset, split=split,
                          allow_constant=True)

    def _levels(self, row: Row, dataset: str) -> _Result:
        """The best that K whole-number levels can do: the opinions themselves, rounded (LLM-IQA Eq. 1)."""
        from methods.agreement import metrics as stats
        from methods.llm_iqa.aggregation import quantise

        if self.data[dataset].is_file():
            table = read_table(self.data[dataset], None, dataset=dataset, allow_constant=True)
        else:
            table = self._pictures(dataset)
        mos = table.mos[: self.limit].tolist()
        levels = quantise(mos, int(row.options["k"]))
        metrics = ("srcc", "plcc", "mean_srcc_plcc")
        return _Result({name: one.to_dict() for name, one in stats.summary(levels, mos, metrics=metrics).items()})

    def _iqarag(self, row: Row, wanted: tuple[str, ...]) -> _Result:
        """Condition -> metrics of one of IQARAG's experiments."""
        from methods.iqarag import experiments
        from methods.iqarag.encoders import STUDENT, encoder_folders
        from methods.lmm.loading import load_lmm

        models = self._models(row)
        options = {**row.options, **self._changed["iqarag"]}
        lmm = load_lmm(models[0])
        settings = {**options, "seed": self.seed, "by_content": self.by_content, "min_max": self.min_max}
        folder = self.out / _model_folder(models)
        run = experiments.Run(lmm, folder / _safe("iqarag", settings), seed=self.seed, limit=self.limit,
                              by_content=self.by_content, min_max=self.min_max, options=options, sets=folder / "sets",
                              tell=lambda sentence: print(sentence, file=sys.stderr))
        data = [read_dataset(slug, self.data[slug]) for slug in wanted]
        with encoder_folders(self.encoders):
            if row.experiment == "cross":
                parts = experiments.cross(run, data)
            elif row.experiment in ("ratios", "combined"):
                parts = getattr(experiments, row.experiment)(run, data, [row.ratio])
            elif row.experiment == "encoders":
                # The plain question needs no encoder; the student's finds the split's images without a download.
                name = STUDENT if row.condition == experiments.WITHOUT else row.condition
                parts = experiments.encoders(run, data, wanted=[name])
            else:
                parts = experiments.references(run, data)
            rows = experiments.perform(run, parts)
        return _Result({one["condition"]: {
            metric: {"value": one[key], "low": one[f"{key}_low"], "high": one[f"{key}_high"], "n": one["n"],
                     "note": one[f"{key}_note"]}
            for metric, key in _KEYS.items()} for one in rows}, f"{lmm.name}@{lmm.revision}")


def _kind(method: str) -> type[Method]:
    from methods.base import method_class

    return method_class(method)


def _slugs(dataset: str) -> tuple[str, ...]:
    return IQARAG_FOUR if dataset.startswith("combined:") else (dataset,)


def _other_models(row: Row, names: Sequence[str]) -> list[str]:
    """What to say where the models that ran are not the paper's."""
    from methods.lmm.catalogue import find

    ran = " and ".join(names)
    if row.ensemble:
        once = len(set(names)) == len(names)
        return [f"by {ran}; the paper does not name the models of its ensemble"
                + ("" if once else ", and one model several times is none")]
    paper = find(row.lmm)
    if paper is None:
        return [f"by {ran}, taken to be {row.lmm} because --lmm says so"]
    same = find(names[0].rpartition("#")[2])
    return [] if same is paper else [f"by {ran}, not by the paper's {paper.title}"]


def _safe(method: str, options: Mapping[str, object]) -> str:
    """A folder's name for a method with its options: readable, and different for different options."""
    name = "-".join([method, *(f"{key}={value}" for key, value in sorted(options.items())
                               if (key, value) not in (("seed", 0), ("by_content", False)))])
    safe = "".join(letter if letter.isalnum() or letter in "=.-_" else "_" for letter in name)
    return safe if len(safe) <= 100 else f"{safe[:80]}-{files.hash_joined([safe])[:12]}"


def _model_folder(models: Sequence[str]) -> str:
    """A folder's name for one or several models; a served model may move to another address."""
    names = [f"{Path(name).name}-{files.hash_joined([name])[:6]}" if name.startswith("/") else name.rpartition("#")[2]
             for name in models]
    return _safe("+".join(names) or "no-model", {})


def _how_to_add(slug: str, experiment: str) -> str:
    if slug not in LAYOUTS:
        return (f"the dataset {slug} is not here, and there is no reader for its layout; add --data {slug}=FOLDER, a "
                f"folder of its images with {_TABLE} (image,mos)")
    return (f"the dataset {slug} is not here; add --data {slug}=FOLDER"
            + (" or a table image,mos of its opinions" if experiment == "levels" else ""))
