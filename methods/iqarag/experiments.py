"""The paper's experiments (section IV-C) on any data and any LMM, and what they gave, with intervals.

Each is one call: Table I's reference:test ratios and combined set, Table II's foreign references, Table III's encoders,
Table IV's number of references. Predictions are written image by image, so a killed run goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from methods import files
from methods.data import (
    LAYOUTS,
    DatasetError,
    RatedPicture,
    RatedPictures,
    deal_parts,
    detect,
    read_dataset,
    read_table,
)
from methods.errors import InputError
from methods.iqarag.build import build
from methods.iqarag.encoders import ENCODERS, OWN, load_encoder
from methods.iqarag.method import IQARAG
from methods.iqarag.reference_set import MANIFEST, ReferenceSet
from methods.iqarag.results import WITHOUT, MetricRow, append_predictions, metric_rows, read_predictions, table
from methods.lmm.base import LMM

RATIOS = ("1:9", "1:4", "3:7")
"""Reference images to test images, as in Table I."""

_BATCH = 4

Report = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One split of one dataset: `tests` are scored plainly and under every condition.

    Attributes:
        name: file name of its predictions.
        tests: set whose images are scored.
        chosen: which of them.
        conditions: condition -> (references, changes to the method's options).
    """

    name: str
    tests: ReferenceSet
    chosen: tuple[int, ...]
    conditions: dict[str, tuple[ReferenceSet, dict[str, object]]]


@dataclass(frozen=True)
class Run:
    """What all experiments need.

    Attributes:
        lmm: the model.
        out: folder for reference sets, predictions and results.
        seed: of the splits.
        limit: at most so many test images per part; None for all.
        by_content: keep images made from the same pristine one on one side of a split.
        min_max: opinions run from the lowest to the highest of their dataset; False takes the dataset's nominal scale,
            on which most datasets leave the top bin empty (of KonIQ-10k's 10,073 images, 3 are in it).
        tests: names of the only images that may be tested, for a model that was trained on the others; a split then
            draws as many references as its ratio gives from the others.
        options: changes to the method's options.
        samples: of the bootstrap.
        sets: folder of the encoded datasets, for runs that share them; None for one in `out`.
        tell: called with one sentence of progress.
    """

    lmm: LMM
    out: Path
    seed: int = 0
    limit: int | None = None
    by_content: bool = False
    min_max: bool = True
    tests: frozenset[str] | None = None
    options: dict[str, object] = dataclasses.field(default_factory=dict)
    samples: int = 1000
    sets: Path | None = None
    tell: Report = print

    def settings(self) -> dict[str, object]:
        """What decides every row of a run's files; JSON-safe."""
        tests = None if self.tests is None else files.hash_parts(sorted(self.tests))
        return {"lmm": f"{self.lmm.name}@{self.lmm.revision}", "seed": self.seed, "by_content": self.by_content,
                "min_max": self.min_max, "tests": tests, "options": self.options}


def find_data(spec: str) -> RatedPictures:
    """A dataset by "slug=folder", or by its folder alone: a known layout, or images with a `scores.csv`.

    Raises:
        DatasetError: nothing of that kind is there.
    """
    slug, equals, folder = spec.partition("=")
    if equals:
        return read_dataset(slug, folder)
    root = Path(spec).expanduser()
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}; give the one that the dataset was unpacked to.")
    if (root / "scores.csv").is_file():
        return read_table(root / "scores.csv", root)
    dataset = detect(root)
    if dataset is None:
        raise DatasetError(f"{root} is no dataset that is known here and holds no scores.csv (image,mos); "
                          f"name the dataset as slug=folder.")
    return read_dataset(dataset, root)


def min_max(dataset: RatedPictures) -> RatedPictures:
    """The same images on the scale from their lowest to their highest opinion: (MOS - min) / (max - min).

    The paper takes MOS in [0, 1] and does not say how they came there. Five uniform bins (Eq. 6) are only all filled
    where the opinions reach both ends.

    Raises:
        InputError: all opinions are equal.
    """
    low, high = float(dataset.mos.min()), float(dataset.mos.max())
    if low == high:
        raise InputError(f"All opinions of {_title(dataset)} are {low:g}, which no scale can be made of.")
    return dataclasses.replace(dataset, low=low, high=high)


def split(count: int, ratio: str, seed: int, groups: Sequence[str] | None = None) -> tuple[list[int], list[int]]:
    """Random reference and test indices in the ratio "a:b", both ascending.

    Args:
        count: images.
        ratio: reference:test.
        seed: the same seed gives the same split.
        groups: [count]; images with the same name, other than "", stay together.

    Raises:
        InputError: the ratio is not two positive numbers, or one side would be empty.
    """
    try:
        references, tests = (float(part) for part in ratio.split(":"))
    except ValueError:
        references = tests = 0.0
    if not (references > 0 and tests > 0):
        raise InputError(f"A ratio is two positive numbers, references:tests, such as 3:7; got {ratio!r}.")
    if not 0 < round(count * references / (references + tests)) < count:
        raise InputError(f"{count} images cannot be split {ratio}; one side would be empty.")
    side = deal_parts(groups or [""] * count, (references, tests), seed)
    return np.flatnonzero(side == 0).tolist(), np.flatnonzero(side == 1).tolist()


