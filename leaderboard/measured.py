"""A finished run as measured results: everything recomputed from its per-image predictions.

What a run claims in metrics.json is compared with what its predictions.csv gives; the row that is stored is the
recomputed one. Predictions are kept beside the data, so that anyone can do it again.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from leaderboard.entries import slug
from leaderboard.predictions import RunError, read_predictions
from leaderboard.schema import DATA, RUN_METRICS, Facts, SchemaError, check_metrics
from methods.agreement import metrics as stats
from methods.base import METHODS, method_class
from methods.errors import InputError

SUBMISSIONS = DATA.parent / "submissions"
"""Where the predictions of the results that ship are kept."""

TOLERANCE = 1e-6
"""Between a claimed and a recomputed value; both come from the same numbers."""

SAME_OPINION = 1e-6
"""Opinions closer than this, relative to the larger or absolute below 1, are one opinion in two ways of writing."""


@dataclass(frozen=True)
class Run:
    """A validated run.

    Attributes:
        estimates: recomputed from the predictions.
        predictions: the rows that have a score: image (text), mos and score (float).
        images: names of all images, failed ones included, in the order of the file.
    """

    name: str
    provenance: Facts
    estimates: dict[str, stats.Estimate]
    predictions: pd.DataFrame
    images: tuple[str, ...]

    @property
    def n_failed(self) -> int:
        return len(self.images) - len(self.predictions)


class Predictions(NamedTuple):
    """A predictions file: `scored` has image (text), mos, score and seconds (float, NaN where nobody measured them);
    `images` the names of all rows."""

    scored: pd.DataFrame
    images: tuple[str, ...]


def folder_of(run: str | Path) -> Path:
    """The folder of a run that is named by its folder, its predictions.csv, or by its name among the measured ones."""
    path = Path(run)
    stored = SUBMISSIONS / path
    if not path.exists() and is_run_name(str(run)) and stored.is_dir():
        return stored
    return path.parent if path.is_file() else path


def without_machine(command: str) -> str:
    """The command with the last two parts of each absolute path: where a file lay on one machine helps nobody."""
    words = shlex.split(command)
    return shlex.join(str(Path(*Path(word).parts[-2:])) if Path(word).is_absolute() and len(Path(word).parts) > 2
                      else word for word in words)


def read(folder: Path) -> Run:
    """Reads and validates a run folder with metrics.json and predictions.csv; its predictions.csv names it too.

    Raises:
        SchemaError: a file is missing or not as documented in `schema`, or a claim differs from the recomputed value;
            the sentence lists every problem.
    """
    folder = folder.parent if folder.is_file() else folder
    metrics = _json(folder / "metrics.json")
    problems = check_metrics(metrics)
    if problems:
        raise SchemaError(f"{folder.name}/metrics.json cannot be added: {' '.join(problems)}")
    scored, images = predictions(folder / "predictions.csv")
    # As `evaluate` takes them: a bootstrap depends on the order, which in the file is that in which rows were done.
    scored = scored.sort_values("image", ignore_index=True)
    provenance = metrics["provenance"]
    seed = provenance["seed"] if isinstance(provenance["seed"], int) else 0
    estimates = stats.summary(scored["score"], scored["mos"], seed=_bootstrap_seed(metrics, scored, seed))
    wrong = [problem for name in RUN_METRICS for problem in _difference(name, metrics[name], estimates[name])]
    counted = provenance["n_images"], provenance["n_failed"]
    if counted != (len(images), len(images) - len(scored)):
        wrong.append(f"provenance counts {counted[0]} images and {counted[1]} failed ones, predictions.csv has "
                     f"{len(images)} and {len(images) - len(scored)}.")
    if wrong:
        raise SchemaError(f"{folder.name} contradicts its own predictions: {' '.join(wrong)}")
    return Run(run_name(provenance), provenance, estimates, scored, images)


def predictions(path: Path) -> Predictions:
    """The scored rows of a predictions file and the names of all its images.

    Raises:
        SchemaError: as `read_predictions` refuses it, or there is nothing in it.
    """
    try:
        rows = read_predictions(path, called=path.name)
    except RunError as error:
        raise SchemaError(str(error)) from None
    if not rows:
        raise SchemaError(f"{path.name} has no rows; it should hold one per image.")
    scored = [row for row in rows if row.score is not None]
    return Predictions(pd.DataFrame({"image": [row.image for row in scored],
                                     "mos": np.array([row.mos for row in scored], np.float64),
                                     "score": np.array([row.score for row in scored], np.float64),
                                     "seconds": np.array([row.seconds for row in scored], np.float64)}),
                       tuple(row.image for row in rows))


def same_opinion(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME_OPINION, abs_tol=SAME_OPINION)


def run_name(provenance: dict[str, object]) -> str:
    """A run's name: method, variant, model, dataset, split and day, as a folder name."""
    parts = [provenance["method"], provenance.get("variant"), provenance.get("lmm"), provenance["dataset"],
             provenance.get("split"), str(provenance["date"])[:10]]
    return "_".join(slug(str(part)).replace(":", "-") for part in parts if part)


