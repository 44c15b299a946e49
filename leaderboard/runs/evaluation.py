"""One run: what is still to score, the scoring, the metrics and their provenance.

predictions.csv grows by whole rows; the same run goes on after a kill. Rows with an error are kept as they are, because
most images that fail once fail again; `retry_failed` takes them out and scores their images anew. A run belongs to its
method, options, model, pixel limit and opinions (run.json) and to the content of its images (contents.csv).
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leaderboard.predictions import METRICS, SETTINGS, Prediction, RunError, read_predictions
from leaderboard.runs import provenance
from leaderboard.runs.contents import Contents
from leaderboard.runs.folder import RunFolder
from leaderboard.schema import Facts
from methods.cli.progress import progress
from methods.data import RatedPicture, RatedPictures, direction_question, rescaled

if TYPE_CHECKING:
    from leaderboard.runs.distributed import Cluster
    from leaderboard.runs.folds import FoldScorer
    from leaderboard.runs.scoring import Scorer
    from methods.base import Method
    from methods.lmm.base import LMM
    from methods.meaning import Calibration

BATCH = 8
_ADDRESS = re.compile(r"^server:[^#]*#")


class Evaluation:
    """One run: what is still to score, the scoring, the metrics.

    Args:
        folder: an entered `RunFolder`.
        pictures: what to evaluate.
        limit: the first so many only.
        batch_size: images handed to the method at once.
        retry_failed: score the images again whose row has an error.

    Raises:
        RunError: the folder belongs to another run, or its images had another content when they were scored.
    """

    def __init__(self, folder: RunFolder, pictures: RatedPictures, *, limit: int | None = None, batch_size: int = BATCH,
                 retry_failed: bool = False) -> None:
        self.folder, self.pictures = folder, pictures
        self.images = pictures[:limit]
        self.batch_size = batch_size
        if retry_failed and (again := folder.drop_failed()):
            print(f"{again} images that had failed are scored again.", file=sys.stderr)
        self.rows = folder.resume()
        names = set(pictures.names)
        strange = next((name for name in self.rows if name not in names), None)
        if strange is not None:
            raise RunError(f"{folder.predictions} has a row for {strange!r}, which is not among the images of this "
                           "run; choose another --out.")
        self.paths = {item.name: item.path for item in pictures}
        self.contents = Contents(folder.path)
        unknown = self.contents.check({name: self.paths[name] for name, row in self.rows.items() if not row.error})
        if unknown:
            print(f"{unknown} images of this run were scored before contents were recorded: whether these files are "
                  "the ones that were scored is not known.", file=sys.stderr)

    @property
    def pending(self) -> list[tuple[RatedPicture, ...]]:
        """The batches that lack a row. They are whole, so that a row does not depend on where a kill struck."""
        from leaderboard.runs.scoring import batches

        return [batch for batch in batches(self.images, self.batch_size)
                if any(item.name not in self.rows for item in batch)]

    def perform(self, method: str | Method, lmm: str | LMM | None = None, options: Mapping[str, object] | None = None,
                *, command: str = "", spread: Cluster | None = None, members: Sequence[Path] = (),
                facts: Facts | None = None) -> Facts:
        """Scores what is missing and returns the metrics, which are written to metrics.json as well.

        Args:
            method, lmm, options: as `leaderboard.runs.scoring.Scorer`.
            command: recorded as the command of this run.
            spread: a `leaderboard.runs.distributed.Cluster`; None scores in this process.
            members: a folder per fold, as `methods.data.folds.members`; then `lmm` is only what to call the model.
            facts: further entries of the provenance; None values are left out.

        Raises:
            RunError: the folder belongs to another run, an image is in no fold where there are members, or a cluster is
                given what is loaded here already.
            methods.lmm.LMMError: the model cannot be loaded or reached.
        """
        from leaderboard.runs.folds import make_scorer

        self._command = command
        pinned = self.folder.settings()
        if pinned is not None:
            self._check_before_loading(pinned, method, options or {})
        pending = self.pending
        done = sum(item.name in self.rows for item in self.images)
        if done:
            print(f"{done} of {len(self.images)} images have been scored before.", file=sys.stderr)
        undealt = [one.name for one in self.pictures if one.fold not in range(len(members))] if members else []
        if undealt:
            raise RunError(f"{undealt[0]!r} belongs to no fold, so which model has not seen it is not known; deal the "
                           "images with methods.data.folds.with_folds first.")
        if spread is not None:
            if not isinstance(method, str) or not isinstance(lmm, str | None):
                raise RunError("A Ray cluster loads the method and the model itself; give their names.")
            results = spread.score(method, lmm, options or {}, pending, members)
        else:
            results = _in_this_process(make_scorer(method, lmm, options, members), pending)
        spent = self._spent_before()
        bar = progress(len(self.images), done=done)
        failed = 0
        known: Facts = {}
        checked = None
        try:
            for identity, about, rows in results:
                if identity != checked:
                    self._pin(identity)
                    checked = pinned = identity
                spent = provenance.sum_of(spent, about.pop("footprint", {}))
                known = about
                fresh = [row for row in rows if row.image not in self.rows]
                self.contents.record({row.image: self.paths[row.image] for row in fresh if not row.error})
                self.folder.append(fresh)
                self.rows |= {row.image: row for row in fresh}
                failed += sum(bool(row.error) for row in fresh)
                bar.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)
                bar.update(len(fresh))
        finally:
            bar.close()
        known = {**known, **spent, **{key: value for key, value in (facts or {}).items() if value is not None}}
        metrics = self.metrics(pinned or {}, known)
        self.folder.write_metrics(metrics)
        return metrics

    def _check_before_loading(self, pinned: dict[str, object], method: str | Method,
                              options: Mapping[str, object]) -> None:
        """Refuses another method or other options before minutes are spent on loading a model."""
        from methods.base import Method, json_safe, method_class

        if isinstance(method, Method):
            return
        kind = method_class(method)
        self.folder.pin(pinned | {"method": kind.name, "options": json_safe(kind.options.updated(**options))}, {})

    def _pin(self, identity: Facts) -> None:
        settings = {**without_address(identity), "dataset": self.pictures.dataset, "split": self.pictures.split,
                    "opinions": self.pictures.digest}
        self.folder.pin(settings, {"command": self._command, "commit": provenance.commit(), "date": _now(),
                                   "versions": provenance.versions(), "notes": list(self.pictures.notes),
                                   "hardware": provenance.footprint(identity["lmm"])["hardware"]})

    def _spent_before(self) -> Facts:
        """The footprint of what was scored before: all of it where the run was finished, else its first machine."""
        if not self.rows:
            return {}
        for name, place in ((METRICS, "provenance"), (SETTINGS, "started")):
            try:
                facts = json.loads((self.folder.path / name).read_text("utf-8")).get(place, {})
                return {key: facts[key] for key in ("hardware", "peak_memory_gib", "device_memory_gib") if key in facts}
            except FileNotFoundError:
                continue
            except (ValueError, AttributeError, TypeError):
                raise RunError(f"{self.folder.path / name} cannot be read; delete it and run again.") from None
        return {}

    def calibration(self) -> Calibration | None:
        """From the scores so far to opinions on 0 to 100; None where too few images are scored, or all alike."""
        from methods import meaning

        rows = sorted((row for row in self.rows.values() if row.score is not None), key=lambda row: row.image)
        scores, mos = np.array([row.score for row in rows]), np.array([row.mos for row in rows])
        if len(rows) < meaning.FEWEST or np.ptp(scores) == 0:
            return None
        return meaning.Calibration(scores, 100 * rescaled(mos, *self.pictures.scale),
                                   meaning.folds_of([row.image for row in rows]))

    def metrics(self, identity: Facts, about: Facts) -> Facts:
        """metrics.json as `leaderboard.schema` documents it, of the rows that there are."""
        from methods.agreement import metrics as stats

        done = [self.rows[item.name] for item in self.images if item.name in self.rows]
        # By name: a bootstrap depends on the order, and that of the file on kills, folds and Ray.
        scored = sorted((row for row in done if not row.error), key=lambda row: row.image)
        scores = [row.score for row in scored if row.score is not None]
        mos = [row.mos for row in scored]
        question = direction_question(mos, scores, lower_is_better=self.pictures.lower_is_better) if scored else None
        if question:
            print(question, file=sys.stderr)
        seconds = [row.seconds for row in scored if row.seconds is not None]
        return {
            **{name: estimate.to_dict() for name, estimate in stats.summary(scores, mos).items()},
            "provenance": {
                "method": identity["method"], "options": identity["options"], "lmm": identity["lmm"],
                "lmm_revision": identity["lmm_revision"], "weights": identity["weights"],
                "dataset": self.pictures.dataset, "split": self.pictures.split,
                "opinions": self.pictures.digest, "images": self.contents.digest(row.image for row in scored),
                "scale": [self.pictures.low, self.pictures.high], "max_pixels": identity.get("max_pixels"),
                "lmm_max_pixels": identity.get("lmm_max_pixels"),
                "batch_size": self.batch_size,
                "command": self._command, "commit": provenance.commit(), "seed": identity["options"]["seed"],
                "date": _now(), "n_images": len(done), "n_failed": len(done) - len(scored),
                "seconds_per_image": sum(seconds) / len(seconds) if seconds else None,
                "versions": provenance.versions(), "notes": list(self.pictures.notes), **about,
            },
        }


def without_address(identity: Facts) -> Facts:
    """A served model is the same one wherever the scheduler puts its server."""
    return {key: _ADDRESS.sub("server:#", value) if key in ("lmm", "weights") and value else value
            for key, value in identity.items()}


def _in_this_process(scorer: Scorer | FoldScorer, pending: Sequence[Sequence[RatedPicture]]) \
        -> Iterator[tuple[Facts, Facts, list[Prediction]]]:
    identity, about = scorer.identity(), scorer.about()
    yield identity, about, []  # Pins the settings, and refuses others, before the first image is scored.
    for rows in scorer.score_all(pending):
        yield identity, {**about, "footprint": provenance.footprint(identity["lmm"])}, rows


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


load_run = read_predictions
"""The rows of a run's folder, or of a predictions file itself."""
