"""Rated images for RL2R: any number of sets, each on its own scale, split by content into shareable files.

No MOS is ever rescaled: the reward compares images within one set only, which is what lets sets with
different scales be trained on together (section 4.2, "Multi-Dataset Training").
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from methods import files
from methods.data import RatedPicture, deal_parts, kadid_part, read_table
from methods.errors import InputError
from methods.visualquality_r1.prompts import VARIANTS

if TYPE_CHECKING:
    from datasets import Dataset

PARTS = ("train", "validation", "test")
RATIOS = (6, 2, 2)
"""Section 4.1 splits 6:2:2."""

def read_sets(tables: Sequence[Path], folders: Sequence[Path | None], content_pattern: str | None = None,
              say: Callable[[str], None] = lambda note: None, **options: Any) -> list[RatedPicture]:
    """Reads `image,mos` tables; `dataset` of each image is its set, `group` its content.

    Args:
        tables: tables of opinions; a set is named after its file (and its folder, where two files share a name).
        folders: where each table's images lie; None looks in the table's own folder and below.
        content_pattern: regular expression whose first group (or whole match) in an image's name is its content, for
            example "^I(\\d+)_" for KADID-10k; without one, every image is a content of its own.
        say: told what was understood of a table, a sentence each.
        options: as `methods.data.read_table`.

    Raises:
        InputError: a table cannot be used, or a pattern is no regular expression or fits no name.
    """
    pattern = _compiled(content_pattern)
    stems = [table.stem for table in tables]
    pictures = []
    for table, folder in zip(tables, folders):
        source = table.stem if stems.count(table.stem) == 1 else f"{table.parent.name}/{table.stem}"
        rated = read_table(table, folder or table.parent, minimum=2, **options).present
        for note in rated.notes:
            say(f"{source}: {note}")
        for picture in rated:
            match = pattern.search(picture.name) if pattern else None
            content = (match.group(1) if match.groups() else match.group(0)) if match else ""
            pictures.append(dataclasses.replace(picture, dataset=source, group=content))
    if pattern and not any(picture.group for picture in pictures):
        raise InputError(f"The content pattern {content_pattern!r} fits no image's name; check it against one.")
    return pictures


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise InputError(f"The content pattern {pattern!r} is not a regular expression: {error}.") from None


def split_by_content(pictures: Sequence[RatedPicture], seed: int = 0, ratios: Sequence[int] = RATIOS
                     ) -> dict[tuple[str, str], str]:
    """Assigns every content of every set to train, validation or test, as `methods.data.deal_parts` deals.

    Returns:
        (set, name) -> part.

    Raises:
        InputError: a set with fewer contents than parts.
    """
    parts: dict[tuple[str, str], str] = {}
    for source in dict.fromkeys(picture.dataset for picture in pictures):
        own = [picture for picture in pictures if picture.dataset == source]
        for picture, part in zip(own, deal_parts([picture.group for picture in own], ratios, seed)):
            parts[source, picture.name] = PARTS[part]
    return parts


def authors_split(pictures: Sequence[RatedPicture], seed: int = 0) -> dict[tuple[str, str], str]:
    """Assigns KADID-10k to the authors' parts; other sets are dealt by `split_by_content`, since theirs are not known.

    Returns:
        (set, name) -> part.

    Raises:
        InputError: no set is KADID-10k, or one is in part.
    """
    names = {"": "", "training": "train", "validation": "validation", "test": "test"}
    published = {(one.dataset, one.name): names[kadid_part(one.name)] for one in pictures}
    kadid = {source for (source, _), part in published.items() if part}
    if not kadid:
        raise InputError("The split of VisualQuality-R1's authors is one of KADID-10k, and no set has its names "
                         "(I01_01_01.png); leave --split out.")
    strange = next((key for key, part in published.items() if key[0] in kadid and not part), None)
    if strange:
        raise InputError(f"{strange[1]!r} of {strange[0]} is no name of KADID-10k, whose split was asked for; take it "
                         "out of the table, or leave --split out.")
    return published | split_by_content([one for one in pictures if one.dataset not in kadid], seed)


def write_split(parts: dict[tuple[str, str], str], path: Path) -> None:
    """Writes a split as CSV (set,image,part): names only, so that it can be shared without the images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, files.csv_text([("set", "image", "part"), *((*key, part) for key, part in parts.items())]))


