"""Trains the student that ships in assets/embedded-student, and measures it.

    python -m methods.embedded.student --weights efficientnet-lite0.pth --images DIR --mos scores.csv \
        --out assets/embedded-student [--folds DIR]

The tower keeps its ImageNet weights. The head is a ridge over every picture and its mirror image, with a logistic link
to the scale, and with contrasts: by how much a damaged copy of a picture is worse than the picture, after what
KADID-10k's raters say of such damages. Camera photos alone hardly show what noise or darkness cost.

The card holds repeated five-fold cross-validation in which a picture, its mirror image and its damaged copies are
always in the same part, and penalty and link are chosen within the training part. `--folds DIR` also keeps the students
of one such cross-validation, for `mean-opinion evaluate --method leaf --folds DIR`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from methods.agreement import metrics as stats
from methods.cli.progress import steps
from methods.data import RatedPictures, deal_folds, folds, read_table
from methods.images import content_hash, decode
from methods.kadid.distortions import DISTORTIONS, LEVELS, distort, level_mos
from methods.leaf.backbones import TowerBackbone
from methods.leaf.heads import Contrasts, Head, fit_ridge
from methods.leaf.student import EMBEDDED, Student

TAPS, NARROW = (3, 10, 11, 12, 13, 14), (11, 12, 13, 14)
"""Numbers of the Lite0 blocks whose wide (TAPS) and narrow (NARROW) maps are used. The four last blocks, with narrow
maps of 192 channels, tell most about damage to the whole image; block 3 tells how sharp and clean fine detail is."""

DAMAGES = ("GBLUR", "JPEG", "AWGN", "Darken")
"""Of KADID-10k's distortions: blur, compression, noise, too little light. Each image gets each at one random level."""

CONTRAST_WEIGHT = 0.0005
"""Weight of a contrast's squared error, where a label's has 1. A larger one sees damage better and ranks camera photos
worse: by 0.004 SRCC at 0.01, by 0.011 at 0.05."""

FOLDS, REPEATS = 5, 10
_QUANTILES = 101


@dataclass(frozen=True)
class Material:
    """What the head is fitted to.

    Attributes:
        intact: float32 [2, n, d], features of the images and of their mirror images.
        damaged: float32 [n, len(DAMAGES), d], of one copy of each image per damage.
        left: float [n, len(DAMAGES)] in [0, 1], the share of its score that each damage leaves of an image.
        mos: float [n] in [0, 1].
    """

    intact: np.ndarray
    damaged: np.ndarray
    left: np.ndarray
    mos: np.ndarray

    def fit(self, rows: np.ndarray) -> tuple[Head, float]:
        """The head of some of the pictures, int [m], and its penalty."""
        mos, count = self.mos[rows], len(rows)
        numbers = np.arange(count)
        contrasts = Contrasts(
            better=np.repeat(self.intact[0, rows], len(DAMAGES), axis=0),
            worse=self.damaged[rows].reshape(count * len(DAMAGES), -1),
            gap=(mos[:, None] * (1 - self.left[rows])).ravel(),
            groups=np.repeat(numbers, len(DAMAGES)), weight=CONTRAST_WEIGHT)
        fitted = fit_ridge(np.concatenate(self.intact[:, rows]), np.tile(mos, 2), groups=np.tile(numbers, 2),
                           contrasts=contrasts)
        # The link is for pictures as they are, not mirrored.
        return replace(fitted, left_out=fitted.left_out[:count]).linked(mos), fitted.penalty


def material(backbone: TowerBackbone, opinions: RatedPictures) -> Material:
    """Features of all pictures, their mirror images and their damaged copies."""
    pictures = [decode(path).image for path in opinions.paths]
    rng = np.random.default_rng(0)
    levels = rng.integers(LEVELS[0], LEVELS[-1] + 1, size=(len(pictures), len(DAMAGES)))
    most = max(level_mos(name, level) for name in DISTORTIONS for level in LEVELS)
    qualities = np.array([[level_mos(name, level) / most for name, level in zip(DAMAGES, row, strict=True)]
                          for row in levels])
    copies = [[Image.fromarray(distort(np.asarray(picture), name, int(level), rng=number))
               for name, level in zip(DAMAGES, row, strict=True)]
              for number, (picture, row) in enumerate(zip(pictures, levels, strict=True))]
    mirrored: list[Image.Image] = [ImageOps.mirror(picture) for picture in pictures]
    intact = np.stack([backbone.features(pictures, steps("Features of pictures: ")),
                       backbone.features(mirrored, steps("Features of mirror images: "))])
    damaged = backbone.features([copy for row in copies for copy in row], steps("Features of damaged copies: "))
    return Material(intact, damaged.reshape(len(pictures), len(DAMAGES), -1), qualities, opinions.mos01)


