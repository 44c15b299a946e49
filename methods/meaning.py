"""What a score means: how people would rate the image, how surely, and beside which rated images.

A `Table` holds the scores that one method, under the same options and with the same weights, gave to images that people
have rated. From those numbers alone, and from nothing else, a new score gets its meaning:

- the expected opinion on a scale from 0 to 100, by isotonic regression of the opinions on the scores;
- an interval that holds nine of ten opinions, by the residuals of images that their fit had not seen (split-conformal
  prediction with five folds, after Papadopoulos et al. 2002 and Vovk 2015), scaled by how large residuals are among the
  images of like scores;
- the share of the rated images that the method scores lower, and the images whose opinions lie next.

A model that was trained on a dataset is calibrated on it by its fold predictions only; `leaderboard.runs.calibrate`,
which makes tables out of finished runs, sees to that. Tables that ship lie in methods/measured, those of a user in the
folder that `MEAN_OPINION_MEASURED` names. Nothing was measured: `explain` gives None, `advice` what to do about it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from methods.data.splits import deal_folds
from methods.errors import InputError
from methods.files import hash_parts, replace
from methods.images import MAX_PIXELS
from methods.registry import method_class

if TYPE_CHECKING:
    from methods.base import Assessment, Options

Floats = NDArray[np.float64]

SHIPPED = Path(__file__).with_name("measured")
ENVIRONMENT = "MEAN_OPINION_MEASURED"
"""Names a folder with tables of one's own; they come before those that ship."""

COVERAGE = 0.9
"""Share of opinions that an interval is made to hold."""

FOLDS = 5
FEWEST = 50
"""Rated images; with fewer, the ninth of ten residuals is a matter of chance."""

_FEWEST_PER_STEP = 20
"""Images in a step of the monotone fit: the first and last steps of a plain isotonic regression are single images."""

_NEIGHBOURHOOD = 6
"""Residuals are averaged over the images within n / 6 ranks of a score: with n / 10 coverage falls to .89, without any
neighbourhood it is .84 among the lowest fifth of the scores and .97 among the highest."""


