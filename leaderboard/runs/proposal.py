"""A run as it would stand on the leaderboard, before anybody adds it: the row, the files and the pull request's text.

The check is `add` itself, on a copy of the data: what it refuses here it refuses there. Nothing is added to the data.
"""

from __future__ import annotations

import datetime
import io
import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from leaderboard import measured
from leaderboard.check import check
from leaderboard.entries import MEASURED
from leaderboard.links import View
from leaderboard.measured import Run, predictions
from leaderboard.runs.add import add
from leaderboard.schema import DATA, Facts, SchemaError, load_board
from leaderboard.tables import Row, Table, table
from methods.agreement import metrics as stats

FILES = ("metrics.json", "predictions.csv")


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a contributor takes along.

    Attributes:
        run: validated, its metrics recomputed from its predictions.
        replaces: whether a result of this name is there already.
        table: the rows on its dataset with this one among them.
        row: its own.
        archive: a zip of the changed files below leaderboard/, and of the pull request's text.
        title, text: of the pull request.
    """

    run: Run
    replaces: bool
    table: Table
    row: Row
    archive: bytes
    title: str
    text: str

    @property
    def sentence(self) -> str:
        """Where the row would stand, for people."""
        others = len(self.table.rows) - 1
        place = (f"place {self.row.position}{f' (group {self.row.group})' if self.row.group else ''}"
                 if self.row.position is not None else "not ranked")
        one = self.run.estimates["srcc"]
        return (f"{self.run.name} is well-formed, and its predictions confirm all that it claims. On "
                f"{self.table.short(self.run.provenance['dataset'])} it would be {place} among {others + 1} rows, with "
                f"SRCC {one.value:.4f} on {one.n} images. Nothing has been added.")


def propose(folder: Path, *, data: Path = DATA, submissions: Path | None = None) -> Proposal:
    """Checks a run as `add` does, and shows what would become of it.

    Args:
        folder: with metrics.json and predictions.csv, as evaluate writes them.
        data: of the leaderboard; it stays as it is.
        submissions: the predictions of its runs; beside the data unless said otherwise.

    Raises:
        SchemaError: whatever `add` refuses, or a metric without which there is no row.
    """
    submissions = submissions or data.parent / "submissions"
    with tempfile.TemporaryDirectory(prefix="mean-opinion-proposal-") as scratch:
        copy, kept = Path(scratch) / "data", Path(scratch) / "submissions"
        shutil.copytree(data, copy)
        if submissions.is_dir():
            shutil.copytree(submissions, kept)
        before = set(load_board(data).measured["run"])
        name, _ = add(folder, data=copy, submissions=kept, replace=True)
        run = measured.read(kept / name)
        if run.estimates["srcc"].value is None:
            raise SchemaError(f"{name} has no SRCC ({run.estimates['srcc'].note}), so it has no row; score more "
                              "images.")
        # `add` has recomputed this run, and the others are as they were.
        faults_before = set(check(data, submissions, recompute=False))
        wrong = [problem for problem in check(copy, kept, recompute=False) if problem not in faults_before]
        if wrong:
            raise SchemaError(f"{name} would break the leaderboard's data: {wrong[0]}")
        board = load_board(copy)
        ranking = table(board, View(datasets=(run.provenance["dataset"],), costs=True))
        row = next(row for row in ranking.rows
                   if row.entry.origin == MEASURED and row.entry.provenance["run"] == name)
        text = _text(run, row, ranking, replaces=name in before)
        changed = {f"leaderboard/data/{file}": (copy / file).read_bytes() for file in ("measured.csv", "revisions.csv")}
        changed |= {f"leaderboard/submissions/{name}/{file}": (kept / name / file).read_bytes() for file in FILES}
    title = f"{'Replace' if name in before else 'Add'} {name}"
    archive = _zipped({**changed, "PULL_REQUEST.md": text.encode()})
    return Proposal(run, name in before, ranking, row, archive, title, text)


def run_of_predictions(table_file: Path, folder: Path, *, method: str, dataset: str, command: str, split: str = "all",
                       lmm: str = "", variant: str = "", training_set: str = "", label_sets: str = "") -> None:
    """Makes a run folder of a predictions file alone: the metrics are computed, the rest is what its author says.

    Args:
        table_file: image,mos,score[,error].
        folder: where the two files are written.
        method: its registry name, or the name of another system.
        dataset: slug in datasets.csv.
        command: what gives these predictions, for a reader who wants to repeat them.
        split: which part of the dataset.
        lmm, variant: the model, and a short name for the settings.
        training_set, label_sets: as in `schema`; "" where it is not stated.

    Raises:
        SchemaError: a field that every run needs is empty, or the file is not as documented.
    """
    for what, value in (("method", method), ("dataset", dataset), ("command", command)):
        if not value.strip():
            raise SchemaError(f"A predictions file alone does not say its {what}; fill that field in.")
    scored, names = predictions(table_file)
    # As `measured.read` orders them: a bootstrap depends on it.
    scored = scored.sort_values("image", ignore_index=True)
    optional = {"variant": variant.strip(), "training_set": training_set.strip(), "label_sets": label_sets.strip()}
    provenance: Facts = {
        "method": method.strip(), "options": {},
        "lmm": lmm.strip() or None, "lmm_revision": None, "dataset": dataset, "split": split.strip() or "all",
        "command": command.strip(), "commit": "", "seed": 0,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "n_images": len(names),
        "n_failed": len(names) - len(scored), "versions": {},
        "note": "made of predictions alone: options, commit and versions were not recorded",
        **{name: value for name, value in optional.items() if value}}
    estimates = stats.summary(scored["score"], scored["mos"])
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {**{name: one.to_dict() for name, one in estimates.items()}, "provenance": provenance}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n", "utf-8")
    shutil.copyfile(table_file, folder / "predictions.csv")


def _text(run: Run, row: Row, ranking: Table, *, replaces: bool) -> str:
    facts = run.provenance
    lines = [f"{'Replaces' if replaces else 'Adds'} the measured result `{run.name}`.", "",
             f"- Method: {row.entry.label}", f"- Dataset: {facts['dataset']}, {facts.get('split') or 'all'}; "
             f"{len(run.predictions)} images scored, {run.n_failed} failed",
             f"- Trained on: {facts.get('training_set') or 'not stated'}; reads labels of: "
             f"{facts.get('label_sets') or 'none'}",
             f"- Command: `{measured.without_machine(facts['command'])}`",
             f"- Commit: {facts.get('commit') or 'not recorded'}; model revision: "
             f"{facts.get('lmm_revision') or 'not recorded'}; seed: {facts['seed']}; hardware: "
             f"{facts.get('hardware') or 'not recorded'}", "",
             "| Metric | Value | 95 % interval |", "|---|---:|---|"]
    for name, one in run.estimates.items():
        value = "undefined" if one.value is None else f"{one.value:.4f}"
        interval = "" if one.low is None else f"{one.low:.4f} to {one.high:.4f}"
        lines.append(f"| {name} | {value} | {interval} |")
    place = "not ranked" if row.position is None else f"place {row.position} of {ranking.ranked}"
    return "\n".join([*lines, "", f"It would stand at {place} on {ranking.short(facts['dataset'])}. Recomputed from "
                      "its per-image predictions; `mean-opinion check` confirms the changed files. Where the data has "
                      "moved on meanwhile, `mean-opinion add` with the two files of the submission makes them again.",
                      ""])


def _zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()
