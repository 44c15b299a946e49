"""What a leaderboard file contains: columns, allowed values, and how results, runs and their sources are read.

This module is the authority. A table is CSV with one result per row and every number as its source printed it; a run is
a folder with `metrics.json` and `predictions.csv`. Nothing is averaged, merged or rounded here; a doubtful cell keeps
its note, and the same method in two papers stays two rows.

metrics.json of a run:

    {"srcc":           {"value": 0.81, "low": 0.77, "high": 0.85, "n": 399},
     "plcc":           {...}, "plcc_logistic4": {...}, "krcc": {...},
     "rmse":           {...},                    after the logistic fit, in units of the dataset's opinions
     "provenance": {"method": "q-bench",         registry name
                    "options": {...},            by name, those used
                    "lmm": "embedded",           or null for a method without one
                    "lmm_revision": "0f3a...",   or null
                    "dataset": "live-challenge", slug in data/datasets.csv
                    "split": "test",             which part of it; "all" for the whole
                    "command": "mean-opinion evaluate ...",
                    "commit": "e45be4c...",      of this repository
                    "seed": 0,
                    "date": "2026-01-31",        ISO, with or without time
                    "n_images": 400, "n_failed": 1,
                    "versions": {"python": "3.11.9", ...}}}

Optional keys of provenance: `variant` (a short name for these options), `training_set` (dataset slugs joined with "+",
or "none" where none is known), `label_sets` (slugs of sets whose opinions are read for a score, as references are, or
were calibrated with), `training_free` (true or false), `lmm_passes` (passes per image), `parameters_billion`, `folds`
(models that were trained each without a part of the set, so that every image was a new one to its model), `max_pixels`
(an image was scaled down to so many before anything else), `lmm_max_pixels` (the model was shown so many of one image
at most), `lmm_settings` (device, dtype, attention, quantisation, device map; of an ensemble a list where they differ),
`hardware` (the machine in words), `seconds_per_image`, `peak_memory_gib` and `device_memory_gib` (the most that the
scoring process, and its GPUs, have held), `basis` (what else a score rests on: the segmenter, the content of a
reference set) and `note` (a sentence that the row needs to be understood). A metric that is undefined has null for
value, low and high, and a `note` that says why.

predictions.csv of a run: at least `image,mos,score`; a row whose `error` is filled has no score and counts as failed.
"""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from methods.errors import InputError

DATA = Path(__file__).resolve().parent / "data"

Facts: TypeAlias = dict[str, Any]
"""What a run records of itself, as JSON: each key with a value of its own kind, as documented above."""

KEY = ("paper", "table", "method", "backbone", "variant", "training_set", "dataset", "metric")
"""Unique together in the published table."""

ABLATION_KEY = ("paper", "table", "ablation", "setting", *KEY[2:])

PUBLISHED = ("paper", "table", "method", "backbone", "variant", "training_free", "training_set", "dataset", "metric",
             "value", "protocol", "source_kind", "source", "note")
ABLATIONS = ("paper", "table", "ablation", "setting", *PUBLISHED[2:])
MEASURED = ("run", "method", "backbone", "variant", "training_free", "training_set", "dataset", "split", "metric",
            "value", "low", "high", "n", "n_failed", "protocol", "note", "options", "lmm", "lmm_revision", "seed",
            "commit", "date", "command", "versions", "lmm_passes", "parameters_billion")
DATASETS = ("slug", "name", "short", "kind", "related", "possibly_related", "n_images", "mos_range",
            "higher_is_better", "reference", "notes", "names")
PAPERS = ("slug", "title", "authors", "year", "arxiv", "code_url", "bibtex")
MODELS = ("backbone", "parameters_billion", "source")
COSTS = ("method", "lmm_passes", "source")
REVISIONS = ("revision", "date", "digest", "published", "ablations", "measured", "note")

COLUMNS = {"published": PUBLISHED, "ablations": ABLATIONS, "measured": MEASURED, "datasets": DATASETS,
           "papers": PAPERS, "models": MODELS, "costs": COSTS, "revisions": REVISIONS}

ENSEMBLE = "LMM ensemble"
"""How the backbone of a row begins whose score is a mean over models that its source does not name: neither how many
passes it takes nor its size is known."""

OPTIONAL = frozenset({"note", "short", "related", "possibly_related", "names"})
"""Columns that `load` fills where a file lacks them."""