def ratios(run: Run, data: Sequence[RatedPictures], wanted: Sequence[str] = RATIOS) -> list[Part]:
    """Table I: references and tests from the same dataset, in several ratios."""
    parts = []
    for dataset in data:
        everything = _encoded(run, dataset)
        for ratio in wanted:
            chosen, rest = _split(run, dataset, everything, ratio)
            parts.append(Part(f"{dataset.dataset}-{ratio.replace(':', 'to')}", everything, rest,
                              {"with": (everything.subset(chosen), {})}))
    return parts


def combined(run: Run, data: Sequence[RatedPictures], wanted: Sequence[str] = RATIOS) -> list[Part]:
    """Table I, last column: all datasets as one, MOS rescaled to [0, 1]."""
    # Names repeat between datasets, so they get the dataset's in front; each is on its own scale before they mix.
    data = [min_max(dataset) for dataset in data] if run.min_max else data
    pictures = tuple(
        RatedPicture(f"{dataset.dataset}/{picture.name}", picture.path, dataset.rescale(picture.mos),
                     group=picture.group and f"{dataset.dataset}/{picture.group}")
        for dataset in data for picture in dataset)
    return ratios(run, [RatedPictures(pictures, 0, 1, "combined")], wanted)


def cross(run: Run, data: Sequence[RatedPictures]) -> list[Part]:
    """Table II: the first dataset gives all references, the others are tested."""
    if len(data) < 2:
        raise InputError("Give at least two datasets: the first holds the references, the others are tested.")
    references = _encoded(run, data[0])
    parts = []
    for dataset in data[1:]:
        tests = _encoded(run, dataset)
        named = range(len(tests)) if run.tests is None else sorted(_named(run, dataset, tests))
        parts.append(Part(f"{dataset.dataset}-from-{data[0].dataset}", tests, _limited(run, named),
                          {"with": (references, {})}))
    return parts


def encoders(run: Run, data: Sequence[RatedPictures], ratio: str = "3:7",
             wanted: Sequence[str] = ENCODERS) -> list[Part]:
    """Table III: the same split, searched with several vision encoders."""
    parts = []
    some = "" if tuple(wanted) == ENCODERS else f"-{'+'.join(wanted)}"
    for dataset in data:
        sets = {name: _encoded(run, dataset, name) for name in wanted}
        first = next(iter(sets.values()))
        chosen, rest = _split(run, dataset, first, ratio)
        parts.append(Part(f"{dataset.dataset}-encoders{some}", first, rest, {
            name: (references.subset(chosen), {"encoder": name}) for name, references in sets.items()}))
    return parts


def references(run: Run, data: Sequence[RatedPictures], ratio: str = "3:7") -> list[Part]:
    """Table IV: at most P references, P from 1 to 5. Which of the five stay is not printed; here the nearest do."""
    parts = []
    for dataset in data:
        everything = _encoded(run, dataset)
        chosen, rest = _split(run, dataset, everything, ratio)
        subset = everything.subset(chosen)
        parts.append(Part(f"{dataset.dataset}-references", everything, rest,
                          {f"P={count}": (subset, {"P": count}) for count in range(1, 6)}))
    return parts


def perform(run: Run, parts: Sequence[Part]) -> list[MetricRow]:
    """Scores every part and returns one row per part and condition; also written to `results.json` and `results.md`.

    A row holds part, condition, n, srcc, plcc, mean (their mean, the paper's single number), each with the ends of its
    95 % bootstrap interval (srcc_low, srcc_high ...; None for fewer than 3 images), and where the condition is not
    the plain question the paired differences to it with theirs. What is undefined is None, and srcc_note says why.

    Raises:
        InputError: the folder holds a run with other settings.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    _pin(run)
    rows: list[MetricRow] = []
    for part in parts:
        rows += metric_rows(part.name, _predictions(run, part), run.samples)
        results = {**run.settings(), "rows": rows}
        files.replace(run.out / "results.json", json.dumps(results, indent=1) + "\n")
        files.replace(run.out / "results.md", table(rows))
    return rows


def _pin(run: Run) -> None:
    """Refuses a folder whose files were made with other settings: their rows would be taken for this run's."""
    path = run.out / "settings.json"
    settings = json.loads(json.dumps(run.settings()))
    if not path.is_file():
        files.replace(path, json.dumps(settings, indent=1) + "\n")
        return
    try:
        pinned = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise InputError(f"{path} cannot be read; restore it or choose another --out.") from None
    differ = [f"{key} was {pinned.get(key)!r} and now is {value!r}" for key, value in settings.items()
              if pinned.get(key) != value]
    if differ:
        raise InputError(f"{run.out} holds a run with other settings: {'; '.join(differ)}. Choose another --out.")


