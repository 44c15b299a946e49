"""A rated image, and a sequence of them on one scale: what every table, dataset and training set is read into."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from methods.errors import InputError
from methods.files import hash_joined

_SCALES = ((0.0, 1.0), (1.0, 5.0), (0.0, 5.0), (1.0, 10.0), (0.0, 10.0), (0.0, 100.0))
_ROUNDING = 1e-9  # share of the scale by which low + high - d may leave it


def rescaled(value: ArrayLike, low: float, high: float) -> NDArray[np.float64]:
    """Opinions on a scale from `low` to `high`, as shares of it: (value - low) / (high - low), float64 as `value`."""
    return (np.asarray(value, dtype=np.float64) - low) / (high - low)


@dataclass(frozen=True)
class RatedPicture:
    """One image and what people thought of it.

    Attributes:
        name: as its source names it; unique in a `RatedPictures`.
        path: the file; None where it is not there.
        mos: mean opinion score in the units of its source, turned so that higher is better.
        std: standard deviation of the opinions, where it is published.
        group: the content or pristine image that it was made from, so that a split can keep them together; else "".
        split: the authors' own part ("training", "validation", "test"), where there is one, or a paper's
            ("visualquality-r1-test").
        fold: the part that it was left out with, where every image is scored by a model trained without it.
        dataset: the set that it belongs to, where images of several are handed on together.
    """

    name: str
    path: Path | None
    mos: float
    std: float | None = None
    group: str = ""
    split: str = ""
    fold: int | None = None
    dataset: str = ""

    def __post_init__(self) -> None:
        # Readers hand over what their format gives, such as numpy's scalars, whose text form no other program reads.
        object.__setattr__(self, "name", str(self.name))
        object.__setattr__(self, "path", None if self.path is None else Path(self.path))
        object.__setattr__(self, "mos", float(self.mos))
        object.__setattr__(self, "std", None if self.std is None else float(self.std))
        object.__setattr__(self, "fold", None if self.fold is None else int(self.fold))


@dataclass(frozen=True)
class RatedPictures(Sequence[RatedPicture]):
    """Rated images on one scale, each once, in the order of their source.

    Attributes:
        pictures: n of them.
        low, high: ends of the scale of the opinions.
        dataset: slug under which results are recorded.
        split: which part of it; "all" for the whole.
        notes: what was understood, assumed or left out, one sentence each.
        lower_is_better: the source holds scores where lower is better (DMOS); a score d stands here as low + high - d.

    Raises:
        InputError: the scale does not run from a lower to a higher number, an opinion is outside it, or a name or a
            file is there twice.
    """

    pictures: tuple[RatedPicture, ...]
    low: float
    high: float
    dataset: str = ""
    split: str = "all"
    notes: tuple[str, ...] = ()
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "pictures", tuple(self.pictures))
        object.__setattr__(self, "notes", tuple(self.notes))
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"A scale of opinions runs from a lower to a higher number; got {self.low:g} to "
                             f"{self.high:g}.")
        names: set[str] = set()
        paths: dict[Path, str] = {}
        for picture in self.pictures:
            self.rescale(picture.mos, picture.name)
            if picture.name in names:
                raise InputError(f"{picture.name!r} is rated twice; keep one opinion per image.")
            names.add(picture.name)
            other = paths.setdefault(picture.path, picture.name) if picture.path is not None else picture.name
            if other != picture.name:
                raise InputError(f"{other!r} and {picture.name!r} name the same file {picture.path}; keep one of them.")

    @overload
    def __getitem__(self, index: int) -> RatedPicture: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RatedPicture, ...]: ...
    def __getitem__(self, index: int | slice) -> RatedPicture | tuple[RatedPicture, ...]:
        return self.pictures[index]

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[RatedPicture]:
        return iter(self.pictures)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images, [n]."""
        return tuple(picture.name for picture in self.pictures)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of the images, [n].

        Raises:
            InputError: an image has no file.
        """
        if absent := self.missing:
            raise InputError(f"{absent[0].name!r} has no file; leave images without one out.")
        return tuple(picture.path for picture in self.pictures if picture.path is not None)

    @property
    def mos(self) -> NDArray[np.float64]:
        """float64 [n], in the units of the source, higher is better."""
        return np.array([picture.mos for picture in self.pictures], dtype=np.float64)

    @property
    def mos01(self) -> NDArray[np.float64]:
        """float64 [n] in [0, 1], higher is better."""
        return np.array([self.rescale(picture.mos) for picture in self.pictures], dtype=np.float64)

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest possible opinion."""
        return self.low, self.high

    def rescale(self, value: float, name: str = "") -> float:
        """An opinion, higher is better, as MOS in [0, 1]: (value - low) / (high - low).

        Raises:
            InputError: it is not a number on the scale.
        """
        share = float(rescaled(value, self.low, self.high))
        if not -_ROUNDING <= share <= 1 + _ROUNDING:  # NaN fails too
            published = self.low + self.high - value if self.lower_is_better else value
            raise InputError(f"The opinion {published:g}{f' of {name!r}' if name else ''} is outside the scale "
                             f"{self.low:g} to {self.high:g}; give the right one with --scale LOW HIGH, or mend it.")
        return min(max(share, 0.0), 1.0)

    @property
    def digest(self) -> str:
        """Hash of names and opinions: a run goes on only with the ones that it began with."""
        text = "\n".join(f"{picture.name}\t{picture.mos!r}" for picture in self.pictures)
        return hash_joined([text])

    @property
    def missing(self) -> tuple[RatedPicture, ...]:
        """The images without a file."""
        return tuple(picture for picture in self.pictures if picture.path is None)

    @property
    def present(self) -> RatedPictures:
        """The images with a file."""
        return self.subset([row for row, picture in enumerate(self.pictures) if picture.path is not None])

    def subset(self, indices: ArrayLike) -> RatedPictures:
        """Some of the images, by their rows (int [m]), in the order of `indices`."""
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        return dataclasses.replace(self, pictures=tuple(self.pictures[row] for row in rows))


def usual_scale(mos: ArrayLike) -> tuple[float, float]:
    """The first of the usual scales that holds all opinions: 0-1, 1-5, 0-5, 1-10, 0-10, 0-100, else their own range."""
    low, high = float(np.min(mos)), float(np.max(mos))
    for bottom, top in _SCALES:
        if bottom <= low and high <= top:
            return bottom, top
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def direction_question(mos01: Sequence[float] | NDArray[np.float64], scores: Sequence[float] | NDArray[np.float64], *,
                       lower_is_better: bool = False, threshold: float = -0.2) -> str | None:
    """A question to the user where opinions run against a method's scores, which a wrong direction would explain.

    It is never acted on: a method can also be bad, and a table that is turned round to please it proves nothing.

    Args:
        mos01: opinions [n], as they were taken: higher is better.
        scores: of the same images, [n], higher is better.
        lower_is_better: what was assumed of the table (`RatedPictures.lower_is_better`).
        threshold: SRCC below which to ask; fewer than 8 images never ask.
    """
    from methods.agreement.metrics import srcc

    if len(mos01) < 8 or np.ptp(mos01) == 0 or np.ptp(scores) == 0:
        return None
    correlation = srcc(list(scores), list(mos01))
    if not correlation < threshold:
        return None
    assumed, other, option = ("lower", "higher", "--no-lower-is-better") if lower_is_better else \
        ("higher", "lower, as with DMOS,", "--lower-is-better")
    return (f"The opinions fall where the scores rise (SRCC {correlation:.2f} on {len(mos01)} images). It was "
            f"assumed that {assumed} is better in the table; is {other} better? Then give {option}.")
