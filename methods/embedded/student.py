"""Trains the two students that ship, and measures them.

    python -m methods.embedded.student --weights efficientnet-lite0.pth --population BIQ2021 \
        --images DIR --scores scores.csv --cache CACHE [--folds DIR]

The tower keeps its ImageNet weights. The head of the first student is a ridge over photos of BIQ2021's training split
(subsets ss01 and ss03; ss02 was damaged on purpose, and costs accuracy on camera photos), and over contrasts: by how
much a damaged copy of a photo is worse than the photo. Nothing of LIVE Challenge is in it, so it is the one to measure
on LIVE Challenge and to calibrate on it.

The second student is the first, calibrated on photos of LIVE Challenge by `Student.calibrate`, as anybody would
calibrate it. `--folds DIR` also keeps the students of a five-fold cross-validation, for
`mean-opinion evaluate --method leaf --folds DIR`.

Features are kept in the cache folder, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from methods import files
from methods.agreement import metrics as stats
from methods.cli.progress import steps
from methods.cli.running import guarded
from methods.data import RatedPictures, deal_folds, folds, read_dataset, read_table
from methods.embedded import damages
from methods.images import content_hash, decode
from methods.kadid.distortions import DISTORTIONS, LEVELS, distort, level_mos
from methods.leaf import figures
from methods.leaf.backbones import TowerBackbone
from methods.leaf.heads import Contrasts, Head, fit_large
from methods.leaf.student import EMBEDDED, UNSEEN, Student, fit_views

TAPS, NARROW = (3, 10, 11, 12, 13, 14), (11, 12, 13, 14)
"""Numbers of the Lite0 blocks whose wide (TAPS) and narrow (NARROW) maps are used. The four last blocks, with narrow
maps of 192 channels, tell most about damage to the whole image; block 3 tells how sharp and clean fine detail is."""

DATASET = "live-challenge-dev"
"""What the second student is calibrated with."""

POPULATION, SUBSETS = "biq2021", ("ss01", "ss03")

PENALTY = 1.0
"""Ridge penalty. Leaving single photos out would choose a smaller one: photos of one subset are alike. Of 0.03 to 10 it
has the best mean SRCC of `across_subsets` (0.3: 0.674, 1: 0.679, 3: 0.676; no contrasts, EXIF orientation ignored)."""

DAMAGES = ("GBLUR", "JPEG", "AWGN", "Darken")
"""Of KADID-10k's distortions: blur, compression, noise, too little light. Each contrasted photo gets each once."""

OTHERS = 2
"""How many of `damages.TRAINING_NAMES` each contrasted photo gets."""

CONTRASTED = 600
"""Photos with contrasts, drawn from those rated above the population's middle."""

CONTRAST_WEIGHT = 0.12
"""Weight of a contrast's squared error, where a label's has 1. A larger one sees damage better and ranks camera photos
worse: SRCC on LIVE Challenge is 0.800 at 0.02, 0.798 at 0.1 and 0.786 at 0.3; after a calibration 0.003 less at 0.3.
Chosen of seven weights with those numbers in view, and with what damage costs three Kodak photos, so the card's SRCC on
LIVE Challenge is a little kind."""

FOLDS, REPEATS = 5, 10
BUDGETS = (0, 10, 40, 80, 160, 319)
_PART = 128
_QUANTILES = 101


@dataclass(frozen=True)
class Pair:
    """A photo and what is done to a copy of it.

    Attributes:
        row: the photo's number in the population.
        name, level: the damage.
        left: share in [0, 1] of the photo's quality that the damage leaves.
    """

    row: int
    name: str
    level: int
    left: float

    def copy_of(self, image: np.ndarray) -> np.ndarray:
        """The damaged copy, uint8 [H, W, 3]."""
        make = distort if self.name in DISTORTIONS else damages.damage
        return make(image, self.name, self.level, rng=self.row)