def rows(run: Run) -> list[dict[str, str]]:
    """The run's rows of measured.csv, one per defined metric."""
    p = run.provenance
    free = p.get("training_free")
    if free is None:
        free = method_class(p["method"]).training_free if p["method"] in METHODS else "unknown"
    common = {
        "run": run.name, "method": title(p["method"]), "backbone": p.get("lmm") or "",
        "variant": p.get("variant") or "",
        "training_free": str(free).lower(), "training_set": p.get("training_set") or "", "dataset": p["dataset"],
        "split": p.get("split") or "", "n": str(len(run.predictions)), "n_failed": str(run.n_failed),
        "protocol": _protocol(p), "note": p.get("note") or "", "options": json.dumps(p["options"], sort_keys=True),
        "lmm": p.get("lmm") or "", "lmm_revision": p.get("lmm_revision") or "", "seed": str(p["seed"]),
        "commit": p.get("commit") or "", "date": p["date"], "command": without_machine(p["command"]),
        "versions": json.dumps(p["versions"], sort_keys=True), "lmm_passes": _optional(p.get("lmm_passes")),
        "parameters_billion": _optional(p.get("parameters_billion")),
    }
    return [{**common, "metric": name, "value": repr(estimate.value), "low": _optional(estimate.low),
             "high": _optional(estimate.high)}
            for name, estimate in run.estimates.items() if estimate.value is not None]


def title(method: str) -> str:
    """A method as the papers write it, from its registry name."""
    return method_class(method).title if method in METHODS else method


def _protocol(p: Facts) -> str:
    split = f"split {p['split']}" if p.get("split") else "whole set"
    if p.get("folds"):
        split += f"; every image scored by the one of {p['folds']} models that was trained without it"
    if p.get("label_sets"):
        split += f"; reads labels of {'+'.join(map(slug, p['label_sets'].split('+')))}"
    return (f"{split}; raw PLCC; RMSE after the logistic fit, in units of the opinions; "
            f"{stats.SAMPLES} bootstrap samples")


def _bootstrap_seed(metrics: Facts, scored: pd.DataFrame, seed: int) -> int:
    """The bootstrap seed of the claimed intervals: 0, or the run's seed where 0 does not reproduce them."""
    claimed = metrics["srcc"]
    if claimed["low"] is None or len(scored) < 3:
        return 0
    for candidate in dict.fromkeys((0, seed)):
        try:
            interval = stats.bootstrap_ci(scored["score"], scored["mos"], "srcc", seed=candidate)
        except InputError:
            return 0
        if abs(interval.low - claimed["low"]) + abs(interval.high - claimed["high"]) <= 2 * TOLERANCE:
            return candidate
    return 0


def _difference(name: str, claimed: Facts, estimate: stats.Estimate) -> list[str]:
    if claimed["n"] != estimate.n:
        return [f"{name} claims n = {claimed['n']}, the predictions have {estimate.n}."]
    if (claimed["value"] is None) != (estimate.value is None):
        return [f"{name} claims {claimed['value']}, the predictions give {estimate.value}."]
    if estimate.value is None:
        return []
    tolerance = TOLERANCE * max(1.0, abs(estimate.value)) * (100 if "logistic" in name or name == "rmse" else 1)
    if abs(claimed["value"] - estimate.value) > tolerance:
        return [f"{name} claims {claimed['value']:.6f}, the predictions give {estimate.value:.6f}."]
    return []


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"There is no {path.name} in {path.parent}; name a folder that evaluate has "
                          "finished.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path.name} is not JSON ({error}).") from None
    except RecursionError:
        raise SchemaError(f"{path.name} holds lists inside lists without end; evaluate writes no such file.") from None


def _optional(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def is_run_name(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9._-]+", name))