def cross_validate(data: Material, repeats: int = REPEATS) -> np.ndarray:
    """Predictions of left-out pictures, float64 [repeats, n]."""
    predicted = np.empty((repeats, len(data.mos)))
    tell = steps("Cross-validation: ", unit="repeats")
    for repeat in range(repeats):
        fold = deal_folds(len(data.mos), FOLDS, repeat)
        for index in range(FOLDS):
            head, _ = data.fit(np.flatnonzero(fold != index))
            predicted[repeat, fold == index] = head(data.intact[0, fold == index])
        tell(repeat + 1, repeats)
    return predicted


def measured(predicted: np.ndarray, mos: np.ndarray) -> dict[str, Any]:
    """Mean over the repetitions of each metric, with the mean of their bootstrap intervals."""
    rows = [stats.summary(row, mos) for row in predicted]
    return {name: {"value": round(float(np.mean([row[name].value for row in rows])), 4),
                   "low": round(float(np.mean([row[name].low for row in rows])), 4),
                   "high": round(float(np.mean([row[name].high for row in rows])), 4), "n": len(mos)}
            for name in rows[0]}


def train(weights: Path, opinions: RatedPictures, fold_folder: Path | None = None) -> Student:
    """The embedded student from published ImageNet weights and rated pictures.

    Args:
        weights: EfficientNet-Lite0's state dict.
        opinions: the rated pictures.
        fold_folder: where to save one student a fold, each trained without that fold's pictures; None saves none.
    """
    import torch

    from methods.leaf.efficientnet import from_imagenet

    tower = from_imagenet(torch.load(weights, map_location="cpu", weights_only=True), "lite0",
                          max(*TAPS, *NARROW) + 1)
    # The card's numbers are those of the weights as they are stored.
    tower.half().float()
    backbone = TowerBackbone(tower, TAPS, NARROW)
    data, mos = material(backbone, opinions), opinions.mos01
    predicted = cross_validate(data)
    if fold_folder is not None:
        save_folds(fold_folder, backbone, data, opinions)
    head, penalty = data.fit(np.arange(len(mos)))
    card = {
        "name": "embedded",
        "scale": list(opinions.scale),
        "training": {
            "tower": "EfficientNet-Lite0, ImageNet weights (Apache 2.0), frozen, stored in half precision",
            "head": f"ridge over {backbone.width:,} statistics, penalty chosen by leave-one-picture-out, and a "
                    "logistic link to the scale",
            "penalty": penalty,
            "pictures": "399 pictures of the LIVE In the Wild Image Quality Challenge with their mean opinion scores, "
                        "each also mirrored, and with four damaged copies each as contrasts",
            "notice": "Trained on LIVE Challenge data: flag every result of this student on that dataset.",
        },
        "measured": {
            "protocol": f"{FOLDS}-fold cross-validation repeated {REPEATS} times with different folds; each value is "
                        "the mean over the repetitions, each interval the mean of their 95 % bootstrap intervals",
            **measured(predicted, mos),
        },
        "population": {
            "name": "399 camera photos of the LIVE In the Wild Challenge",
            "quantiles": np.quantile(np.clip(predicted.mean(0), 0, 1),
                                     np.linspace(0, 1, _QUANTILES)).round(4).tolist(),
        },
    }
    return Student(backbone, head, card, contents(opinions))


def contents(opinions: RatedPictures) -> list[str]:
    """`content_hash` of each rated image, by which a student knows what it was trained on."""
    return [content_hash(decode(path).image) for path in opinions.paths]


def save_folds(folder: Path, backbone: TowerBackbone, data: Material, opinions: RatedPictures) -> None:
    """Writes fold-0/student, fold-1/student ... and folds.csv, as `leaderboard.runs.folds` reads them."""
    count, hashes = len(opinions), np.array(contents(opinions))
    fold = deal_folds(count, FOLDS, 0)
    folds.write(folder, opinions.names, fold)
    for index in range(FOLDS):
        rows = np.flatnonzero(fold != index)
        head, penalty = data.fit(rows)
        card = {"name": "embedded", "scale": list(opinions.scale),
                "training": {"penalty": penalty, "pictures": f"{len(rows)} of {count}: all but fold {index}"}}
        Student(backbone, head, card, hashes[rows]).save(folder / f"fold-{index}" / "student")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m methods.embedded.student", description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="the published EfficientNet-Lite0 state dict")
    parser.add_argument("--images", type=Path, required=True, help="folder of the rated pictures")
    parser.add_argument("--mos", type=Path, required=True, help="CSV of their mean opinion scores")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="where to save the student")
    parser.add_argument("--folds", type=Path, metavar="DIR", help="where to save the students of a cross-validation")
    chosen = parser.parse_args(arguments)
    opinions = read_table(chosen.mos, chosen.images, minimum=50)
    student = train(chosen.weights, opinions, chosen.folds)
    student.save(chosen.out)
    print(json.dumps(student.card["measured"], indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