METRICS = {
    "srcc": "SRCC", "plcc": "PLCC", "krcc": "KRCC", "plcc_logistic4": "PLCC after a 4-parameter logistic fit",
    "rmse": "RMSE after a 4-parameter logistic fit",
}
"""Metrics of a result -> name. A published PLCC may or may not be after a fit: its protocol says so where known."""

RUN_METRICS = ("srcc", "plcc", "plcc_logistic4", "krcc", "rmse")
ABLATION_METRICS = ("srcc", "plcc", "krcc", "mean_srcc_plcc")
LOWER_IS_BETTER = frozenset({"rmse"})
TRAINING_FREE = ("true", "false", "unknown")
SOURCE_KINDS = ("paper", "repository", "secondary", "measured")
KINDS = ("synthetic", "authentic", "ai-generated", "screen-content", "processing", "computer-graphics", "combined",
         "aesthetic", "video")
OUTSIDE_IQA = frozenset({"aesthetic", "video"})
"""Kinds that are not image quality: left out unless asked for."""

TRAINING_ONLY = frozenset({"q-instruct", "agiqa-20k"})
"""Sets that occur as training sets but never as test sets."""

DOUBTFUL = ("SUSPECT", "CONFLICT")
"""A note that starts with one of these marks its cell as doubtful."""

PROVENANCE = ("method", "options", "lmm", "lmm_revision", "dataset", "split", "command", "commit", "seed", "date",
              "n_images", "n_failed", "versions")

_TEXTS = ("variant", "training_set", "label_sets", "note", "hardware")
_NUMBERS = ("lmm_passes", "parameters_billion", "folds", "seconds_per_image", "peak_memory_gib", "device_memory_gib")
"""Optional keys of provenance by what they hold."""

WHOLE = "whole set"
"""The part of a dataset that is all of it."""

_PARTS = (
    (r"test part of a (\d+:\d+) reference:test split", "test part of {0}"),
    (r"combined \(column COM\.\), (\d+:\d+) reference:test split", "test part of {0}"),
    (r"whole dataset \(1,169 images|test list has 1169 images", "with the raters' 7 training images"),
    (r"whole (?:data)?set|the code repo test list has \d+ images|\(\w+\.json, [\d,]+ videos\)", WHOLE),
    (r"official test split", "official test split"),
    (r"\((\d+:\d+:\d+) content-independent split\)", "test part of {0}"),
)
_LABELS = re.compile(r"MOS-labelled reference images of the reference part"
                     r"|calibrated with (?!0%)\d+% of the training MOS"
                     r"|reads labels of (?P<sets>[a-z0-9:+.-]+)")

# Doubts stand at the end of a transcribed protocol, after the last "; ".
_DOUBT = re.compile(r"(?:^|; )((?:SUSPECT|conflicts).*)$")


class SchemaError(InputError):
    """A file that does not have the documented form; the sentence names the file and what to change."""


@dataclass(frozen=True, eq=False)
class Board:
    """Everything the leaderboard knows, as data frames with the columns of this module.

    `published` and `measured` in one frame of the same columns is `results`; value, low, high and n are numbers there,
    `printed` is the text of the source, `origin` is "published" or "measured" and `doubtful` a bool.
    """

    published: pd.DataFrame
    ablations: pd.DataFrame
    measured: pd.DataFrame
    datasets: pd.DataFrame
    papers: pd.DataFrame
    models: pd.DataFrame
    costs: pd.DataFrame
    revisions: pd.DataFrame
    folder: Path

    @cached_property
    def results(self) -> pd.DataFrame:
        measured = self.measured.assign(paper="measured", source_kind="measured", table=self.measured["run"],
                                        source=self.measured["run"])
        both = pd.concat([self.published, measured], ignore_index=True)
        text = both.select_dtypes(include=["object", "string"]).columns
        both[text] = both[text].fillna("")
        return both

    @property
    def revision(self) -> str:
        """The newest revision of the data, "" where none is recorded."""
        return str(self.revisions["revision"].iloc[-1]) if len(self.revisions) else ""

    @property
    def revision_date(self) -> str:
        return str(self.revisions["date"].iloc[-1]) if len(self.revisions) else ""