def pairs_of(mos: np.ndarray) -> list[Pair]:
    """The contrasts of a population with these opinions, float [n] in [0, 1]."""
    rng = np.random.default_rng(0)
    best = max(level_mos(name, level) for name in DISTORTIONS for level in LEVELS)
    pairs = []
    for row in sorted(rng.permutation(np.flatnonzero(mos >= np.median(mos)))[:CONTRASTED].tolist()):
        for name in DAMAGES:
            level = int(rng.choice(LEVELS))
            pairs.append(Pair(row, name, level, level_mos(name, level) / best))
        for name in rng.permutation(damages.TRAINING_NAMES)[:OTHERS]:
            level = int(rng.choice(damages.LEVELS))
            pairs.append(Pair(row, str(name), level, damages.LEVEL_QUALITY[level - 1] / best))
    return pairs


def cached_features(backbone: TowerBackbone, count: int, image: Callable[[int], object], key: str, cache: Path,
                    title: str) -> np.ndarray:
    """Features of `count` images, float32 [count, width] rounded to half precision, kept in parts under the key."""
    cache.mkdir(parents=True, exist_ok=True)
    tell, rows = steps(title), []
    tell(0, count)
    for start in range(0, count, _PART):
        path = cache / f"{key}-{start}.npy"
        if not path.exists():
            part = backbone.features([image(number) for number in range(start, min(start + _PART, count))])
            with files.replacing(path) as partial, partial.open("wb") as file:
                np.save(file, part.astype(np.float16))
        rows.append(np.load(path).astype(np.float32))
        tell(min(start + _PART, count), count)
    return np.concatenate(rows)


def fit_population(backbone: TowerBackbone, population: RatedPictures, cache: Path) -> tuple[Head, np.ndarray]:
    """The head of the first student, and each photo's score had it been left out, float64 [n]."""
    paths, mos = population.paths, population.mos01
    intact = cached_features(backbone, len(paths), lambda row: paths[row], "population", cache, "Photos: ")
    pairs = pairs_of(mos)
    worse = cached_features(
        backbone, len(pairs), lambda number: Image.fromarray(pairs[number].copy_of(
            np.asarray(decode(paths[pairs[number].row]).image))), "damaged", cache, "Damaged copies: ")
    rows = np.array([pair.row for pair in pairs])
    gap = mos[rows] * (1 - np.array([pair.left for pair in pairs]))
    contrasts = Contrasts(intact[rows], worse, gap, rows, CONTRAST_WEIGHT)
    fit = fit_large(intact, mos, PENALTY, contrasts)
    return fit.linked(mos), fit.left_out


def across_subsets(features: np.ndarray, mos: np.ndarray, subset: np.ndarray, penalties: Sequence[float]
                   ) -> dict[float, float]:
    """Mean SRCC of each subset's photos, scored by a head of the others: how `PENALTY` was chosen."""
    result = {}
    for penalty in penalties:
        correlations = []
        for name in np.unique(subset):
            head = fit_large(features[subset != name], mos[subset != name], penalty).head
            correlations.append(stats.srcc(head(features[subset == name]), mos[subset == name]))
        result[penalty] = float(np.mean(correlations))
    return result


def cross_validate(views: np.ndarray, mos: np.ndarray, prior: Head | None, repeats: int = REPEATS,
                   labels: int | None = None) -> np.ndarray:
    """Predictions of left-out photos, float64 [repeats, n].

    Args:
        views: float32 [v, n, width], the photos first and then their mirror images.
        mos: float [n] in [0, 1].
        prior: the head to start from; None starts from nothing.
        labels: how many of a fold's training photos may be used; all by default, 0 scores by the prior alone.
    """
    predicted = np.empty((repeats, len(mos)))
    for repeat in range(repeats):
        fold = deal_folds(len(mos), FOLDS, repeat)
        for index in range(FOLDS):
            rows, test = np.flatnonzero(fold != index), fold == index
            if labels is not None:
                rows = np.random.default_rng([repeat, index]).permutation(rows)[:labels]
            if len(rows):
                head, _ = fit_views(views[:, rows], mos[rows], prior)
            elif prior is not None:
                head = prior
            else:
                raise ValueError("Without labels and without a head to start from there is nothing to score by.")
            predicted[repeat, test] = head(views[0, test])
    return predicted


