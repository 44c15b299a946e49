"""Held-out scores of rated pictures: each is scored by the model that was trained without it (`evaluate --folds DIR`).

A model that was trained on a dataset says nothing when it is tested on it. Trained k times, each time without one of k
parts, it scores every picture as a new one, and the whole set can be evaluated. DIR holds one model a part:

    DIR/fold-0, DIR/fold-1, ...   a checkpoint, or with it in model/; for LEAF a student, or with it in student/
    DIR/folds.csv                 image,fold: the part that a picture was left out with

Without folds.csv, the parts are those that `python -m methods.lmm.training` deals, whose cache folder is such a DIR.
"""

from __future__ import annotations

import csv
import dataclasses
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leaderboard.rated import Rated, RatedSet
from leaderboard.runs import Prediction
from leaderboard.scoring import Scorer
from methods.base import Method, json_safe, load_method, method_class

TABLE = "folds.csv"
_MODEL, _STUDENT = "model", "student"


class FoldError(ValueError):
    """The folder of folds cannot be used; one sentence says what is missing."""


def members(folder: str | Path, method: str) -> tuple[Path, ...]:
    """The folder of each fold's model, fold 0 first.

    Raises:
        FoldError: there are fewer than two, one is missing in between, or the method cannot take them.
    """
    kind = method_class(method)
    if not kind.needs_lmm and _STUDENT not in inspect.signature(kind).parameters:
        raise FoldError(f"{kind.title} has no model that could be trained without a part; leave --folds out.")
    folder = Path(folder).expanduser()
    numbers = {int(path.name.removeprefix("fold-")): path for path in folder.glob("fold-*")
               if re.fullmatch(r"fold-\d+", path.name) and path.is_dir()}
    if len(numbers) < 2:
        raise FoldError(f"{folder} holds {len(numbers)} folders fold-0, fold-1 and so on; at least two are needed.")
    absent = next((number for number in range(len(numbers)) if number not in numbers), None)
    if absent is not None:
        raise FoldError(f"{folder} lacks fold-{absent}; its folds are {', '.join(map(str, sorted(numbers)))}.")
    inner = _MODEL if kind.needs_lmm else _STUDENT
    wanted = "config.json" if kind.needs_lmm else "card.json"
    found = []
    for number in range(len(numbers)):
        places = (numbers[number] / inner, numbers[number])
        place = next((place for place in places if (place / wanted).is_file()), None)
        if place is None:
            raise FoldError(f"{numbers[number]} holds no {inner}/{wanted}; train that fold first.")
        found.append(place)
    return tuple(found)


def dealt(pictures: RatedSet, folder: str | Path, count: int) -> RatedSet:
    """The pictures with the fold that each was left out with.

    Args:
        pictures: the whole set, in the order of its table.
        folder: with folds.csv or without.
        count: of the folds.

    Raises:
        FoldError: folds.csv does not say it for every picture, or the deal of training cannot be repeated.
    """
    table = Path(folder).expanduser() / TABLE
    if table.is_file():
        of = _read(table, count)
        unknown = next((item.name for item in pictures.items if item.name not in of), None)
        if unknown is not None:
            raise FoldError(f"{table} does not say without which fold {unknown!r} was trained.")
    else:
        from methods.lmm.training.pipeline import fold_of

        absent = next((item.name for item in pictures.items if not item.path), None)
        if absent is not None:
            raise FoldError(f"{absent!r} has no file, so the folds cannot be dealt as in training; write a {table} "
                            "with the columns image and fold.")
        of = {item.name: int(fold) for item, fold in zip(pictures.items, fold_of(len(pictures.items), count))}
    return dataclasses.replace(pictures, items=tuple(dataclasses.replace(item, fold=of[item.name])
                                                     for item in pictures.items))


def write(folder: str | Path, names: Sequence[str], folds: Sequence[int]) -> Path:
    """Writes folds.csv and returns its path."""
    path = Path(folder) / TABLE
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "fold"))
        writer.writerows(zip(names, map(int, folds), strict=True))
    return path


def _read(table: Path, count: int) -> dict[str, int]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    try:
        of = {row["image"]: int(row["fold"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        raise FoldError(f"{table} needs the columns image and fold, with a whole number in every row.") from None
    strange = next((name for name, fold in of.items() if not 0 <= fold < count), None)
    if strange is not None:
        raise FoldError(f"{table} puts {strange!r} into fold {of[strange]}; there are folds 0 to {count - 1}.")
    return of


def make_scorer(method: str | Method, lmm: Any, options: dict[str, Any] | None, folders: Sequence[str | Path] = ()) \
        -> Scorer | FoldScorer:
    """What turns rated pictures into predictions: one model, or with `folders` one a fold. Errors as `Scorer`."""
    return FoldScorer(method, lmm, options, folders) if folders else Scorer(method, lmm, options)


class FoldScorer:
    """As `leaderboard.scoring.Scorer`, with a model a fold; one is in memory at a time.

    Args:
        method: registry name.
        lmm: what to call the model in results; "embedded" for None.
        options: changes to the method's options, by name.
        folders: as `members` found them.
    """

    def __init__(self, method: str, lmm: str | None, options: dict[str, Any] | None,
                 folders: Sequence[str | Path]) -> None:
        from methods.lmm.checkpoint import content_hash

        self._kind, self._options, self._folders = method_class(method), dict(options or {}), tuple(map(Path, folders))
        self._name = (lmm or "embedded") if self._kind.needs_lmm else None
        self._revisions = tuple(content_hash(folder) for folder in self._folders)
        self._fold, self._scorer = 0, Scorer(self._ready(0))

    def identity(self) -> dict[str, Any]:
        """As `Scorer.identity`; the revision names the weights of every fold."""
        revision = f"{len(self._folders)} folds {' '.join(self._revisions)}"
        return {
            "method": self._kind.name, "options": json_safe(self._kind.options.updated(**self._options)),
            "lmm": self._name, "lmm_revision": revision if self._kind.needs_lmm else None,
            "weights": f"{self._name or self._scorer.method._lmm_id().partition('@')[0]}@{revision}",
        }

    def about(self) -> dict[str, Any]:
        """As `Scorer.about`, and the number of folds."""
        return {**self._scorer.about(), "folds": len(self._folders)}

    def score(self, pictures: Sequence[Rated]) -> list[Prediction]:
        """As `Scorer.score`; each picture by the model of its fold."""
        rows: dict[str, Prediction] = {}
        for fold in sorted({picture.fold or 0 for picture in pictures}):
            if fold != self._fold:
                self._scorer = Scorer(self._ready(fold))
                self._fold = fold
            own = [picture for picture in pictures if (picture.fold or 0) == fold]
            rows |= {row.image: row for row in self._scorer.score(own)}
        return [rows[picture.name] for picture in pictures]

    def _ready(self, fold: int) -> Method:
        if not self._kind.needs_lmm:
            return self._kind(student=str(self._folders[fold]), **self._options)
        from methods.lmm.transformers_lmm import TransformersLMM

        return load_method(self._kind.name, TransformersLMM(self._folders[fold], name=self._name), **self._options)