def load(path: str | Path = DATA) -> pd.DataFrame | Board:
    """Reads one leaderboard CSV, or a whole data folder.

    Args:
        path: a CSV with the columns of any table above (recognised by them; those in `OPTIONAL` may be
            missing), or a folder that holds all of them.

    Returns:
        A frame for a CSV: text as printed, plus for results and ablations `value` as float (NaN where empty), `printed`
        (its text), `origin`, `doubtful`, `low`, `high` and `n`. A `Board` for a folder.

    Raises:
        SchemaError: the file is missing, is not CSV, lacks columns, or holds a value that is not a number.
    """
    path = Path(path)
    return load_board(path) if path.is_dir() else _load_table(path)


@lru_cache(maxsize=4)
def _cached_board(folder: Path, stamp: tuple) -> Board:
    frames = {name: _load_table(folder / f"{name}.csv", name) for name in COLUMNS}
    return Board(**frames, folder=folder)


def load_board(folder: str | Path = DATA) -> Board:
    """All tables of a data folder; read again only when a file has changed. Errors as `load`."""
    folder = Path(folder).resolve()
    files = [folder / f"{name}.csv" for name in COLUMNS]
    stamp = tuple((file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None for file in files)
    return _cached_board(folder, stamp)


def add_board(parser: argparse.ArgumentParser) -> None:
    """The folder of leaderboard data; `--data`, as it was called, is a dataset's everywhere else."""
    parser.add_argument("--board", dest="data", type=Path, default=DATA, metavar="DIR",
                        help="folder of leaderboard data")
    parser.add_argument("--data", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def read_text(path: Path) -> pd.DataFrame:
    """A CSV with every cell as the text that is there.

    Raises:
        SchemaError: missing or not CSV.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise SchemaError(f"There is no file {path}; name a CSV or a folder of leaderboard data.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path.name} is not a CSV table in UTF-8 ({str(error).strip()}).") from None


def _load_table(path: Path, name: str | None = None) -> pd.DataFrame:
    frame = read_text(path)
    kind = name or _kind(frame, path)
    if kind in ("published", "ablations") and "note" not in frame and "protocol" in frame:
        frame["note"] = [doubt(text) for text in frame["protocol"]]
    if kind == "datasets":
        frame = frame.assign(**{column: "" for column in OPTIONAL - {"note"} if column not in frame})
        frame["short"] = frame["short"].where(frame["short"] != "", frame["name"])
    missing = [column for column in COLUMNS[kind] if column not in frame]
    if missing:
        raise SchemaError(f"{path.name} lacks the columns {', '.join(missing)}.")
    if kind in ("published", "ablations", "measured"):
        return _with_numbers(frame, path, kind)
    return frame


def _kind(frame: pd.DataFrame, path: Path) -> str:
    present = set(frame.columns)
    fitting = [name for name, columns in COLUMNS.items() if set(columns) - OPTIONAL <= present]
    if not fitting:
        raise SchemaError(f"{path.name} is none of the leaderboard's tables; the columns of published results are "
                          f"{', '.join(PUBLISHED)}.")
    return max(fitting, key=lambda name: len(COLUMNS[name]))


def _with_numbers(frame: pd.DataFrame, path: Path, kind: str) -> pd.DataFrame:
    frame = frame.assign(printed=frame["value"], origin="measured" if kind == "measured" else "published",
                         doubtful=frame["note"].str.startswith(DOUBTFUL))
    for column in ("value", "low", "high", "n", "lmm_passes", "parameters_billion"):
        if column not in frame:
            frame[column] = math.nan
            continue
        numbers = pd.to_numeric(frame[column], errors="coerce")
        wrong = frame.index[numbers.isna() & (frame[column] != "")]
        if len(wrong):
            raise SchemaError(f"{path.name}, line {wrong[0] + 2}: {column} is {frame[column][wrong[0]]!r}, "
                              "which is not a number.")
        frame[column] = numbers.astype(float)
    return frame


def doubt(protocol: str) -> str:
    """The note hidden at the end of a transcribed protocol: "SUSPECT: ..." or "CONFLICT: ...", or ""."""
    match = _DOUBT.search(protocol)
    if not match:
        return ""
    return match[1] if match[1].startswith("SUSPECT") else f"CONFLICT: {match[1]}"


def part_of(protocol: str, paper: str) -> str:
    """Which of a dataset's images a published result is on, as its protocol says: `WHOLE`, or the part in a few words.

    Where the protocol does not say it, only results of the same paper can be taken to be on the same images.
    """
    for pattern, part in _PARTS:
        if match := re.search(pattern, protocol):
            return part.format(*match.groups())
    return f"part not stated by {paper}"


def label_sets(protocol: str, dataset: str) -> frozenset[str]:
    """Datasets whose opinions a method reads when it scores (references) or was calibrated with."""
    match = _LABELS.search(protocol)
    if match is None:
        return frozenset()
    return frozenset(match["sets"].split("+")) if match["sets"] else frozenset({dataset})


def check_metrics(metrics: object) -> list[str]:
    """What is wrong with a run's metrics.json, one sentence each; an empty list where it is as documented above."""
    if not isinstance(metrics, dict):
        return ["metrics.json holds no JSON object."]
    problems = [problem for name in RUN_METRICS for problem in _check_estimate(name, metrics.get(name))]
    unknown = sorted(set(metrics) - {*RUN_METRICS, "provenance"})
    if unknown:
        problems.append(f"metrics.json has entries nobody reads: {', '.join(unknown)}.")
    provenance = metrics.get("provenance")
    if not isinstance(provenance, dict):
        return [*problems, "metrics.json lacks the object provenance."]
    return problems + _check_provenance(provenance)


def _check_estimate(name: str, entry: object) -> list[str]:
    if not isinstance(entry, dict):
        return [f"metrics.json lacks the entry {name}."]
    absent = [key for key in ("value", "low", "high", "n") if key not in entry]
    if absent:
        return [f"{name} lacks {', '.join(absent)}."]
    problems = []
    n = entry["n"]
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        problems.append(f"{name}: n is a count of images; got {n!r}.")
    numbers = [entry["value"], entry["low"], entry["high"]]
    if entry["value"] is None:
        return problems if entry.get("note") else [*problems, f"{name} has no value, and no note that says why."]
    if not all(item is None or _is_number(item) for item in numbers):
        return [*problems, f"{name}: value, low and high are numbers or null; got {numbers}."]
    least, most = (0.0, math.inf) if name in LOWER_IS_BETTER else (-1.0, 1.0)
    _, low, high = numbers
    if any(item is not None and not least - 1e-9 <= item <= most + 1e-9 for item in numbers):
        problems.append(f"{name} lies in [{least:g}, {most:g}]; got {numbers}.")
    if low is not None and high is not None and low > high:
        problems.append(f"{name}: low {low} is above high {high}.")
    return problems


def _check_provenance(provenance: Facts) -> list[str]:
    problems = [f"provenance lacks {key}." for key in PROVENANCE if key not in provenance]
    for key in ("method", "dataset", "command", "date"):
        if key in provenance and not (isinstance(provenance[key], str) and provenance[key].strip()):
            problems.append(f"provenance: {key} is empty.")
    date = provenance.get("date")
    if isinstance(date, str) and date and not re.match(r"\d{4}-\d{2}-\d{2}", date):
        problems.append(f"provenance: date is ISO, such as 2026-01-31; got {date!r}.")
    for key in ("n_images", "n_failed"):
        count = provenance.get(key, 0)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            problems.append(f"provenance: {key} is a count; got {count!r}.")
    for key in ("options", "versions"):
        if key in provenance and not isinstance(provenance[key], dict):
            problems.append(f"provenance: {key} is an object.")
    for key in ("lmm", "lmm_revision", "commit", "split", "weights", *_TEXTS):
        if not isinstance(provenance.get(key), (str, type(None))):
            problems.append(f"provenance: {key} is a text; got {provenance[key]!r:.60}.")
    for key in _NUMBERS:
        if provenance.get(key) is not None and not (_is_number(provenance[key]) and provenance[key] >= 0):
            problems.append(f"provenance: {key} is a number of 0 or more; got {provenance[key]!r:.60}.")
    scale = provenance.get("scale")
    if scale is not None and not (isinstance(scale, list) and len(scale) == 2 and all(map(_is_number, scale))):
        problems.append(f"provenance: scale is its two ends, such as [1, 5]; got {scale!r:.60}.")
    free = provenance.get("training_free")
    if free not in (None, True, False, *TRAINING_FREE):
        problems.append(f"provenance: training_free is true or false; got {free!r}.")
    return problems


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