@dataclass(frozen=True)
class RatedImage:
    """An image that people have rated.

    Attributes:
        name: its file name in the dataset.
        mos: their mean opinion on 0 to 100.
    """

    name: str
    mos: float


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Meaning:
    """What is known of a score.

    Attributes:
        mos: expected opinion on 0 to 100.
        low, high: of the interval that holds nine of ten opinions, within 0 to 100.
        percentile: share in [0, 100] of the rated images that the method scores lower, half of equal ones counted.
        below, above: the rated images whose opinions lie next to `mos`; None where there is none on that side.
        n: rated images.
        population: which images these are, and whose opinions, in half a sentence.
        dataset: its slug.
        srcc: rank correlation of the method's scores with the opinions.
        coverage: share of left-out opinions that lay inside their intervals.
    """

    mos: float
    low: float
    high: float
    percentile: float
    below: RatedImage | None
    above: RatedImage | None
    n: int
    population: str
    dataset: str
    srcc: Estimate
    coverage: float

    def sentence(self) -> str:
        """All of it for a person, in plain words."""
        return (f"People would rate it about {self.mos:.0f} of 100 (nine of ten such photos: {self.low:.0f} to "
                f"{self.high:.0f}). It scores higher than {self.percentile:.0f} % of {self.population}.")

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Table:
    """The scores of rated images by one method, options and weights.

    Attributes:
        method: registry name.
        options: those that decide a score, by name, without the seed: another seed draws other samples of the same.
        weights: "name@revision" of what computed the scores, as `Assessment.lmm`.
        basis: what else a score rests on, as `Method.basis`.
        max_pixels: as `Assessment.max_pixels`.
        dataset, population: slug, and which images and opinions these are in half a sentence.
        images, mos, scores: per image: its name, opinion on 0 to 100, score in [0, 1].
        srcc: with its 95 % bootstrap interval.
        folds: models of a cross-validation that gave the scores; 0 where the model itself did.
        parameters_billion: of the model; None where it is not known.
        command, commit, date: of the run.
    """

    method: str
    options: dict[str, object]
    weights: str
    basis: dict[str, str]
    max_pixels: int | None
    dataset: str
    population: str
    images: tuple[str, ...]
    mos: tuple[float, ...]
    scores: tuple[float, ...]
    srcc: Estimate
    folds: int = 0
    parameters_billion: float | None = None
    command: str = ""
    commit: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.mos) == len(self.scores) == len(set(self.images)):
            raise InputError("A table of measured scores has one opinion and one score per image, each image once.")
        if len(self.images) < FEWEST:
            raise InputError(f"{len(self.images)} rated images are too few to say what a score means; {FEWEST} are "
                             "the fewest.")
        if not all(math.isfinite(value) and 0 <= value <= 100 for value in self.mos):
            raise InputError("The opinions of a table of measured scores lie on 0 to 100.")
        if not all(0 <= value <= 1 for value in self.scores):
            raise InputError("The scores of a table of measured scores lie on 0 to 1.")
        if np.ptp(self.scores) == 0:
            raise InputError("All measured scores are equal, so a score says nothing of an image.")

    @property
    def key(self) -> str:
        return key(self.method, self.options, self.weights, self.basis, self.max_pixels)

    @functools.cached_property
    def calibration(self) -> Calibration:
        return Calibration(np.array(self.scores), np.array(self.mos), folds_of(self.images))

    def meaning(self, score: float) -> Meaning:
        """Of a new image's score in [0, 1]."""
        mos, low, high = self.calibration.interval(score)
        scores = np.array(self.scores)
        lower = float(np.mean(scores < score) + np.mean(scores == score) / 2)
        below, above = neighbours(tuple(zip(self.images, self.mos)), mos)
        return Meaning(mos, low, high, 100 * lower, below, above, len(self.images), self.population, self.dataset,
                       self.srcc, self.calibration.held_out[0])

    def to_json(self) -> str:
        """One line per image, so that versions can be compared."""
        facts = {name: value for name, value in dataclasses.asdict(self).items()
                 if name not in ("images", "mos", "scores")}
        rows = ",\n".join(json.dumps(row) for row in zip(self.images, self.mos, self.scores))
        return json.dumps(facts, indent=1)[:-2] + f',\n "rows": [\n{rows}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Table:
        """Raises:
        InputError: it is no table of measured scores.
        """
        try:
            record = json.loads(text)
            images, mos, scores = zip(*record.pop("rows"), strict=True)
            return cls(**{**record, "srcc": Estimate(**record["srcc"])}, images=images, mos=mos, scores=scores)
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError("This is no table of measured scores; make it with mean-opinion calibrate.") from None


