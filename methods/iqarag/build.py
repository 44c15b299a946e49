"""Builds a reference set from images and their MOS, and goes on where it was killed.

Encoding 10,000 images takes a while on a small machine, so every batch is on disk before the next one starts: first
its features, then one line that closes it. Features without that line are cut off on the next start. The finished
set appears under its name in one step.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL.Image import Image

from methods import files
from methods.data import RatedPicture, RatedPictures, find_images
from methods.errors import InputError
from methods.images import ImageError, content_hash, decode, perceptual_hash
from methods.iqarag import index as indices
from methods.iqarag.encoders import Encoder
from methods.iqarag.reference_set import Progress, ReferenceSet, check_place
from methods.patience import steps

PROBLEMS = "problems.csv"


@dataclass(frozen=True)
class Problem:
    """An image that is not in the set, and why, in one plain sentence."""

    image: str
    reason: str


@dataclass(frozen=True)
class Built:
    """What a build gave: the set, and what had to be left out."""

    references: ReferenceSet
    problems: tuple[Problem, ...]


class _Row(TypedDict):
    """A line of the journal: what is known of the image of that number; a problem is "" where there is none."""

    number: int
    problem: str
    mos: float
    content: str
    perceptual: str


def build(pictures: RatedPictures, out: Path | str, encoder: Encoder, *, title: str = "",
          problems: Sequence[Problem] = (), copy_images: bool = False, restart: bool = False,
          progress: Progress | None = None, batch: int = 8, about: dict[str, object] | None = None) -> Built:
    """A reference set in the folder `out`, from as many of the images as can be used.

    An image that is not there, is broken, or has the same pixels as an earlier one is listed, with the reason, in the
    result and in `problems.csv`, and does not end the build. Killed and called again with the same
    arguments, the build goes on after the last finished batch.

    Args:
        pictures: with their opinions.
        out: the set's folder; a set that is already there is replaced when the new one is complete.
        encoder: makes the features.
        title: what to call the set; by default the folder's name.
        problems: what the caller already had to leave out; listed with the rest.
        copy_images: store the images in the set, so that it can be moved.
        restart: forget an unfinished build instead of going on.
        progress: called after every batch with (done, total).
        batch: images encoded at a time.
        about: more to keep in the set's manifest.

    Raises:
        InputError: no image could be used, or an unfinished build of other images, or something else than a set, is in
            the way.
    """
    out = Path(out)
    check_place(out)  # before hours are spent
    work = out.with_name(f"{out.name}.building")
    if restart:
        _Journal.clear(work)
    journal = _Journal(work, _plan(pictures, encoder))
    name_of_content = {row["content"]: pictures[row["number"]].name for row in journal.rows if not row["problem"]}
    if progress:
        progress(len(journal.rows), len(pictures))
    for start in steps(range(len(journal.rows), len(pictures), batch)):
        rows, images = [], []
        for number in range(start, min(start + batch, len(pictures))):
            row, image = _examined(number, pictures, name_of_content)
            rows.append(row)
            if image is not None:
                name_of_content[row["content"]] = pictures[number].name
                images.append(image)
        journal.append(rows, encoder.embed(images) if images else None)
        if progress:
            progress(min(start + batch, len(pictures)), len(pictures))
    listed = [*problems, *(Problem(pictures[row["number"]].name, row["problem"])
                           for row in journal.rows if row["problem"])]
    better = "lower" if pictures.lower_is_better else "higher"
    about = {**(about or {}), "title": title or out.name, "dataset": pictures.dataset,
             "scale": f"{pictures.low:g} to {pictures.high:g}, {better} is better"}
    references = _assembled(pictures, journal, encoder, about, listed)
    references.save(out, copy_images=copy_images)
    _write_problems(listed, out)
    journal.remove()
    return Built(ReferenceSet.load(out), tuple(listed))


def unrated(folder: Path, pictures: Sequence[RatedPicture]) -> list[Problem]:
    """The images below a folder that no opinion names."""
    named = {picture.path.resolve() for picture in pictures if picture.path is not None}
    return [Problem(path.relative_to(folder).as_posix(), "It has no score.") for path in find_images(folder)
            if path.resolve() not in named]


def _examined(number: int, pictures: RatedPictures, known: Mapping[str, str]) -> tuple[_Row, Image | None]:
    """The journal's row for an image, and its pixels if it can be used."""
    picture = pictures[number]
    row: _Row = {"number": number, "problem": "", "mos": pictures.rescale(picture.mos), "content": "", "perceptual": ""}
    if picture.path is None:
        row["problem"] = "There is no such image."
        return row, None
    try:
        image = decode(picture.path).image
    except ImageError as error:
        row["problem"] = str(error)
        return row, None
    row["content"], row["perceptual"] = content_hash(image), perceptual_hash(image)
    if row["content"] in known:
        row["problem"] = f"It has the same pixels as {known[row['content']]}."
        return row, None
    return row, image


