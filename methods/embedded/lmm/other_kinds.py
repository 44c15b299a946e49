"""Images of kinds that the embedded LMM was not trained on: how far its scores mean anything there.

Nobody has rated these images, so two things are measured that need no ratings: what an intact one scores, and
whether scores fall as a known damage grows (SRCC of score and strength over levels 0 to 5, one image and damage at a
time). Pages of text and screens are drawn here; under water is where pristine photos are put by Jaffe and McGlamery's
model without forward scattering: light is lost colour by colour with the distance, and a veil takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from methods.kadid.distortions import LEVELS, distort

if TYPE_CHECKING:
    from methods.lmm.base import LMM

SIZE = 640

DAMAGES = ("GBLUR", "JPEG", "AWGN")

WORDS = ("the", "quality", "of", "this", "page", "is", "easy", "to", "see", "when", "its", "letters", "are", "sharp",
         "and", "paper", "even", "in", "tone")

ATTENUATION = (0.25, 0.75, 0.85)
"""Share of red, green and blue light that is left over the way."""

VEIL = (0.05, 0.35, 0.45)


def page(seed: int) -> np.ndarray:
    """Black text in several sizes on white: uint8 [SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (SIZE, SIZE), "white")
    pen, top = ImageDraw.Draw(image), 24
    while top < SIZE - 40:
        size = int(rng.integers(13, 26))
        words = " ".join(rng.choice(WORDS, 80 // (size // 4)))
        pen.text((28, top), words, "black", font=ImageFont.load_default(size))
        top += round(1.5 * size)
    return np.array(image)


def screen(seed: int) -> np.ndarray:
    """A drawn program: panels, buttons, a table and text. uint8 [SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    colours = [tuple(int(value) for value in rng.integers(40, 236, 3)) for _ in range(6)]
    image = Image.new("RGB", (SIZE, SIZE), (244, 245, 247))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, SIZE, 44), fill=colours[0])
    pen.rectangle((0, 44, 150, SIZE), fill=(228, 231, 236))
    for row in range(9):
        pen.rounded_rectangle((14, 60 + 60 * row, 136, 100 + 60 * row), 8, fill=colours[1 + row % 5])
        pen.text((24, 71 + 60 * row), str(rng.choice(WORDS)), "white", font=ImageFont.load_default(16))
    for row in range(22):
        pen.line((170, 70 + 25 * row, SIZE - 20, 70 + 25 * row), fill=(205, 209, 216))
        pen.text((176, 74 + 25 * row), " ".join(rng.choice(WORDS, 9)), (40, 44, 52), font=ImageFont.load_default(14))
    return np.array(image)


def under_water(image: np.ndarray) -> np.ndarray:
    """The image through a few metres of water: uint8 [H, W, 3] to the same."""
    depth = np.linspace(1.4, 0.6, len(image))[:, None, None]
    left = np.asarray(ATTENUATION) ** depth
    return np.clip(np.rint(image * left + 255 * np.asarray(VEIL) * (1 - left)), 0, 255).astype(np.uint8)


def photo(path: Path) -> np.ndarray:
    """A pristine photo, at most SIZE pixels per side."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.array(image)


def measure(lmm: LMM, photos: Sequence[Path], count: int = 6) -> dict[str, dict[str, object]]:
    """Per kind of image: mean five-level score in [0, 1] of intact ones, and per damage the mean SRCC with strength.

    Args:
        lmm: a TransformersLMM with the embedded weights.
        photos: pristine photos, held out from training.
        count: images of each kind.
    """
    from methods.agreement.metrics import srcc
    from methods.q_bench.method import QBench

    pristine = [photo(path) for path in photos[:count]]
    kinds = {"photo": pristine, "text page": [page(seed) for seed in range(count)],
             "screen": [screen(seed) for seed in range(count)],
             "under water": [under_water(image) for image in pristine]}
    method = QBench(lmm=lmm, question="five-level")
    result: dict[str, dict[str, object]] = {}
    for kind, images in kinds.items():
        intact = [verdict.score for verdict in method.assess_batch([Image.fromarray(image) for image in images])]
        ranks = {}
        for damage in DAMAGES:
            falls = []
            for number, (image, before) in enumerate(zip(images, intact)):
                hurt = [Image.fromarray(distort(image, damage, level, rng=np.random.default_rng(number)))
                        for level in LEVELS]
                scores = [before, *(verdict.score for verdict in method.assess_batch(hurt))]
                falls.append(srcc(np.array(scores), -np.arange(len(scores), dtype=float)))
            ranks[damage] = float(np.mean(falls))
        result[kind] = {"intact": float(np.mean(intact)), "falls with": ranks}
    return result