class Calibration:
    """From scores to opinions, with the interval that holds nine of ten.

    Args:
        scores: float [n].
        mos: float [n] on 0 to 100.
        folds: int [n]; residuals of a fold are those of a fit without it.
    """

    def __init__(self, scores: Floats, mos: Floats, folds: NDArray[np.int64]) -> None:
        self._scores, self._mos, self._folds = scores, mos, folds
        self._fit = _monotone(scores, mos)
        self.left_out = _left_out(scores, mos, folds)
        """float [n]: each image's expected opinion by a fit that had not seen its fold."""
        residuals = np.abs(mos - self.left_out)
        order = np.argsort(scores, kind="stable")
        self._ordered, self._residuals = scores[order], residuals[order]
        self._reach = max(len(scores) // _NEIGHBOURHOOD, 5)
        ranks = np.arange(len(scores))
        # A residual is compared with those around it, itself left out, as a new image's will be.
        self._factor = _quantile(self._residuals / self._around(ranks, itself=False))

    def intervals(self, scores: Floats) -> tuple[Floats, Floats, Floats]:
        """Expected opinions of scores, float [n], and the ends of their intervals, on 0 to 100."""
        mos = np.interp(scores, *self._fit)
        half = self._factor * self._around(np.searchsorted(self._ordered, scores))
        return mos, np.maximum(mos - half, 0.0), np.minimum(mos + half, 100.0)

    def interval(self, score: float) -> tuple[float, float, float]:
        """As `intervals`, of one score."""
        mos, low, high = self.intervals(np.array([score]))
        return float(mos[0]), float(low[0]), float(high[0])

    @functools.cached_property
    def held_out(self) -> tuple[float, float]:
        """Share of opinions inside the intervals of calibrations that had not seen them, and the intervals' median
        width: five folds, dealt ten times, because the share of one deal of 399 images scatters by .015."""
        inside, widths = [], []
        for seed in range(10):
            deal = deal_folds(len(self._mos), FOLDS, seed)
            for fold in range(FOLDS):
                rest, test = deal != fold, deal == fold
                inner = Calibration(self._scores[rest], self._mos[rest], self._folds[rest])
                _, low, high = inner.intervals(self._scores[test])
                inside.append((low <= self._mos[test]) & (self._mos[test] <= high))
                widths.append(high - low)
        return float(np.concatenate(inside).mean()), float(np.median(np.concatenate(widths)))

    def _around(self, places: NDArray[np.int64], itself: bool = True) -> Floats:
        """Mean residual among the images within reach of a place in the order of the scores."""
        total = np.concatenate([[0.0], np.cumsum(self._residuals)])
        first = np.maximum(places - self._reach, 0)
        last = np.minimum(places + self._reach + (not itself), len(self._residuals))
        sums, counts = total[last] - total[first], last - first
        if not itself:
            sums, counts = sums - self._residuals[places], counts - 1
        mean: Floats = np.maximum(sums / counts, 1e-9)
        return mean


def _monotone(scores: Floats, mos: Floats) -> tuple[Floats, Floats]:
    """Knots of the fit: mean score and opinion of each step of an isotonic regression, small steps joined to the next.

    Between the knots it is linear, beyond them constant.
    """
    from scipy.optimize import isotonic_regression

    values, place = np.unique(scores, return_inverse=True)
    weights = np.bincount(place).astype(float)
    steps = isotonic_regression(np.bincount(place, mos) / weights, weights=weights)
    ends = [0]
    for end in steps.blocks[1:]:
        if weights[ends[-1]:end].sum() >= _FEWEST_PER_STEP:
            ends.append(int(end))
    if ends[-1] != len(values):
        ends[max(len(ends) - 1, 1):] = [len(values)]
    spans = [slice(first, last) for first, last in itertools.pairwise(ends)]
    return (np.array([np.average(values[span], weights=weights[span]) for span in spans]),
            np.array([np.average(steps.x[span], weights=weights[span]) for span in spans]))


def _left_out(scores: Floats, mos: Floats, folds: NDArray[np.int64]) -> Floats:
    expected = np.empty(len(mos))
    for fold in np.unique(folds):
        rest = folds != fold
        expected[~rest] = np.interp(scores[~rest], *_monotone(scores[rest], mos[rest]))
    return expected


def _quantile(residuals: Floats) -> float:
    """The ceil((n + 1) .9)-th smallest, which holds for one more of the same kind."""
    rank = min(math.ceil((len(residuals) + 1) * COVERAGE), len(residuals))
    return float(np.sort(residuals)[rank - 1])


def folds_of(images: Sequence[str]) -> NDArray[np.int64]:
    """Int [n]: the fold of each image by its name alone, so that the tables of two methods are dealt alike."""
    return np.array([int(hash_parts([name])[:8], 16) % FOLDS for name in images])


def neighbours(rated: Sequence[tuple[str, float]], mos: float) -> tuple[RatedImage | None, RatedImage | None]:
    """The rated images (name, opinion) whose opinions lie next below and next above `mos`."""
    below = max(((value, name) for name, value in rated if value <= mos), default=None)
    above = min(((value, name) for name, value in rated if value > mos), default=None)
    return (None if below is None else RatedImage(below[1], below[0]),
            None if above is None else RatedImage(above[1], above[0]))


@dataclass(frozen=True)
class Consensus:
    """What several methods say together of one image.

    Attributes:
        mos: the mean of their expected opinions, on 0 to 100.
        low, high: as of `Meaning`, from the residuals of that very mean on the images that all of them have scored.
        methods: how many.
        n: images that all of them have scored.
        population, dataset: as of `Meaning`.
    """

    mos: float
    low: float
    high: float
    methods: int
    n: int
    population: str
    dataset: str


def consensus(tables: Sequence[Table], scores: Sequence[float]) -> Consensus | None:
    """The methods' common opinion of one image; None without a table, or where they were measured on other images.

    Args:
        tables: one per method.
        scores: the image's, one per table.
    """
    common = set.intersection(*(set(table.images) for table in tables)) if tables else set()
    if len(common) < FEWEST or len({table.dataset for table in tables}) > 1:
        return None
    names = sorted(common)
    rows = []
    for table in tables:
        of = dict(zip(table.images, table.calibration.left_out))
        rows.append([of[name] for name in names])
    opinions = dict(zip(tables[0].images, tables[0].mos))
    means = np.mean(rows, axis=0)
    smallest = min(tables, key=lambda table: len(table.images))
    expected = float(np.mean([table.calibration.interval(score)[0] for table, score in zip(tables, scores)]))
    half = _quantile(np.abs(np.array([opinions[name] for name in names]) - means))
    return Consensus(expected, max(expected - half, 0.0), min(expected + half, 100.0), len(tables), len(names),
                     smallest.population, smallest.dataset)


def key(method: str, options: Mapping[str, object], weights: str, basis: Mapping[str, str], max_pixels: int | None
        ) -> str:
    """The key of a table: everything that decides a score, without the seed and explain-only options."""
    limit = None if max_pixels is None or max_pixels >= MAX_PIXELS else max_pixels
    deciding = json.dumps([deciding_options(method, options), dict(basis), limit], sort_keys=True)
    return f"{method} {weights} {hash_parts([deciding])[:16]}"


def deciding_options(method: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options that decide a score, JSON-safe; one that is not named has its default."""
    from methods.base import json_safe

    recorded = recorded_options(method, options)
    whole: dict[str, object] = json_safe(recorded)
    return {name: value for name, value in whole.items() if name != "seed" and name not in recorded.score_alone()}


def recorded_options(method: str, options: Mapping[str, object]) -> Options:
    """A method's options from a record in JSON; one that is not named has its default."""
    defaults: Options = method_class(method).options
    return defaults.updated(**{name: tuple(value) if isinstance(value, list) else value
                               for name, value in options.items()})


def table_of(assessment: Assessment) -> Table | None:
    """The table that an assessment's score is read with; None where nothing was measured."""
    return tables().get(key(assessment.method, assessment.options, assessment.lmm, assessment.basis,
                            assessment.max_pixels))


def explain(assessment: Assessment) -> Meaning | None:
    """What an assessment's score means; None where nothing was measured of its method, options and weights."""
    table = table_of(assessment)
    return None if table is None else table.meaning(assessment.score)


def advice(assessment: Assessment) -> str:
    """What to do about a score that is not calibrated: one sentence with the commands."""
    lmm = assessment.lmm.rpartition("@")[0]
    model = f" --lmm {lmm}" if method_class(assessment.method).needs_lmm and lmm else ""
    return (f"To calibrate it, score photos that people have rated: mean-opinion evaluate --method "
            f"{assessment.method}{model} --images DIR --scores CSV --out RUN, then mean-opinion calibrate RUN.")


def table_for(method: str, weights: str, options: Mapping[str, object] | None = None) -> Table | None:
    """The table of a method and its weights, for its default or the given options, whatever the basis; None if there is
    none."""
    options_key = deciding_options(method, options or {})
    return next((table for table in tables().values() if (table.method, table.weights) == (method, weights)
                 and deciding_options(method, table.options) == options_key), None)


def tables() -> dict[str, Table]:
    """Every table by its key, a user's before those that ship."""
    own = os.environ.get(ENVIRONMENT)
    return _read((Path(own).expanduser(), SHIPPED) if own else (SHIPPED,))


@functools.lru_cache(maxsize=8)
def _read(folders: tuple[Path, ...]) -> dict[str, Table]:
    result: dict[str, Table] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            try:
                table = Table.from_json(path.read_text("utf-8"))
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            result.setdefault(table.key, table)
    return result


def save(table: Table, folder: Path) -> Path:
    """Writes the table, in the place of an earlier one of the same key, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = table.weights.replace("/", "-").replace(":", "-").partition("@")[0]
    path = folder / f"{table.method}_{name}_{hash_parts([table.key])[:8]}.json"
    replace(path, table.to_json())
    _read.cache_clear()
    return path