def read_split(path: Path, pictures: Sequence[RatedPicture]) -> dict[tuple[str, str], str]:
    """Reads what `write_split` wrote, and checks that it fits.

    Raises:
        InputError: the file has other columns or parts, leaves an image out, or tears a content apart.
    """
    rows = list(csv.DictReader(io.StringIO(files.text_of(path.read_bytes(), path), newline="")))
    if not rows or set(rows[0]) != {"set", "image", "part"} or any(row["part"] not in PARTS for row in rows):
        raise InputError(f"{path.name} is not a split: it needs the columns set, image and part "
                         f"({', '.join(PARTS)}).")
    parts = {(row["set"], row["image"]): row["part"] for row in rows}
    missing = [picture for picture in pictures if (picture.dataset, picture.name) not in parts]
    if missing:
        raise InputError(f"{path.name} says nothing of {len(missing)} images, {missing[0].name} of "
                         f"{missing[0].dataset} for example; write a new split or remove them.")
    known: dict[tuple[str, str], str] = {}
    for picture in pictures:
        part = parts[picture.dataset, picture.name]
        if picture.group and known.setdefault((picture.dataset, picture.group), part) != part:
            raise InputError(f"{path.name} puts the content {picture.group} of {picture.dataset} into two parts; "
                             "write a new split.")
    return parts


def part_of(pictures: Sequence[RatedPicture], parts: dict[tuple[str, str], str], part: str) -> list[RatedPicture]:
    """The images of one part, in order."""
    return [picture for picture in pictures if parts[picture.dataset, picture.name] == part]


def write_tables(pictures: Sequence[RatedPicture], folder: Path, part: str) -> list[Path]:
    """Writes a part's opinions as one table image,mos per set, `PART-SET.csv`, for `mean-opinion evaluate`."""
    paths = []
    for source in dict.fromkeys(picture.dataset for picture in pictures):
        paths.append(folder / f"{part}-{source.replace('/', '-')}.csv")
        files.replace(paths[-1], files.csv_text([("image", "mos"), *(
            (picture.name, picture.mos) for picture in pictures if picture.dataset == source)]))
    return paths


def training_dataset(pictures: Sequence[RatedPicture], wording: str, longest_side: int | None) -> Dataset:
    """A `datasets.Dataset` in the form that GRPOTrainer takes; images are decoded when they are drawn.

    Args:
        wording: key of `prompts.VARIANTS`.
        longest_side: pixels that an image is reduced to first; None keeps it.

    Returns:
        rows of prompt (one user turn), image, key (row number), mos and source.
    """
    import datasets

    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": VARIANTS[wording]}]}]
    table = datasets.Dataset.from_dict({
        "path": [str(picture.path) for picture in pictures],
        "key": list(range(len(pictures))),
        "mos": [picture.mos for picture in pictures],
        "source": [picture.dataset for picture in pictures],
    })

    def load(rows: dict[str, list[object]]) -> dict[str, Sequence[object]]:
        from methods.images import decode

        paths = rows.pop("path")
        # A batch asks for each image K times.
        once = {path: decode(path).image for path in dict.fromkeys(paths)}
        if longest_side:
            for image in once.values():
                image.thumbnail((longest_side, longest_side))
        loaded = [once[path] for path in paths]
        return {**rows, "image": loaded, "prompt": [turn for _ in loaded]}

    return table.with_transform(load)


class OneSetBatches:
    """Row numbers in GRPO's order, such that each generation batch holds images of one set only.

    Every row is repeated K times in a run and every batch `repeat_count` times, as TRL's own sampler does; batches
    of different sets follow each other in random order. What does not fill a batch sits the epoch out.

    Args:
        sources: the set of each row.
        generations: K.
        batch_size: different images per batch.
        repeat_count: how often a batch is repeated.
        seed: of the shuffling; with the epoch it gives the order, the same in every process.

    Raises:
        InputError: batches of one image, or no set fills a batch.
    """

    def __init__(self, sources: Sequence[str], generations: int, batch_size: int, repeat_count: int, seed: int) -> None:
        if batch_size < 2:
            raise InputError("A batch of one image has nothing to compare it with; raise the batch size.")
        self._rows: dict[str, list[int]] = {}
        for row, source in enumerate(sources):
            self._rows.setdefault(source, []).append(row)
        self._generations, self._batch_size, self._repeat_count = generations, batch_size, repeat_count
        self._seed, self._epoch = seed, 0
        if not self._batches():
            raise InputError(f"No set has the {batch_size} training images that fill one batch; lower the batch size "
                             "or add images.")

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
