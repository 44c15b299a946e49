"""The student: a small network with a linear head that scores a photo in milliseconds and learns a new scale at once.

`Student.load()` gives the one in assets/embedded-student. `calibrate` fits it to anyone's own ratings; `save` writes
weights as safetensors and everything a reader should know as a JSON card.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from assets import FOLDER
from methods import files
from methods.agreement.logistic import Logistic4
from methods.data import deal_folds, rescaled, usual_scale
from methods.errors import InputError
from methods.images import content_hash, decode
from methods.leaf.backbones import Backbone, Progress, digest, load_backbone
from methods.leaf.heads import Head, fit_ridge
from methods.leaf.ratings import FEWEST_LABELS
from methods.patience import steps

if TYPE_CHECKING:
    import torch

EMBEDDED = FOLDER / "embedded-student"
UNSEEN = FOLDER / "embedded-student-biq2021"
"""The student that has seen nothing of LIVE Challenge: to be measured on it, and to start a calibration from."""
EMBEDDED_STUDENTS = {"embedded": EMBEDDED, "embedded-biq2021": UNSEEN}

_WEIGHTS, _CARD, _TRAINED_ON = "student.safetensors", "card.json", "trained-on.txt"
_DIGITS = 12  # of a content hash: among ten thousand images, two agree by chance once in five million times.
_FORMAT, _READS = 2, (1, 2)  # format 1 had no link


FEWEST_MEASURED = 8
"""Below so many ratings a cross-validation says nothing."""


class StudentError(InputError):
    """A student cannot be loaded or calibrated; one plain sentence."""


@dataclass(frozen=True)
class Calibration:
    """How well a calibrated student predicts ratings that it did not see.

    Attributes:
        n: ratings used.
        trained_on: how many of their images the student had been trained on before. Nothing can be measured on those.
        srcc, plcc, rmse: of the other images, over labels predicted from the rest by k-fold cross-validation, the
            penalty chosen within each training part; RMSE on the scale [0, 1]. None below 8 other images.
        srcc_interval, plcc_interval: 95 %, bootstrap over images.
        before_srcc: rank correlation of the student as it was before, over the other images.
        predicted: float64 [n], the cross-validated predictions; NaN where the student had been trained on the image.
    """

    n: int
    trained_on: int = 0
    srcc: float | None = None
    plcc: float | None = None
    rmse: float | None = None
    srcc_interval: tuple[float, float] | None = None
    plcc_interval: tuple[float, float] | None = None
    before_srcc: float | None = None
    predicted: np.ndarray | None = field(default=None, repr=False)

    @property
    def caveat(self) -> str:
        """One sentence where nothing, or less than all, is certified; else ""."""
        if self.trained_on and self.srcc is None:
            return (f"The student was trained on {self.trained_on} of these {self.n} images, so how good it is on new "
                    "ones cannot be said from them; rate images that it has not been trained on.")
        if self.trained_on:
            return (f"The student was trained on {self.trained_on} of these {self.n} images; its accuracy is measured "
                    "on the others.")
        if self.n < FEWEST_MEASURED:
            return f"{self.n} ratings are too few to say how good the student is; {FEWEST_MEASURED} or more are needed."
        return "" if self.srcc is not None else "The student gives all images the same score; it has learnt nothing."


class Student:
    """A backbone, a head, and a card.

    Args:
        backbone: turns images into features.
        head: turns features into scores in [0, 1].
        card: JSON-safe facts: what it was trained on, how well it does, the scale of its ratings, and the scores of a
            reference population.
        trained_on: `content_hash` of the images whose ratings it has learnt from.

    Attributes:
        calibration: of the last `calibrate`, else None.
    """

    def __init__(self, backbone: Backbone, head: Head, card: dict[str, Any] | None = None,
                 trained_on: Iterable[str] = ()) -> None:
        self.backbone = backbone
        self.head = head
        self.card = dict(card or {})
        self.trained_on = frozenset(content[:_DIGITS] for content in trained_on)
        self.calibration: Calibration | None = None

    @property
    def name(self) -> str:
        return str(self.card.get("name", "student"))

    def has_learnt(self, image: Image.Image) -> bool:
        """Whether it was trained on the rating of an image with these pixels."""
        return content_hash(image)[:_DIGITS] in self.trained_on

    @property
    def revision(self) -> str:
        """Twelve hexadecimal digits of the weights."""
        return digest(self._tensors())

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest rating of the people it was fitted to."""
        low, high = self.card.get("scale", (0.0, 1.0))
        return float(low), float(high)

    @property
    def calibrated_with(self) -> tuple[str, ...]:
        """Slugs of the datasets whose ratings it was calibrated with, in all calibrations; () where none is known."""
        return tuple(filter(None, self.card.get("calibrated", {}).get("dataset", "").split("+")))

    @property
    def root(self) -> str:
        """Name of the student that the first calibration began with; its own where there was none."""
        return str(self.card.get("calibrated", {}).get("root", self.name))

    def features(self, images: Sequence[object], progress: Progress | None = None) -> np.ndarray:
        """The backbone's features, float32 [n, width]; compute them once where images are scored again and again."""
        return self.backbone.features(images, progress)

    def views(self, images: Sequence[object], progress: Progress | None = None) -> np.ndarray:
        """Features of the images and of their mirror images, float32 [2, n, width]: what `calibrate` learns from.

        A mirror image has the same quality, and 319 labels with both views rank as well as 10 % more labels.
        """
        count = len(images)

        def tell(start: int) -> Progress | None:
            return None if progress is None else lambda done, total: progress(start + done, 2 * count)

        mirrored = [ImageOps.mirror(decode(image).image) for image in images]
        return np.stack([self.features(images, tell(0)), self.features(mirrored, tell(count))])

    def predict(self, images: Sequence[object] | None = None, *, features: np.ndarray | None = None,
                progress: Progress | None = None) -> np.ndarray:
        """Scores, float64 [n] in [0, 1], higher is better.

        Args:
            images: anything that `methods.images.decode` takes.
            features: instead of images, what `features` gave for them.
            progress: told (done, total) after every image.

        Raises:
            methods.images.ImageError: one of the sources is not a usable image.
        """
        if features is None:
            if images is None:
                raise ValueError("predict needs images or their features.")
            features = self.features(images, progress)
        return np.clip(self.head(features), 0.0, 1.0)

    def to_mos(self, scores: np.ndarray) -> np.ndarray:
        """Scores in [0, 1] on the scale of the ratings that the student was fitted to."""
        low, high = self.scale
        return low + (high - low) * np.asarray(scores, dtype=np.float64)

    def local_scores(self, image: object) -> np.ndarray | None:
        """float64 [rows, columns] in [0, 1], the score of each neighbourhood; None if the backbone has no maps."""
        return self.features_and_maps([image])[1][0]

    def features_and_maps(self, images: Sequence[object]) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """`features` and each image's `local_scores`, out of one pass through the backbone."""
        pairs = list(self.backbone.features_and_maps(images, lambda local: np.clip(self.head(local), 0.0, 1.0)))
        rows = [row for row, _ in pairs]
        return np.stack(rows) if rows else self.features([]), [local for _, local in pairs]

    def calibrate(self, images: Sequence[object] | None, mos: Sequence[float], *, features: np.ndarray | None = None,
                  scale: tuple[float, float] | None = None, folds: int = 5, from_scratch: bool = False,
                  seed: int = 0, dataset: str = "", progress: Progress | None = None) -> Student:
        """Fits the student to ratings, in place, and returns it. The backbone stays as it is.

        Args:
            images: the rated images. With `features` they may be None, and then nobody can tell whether the student was
                trained on them.
            features: float32 [n, width], what `features` gave for the images; or [2, n, width], what `views` gave.
            mos: float [n], one per image; higher is better.
            scale: lowest and highest possible rating. Where it is left out, ratings within [0, 1] are taken as they
                are and others are laid between the lowest and highest of the usual scale that holds them.
            folds: of the cross-validation that fills `calibration`.
            from_scratch: forget what the student knew of quality, and with it the images that it was trained on.
            seed: of the folds.
            dataset: slug of the set that the ratings are from, kept in the card.

        Raises:
            StudentError: fewer than five ratings, a rating that is not finite or outside the scale, ratings that
                never differ, or a count that does not fit.
        """
        mos = np.asarray(mos, dtype=np.float64)
        if not np.isfinite(mos).all():
            raise StudentError("Some ratings are not numbers; leave those images out.")
        if features is not None and features.ndim == 2:
            features = features[None]
        count = features.shape[1] if features is not None else len(images if images is not None else ())
        if mos.ndim != 1 or len(mos) != count:
            raise StudentError(f"There must be one rating per image; got {len(mos)} ratings and {count} images.")
        if len(mos) < FEWEST_LABELS:
            few = "1 rated image is" if len(mos) == 1 else f"{len(mos)} rated images are"
            raise StudentError(f"{few} too few to calibrate; at least {FEWEST_LABELS} are needed, 30 or more make it "
                               "worth while.")
        if np.ptp(mos) == 0:
            raise StudentError(f"All ratings are {mos[0]:g}; ratings that never differ hold nothing to learn from.")
        low, high = scale or usual_scale(mos)
        if mos.min() < low or mos.max() > high or not low < high:
            raise StudentError(f"The ratings run from {mos.min():g} to {mos.max():g}, outside the scale from {low:g} "
                               f"to {high:g}.")
        if features is None:
            assert images is not None
            features = self.views(images, progress)
        target = rescaled(mos, low, high)
        prior = None if from_scratch else self.head
        contents = np.array([content_hash(decode(image).image)[:_DIGITS] for image in images or ()], dtype=str)
        is_left_out = np.zeros(len(mos), dtype=bool)
        if from_scratch:
            self.trained_on = frozenset()
        elif len(contents):
            is_left_out = np.isin(contents, list(self.trained_on))
        origin = {} if from_scratch else {"from": f"{self.name}@{self.revision}", "root": self.root}
        sets = sorted({*(() if from_scratch else self.calibrated_with), *filter(None, [dataset])})
        if sets:
            origin["dataset"] = "+".join(sets)
        before = self.predict(features=features[0])
        self.head, penalty = fit_views(features, target, prior)
        self.calibration = _cross_validated(features, target, prior, before, folds, seed, is_left_out)
        self.trained_on |= set(contents.tolist())
        self.card = {**self.card, "scale": [float(low), float(high)],
                     "calibrated": {**origin, "ratings": len(mos), "penalty": penalty,
                                    **_summary(self.calibration)}}
        for of_another_student in ("population", "measured"):
            self.card.pop(of_another_student, None)
        return self

    def percentile(self, score: float) -> float | None:
        """Share in [0, 100] of the card's reference population that scores below; None without a population."""
        quantiles = self.card.get("population", {}).get("quantiles")
        if not quantiles:
            return None
        return float(np.interp(score, quantiles, np.linspace(0, 100, len(quantiles))))

    def save(self, folder: str | Path) -> Path:
        """Writes student.safetensors (tower in half precision, head in single), card.json and trained-on.txt."""
        import torch
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.to(torch.float16).contiguous() if name.startswith("backbone.") else tensor
                   for name, tensor in self._tensors().items()}
        with files.replacing(folder / _WEIGHTS) as partial:
            save_file(tensors, str(partial))
        card = {**self.card, "format": _FORMAT, "backbone": self.backbone.config(), "features": self.backbone.width,
                "revision": digest({name: tensor.float() for name, tensor in tensors.items()})}
        files.replace(folder / _CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        if self.trained_on:
            files.replace(folder / _TRAINED_ON, "".join(f"{content}\n" for content in sorted(self.trained_on)))
        else:
            (folder / _TRAINED_ON).unlink(missing_ok=True)
        return folder

    @classmethod
    def load(cls, folder: str | Path = EMBEDDED) -> Student:
        """The student in a folder, or the one of a name of `EMBEDDED_STUDENTS`; without an argument, the embedded one.

        Raises:
            StudentError: the folder holds no student, or one that this version cannot read.
            methods.leaf.backbones.BackboneError: its backbone cannot be had.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = EMBEDDED_STUDENTS.get(str(folder), Path(folder))
        try:
            card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            tensors = load_file(str(folder / _WEIGHTS))
            # Students of earlier versions have no such file: what they were trained on is not known.
            trained_on = (folder / _TRAINED_ON).read_text("utf-8").split() if (folder / _TRAINED_ON).exists() else []
        except FileNotFoundError as error:
            raise StudentError(f"{folder.name or folder} holds no student: {Path(error.filename).name} is missing."
                               if error.filename else f"{folder.name or folder} holds no student.") from None
        except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError):
            raise StudentError(f"The student in {folder.name or folder} is damaged; copy it again.") from None
        if card.get("format") not in _READS:
            raise StudentError(f"The student in {folder.name or folder} has format {card.get('format')}; this version "
                               f"reads formats {' and '.join(map(str, _READS))}.")
        try:
            head = Head(*(tensors[f"head.{part}"].float().numpy() for part in ("mean", "scale", "weight")),
                        bias=float(tensors["head.bias"]),
                        link=Logistic4(*tensors["head.link"].tolist()) if "head.link" in tensors else None)
        except KeyError as error:
            raise StudentError(f"The student in {folder.name or folder} lacks {error}; copy it again.") from None
        backbone = load_backbone(card["backbone"], {name.removeprefix("backbone."): tensor
                                                    for name, tensor in tensors.items()
                                                    if name.startswith("backbone.")})
        if backbone.width != len(head.weight):
            raise StudentError(f"The head of the student in {folder.name or folder} does not fit its backbone.")
        return cls(backbone, head, card, trained_on)

    def _tensors(self) -> dict[str, torch.Tensor]:
        import torch

        # Half precision already here, so that a student has one revision before and after it is saved.
        tensors = {f"backbone.{name}": tensor.half().float() for name, tensor in self.backbone.tensors().items()}
        for part in ("mean", "scale", "weight"):
            tensors[f"head.{part}"] = torch.from_numpy(np.array(getattr(self.head, part), dtype=np.float32))
        tensors["head.bias"] = torch.tensor(self.head.bias, dtype=torch.float32)
        if self.head.link is not None:
            tensors["head.link"] = torch.tensor(dataclasses.astuple(self.head.link), dtype=torch.float32)
        return tensors


def fit_views(views: np.ndarray, target: np.ndarray, prior: Head | None) -> tuple[Head, float]:
    """The head of labelled images, and its penalty.

    Args:
        views: float32 [v, n, width], the images first and then their mirror images, if any.
        target: float [n] in [0, 1].
        prior: the head to start from.
    """
    count = len(target)
    fit = fit_ridge(views.reshape(-1, views.shape[-1]), np.tile(target, len(views)), prior=prior,
                    groups=np.tile(np.arange(count), len(views)))
    # The link is for images as they are, not mirrored.
    return replace(fit, left_out=fit.left_out[:count]).linked(target), fit.penalty


def _cross_validated(features: np.ndarray, target: np.ndarray, prior: Head | None, before: np.ndarray, folds: int,
                     seed: int, known: np.ndarray) -> Calibration:
    from methods.agreement import metrics as stats

    count, fresh = len(target), ~known
    if fresh.sum() < FEWEST_MEASURED:
        return Calibration(count, int(known.sum()))
    fold = deal_folds(count, min(folds, count), seed)
    predicted = np.empty(count)
    for index in steps(range(fold.max() + 1)):
        train, test = fold != index, fold == index
        head, _ = fit_views(features[:, train], target[train], prior)
        predicted[test] = head(features[0, test])
    truth = target[fresh]
    after = stats.summary(predicted[fresh], truth, metrics=("srcc", "plcc"))
    srcc, plcc = after["srcc"], after["plcc"]
    return Calibration(
        count, int(known.sum()), srcc.value, plcc.value, stats.rmse(predicted[fresh], truth), srcc.interval,
        plcc.interval, stats.summary(before[fresh], truth, metrics=("srcc",))["srcc"].value,
        np.where(known, np.nan, predicted),
    )


def _summary(calibration: Calibration) -> dict[str, object]:
    facts = {spec.name: getattr(calibration, spec.name) for spec in dataclasses.fields(calibration)
             if spec.name != "predicted"}
    return {name: (None if isinstance(value, float) and not math.isfinite(value) else value)
            for name, value in facts.items()}
