"""LEAF as a `Method`: the student's score, where in the image quality drops, and where the score stands.

It needs no LMM: the teacher has done its work before. `LEAF(student=...)` scores with a student of one's own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from methods.base import Evidence, Method, Options, Spread, Verdict, option
from methods.leaf import maps
from methods.levels import FIVE_LEVELS
from methods.work import Work

if TYPE_CHECKING:
    from methods.leaf.student import Student

_MARGIN = 0.05
"""Of the scale: so far beyond its ends a number is rounding, further it is an extrapolation."""


@dataclass(frozen=True)
class LEAFOptions(Options):
    map: bool = option(True, "Also score every neighbourhood of the image; a table of scores leaves it out.",
                       explains=True)


@dataclass(frozen=True)
class LEAFEvidence(Evidence):
    """Attributes:
    student: name and revision of the student.
    level: the score's word of five.
    percentile: share in [0, 100] of the reference population that scores lower, or None without a population.
    population: what that population is, or None.
    local: float [rows, columns] in [0, 1], the score of each neighbourhood, top row first, or None.
    mos: the score on the scale of the student's ratings.
    mos_scale: lowest and highest rating of that scale.
    off_scale: whether the student's own number lies beyond the scale and was set to its end.
    """

    student: str
    level: str
    percentile: float | None
    population: str | None
    local: np.ndarray | None
    mos: float
    mos_scale: tuple[float, float]
    off_scale: bool

    def spread(self, score: float) -> Spread | None:
        """From the worst neighbourhood to the best: how quality varies over the image, not how sure the student is."""
        if self.local is None:
            return None
        low, high = (min(max(float(end), 0.0), 1.0) for end in (self.local.min(), self.local.max()))
        return Spread(min(low, score), max(high, score), None, "from its worst to its best neighbourhood")

    def reason(self, score: float) -> str:
        """Where the score stands in the population, and how quality varies over the image."""
        parts = []
        if self.percentile is not None:
            parts.append(f"better than {self.percentile:.0f} % of {self.population}")
        if self.local is not None:
            parts.append(f"neighbourhoods from {float(self.local.min()):.2f} to {float(self.local.max()):.2f}")
        return ", ".join(parts)

    def map_over(self, image: Image.Image) -> Image.Image:
        """Orange where the student scores a neighbourhood below the mean, blue above it.

        Raises:
            ValueError: the neighbourhoods were not scored.
        """
        if self.local is None:
            raise ValueError("The option map was off, so there is no map.")
        return maps.overlay(image, self.local)


@functools.lru_cache(maxsize=4)
def _loaded(folder: str | None) -> Student:
    from methods.leaf.student import Student

    return Student.load(folder) if folder else Student.load()


class LEAF(Method[LEAFOptions]):
    """The distilled student.

    Args:
        student: a `Student`, the folder of a saved one, or a name of `methods.leaf.student.EMBEDDED_STUDENTS`; None
            takes the embedded student.
        options, more: changes to the defaults, and what every method takes.
    """

    name = "leaf"
    title = "LEAF"
    summary = "A small student network that scores in an instant, without an LMM, and learns your own rating scale."
    citation = """@article{li2026decoupling,
  title={Decoupling Perception and Calibration: Label-Efficient Image Quality Assessment Framework},
  author={Li, Xinyue and Zhang, Zhichao and Xu, Zhiming and Xu, Shubo and Min, Xiongkuo and Chen, Yitong and
          Zhai, Guangtao},
  journal={arXiv preprint arXiv:2601.20689},
  year={2026}
}"""
    needs_lmm = False
    training_free = False
    map_legend = "Orange: neighbourhoods that the student scores below the photo's mean; blue: above it."
    options = LEAFOptions()

    def __init__(self, lmm: None = None, student: Student | str | Path | None = None, *,
                 options: Mapping[str, object] | None = None, **more: object) -> None:
        super().__init__(lmm, options=options, **more)
        is_folder = student is None or isinstance(student, (str, Path))
        self.student = _loaded(str(student) if student is not None else None) if is_folder else student
        self._revision = self.student.revision

    @classmethod
    def passes(cls, options: LEAFOptions) -> float:
        """No LMM passes."""
        return 0.0

    @classmethod
    def work(cls, options: LEAFOptions, pixels: int, limit: int) -> Work:
        """The student's tower runs on the CPU."""
        return Work(seconds=1.0)

    @property
    def lmm_id(self) -> str:
        """The student's name and revision."""
        return f"{self.student.name}@{self._revision}"

    @property
    def trained_as(self) -> tuple[str, ...]:
        """The student that the first calibration began with."""
        return (self.student.root,)

    @property
    def label_sets(self) -> tuple[str, ...]:
        """The datasets that the student was calibrated with, as its card says."""
        return self.student.calibrated_with

    def has_learnt(self, image: Image.Image) -> bool:
        return self.student.has_learnt(image)

    def _assess(self, images: list[Image.Image], options: LEAFOptions) -> list[Verdict]:
        if options.map:
            features, local = self.student.features_and_maps(images)
        else:
            features, local = self.student.features(images), [None] * len(images)
        lines = self.student.head(features)
        return [self._verdict(scores, float(score), abs(float(line) - 0.5) > 0.5 + _MARGIN)
                for scores, score, line in zip(local, np.clip(lines, 0.0, 1.0), lines)]

    def _verdict(self, local: np.ndarray | None, score: float, off_scale: bool) -> Verdict:
        student = self.student
        percentile = student.percentile(score)
        population = student.card.get("population", {}).get("name")
        mos = float(student.to_mos(score))
        level = FIVE_LEVELS.word_for(score)
        evidence = LEAFEvidence(
            student=self.lmm_id, level=level, percentile=percentile, population=population, local=local, mos=mos,
            mos_scale=student.scale, off_scale=off_scale,
        )
        return Verdict(score=score, native_score=mos, native_range=student.scale, evidence=evidence,
                       explanation=_explanation(evidence, score))


def _explanation(evidence: LEAFEvidence, score: float) -> str:
    low, high = evidence.mos_scale
    text = (f"The student expects people to rate this photo **{evidence.mos:.3g}** on a scale from {low:g} to "
            f"{high:g}, which is {score:.2f} of 1: {evidence.level}.")
    if evidence.percentile is not None:
        text += f" That is better than {evidence.percentile:.0f} % of {evidence.population}."
    if evidence.off_scale:
        text += " Its own number lies beyond that scale: the photo is unlike those it learned from; trust this less."
    if evidence.local is not None and float(np.ptp(evidence.local)) > 0.1:
        rows, columns = evidence.local.shape
        row, column = np.unravel_index(int(np.argmin(evidence.local)), evidence.local.shape)
        vertical = ("top", "middle", "bottom")[min(3 * int(row) // rows, 2)]
        horizontal = ("left", "centre", "right")[min(3 * int(column) // columns, 2)]
        text += f" Quality drops most at the {vertical} {horizontal}."
    return text