def _encoded(run: Run, dataset: RatedPictures, encoder: str = OWN) -> ReferenceSet:
    """The whole dataset with features, built once per dataset, encoder and weights."""
    if run.min_max:
        dataset = min_max(dataset)
    embedder = load_encoder(encoder, run.lmm)
    folder = (run.sets or run.out / "sets") / f"{dataset.dataset}-{encoder}{'-min-max' * run.min_max}"
    if (folder / MANIFEST).is_file():
        ready = ReferenceSet.load(folder)
        if ready.revision == embedder.revision and len(ready) + ready.about["left_out"] == len(dataset):
            return ready
    run.tell(f"Encoding {len(dataset)} images of {_title(dataset)} with {encoder}.")

    def progress(done: int, total: int) -> None:
        if done == total or done % 80 < 8:  # a build reports every eight images
            run.tell(f"{done} of {total} images encoded.")

    result = build(dataset, folder, embedder, title=_title(dataset), progress=progress)
    if result.problems:
        run.tell(f"{len(result.problems)} images of {_title(dataset)} cannot be used; see {folder / 'problems.csv'}.")
    return result.references


def _split(run: Run, dataset: RatedPictures, everything: ReferenceSet, ratio: str) -> tuple[list[int], tuple[int, ...]]:
    groups = None
    if run.by_content:
        group_of = {picture.name: picture.group for picture in dataset}
        groups = [group_of[name] for name in everything.names]
    chosen, rest = split(len(everything), ratio, run.seed, groups)
    if run.tests is not None:
        named = _named(run, dataset, everything)
        if len(named) == len(everything):
            raise InputError(f"All {len(everything)} images of {_title(dataset)} are named as tests; name some, "
                             "but not all.")
        # The split's own references first, so that they are the same for every list of tests but for those in it.
        count = len(chosen)
        chosen = sorted([number for number in (*chosen, *rest) if number not in named][:count])
        rest = sorted(named)
    return chosen, _limited(run, rest)


def _named(run: Run, dataset: RatedPictures, everything: ReferenceSet) -> set[int]:
    """Numbers of the images that may be tested."""
    named = {number for number, name in enumerate(everything.names) if name in run.tests}
    if not named:
        raise InputError(f"None of the {len(everything)} images of {_title(dataset)} is named as a test; the names "
                         f"are those of its score list, such as {everything.names[0]}.")
    return named


def _title(dataset: RatedPictures) -> str:
    layout = LAYOUTS.get(dataset.dataset)
    return layout.title if layout else dataset.dataset


def _limited(run: Run, tests: Sequence[int]) -> tuple[int, ...]:
    if run.limit is None or len(tests) <= run.limit:
        return tuple(tests)
    return tuple(sorted(np.random.default_rng(run.seed).permutation(list(tests))[:run.limit].tolist()))


def _predictions(run: Run, part: Part) -> list[dict[str, object]]:
    """Scores of every test image, from the part's file where they are already there."""
    path = run.out / f"{part.name}.csv"
    columns = ["image", "mos", WITHOUT, *part.conditions]
    rows = read_predictions(path, columns)
    methods = {id(references): IQARAG(run.lmm, references=references, leave_out_copies=False, **run.options)
               for references, _ in part.conditions.values()}
    done = {row["image"] for row in rows}
    pending = [number for number in part.chosen if part.tests.names[number] not in done]
    for start in range(0, len(pending), _BATCH):
        numbers = pending[start:start + _BATCH]
        images = [part.tests.image(number) for number in numbers]
        fresh = [{"image": part.tests.names[number], "mos": float(part.tests.mos[number])} for number in numbers]
        for method in methods.values():
            mine = {name: changes for name, (references, changes) in part.conditions.items()
                    if references is method.references}
            variants = [method.options.updated(**changes) for changes in mine.values()]
            for row, verdicts in zip(fresh, method.compare(images, variants)):
                row[WITHOUT] = verdicts[0].evidence.score_without
                row |= {name: verdict.score for name, verdict in zip(mine, verdicts)}
        append_predictions(path, columns, fresh)
        rows += fresh
        run.tell(f"{part.name}: {len(part.chosen) - len(pending) + start + len(numbers)} of {len(part.chosen)}")
    names = {part.tests.names[number] for number in part.chosen}
    return [row for row in rows if row["image"] in names]
