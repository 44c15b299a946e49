"""What Q-Debias found out about one image, and the degraded images that it asked about.

A degraded image follows from the query, the setting and the seed, so the evidence holds the query alone and makes
the others when they are looked at: a folder of thousands of results stays as small as its images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from methods.evidence import Evidence, Spread, deviation, movement
from methods.q_debias.distortions import DISTORTIONS, SETTINGS
from methods.q_debias.others import content_number, other_image


@dataclass(frozen=True)
class Condition:
    """One conditional image and what the LMM said about it.

    Attributes:
        distortion: its name in `distortions.DISTORTIONS`.
        logits: of good, poor, yes and no; the first two from the quality question, the others from the similarity
            question.
        quality: p(y | x, x'_i), the probability of good against poor (Eq. 8).
        similarity: w_i, the probability of yes against no (Eq. 11).
        ssim: to the query, where the aggregation asks for it, else None.
        weight: p(x'_i | x), its share in the score (Eq. 10); all conditions' sum to 1.
        effect: the score minus what the other conditions alone would give; None if there is no other.
    """

    distortion: str
    logits: tuple[float, float, float, float]
    quality: float
    similarity: float
    ssim: float | None
    weight: float
    effect: float | None


@dataclass(frozen=True)
class DebiasEvidence(Evidence):
    """Attributes:
    query: the image that was scored.
    score: the debiased score (Eq. 9).
    vanilla: the score of the query alone, by Q-Bench's prompt (Eq. 1).
    vanilla_logits: of good and poor.
    conditions: one a distortion, in the order of the options.
    aggregation: how the conditions were weighed.
    prompt: the variant of the quality question, "full" or one of Table 4.
    setting: whose constants degraded the images, "paper" or "code".
    consistent: True for degraded versions of the query itself, False for those of other images.
    seed: of the degradation's noise.
    transcripts: the three prompts as text, by "condition", "similarity" and "vanilla".
    """

    query: Image.Image
    score: float
    vanilla: float
    vanilla_logits: tuple[float, float]
    conditions: tuple[Condition, ...]
    aggregation: str
    prompt: str
    setting: str
    seed: int
    transcripts: dict[str, str]
    consistent: bool = True

    def degraded(self, distortion: str) -> Image.Image:
        """The degraded image, pixel for pixel as the LMM saw it."""
        return condition_image(self.query, distortion, self.setting, self.seed, self.consistent)

    def spread(self, score: float) -> Spread:
        """From the lowest condition to the highest."""
        values = [condition.quality for condition in self.conditions]
        weights = [condition.weight for condition in self.conditions]
        return Spread(min(values), max(values), deviation(values, weights, score),
                      "from its lowest to its highest condition")

    def reason(self, score: float) -> str:
        """What the degraded copies changed, and which of them most."""
        change = f"{movement(self.vanilla, self.score)} beside degraded copies"
        effects = {one.distortion: abs(one.effect) for one in self.conditions if one.effect is not None}
        if not effects:
            return change
        return f"{change}, most by {max(effects, key=lambda name: effects[name]).replace('_', ' ')}"


def condition_image(image: Image.Image, distortion: str, setting: str = "paper", seed: int = 0,
                    consistent: bool = True) -> Image.Image:
    """The conditional image x'_i of a query: a degraded version of it, or (Table 3, exp 8) of another image.

    Args:
        image, distortion, setting, seed: as `degrade`.
        consistent: False takes an image of the shipped reference set in place of the query.
    """
    return degrade(image if consistent else other_image(image, distortion, seed), distortion, setting, seed)


def degrade(image: Image.Image, distortion: str, setting: str = "paper", seed: int = 0) -> Image.Image:
    """A conditional image x'_i of the query.

    The noise is drawn from a generator that follows from the image's pixels, the seed and the distortion, so that a
    score repeats wherever and in whatever company the image is scored.

    Args:
        image: RGB.
        distortion: a name in `distortions.DISTORTIONS`.
        setting: "paper" or "code".
        seed: at least 0.

    Returns:
        RGB of the same size.
    """
    pixels = np.asarray(image.convert("RGB"))
    rng = np.random.default_rng([seed, content_number(pixels), list(DISTORTIONS).index(distortion)])
    distorted = DISTORTIONS[distortion](
        np.multiply(pixels, np.float32(1 / 255)), rng=rng, **SETTINGS[setting][distortion]
    )
    distorted *= np.float32(255)
    return Image.fromarray(np.rint(distorted, out=distorted).astype(np.uint8))
