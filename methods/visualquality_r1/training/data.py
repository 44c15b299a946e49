"""Rated pictures for RL2R: any number of sets, each on its own scale, split by content into shareable files.

No opinion score is ever rescaled: the reward compares pictures within one set only, which is what lets sets with
different scales be trained on together (section 4.2, "Multi-Dataset Training").
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from methods import files
from methods.data.opinions import read_opinions
from methods.visualquality_r1.prompts import VARIANTS

PARTS = ("train", "validation", "test")
RATIOS = (6, 2, 2)
"""Section 4.1 splits 6:2:2."""

_ANY_SCALE = (-1e12, 1e12)
"""No opinion is rescaled, so its scale need not be guessed."""


@dataclass(frozen=True)
class RatedPicture:
    """Attributes:
    path: of the picture.
    name: as its table writes it.
    mos: as its table writes it, higher is better.
    source: name of the set; only pictures of one set are compared.
    content: what the picture shows; pictures of one content stay in one part of a split.
    """

    path: Path
    name: str
    mos: float
    source: str
    content: str


def read_sets(tables: Sequence[Path], folders: Sequence[Path | None], content_pattern: str | None = None,
              say: Callable[[str], None] = lambda note: None) -> list[RatedPicture]:
    """Reads `image,mos` tables.

    Args:
        tables: CSV files; a set is named after its file (and its folder, where two files share a name).
        folders: where each table's pictures lie; None looks in the table's own folder and below.
        content_pattern: regular expression whose first group (or whole match) in a picture's name is its content, for
            example "^I(\\d+)_" for KADID-10k; without one, every picture is a content of its own.
        say: told what was mended or left out of a table, a sentence each.

    Raises:
        methods.data.opinions.OpinionError: a table cannot be used.
        ValueError: a pattern that is no regular expression or fits no name.
    """
    pattern = _compiled(content_pattern)
    stems = [table.stem for table in tables]
    pictures = []
    for table, folder in zip(tables, folders):
        source = table.stem if stems.count(table.stem) == 1 else f"{table.parent.name}/{table.stem}"
        opinions = read_opinions(table, folder or table.parent, scale=_ANY_SCALE)
        for note in opinions.notes:
            say(f"{source}: {note}")
        mos = -opinions.mos if opinions.lower_is_better else opinions.mos
        for path, name, score in zip(opinions.images, opinions.names, mos):
            match = pattern.search(name) if pattern else None
            content = (match.group(1) if match.groups() else match.group(0)) if match else name
            pictures.append(RatedPicture(path, name, float(score), source, content))
    if pattern and all(picture.content == picture.name for picture in pictures):
        raise ValueError(f"The content pattern {content_pattern!r} fits no picture's name; check it against one.")
    return pictures


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise ValueError(f"The content pattern {pattern!r} is not a regular expression: {error}.") from None


def split_by_content(pictures: Sequence[RatedPicture], seed: int = 0, ratios: Sequence[int] = RATIOS
                     ) -> dict[tuple[str, str], str]:
    """Assigns every content of every set to train, validation or test, in proportion to `ratios`.

    Contents are shuffled and dealt so that each part comes as near as it can to its share of the set's pictures.

    Returns:
        (source, name) -> part.

    Raises:
        ValueError: a set with fewer contents than parts.
    """
    parts: dict[tuple[str, str], str] = {}
    rng = np.random.default_rng(seed)
    for source in dict.fromkeys(picture.source for picture in pictures):
        groups: dict[str, list[RatedPicture]] = {}
        for picture in pictures:
            if picture.source == source:
                groups.setdefault(picture.content, []).append(picture)
        if len(groups) < len(PARTS):
            raise ValueError(f"The set {source} shows {len(groups)} contents; a split needs at least {len(PARTS)}.")
        total = sum(map(len, groups.values()))
        target = np.array(ratios, dtype=float) / sum(ratios) * total
        filled = np.zeros(len(PARTS))
        for left, content in zip(range(len(groups), 0, -1), rng.permutation(sorted(groups))):
            empty = filled == 0
            # With few contents, the last ones go to the parts that would otherwise stay empty.
            lacking = np.where(empty, target, -np.inf) if empty.sum() >= left else target - filled
            part = int(np.argmax(lacking))
            filled[part] += len(groups[content])
            for picture in groups[content]:
                parts[source, picture.name] = PARTS[part]
    return parts


def write_split(parts: dict[tuple[str, str], str], path: Path) -> None:
    """Writes a split as CSV (set,image,part): names only, so that it can be shared without the pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "image", "part"])
        writer.writerows([source, name, part] for (source, name), part in parts.items())


