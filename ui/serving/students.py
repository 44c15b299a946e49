"""A visitor's own student: pictures and a table in, a calibrated student as a zip out, deleted afterwards.

The pictures themselves are never kept: only the head that was fitted to them, beside the tower that ships anyway.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from methods.base import Assessment
from methods.leaf.ratings import read_ratings

MOST_PICTURES = 300
LIFETIME_SECONDS = 3600
"""A student is deleted when its visitor leaves, and at the latest after this time."""


@dataclass(frozen=True)
class Calibrated:
    """What became of an upload.

    Attributes:
        folder: of the student, for `assess`.
        archive: the same as a zip, to keep.
        count: ratings used.
        srcc, plcc: cross-validated, None below 8 ratings.
        srcc_interval, plcc_interval: 95 %.
        before_srcc: rank correlation of the embedded student with the ratings, None where it is undefined.
        predicted, rated: the cross-validated predictions and the ratings in [0, 1], for a figure.
        scale: lowest and highest rating, so that 0 and 1 above can be shown in the visitor's units.
        notes: what was mended or assumed, and a warning where the ratings seem to run the other way.
    """

    folder: str
    archive: str
    count: int
    srcc: float | None
    plcc: float | None
    srcc_interval: tuple[float, float] | None
    plcc_interval: tuple[float, float] | None
    before_srcc: float | None
    predicted: tuple[float, ...]
    rated: tuple[float, ...]
    notes: tuple[str, ...]
    scale: tuple[float, float] = (0.0, 1.0)


def home() -> Path:
    """Where visitors' students live."""
    return Path(tempfile.gettempdir()) / "mean-opinion-students"


def calibrate(pictures: Sequence[str], table: str, *, scale: tuple[float, float] | None = None,
              lower_is_better: bool | None = None) -> Calibrated:
    """Calibrates the embedded student to a visitor's ratings.

    Args:
        pictures: paths of the uploads; their names are matched with the table's.
        table: path of the CSV.
        scale: lowest and highest possible rating; guessed where left out.
        lower_is_better: the ratings are DMOS; None reads it off the column's name.

    Raises:
        ValueError: one plain sentence; nothing stays behind.
    """
    from methods.data.opinions import direction_warning
    from methods.leaf.student import Student

    sweep()
    if len(pictures) > MOST_PICTURES:
        raise ValueError(f"At most {MOST_PICTURES} pictures are taken here, got {len(pictures)}; calibrate larger sets "
                         "on your own machine with python -m methods.leaf calibrate.")
    opinions = read_ratings(table, pictures, scale=scale, lower_is_better=lower_is_better)
    student = Student.load()
    features = student.features(opinions.images)
    warning = direction_warning(opinions.mos01, student.predict(features=features))
    student.calibrate(None, opinions.mos01, features=features, scale=(0.0, 1.0))
    student.card |= {"name": "your student", "scale": list(opinions.scale)}
    seen = student.calibration
    predicted = np.clip(seen.predicted, 0, 1) if seen.predicted is not None else np.zeros(0)
    if len(predicted):
        # Where a photo stands among the visitor's own, by scores that the student gave them without having seen them.
        student.card["population"] = {"name": f"the {seen.n} pictures you rated",
                                      "quantiles": np.quantile(predicted, np.linspace(0, 1, 101)).round(4).tolist()}
    whole = home() / uuid.uuid4().hex
    try:
        folder = student.save(whole / "student")
        archive = shutil.make_archive(str(whole / "calibrated-student"), "zip", folder)
    except OSError:
        shutil.rmtree(whole, ignore_errors=True)
        raise
    return Calibrated(
        str(folder), archive, seen.n, seen.srcc, seen.plcc, seen.srcc_interval, seen.plcc_interval, seen.before_srcc,
        tuple(predicted.tolist()), tuple(opinions.mos01.tolist()), (*opinions.notes, *([warning] if warning else [])),
        opinions.scale,
    )


def assess(image: str, student: str | None = None, **options) -> Assessment:
    """Scores a picture with a visitor's student, or with the embedded one.

    Raises:
        ValueError: the visitor's student has been deleted.
        methods.images.ImageError: the file is not a usable picture.
    """
    from methods.leaf.method import LEAF
    from methods.leaf.student import Student

    if student is None:
        return LEAF().assess(image, **options)
    if not Path(student).is_dir():
        raise ValueError("Your student has been deleted; calibrate again, or choose the one that ships.")
    return LEAF(student=Student.load(student)).assess(image, **options)


def discard(folder: str | None) -> None:
    """Deletes a visitor's student; anything outside `home` is left alone."""
    if folder and (whole := Path(folder).resolve().parent).parent == home().resolve():
        shutil.rmtree(whole, ignore_errors=True)


def sweep() -> None:
    """Deletes students that have outlived their time, those of an earlier process included."""
    if not home().is_dir():
        return
    for folder in home().iterdir():
        if folder.is_dir() and time.time() - folder.stat().st_mtime > LIFETIME_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
