"""Builds a reference set from pictures and opinion scores, and goes on where it was killed.

Encoding 10,000 pictures takes a while on a small machine, so every batch is on disk before the next one starts: first
its features, then one line that closes it. Features without that line are cut off on the next start. The finished
set appears under its name in one step.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from methods import files
from methods.images import PICTURE_SUFFIXES, ImageError, decode
from methods.iqarag import index as indices
from methods.iqarag.encoders import Encoder
from methods.iqarag.reference_set import Progress, ReferenceSet, Scale, content_hash

PROBLEMS = "problems.csv"


@dataclass(frozen=True)
class Labelled:
    """A picture file and its opinion score as it was published."""

    path: Path
    score: float
    name: str = ""


@dataclass(frozen=True)
class Problem:
    """A picture that is not in the set, and why, in one plain sentence."""

    image: str
    reason: str


@dataclass(frozen=True)
class Built:
    """What a build gave: the set, and what had to be left out."""

    references: ReferenceSet
    problems: tuple[Problem, ...]


def build(
    items: Sequence[Labelled],
    out: Path | str,
    encoder: Encoder,
    scale: Scale,
    *,
    title: str = "",
    problems: Sequence[Problem] = (),
    copy_images: bool = False,
    restart: bool = False,
    progress: Progress | None = None,
    batch: int = 8,
    about: dict[str, Any] | None = None,
) -> Built:
    """A reference set in the folder `out`, from as many of the pictures as can be used.

    A picture that is broken, has no usable score, or has the same pixels as an earlier one is listed, with the
    reason, in the result and in `problems.csv`, and does not end the build. Killed and called again with the same
    arguments, the build goes on after the last finished batch.

    Args:
        items: pictures with their scores as published.
        out: the set's folder; a set that is already there is replaced when the new one is complete.
        encoder: makes the features.
        scale: of the scores.
        title: what to call the set; by default the folder's name.
        problems: what the caller already had to leave out; listed with the rest.
        copy_images: store the pictures in the set, so that it can be moved.
        restart: forget an unfinished build instead of going on.
        progress: called after every batch with (done, total).
        batch: pictures encoded at a time.
        about: more to keep in the set's manifest.

    Raises:
        ValueError: no picture could be used, or an unfinished build of other pictures is in the way.
    """
    out = Path(out)
    work = out.with_name(f"{out.name}.building")
    if restart:
        shutil.rmtree(work, ignore_errors=True)
    journal = _Journal(work, _plan(items, encoder, scale))
    seen = {row["content"]: items[row["number"]].path for row in journal.rows if not row["problem"]}
    if progress:
        progress(len(journal.rows), len(items))
    for start in range(len(journal.rows), len(items), batch):
        rows, pictures = [], []
        for number in range(start, min(start + batch, len(items))):
            row, picture = _examined(number, items[number], scale, seen)
            rows.append(row)
            if picture is not None:
                seen[row["content"]] = items[number].path
                pictures.append(picture)
        journal.append(rows, encoder.embed(pictures) if pictures else None)
        if progress:
            progress(min(start + batch, len(items)), len(items))
    listed = [*problems, *(Problem(_name(items[row["number"]]), row["problem"])
                           for row in journal.rows if row["problem"])]
    about = {**(about or {}), "title": title or out.name, "scale": str(scale)}
    references = _assembled(items, journal, encoder, about, listed)
    references.save(out, copy_images=copy_images)
    _write_problems(listed, out)
    journal.remove()
    return Built(ReferenceSet.load(out), tuple(listed))


def unlabelled(folder: Path, items: Sequence[Labelled]) -> list[Problem]:
    """The pictures below a folder that no score names."""
    named = {item.path.resolve() for item in items}
    return [
        Problem(path.relative_to(folder).as_posix(), "It has no score.")
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and path.resolve() not in named
    ]


def _examined(number: int, item: Labelled, scale: Scale, seen: dict[str, Path]):
    """The journal's row for a picture, and the picture itself if it can be used."""
    row: dict[str, Any] = {"number": number, "problem": "", "mos": None, "content": ""}
    if not math.isfinite(item.score):
        row["problem"] = "It has no score."
        return row, None
    try:
        row["mos"] = scale.to01(item.score)
        picture = decode(item.path).image
    except (ValueError, ImageError) as error:
        reason = str(error)
        row["problem"] = f"{reason[:1].upper()}{reason[1:].rstrip('.')}."
        return row, None
    row["content"] = content_hash(picture)
    if row["content"] in seen:
        row["problem"] = f"It has the same pixels as {seen[row['content']].name}."
        return row, None
    return row, picture


def _plan(items: Sequence[Labelled], encoder: Encoder, scale: Scale) -> str:
    parts = [encoder.name, encoder.revision, str(scale)]
    for item in items:
        parts += [str(item.path.resolve()), repr(float(item.score)), item.name]
    return files.hash_parts(parts)


class _Journal:
    """An unfinished build on disk: `plan.json`, `batches.jsonl` (one line a finished batch) and `features.f32`."""

    def __init__(self, folder: Path, plan: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._plan, self._batches, self._features = (
            folder / name for name in ("plan.json", "batches.jsonl", "features.f32"))
        if self._plan.exists():
            if self._plan.read_text() != plan:
                raise ValueError(f"{folder} holds an unfinished build with other pictures, scores or encoder; finish "
                                 f"that one, or start afresh with restart (--restart).")
        else:
            # A kill between the folder and its plan leaves nothing of value behind.
            self._batches.unlink(missing_ok=True)
            self._features.unlink(missing_ok=True)
            files.replace(self._plan, plan)
        self.width = 0
        self.rows: list[dict[str, Any]] = []
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

    def append(self, rows: list[dict[str, Any]], features: np.ndarray | None) -> None:
        if features is not None:
            if not np.isfinite(features).all():
                raise ValueError("The encoder gave NaN or infinity for a picture; its features cannot be searched.")
            self.width = features.shape[1]
            files.append(self._features, np.ascontiguousarray(features, dtype=np.float32).tobytes())
        files.append(self._batches, json.dumps({"width": self.width, "rows": rows}).encode() + b"\n")
        self.rows += rows

    def features(self) -> np.ndarray:
        return np.memmap(self._features, dtype=np.float32, mode="r").reshape(-1, self.width)

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def _assembled(items, journal: _Journal, encoder: Encoder, about: dict[str, Any], listed) -> ReferenceSet:
    good = [row for row in journal.rows if not row["problem"]]
    if not good:
        first = f" The first problem: {listed[0].image}: {listed[0].reason}" if listed else ""
        journal.remove()
        raise ValueError(f"None of the {len(items)} pictures can be used as a reference.{first}")
    features = np.array(journal.features())
    chosen = [items[row["number"]] for row in good]
    return ReferenceSet(
        [item.path for item in chosen], [row["mos"] for row in good], features, encoder.name,
        revision=encoder.revision, names=[_name(item) for item in chosen], contents=[row["content"] for row in good],
        codes=indices.compressed_index(features) if indices.is_large(*features.shape) else None,
        about={**about, "left_out": len(listed)},
    )


def _name(item: Labelled) -> str:
    return item.name or item.path.name


def _write_problems(problems: Sequence[Problem], out: Path) -> None:
    with (out / PROBLEMS).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "problem"))
        table.writerows((problem.image, problem.reason) for problem in problems)