def mean_metrics(predicted: np.ndarray, mos: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean over the repetitions of each metric, with the mean of their bootstrap intervals."""
    rows = [stats.summary(row, mos) for row in predicted]
    return {name: {"value": round(float(np.mean([row[name].value for row in rows])), 4),
                   "low": round(float(np.mean([row[name].low for row in rows])), 4),
                   "high": round(float(np.mean([row[name].high for row in rows])), 4), "n": len(mos)}
            for name in rows[0]}


def label_budget(views: np.ndarray, mos: np.ndarray, prior: Head, repeats: int = REPEATS) -> list[dict[str, object]]:
    """SRCC and PLCC against the number of labels, from the first student and from nothing."""
    rows: list[dict[str, object]] = []
    for labels in BUDGETS:
        for start, head in (("BIQ2021", prior), ("nothing", None)):
            if labels or head is not None:
                result = mean_metrics(cross_validate(views, mos, head, repeats, labels), mos)
                rows.append({"labels": labels, "start": start, "n": len(mos),
                             **{f"{metric}{end}": result[metric][key] for metric in ("srcc", "plcc")
                                for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))}})
    return rows


def write_budget(folder: Path, rows: list[dict[str, object]]) -> None:
    """Writes what `label_budget` gave as calibration.csv and calibration.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    files.replace(folder / "calibration.csv", files.csv_text([rows[0], *(row.values() for row in rows)]))
    files.replace(folder / "calibration.svg", figures.calibration_svg(rows))


def tower_backbone(weights: Path) -> TowerBackbone:
    """The frozen tower of both students, its weights as they are stored.

    Args:
        weights: EfficientNet-Lite0's state dict.
    """
    import torch

    from methods.leaf.efficientnet import from_imagenet

    tower = from_imagenet(torch.load(weights, map_location="cpu", weights_only=True), "lite0", max(*TAPS, *NARROW) + 1)
    # The card's numbers are those of the weights as they are stored.
    tower.half().float()
    return TowerBackbone(tower, TAPS, NARROW)


def population_of(folder: Path) -> RatedPictures:
    """The training photos of BIQ2021 that both students learn from."""
    training = read_dataset(POPULATION, folder, "training")
    return training.subset([row for row, name in enumerate(training.names) if name.startswith(SUBSETS)])


def contents(opinions: RatedPictures) -> list[str]:
    """`content_hash` of each rated image, by which a student knows what it was trained on."""
    return [content_hash(decode(path).image) for path in opinions.paths]


def train_unseen(backbone: TowerBackbone, population: RatedPictures, cache: Path) -> Student:
    """The student that never saw LIVE Challenge."""
    head, left_out = fit_population(backbone, population, cache)
    mos = population.mos01
    card = {
        "name": "embedded-biq2021",
        "scale": [population.low, population.high],
        "training": {
            "tower": "EfficientNet-Lite0, ImageNet weights (Apache 2.0), frozen, stored in half precision",
            "head": f"ridge over {backbone.width:,} statistics with a logistic link to the scale",
            "penalty": PENALTY,
            "pictures": f"{len(population):,} photos of BIQ2021's training split (subsets ss01 and ss03) with their "
                        f"mean opinion scores, and {CONTRASTED} of them beside {len(DAMAGES) + OTHERS} damaged copies "
                        "each",
            "notice": "Trained on BIQ2021: flag every result of this student on that dataset. It has seen nothing of "
                      "LIVE Challenge.",
        },
        "population": {
            "name": f"{len(population):,} photos of BIQ2021",
            "quantiles": np.quantile(np.clip(left_out, 0, 1), np.linspace(0, 1, _QUANTILES)).round(4).tolist(),
        },
        "left_out": mean_metrics(left_out[None], mos),
    }
    return Student(backbone, head, card, contents(population))


def calibrated(unseen: Student, views: np.ndarray, opinions: RatedPictures, name: str) -> Student:
    """The student after `Student.calibrate` on rated photos with these views, float32 [2, n, width]."""
    student = Student(unseen.backbone, unseen.head, copy.deepcopy(unseen.card), unseen.trained_on)
    student.calibrate(opinions.paths, opinions.mos01, features=views, scale=(0.0, 1.0), dataset=DATASET)
    student.card |= {"name": name, "scale": list(opinions.scale)}
    return student


def save_folds(folder: Path, unseen: Student, views: np.ndarray, opinions: RatedPictures) -> None:
    """Writes fold-0/student, fold-1/student ... and folds.csv, as `leaderboard.runs.folds` reads them."""
    fold = deal_folds(len(opinions), FOLDS, 0)
    folds.write(folder, opinions.names, fold)
    for index in range(FOLDS):
        rows = np.flatnonzero(fold != index)
        calibrated(unseen, views[:, rows], opinions.subset(rows), "embedded").save(folder / f"fold-{index}" / "student")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m methods.embedded.student", description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="the published EfficientNet-Lite0 state dict")
    parser.add_argument("--population", type=Path, required=True, metavar="DIR", help="folder of BIQ2021")
    parser.add_argument("--images", type=Path, required=True, help="folder of LIVE Challenge's rated photos")
    parser.add_argument("--scores", type=Path, required=True, metavar="CSV", help="their mean opinion scores")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="where features are kept")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="where to save the calibrated student")
    parser.add_argument("--unseen-out", type=Path, default=UNSEEN, help="where to save the one that saw BIQ2021 only")
    parser.add_argument("--folds", type=Path, metavar="DIR", help="where to save the students of a cross-validation")
    parser.add_argument("--budget", type=Path, metavar="DIR", help="where to write accuracy against label budget")
    options = parser.parse_args(arguments)
    opinions = read_table(options.scores, options.images, minimum=50)
    mos, backbone = opinions.mos01, tower_backbone(options.weights)
    unseen = train_unseen(backbone, population_of(options.population), options.cache)
    paths = opinions.paths
    features = cached_features(backbone, len(paths), lambda row: paths[row], "opinions", options.cache, "Photos: ")
    mirrored = cached_features(backbone, len(paths), lambda row: ImageOps.mirror(decode(paths[row]).image), "mirrored",
                               options.cache, "Mirror images: ")
    views = np.stack([features, mirrored])
    title = f"{len(opinions)} camera photos of the LIVE In the Wild Challenge"
    unseen.card["measured"] = {"protocol": f"{title}, none of which it was trained on",
                               **mean_metrics(unseen.predict(features=features)[None], mos)}
    unseen.save(options.unseen_out)
    student = calibrated(unseen, views, opinions, "embedded")
    predicted = cross_validate(views, mos, unseen.head)
    student.card["training"] = {
        **unseen.card["training"],
        "calibration": f"{title} with their mean opinion scores",
        "notice": "Calibrated on LIVE Challenge and trained on BIQ2021: flag every result of this student on those "
                  "datasets.",
    }
    student.card["measured"] = {
        "protocol": f"{FOLDS}-fold cross-validation of the calibration, repeated {REPEATS} times with different folds; "
                    "each value is the mean over the repetitions, each interval the mean of their 95 % bootstrap "
                    "intervals", **mean_metrics(predicted, mos)}
    student.card["population"] = {
        "name": title,
        "quantiles": np.quantile(np.clip(predicted.mean(0), 0, 1), np.linspace(0, 1, _QUANTILES)).round(4).tolist()}
    student.save(options.out)
    if options.folds:
        save_folds(options.folds, unseen, views, opinions)
    if options.budget:
        write_budget(options.budget, label_budget(views, mos, unseen.head))
    print(json.dumps({"unseen": unseen.card["measured"], "calibrated": student.card["measured"]}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m methods.embedded.student", main))