def _plan(pictures: RatedPictures, encoder: Encoder) -> str:
    parts = ["with perceptual hashes", encoder.name, encoder.revision, repr((pictures.low, pictures.high))]
    for picture in pictures:
        parts += [str(picture.path and picture.path.resolve()), repr((picture.mos, picture.std)), picture.name]
    return files.hash_parts(parts)


class _Journal:
    """An unfinished build on disk: `plan.json`, `batches.jsonl` (one line per finished batch) and `features.f32`."""

    FILES = ("plan.json", "batches.jsonl", "features.f32")

    def __init__(self, folder: Path, plan: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._plan, self._batches, self._features = (folder / name for name in self.FILES)
        if self._plan.exists():
            if self._plan.read_text() != plan:
                raise InputError(f"{folder} holds an unfinished build with other images, scores or encoder; finish "
                                 f"that one, or start afresh with restart (--restart).")
        else:
            # A kill between the folder and its plan leaves nothing of value behind.
            self._batches.unlink(missing_ok=True)
            self._features.unlink(missing_ok=True)
            files.replace(self._plan, plan)
        self.width = 0
        self.rows: list[_Row] = []
        self._recover()

    def _recover(self) -> None:
        """Reads the finished batches; what a kill left of an unfinished one is cut off."""
        for line in files.recover(self._batches).splitlines():
            batch = json.loads(line)
            self.width = batch["width"] or self.width
            self.rows += batch["rows"]
        if self._features.exists():
            good = sum(not row["problem"] for row in self.rows)
            os.truncate(self._features, good * self.width * 4)

    def append(self, rows: list[_Row], features: np.ndarray | None) -> None:
        if features is not None:
            if not np.isfinite(features).all():
                raise InputError("The encoder gave NaN or infinity for an image; its features cannot be searched.")
            self.width = features.shape[1]
            files.append(self._features, np.ascontiguousarray(features, dtype=np.float32).tobytes())
        files.append(self._batches, json.dumps({"width": self.width, "rows": rows}).encode() + b"\n")
        self.rows += rows

    def features(self) -> np.ndarray:
        return np.memmap(self._features, dtype=np.float32, mode="r").reshape(-1, self.width)

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Takes a journal away, and its folder where nothing else is in it."""
        for name in cls.FILES:
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()

    def remove(self) -> None:
        self.clear(self.folder)


def _assembled(pictures: RatedPictures, journal: _Journal, encoder: Encoder, about: dict[str, object],
               listed: Sequence[Problem]) -> ReferenceSet:
    good = [row for row in journal.rows if not row["problem"]]
    if not good:
        first = f" The first problem: {listed[0].image}: {listed[0].reason}" if listed else ""
        journal.remove()
        raise InputError(f"None of the {len(pictures)} images can be used as a reference.{first}")
    features = np.array(journal.features())
    references = pictures.subset([row["number"] for row in good])
    return ReferenceSet(
        list(references.paths), [row["mos"] for row in good], features, encoder.name, revision=encoder.revision,
        names=references.names, contents=[row["content"] for row in good],
        perceptual=[row["perceptual"] for row in good],
        std=[None if one.std is None else one.std / (pictures.high - pictures.low) for one in references],
        codes=indices.compressed_index(features) if indices.is_large(*features.shape) else None,
        about={**about, "left_out": len(listed)},
    )


def _write_problems(problems: Sequence[Problem], out: Path) -> None:
    rows = [(problem.image, problem.reason) for problem in problems]
    files.replace(out / PROBLEMS, files.csv_text([("image", "problem"), *rows]))
