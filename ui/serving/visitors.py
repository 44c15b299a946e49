"""What visitors make for themselves, a reference set or a calibrated student: in a folder each, deleted afterwards.

A folder lives below one place of the machine's temporary folder under a name that nobody can guess. It goes when its
visitor leaves or replaces it, and at the latest after an hour, also when the process that made it has ended.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from methods.base import Assessment
from methods.data import direction_question, read_table
from methods.errors import InputError
from methods.images import Decoded
from methods.iqarag import opened_sets
from methods.iqarag.build import build, unrated
from methods.iqarag.encoders import OwnEncoder
from methods.iqarag.retrieval import bins_of
from methods.leaf.ratings import read_ratings
from methods.lmm.base import LMM
from ui.serving.settings import settings
from ui.serving.zips import Limits, unpack

MOST_PICTURES = 300
LIFETIME_SECONDS = 3600
"""A folder is deleted when its visitor leaves, and at the latest after this time."""

# --- folders ----------------------------------------------------------------------------------------------------------


def home() -> Path:
    """Where visitors' folders live."""
    return Path(tempfile.gettempdir()) / "mean-opinion-visitors"


@contextlib.contextmanager
def make() -> Iterator[Path]:
    """A new folder; what fails while it is filled leaves nothing behind. Old folders are swept first."""
    sweep()
    folder = home() / uuid.uuid4().hex
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def discard(path: str | None) -> None:
    """Deletes the folder in which a visitor's set or student lies; anything outside `home` is left alone.

    Args:
        path: `Received.folder` or `Calibrated.folder`.
    """
    if path and (folder := Path(path).resolve().parent).parent == home().resolve():
        opened_sets.forget(path)
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Deletes what has outlived its time, folders of an earlier process included."""
    if not home().is_dir():
        return
    for folder in home().iterdir():
        with contextlib.suppress(FileNotFoundError):  # another visitor's session was faster
            if time.time() - folder.stat().st_mtime > LIFETIME_SECONDS:
                discard(str(folder / "set"))


def small_table(path: str | Path) -> str | Path:
    """A table's path, where the file is small enough to be read here: 300 ratings take some kilobytes.

    Raises:
        InputError: it is not.
    """
    most = settings().table_mb
    if Path(path).stat().st_size > most * 10**6:
        raise InputError(f"A table of ratings may have {most} MB here; leave out other columns and rows, or use the "
                         "command line on a machine of your own.")
    return path


# --- words ------------------------------------------------------------------------------------------------------------

_ON_THE_PAGE = {
    "--scale LOW HIGH": "the field Scale", "--no-lower-is-better": "the direction higher is better",
    "--lower-is-better": "the direction lower is better", "--mos-column": "the title mos",
    "--name-column": "the title image",
}


def for_the_page(sentence: str) -> str:
    """What the reader of tables says, with the page's fields instead of the command line's options."""
    for option, field in _ON_THE_PAGE.items():
        sentence = sentence.replace(option, field)
    return sentence


@contextlib.contextmanager
def page_words() -> Iterator[None]:
    """Inside, errors of the table reader are reworded with `for_the_page`."""
    try:
        yield
    except InputError as error:
        raise InputError(for_the_page(str(error))) from error


# --- reference sets ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Received:
    """What became of a zip of rated images.

    Attributes:
        folder: of the set, for the option `reference_set`.
        count: references.
        by_bin: how many fall into each fifth of the quality range, worst first.
        problems: one sentence per image that was left out.
        notes: what was assumed or mended in the CSV.
    """

    folder: str
    count: int
    by_bin: tuple[int, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def build_reference_set(
    lmm: LMM, archive: str, scores: str | None, scale: tuple[float, float] | None = None,
    lower_is_better: bool | None = None,
) -> Received:
    """Unpacks a visitor's zip and builds a reference set from it.

    Args:
        lmm: its tower makes the features.
        archive: zip of images.
        scores: CSV of image,mos; None takes the only table inside the zip.
        scale: lowest and highest possible score; None guesses it.
        lower_is_better: the scores are DMOS; None reads it off the column's name.

    Raises:
        InputError: the zip or the table cannot be used.
    """
    with make() as folder:
        pictures = folder / "pictures"
        table = unpack(archive, pictures, Limits(MOST_PICTURES))
        if scores is None and table is None:
            raise InputError("Add a CSV with the columns image and mos, beside the zip or inside it.")
        # A visitor has no command line to allow it with, and sees every image that is left out.
        with page_words():
            read = read_table(small_table(scores or table), pictures, scale=scale, lower_is_better=lower_is_better,
                              allow_missing=True, allow_constant=True)
        result = build(read, folder / "set", OwnEncoder(lmm), title="your reference set",
                       problems=unrated(pictures, read), about={opened_sets.TEMPORARY: True})
    counts = bins_of(result.references.mos)
    return Received(
        folder=str(folder / "set"),
        count=len(result.references),
        by_bin=tuple(int((counts == number).sum()) for number in range(5)),
        problems=tuple(f"{problem.image}: {problem.reason}" for problem in result.problems),
        notes=tuple(map(for_the_page, read.notes)),
    )


# --- students ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calibrated:
    """What became of rated images; the images themselves are not kept.

    Attributes:
        folder: of the student, for `assess_with_student`.
        archive: the same as a zip, to keep.
        count: ratings used.
        srcc, plcc: cross-validated on photos that the student was not trained on, None below 8 of them.
        srcc_interval, plcc_interval: 95 %.
        before_srcc: rank correlation of the embedded student with the ratings, None where it is undefined.
        predicted, rated: the cross-validated predictions and the ratings in [0, 1], for a figure.
        scale: lowest and highest rating, so that 0 and 1 above can be shown in the visitor's units.
        notes: what was mended or assumed, and a warning where the ratings seem to run the other way.
        caveat: one sentence where the accuracy cannot be said, or not for all photos; else "".
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
    caveat: str = ""


