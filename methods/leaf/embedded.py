"""Trains the student that ships in assets/embedded-student, and measures it.

    python -m methods.leaf.embedded --weights efficientnet-lite0.pth --images DIR --mos scores.csv \
        --out assets/embedded-student [--folds DIR]

The tower keeps its ImageNet weights; the head is a ridge over every picture and its mirror image. The card holds
repeated five-fold cross-validation in which a picture and its mirror image are always in the same part and the
penalty is chosen within the training part. `--folds DIR` also keeps the students of one such cross-validation, for
`python -m leaderboard evaluate --method leaf --folds DIR`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from leaderboard import stats
from methods.images import decode
from methods.leaf.backbones import TowerBackbone
from methods.leaf.heads import fit_ridge
from methods.leaf.student import EMBEDDED, Student, fold_of
from methods.opinions import Opinions, read_opinions

TAPS = (11, 12, 13, 14)
"""The four 192-channel blocks of Lite0: of all blocks, the ones whose wide maps predict opinions best."""

FOLDS, REPEATS = 5, 10
_QUANTILES = 101


def mirrored_features(backbone: TowerBackbone, opinions: Opinions) -> np.ndarray:
    """float32 [2, n, width], of the pictures and of their mirror images."""
    pictures = [decode(path).image for path in opinions.images]

    def tell(done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            print(f"\rfeatures {done}/{total}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    mirrored: list[Image.Image] = [ImageOps.mirror(picture) for picture in pictures]
    return np.stack([backbone.features(pictures, tell), backbone.features(mirrored, tell)])


def cross_validate(features: np.ndarray, mos: np.ndarray, repeats: int = REPEATS) -> np.ndarray:
    """Predictions of left-out pictures, float64 [repeats, n], from mirrored features [2, n, d]."""
    predicted = np.empty((repeats, len(mos)))
    for repeat in range(repeats):
        fold = fold_of(len(mos), FOLDS, repeat)
        for index in range(FOLDS):
            train = np.flatnonzero(fold != index)
            head = fit_ridge(np.concatenate(features[:, train]), np.tile(mos[train], 2),
                             groups=np.tile(train, 2)).head
            predicted[repeat, fold == index] = head(features[0, fold == index])
    return predicted


def measured(predicted: np.ndarray, mos: np.ndarray) -> dict[str, Any]:
    """Mean over the repetitions of each metric, with the mean of their bootstrap intervals."""
    rows = [stats.summary(row, mos) for row in predicted]
    return {name: {"value": round(float(np.mean([row[name].value for row in rows])), 4),
                   "low": round(float(np.mean([row[name].low for row in rows])), 4),
                   "high": round(float(np.mean([row[name].high for row in rows])), 4), "n": len(mos)}
            for name in rows[0]}


def train(weights: Path, opinions: Opinions, folds: Path | None = None) -> Student:
    """The embedded student from published ImageNet weights and rated pictures.

    Args:
        weights: EfficientNet-Lite0's state dict.
        opinions: the rated pictures.
        folds: where to save one student a fold, each trained without that fold's pictures; None saves none.
    """
    import torch

    from methods.leaf.efficientnet import from_imagenet

    tower = from_imagenet(torch.load(weights, map_location="cpu", weights_only=True), "lite0", TAPS[-1] + 1)
    # The card's numbers are those of the weights as they are stored.
    tower.half().float()
    backbone = TowerBackbone(tower, TAPS)
    features, mos = mirrored_features(backbone, opinions), opinions.mos01
    predicted = cross_validate(features, mos)
    if folds is not None:
        save_folds(folds, backbone, features, opinions)
    fit = fit_ridge(np.concatenate(features), np.tile(mos, 2), groups=np.tile(np.arange(len(mos)), 2))
    card = {
        "name": "embedded",
        "scale": list(opinions.scale),
        "training": {
            "tower": "EfficientNet-Lite0, ImageNet weights (Apache 2.0), frozen, stored in half precision",
            "head": "ridge over 12,384 statistics, penalty chosen by leave-one-picture-out",
            "penalty": fit.penalty,
            "pictures": "399 pictures of the LIVE In the Wild Image Quality Challenge with their mean opinion scores, "
                        "each also mirrored",
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
    return Student(backbone, fit.head, card)


def save_folds(folder: Path, backbone: TowerBackbone, features: np.ndarray, opinions: Opinions) -> None:
    """Writes fold-0/student, fold-1/student ... and folds.csv, as `leaderboard.folds` reads them."""
    from leaderboard import folds

    fold, mos = fold_of(len(opinions), FOLDS, 0), opinions.mos01
    for index in range(FOLDS):
        rows = np.flatnonzero(fold != index)
        fit = fit_ridge(np.concatenate(features[:, rows]), np.tile(mos[rows], 2), groups=np.tile(rows, 2))
        card = {"name": "embedded", "scale": list(opinions.scale),
                "training": {"penalty": fit.penalty, "pictures": f"{len(rows)} of {len(mos)}: all but fold {index}"}}
        Student(backbone, fit.head, card).save(folder / f"fold-{index}" / "student")
    folds.write(folder, opinions.names, fold)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m methods.leaf.embedded", description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="the published EfficientNet-Lite0 state dict")
    parser.add_argument("--images", type=Path, required=True, help="folder of the rated pictures")
    parser.add_argument("--mos", type=Path, required=True, help="CSV of their mean opinion scores")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="where to save the student")
    parser.add_argument("--folds", type=Path, metavar="DIR", help="where to save the students of a cross-validation")
    chosen = parser.parse_args(arguments)
    opinions = read_opinions(chosen.mos, chosen.images, minimum=50)
    student = train(chosen.weights, opinions, chosen.folds)
    student.save(chosen.out)
    print(json.dumps(student.card["measured"], indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
