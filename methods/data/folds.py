"""Held-out scores of rated images: each is scored by the model that was trained without it (`evaluate --folds DIR`).

A model that was trained on a dataset says nothing when it is tested on it. Trained k times, each time without one of k
parts, it scores every image as a new one, and the whole set can be evaluated. DIR holds one model per part:

    DIR/fold-0, DIR/fold-1, ...   a checkpoint, or with it in model/; for LEAF a student, or with it in student/
    DIR/folds.csv                 image,fold: the part that an image was left out with

Without folds.csv nobody knows which images a model was trained on, so such a folder is refused.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from methods import files
from methods.data.pictures import RatedPictures
from methods.errors import InputError

TABLE = "folds.csv"


class FoldError(InputError):
    """The folder of folds cannot be used; one sentence says what is missing."""


def members(folder: str | Path, *, students: bool = False) -> tuple[Path, ...]:
    """The folder of each fold's model, fold 0 first.

    Args:
        folder: as the module's docstring describes it.
        students: the models are LEAF's students, not checkpoints of an LMM.

    Raises:
        FoldError: there are fewer than two, or one is missing in between.
    """
    folder = Path(folder).expanduser()
    numbers = {int(path.name.removeprefix("fold-")): path for path in folder.glob("fold-*")
               if re.fullmatch(r"fold-\d+", path.name) and path.is_dir()}
    if len(numbers) < 2:
        raise FoldError(f"{folder} holds {len(numbers)} folders fold-0, fold-1 and so on; at least two are needed.")
    absent = next((number for number in range(len(numbers)) if number not in numbers), None)
    if absent is not None:
        raise FoldError(f"{folder} lacks fold-{absent}; its folds are {', '.join(map(str, sorted(numbers)))}.")
    inner, required = ("student", "card.json") if students else ("model", "config.json")
    models = []
    for number in range(len(numbers)):
        places = (numbers[number] / inner, numbers[number])
        place = next((place for place in places if (place / required).is_file()), None)
        if place is None:
            raise FoldError(f"{numbers[number]} holds no {inner}/{required}; train that fold first.")
        models.append(place)
    return tuple(models)


def with_folds(pictures: RatedPictures, folder: str | Path, count: int) -> RatedPictures:
    """The images with the fold that each was left out with.

    Args:
        pictures: any part of the set.
        folder: with folds.csv.
        count: of the folds.

    Raises:
        FoldError: there is no folds.csv, or it does not say it for every image.
    """
    table = Path(folder).expanduser() / TABLE
    if not table.is_file():
        raise FoldError(f"{folder} holds no {TABLE}, so nobody knows which images each model was trained on; write one "
                        "with the columns image and fold: the fold that each image was left out with.")
    of = _read(table, count)
    unknown = next((name for name in pictures.names if name not in of), None)
    if unknown is not None:
        raise FoldError(f"{table} does not say without which fold {unknown!r} was trained; add its line.")
    return dataclasses.replace(pictures, pictures=tuple(dataclasses.replace(picture, fold=of[picture.name])
                                                        for picture in pictures))


def write(folder: str | Path, names: Sequence[str], folds: Sequence[int]) -> Path:
    """Writes folds.csv and returns its path.

    Raises:
        FoldError: a name is there twice, or the folder holds models that were trained under another deal.
    """
    path = Path(folder) / TABLE
    if len(set(names)) < len(names):
        raise FoldError("Two rated images have the same name, so no table can say which fold each was left out with; "
                        "rename one of them.")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = files.csv_text([("image", "fold"), *zip(names, map(int, folds), strict=True)])
    content = text.encode("utf-8", "surrogateescape")
    if path.is_file() and path.read_bytes() != content and any(path.parent.glob("fold-*/*")):
        raise FoldError(f"{path.parent} holds models that were trained under another deal of the images; choose "
                        "another folder, or remove its fold-0, fold-1 and so on.")
    files.replace(path, content)
    return path


def _read(table: Path, count: int) -> dict[str, int]:
    with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    try:
        of = {row["image"]: int(row["fold"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        raise FoldError(f"{table} needs the columns image and fold, with a whole number in every row.") from None
    if len(of) < len(rows):
        raise FoldError(f"{table} names an image twice; keep the line with the fold that it was left out with.")
    strange = next((name for name, fold in of.items() if not 0 <= fold < count), None)
    if strange is not None:
        raise FoldError(f"{table} puts {strange!r} into fold {of[strange]}; there are folds 0 to {count - 1}.")
    return of
