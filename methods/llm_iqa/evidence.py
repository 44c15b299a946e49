"""What LLM-IQA saw: the image's and every region's digit, per LMM, and how they add up.

The evidence holds everything that the final score follows from, so a slider can change lambda, the reading or an
LMM's weight and have the new score at once: `LLMIQAEvidence.total` asks no model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from methods.evidence import Evidence, Spread
from methods.levels import LevelScheme
from methods.llm_iqa import aggregation


@dataclass(frozen=True)
class DigitScore:
    """One image or region in one LMM's eyes.

    Attributes:
        digit: the likeliest one, 1..K (the paper's reading); without a standard the number that the model stated.
        expected: the expectation over the digit probabilities, in [1, K] (ours); without a standard the same number.
        probabilities: of the digits K..1, in the standard's order (best first); they sum to 1. Without a standard ().
    """

    digit: int | float
    expected: float
    probabilities: tuple[float, ...]

    @classmethod
    def from_logits(cls, logits: np.ndarray, levels: LevelScheme) -> DigitScore:
        """Args: logits float [K], in the order of `levels.words`. Of equal logits the higher digit counts."""
        probabilities = levels.probabilities(logits)
        return cls(
            digit=int(levels.words[int(np.argmax(probabilities))]),
            expected=levels.expectation(logits),
            probabilities=tuple(float(value) for value in probabilities),
        )

    def read(self, reading: str) -> float:
        """The score under a reading: "argmax" or "expectation"."""
        return float(self.digit) if reading == "argmax" else self.expected


@dataclass(frozen=True)
class RegionEvidence:
    """Attributes:
    box: (left, top, right, bottom) in pixels, right and bottom exclusive.
    area: pixels in the mask.
    weight: what the region counts in the local score; all sum to 1.
    complement: True for what no mask covered.
    outline: polygons of (x, y) points in the image's pixels.
    anchor: (x, y) deepest inside the mask, where its label stands.
    crop: the region as the LMM saw it, reduced for display.
    """

    box: tuple[int, int, int, int]
    area: int
    weight: float
    complement: bool
    outline: tuple[tuple[tuple[float, float], ...], ...]
    anchor: tuple[float, float]
    crop: Image.Image


@dataclass(frozen=True)
class LMMScores:
    """One LMM's digits. `whole` is None where only regions are scored; `regions` is empty where only the whole is."""

    lmm: str
    whole: DigitScore | None
    regions: tuple[DigitScore, ...]


@dataclass(frozen=True)
class Total:
    """Attributes:
    global_, local: means over the LMMs, on the digits' scale 1..K; None where that part is not scored.
    final: on the scale `bounds`.
    per_lmm: each LMM's final score, in order.
    bounds: lowest and highest final score.
    score: `final` as a fraction of `bounds`.
    lam: the lambda that was used.
    weighted: True if the LMMs do not count equally.
    """

    global_: float | None
    local: float | None
    final: float
    per_lmm: tuple[float, ...]
    bounds: tuple[float, float]
    score: float
    lam: float
    weighted: bool


@dataclass(frozen=True)
class LLMIQAEvidence(Evidence):
    """Attributes:
    picture: reduced for display.
    size: (width, height) of the image that was segmented, which boxes and outlines refer to.
    segmenter: who made the masks; "none" where only the whole image is scored.
    standard: each level as the model was told, best first; () where there was none.
    regions: in the order of `LMMScores.regions`; the complement is last.
    lmms: one entry an LMM of the ensemble.
    k, lam, reading, weighting, code_aggregation: the settings that the score follows from; without a standard, k is
        the highest number that may be stated.
    total: the result under these settings.
    """

    picture: Image.Image
    size: tuple[int, int]
    segmenter: str
    standard: tuple[str, ...]
    regions: tuple[RegionEvidence, ...]
    lmms: tuple[LMMScores, ...]
    k: int
    lam: float
    reading: str
    weighting: str
    code_aggregation: bool
    total: Total | None = None

    @property
    def passes(self) -> int:
        """Prompts that were read: the regions and the whole, by every LMM."""
        return sum(len(scores.regions) + (scores.whole is not None) for scores in self.lmms)

    def with_total(self) -> LLMIQAEvidence:
        """A copy whose `total` follows from its own settings."""
        return replace(self, total=self.rescored())

    def rescored(self, *, lam: float | None = None, reading: str | None = None,
                 lmm_weights: tuple[float, ...] | None = None) -> Total:
        """The score under another lambda, reading or weighting of the LMMs; no model is asked.

        Args:
            lam: at least 0; None keeps the evidence's own.
            reading: "argmax" or "expectation"; None keeps the evidence's own.
            lmm_weights: one a LMM, not negative, not all 0; None weighs them equally.

        Raises:
            ValueError: weights that do not fit.
        """
        lam = self.lam if lam is None else lam
        reading = reading or self.reading
        parts = [self._parts(scores, reading) for scores in self.lmms]
        finals = tuple(self._final(whole, local, lam) for whole, local in parts)
        bounds = aggregation.native_range(
            self.k, uses_global=parts[0][0] is not None, uses_local=parts[0][1] is not None, lam=lam,
            code=self.code_aggregation, lowest=1 if self.standard else 0,
        )
        final = aggregation.ensemble(finals, lmm_weights)
        means = [None if side[0] is None else aggregation.ensemble(side, lmm_weights) for side in zip(*parts)]
        weighted = lmm_weights is not None and len(set(lmm_weights)) > 1
        return Total(means[0], means[1], final, finals, bounds, aggregation.rescale(final, bounds), lam, weighted)

    def spread(self, score: float) -> Spread | None:
        """From the worst region to the best: how quality varies over the image, not how sure the method is."""
        values = self._qualities()
        return Spread(min(values), max(values), None, "from its worst to its best region") if values else None

    def reason(self, score: float) -> str:
        """The range of the regions and what the worst one counts."""
        values = self._qualities()
        if not values:
            return "it scored the whole image only"
        worst = int(np.argmin(values))
        return (f"its {len(values)} regions score {min(values):.2f} to {max(values):.2f}, the worst on "
                f"{self.regions[worst].weight:.0%} of the weight")

    def _qualities(self) -> list[float]:
        """Each region's mean digit over the LMMs, as a fraction of the scale 1..K."""
        digits = [[region.read(self.reading) for region in lmm.regions] for lmm in self.lmms if lmm.regions]
        return [float((np.mean(region) - 1) / (self.k - 1)) for region in zip(*digits)]

    def _parts(self, scores: LMMScores, reading: str) -> tuple[float | None, float | None]:
        whole = scores.whole.read(reading) if scores.whole else None
        if not scores.regions:
            return whole, None
        digits = [one.read(reading) for one in scores.regions]
        return whole, aggregation.local_score(digits, [one.area for one in self.regions], self.weighting)

    def _final(self, whole: float | None, local: float | None, lam: float) -> float:
        if whole is None or local is None:
            return float(local if whole is None else whole)
        if self.code_aggregation:
            return aggregation.code_final_score(whole, local, len(self.regions))
        return aggregation.final_score(whole, local, lam)
