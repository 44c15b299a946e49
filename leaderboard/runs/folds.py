"""Scores each image with the model that was trained without it: a scorer with one model for each fold."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from leaderboard.runs.folder import Prediction
from leaderboard.runs.scoring import Scorer
from leaderboard.schema import Facts
from methods.base import Method, json_safe, load_method, method_class
from methods.data import RatedPicture
from methods.lmm.base import LMM


def make_scorer(method: str | Method, lmm: str | LMM | None, options: Mapping[str, object] | None,
                folders: Sequence[str | Path] = ()) -> Scorer | FoldScorer:
    """What turns rated images into predictions: one model, or with `folders` one per fold. Errors as `Scorer`."""
    if not folders:
        return Scorer(method, lmm, options)
    name = lmm if isinstance(lmm, str | None) else lmm.name
    return FoldScorer(method if isinstance(method, str) else method.name, name, options, folders)


class FoldScorer:
    """As `leaderboard.runs.scoring.Scorer`, with a model per fold; one is in memory at a time.

    Args:
        method: registry name.
        lmm: what to call the model in results; "embedded" for None.
        options: changes to the method's options, by name.
        folders: as `members` found them.
    """

    def __init__(self, method: str, lmm: str | None, options: Mapping[str, object] | None,
                 folders: Sequence[str | Path]) -> None:
        from methods.lmm.checkpoint import content_hash
        from methods.lmm.names import name_and_settings

        self._kind, self._options, self._folders = method_class(method), dict(options or {}), tuple(map(Path, folders))
        name, self._settings = name_and_settings(lmm or "embedded")
        self._name = name if self._kind.needs_lmm else None
        self._revisions = tuple(content_hash(folder) for folder in self._folders)
        self._fold, self._scorer = 0, Scorer(self._ready(0))

    def identity(self) -> Facts:
        """As `Scorer.identity`; the revision names the weights of every fold."""
        revision = f"{len(self._folders)} folds {' '.join(self._revisions)}"
        return {
            "method": self._kind.name, "options": json_safe(self._kind.options.updated(**self._options)),
            "lmm": self._name, "lmm_revision": revision if self._kind.needs_lmm else None,
            "weights": f"{self._name or self._scorer.method.lmm_id.partition('@')[0]}@{revision}",
            **{key: self._scorer.identity()[key] for key in ("max_pixels", "lmm_max_pixels")},
        }

    def about(self) -> Facts:
        """As `Scorer.about`, and the number of folds."""
        return {**self._scorer.about(), "folds": len(self._folders)}

    def score(self, pictures: Sequence[RatedPicture]) -> list[Prediction]:
        """As `Scorer.score`; each image by the model of its fold."""
        rows: dict[str, Prediction] = {}
        for fold in sorted({picture.fold or 0 for picture in pictures}):
            self._turn_to(fold)
            own = [picture for picture in pictures if (picture.fold or 0) == fold]
            rows |= {row.image: row for row in self._scorer.score(own)}
        return [rows[picture.name] for picture in pictures]

    def score_all(self, batches: Sequence[Sequence[RatedPicture]]) -> Iterator[list[Prediction]]:
        """As `Scorer.score_all`; a batch holds images of one fold, as `runs.scoring.batches` cuts them."""
        for fold, group in itertools.groupby(batches, key=lambda batch: batch[0].fold or 0):
            self._turn_to(fold)
            yield from self._scorer.score_all(list(group))

    def _turn_to(self, fold: int) -> None:
        if fold != self._fold:
            self._scorer = Scorer(self._ready(fold))
            self._fold = fold

    def _ready(self, fold: int) -> Method:
        if not self._kind.needs_lmm:
            return self._kind(student=str(self._folders[fold]), options=self._options)
        from methods.lmm.transformers_lmm import TransformersLMM

        return load_method(self._kind.name, TransformersLMM(self._folders[fold], name=self._name, **self._settings),
                           options=self._options)