def calibrate_student(pictures: Sequence[str], table: str, *, scale: tuple[float, float] | None = None,
                      lower_is_better: bool | None = None) -> Calibrated:
    """Calibrates the embedded student to a visitor's ratings.

    Args:
        pictures: paths of the uploads; their names are matched with the table's.
        table: path of the CSV.
        scale: lowest and highest possible rating; guessed where left out.
        lower_is_better: the ratings are DMOS; None reads it off the column's name.

    Raises:
        InputError: the images or the table cannot be used.
    """
    from methods.leaf.student import UNSEEN, Student

    if len(pictures) > MOST_PICTURES:
        raise InputError(f"At most {MOST_PICTURES} photos are taken here, got {len(pictures)}; calibrate larger sets "
                         "on your own machine with `mean-opinion leaf calibrate`.")
    with page_words():
        opinions = read_ratings(small_table(table), pictures, scale=scale, lower_is_better=lower_is_better,
                                allow_missing=True)
    student = Student.load(UNSEEN)
    views = student.views(opinions.paths)
    question = direction_question(opinions.mos01, student.predict(features=views[0]),
                                  lower_is_better=opinions.lower_is_better)
    student.calibrate(opinions.paths, opinions.mos01, features=views, scale=(0.0, 1.0))
    student.card |= {"name": "your student", "scale": list(opinions.scale)}
    fit = student.calibration
    measured = np.isfinite(fit.predicted) if fit.predicted is not None else np.zeros(fit.n, dtype=bool)
    predicted = np.clip(fit.predicted[measured], 0, 1) if fit.predicted is not None else np.zeros(0)
    if len(predicted):
        # Where a photo stands among the visitor's own, by scores that the student gave them without having seen them.
        student.card["population"] = {"name": f"the {len(predicted)} photos you rated",
                                      "quantiles": np.quantile(predicted, np.linspace(0, 1, 101)).round(4).tolist()}
    with make() as folder:
        saved = student.save(folder / "student")
        archive = shutil.make_archive(str(folder / "calibrated-student"), "zip", saved)
    return Calibrated(
        str(saved), archive, fit.n, fit.srcc, fit.plcc, fit.srcc_interval, fit.plcc_interval, fit.before_srcc,
        tuple(predicted.tolist()), tuple(opinions.mos01[measured].tolist()),
        tuple(map(for_the_page, (*opinions.notes, *([question] if question else [])))), opinions.scale, fit.caveat,
    )


def assess_with_student(image: str | Decoded, student: str | None = None, **options) -> Assessment:
    """Scores an image with a visitor's student, or with the embedded one.

    Raises:
        InputError: the visitor's student has been deleted.
        methods.images.ImageError: the file is not a usable image.
    """
    from methods.leaf.method import LEAF
    from methods.leaf.student import Student

    if student is None:
        return LEAF().assess(image, **options)
    if not Path(student).is_dir():
        raise InputError("Your student has been deleted; calibrate again, or choose the one that ships.")
    return LEAF(student=Student.load(student)).assess(image, **options)