def read_split(path: Path, pictures: Sequence[RatedPicture]) -> dict[tuple[str, str], str]:
    """Reads what `write_split` wrote, and checks that it fits.

    Raises:
        ValueError: the file has other columns or parts, leaves a picture out, or tears a content apart.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or set(rows[0]) != {"set", "image", "part"} or any(row["part"] not in PARTS for row in rows):
        raise ValueError(f"{path.name} is not a split: it needs the columns set, image and part "
                         f"({', '.join(PARTS)}).")
    parts = {(row["set"], row["image"]): row["part"] for row in rows}
    missing = [picture for picture in pictures if (picture.source, picture.name) not in parts]
    if missing:
        raise ValueError(f"{path.name} says nothing of {len(missing)} pictures, {missing[0].name} of "
                         f"{missing[0].source} for example; write a new split or remove them.")
    seen: dict[tuple[str, str], str] = {}
    for picture in pictures:
        part = parts[picture.source, picture.name]
        if seen.setdefault((picture.source, picture.content), part) != part:
            raise ValueError(f"{path.name} puts the content {picture.content} of {picture.source} into two parts; "
                             "write a new split.")
    return parts


def part_of(pictures: Sequence[RatedPicture], parts: dict[tuple[str, str], str], part: str) -> list[RatedPicture]:
    """The pictures of one part, in order."""
    return [picture for picture in pictures if parts[picture.source, picture.name] == part]


def write_tables(pictures: Sequence[RatedPicture], folder: Path, part: str) -> list[Path]:
    """Writes a part's opinions as one table image,mos a set, `PART-SET.csv`, for `python -m leaderboard evaluate`."""
    paths = []
    for source in dict.fromkeys(picture.source for picture in pictures):
        paths.append(folder / f"{part}-{source.replace('/', '-')}.csv")
        with paths[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "mos"])
            writer.writerows([picture.name, picture.mos] for picture in pictures if picture.source == source)
    return paths


def training_dataset(pictures: Sequence[RatedPicture], wording: str, longest_side: int | None) -> Any:
    """A `datasets.Dataset` in the form that GRPOTrainer takes; pictures are decoded when they are drawn.

    Args:
        wording: key of `prompts.VARIANTS`.
        longest_side: pixels that a picture is reduced to first; None keeps it.

    Returns:
        rows of prompt (one user turn), image, key (row number), mos and source.
    """
    import datasets

    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": VARIANTS[wording]}]}]
    table = datasets.Dataset.from_dict({
        "path": [str(picture.path) for picture in pictures],
        "key": list(range(len(pictures))),
        "mos": [picture.mos for picture in pictures],
        "source": [picture.source for picture in pictures],
    })

    def load(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        from methods.images import decode

        paths = rows.pop("path")
        # A batch asks for each picture K times.
        once = {path: decode(path).image for path in dict.fromkeys(paths)}
        if longest_side:
            for image in once.values():
                image.thumbnail((longest_side, longest_side))
        loaded = [once[path] for path in paths]
        return {**rows, "image": loaded, "prompt": [turn for _ in loaded]}

    return table.with_transform(load)


class OneSetBatches:
    """Row numbers in GRPO's order, such that each generation batch holds pictures of one set only.

    Every row is repeated K times in a run and every batch `repeat_count` times, as TRL's own sampler does; batches
    of different sets follow each other in random order. What does not fill a batch sits the epoch out.

    Args:
        sources: the set of each row.
        generations: K.
        batch_size: different pictures a batch.
        repeat_count: how often a batch is repeated.
        seed: of the shuffling; with the epoch it gives the order, the same in every process.

    Raises:
        ValueError: batches of one picture, or no set fills a batch.
    """

    def __init__(self, sources: Sequence[str], generations: int, batch_size: int, repeat_count: int, seed: int) -> None:
        if batch_size < 2:
            raise ValueError("A batch of one picture has nothing to compare it with; raise the batch size.")
        self._rows: dict[str, list[int]] = {}
        for row, source in enumerate(sources):
            self._rows.setdefault(source, []).append(row)
        self._generations, self._batch_size, self._repeat_count = generations, batch_size, repeat_count
        self._seed, self._epoch = seed, 0
        if not self._batches():
            raise ValueError(f"No set has the {batch_size} training pictures that fill one batch; lower the batch size "
                             "or add pictures.")

    def _batches(self) -> int:
        return sum(len(rows) // self._batch_size for rows in self._rows.values())

    def __len__(self) -> int:
        return self._batches() * self._batch_size * self._generations * self._repeat_count

    def set_epoch(self, epoch: int) -> None:
        """The next pass is that of this epoch, so that a resumed run goes on in the order of one that never stopped."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        self._epoch += 1
        batches = []
        for rows in self._rows.values():
            shuffled = rng.permutation(rows)
            full = len(rows) // self._batch_size
            batches += [shuffled[i * self._batch_size : (i + 1) * self._batch_size] for i in range(full)]
        for index in rng.permutation(len(batches)):
            for _ in range(self._repeat_count):
                yield from (int(row) for row in np.repeat(batches[index], self._generations))
