"""Which parts of an image pulled its score down: occlusion maps for any LMM, prompt and set of words.

A patch is replaced by its own mean colour, softly at the border, and the question is asked again; the score's change
is the patch's contribution. An occluder is itself a flaw, so the change that all patches share is taken off: what
remains is how a patch differs from the rest of its image. All copies go to the LMM in one call, which lets a backend
batch them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from methods.errors import InputError
from methods.levels import LevelScheme
from methods.lmm.base import LMM
from methods.lmm.prompt import Prompt

LARGEST_SIDE = 768
"""Copies are made of the image at this size at most: an LMM sees no more of it, and memory stays small."""

Score = Callable[[np.ndarray], np.ndarray | float]


@dataclass(frozen=True)
class Saliency:
    """What each part of an image contributed to its score.

    Attributes:
        map: float32 [height, width] of the image, in units of the score: negative where the image pulled its
            score down, positive where it held it up, compared with its other parts.
        patches: float32 [rows, columns]: the same before it was spread over the pixels.
        score: of the whole image.
    """

    map: np.ndarray
    patches: np.ndarray
    score: float

    def worst(self) -> tuple[int, int, int, int]:
        """The patch that pulled the score down most, as (left, top, right, bottom) in pixels, exclusive."""
        row, column = np.unravel_index(int(np.argmin(self.patches)), self.patches.shape)
        tops, lefts = _edges(self.map.shape[0], self.patches.shape[0]), _edges(self.map.shape[1], self.patches.shape[1])
        return int(lefts[column]), int(tops[row]), int(lefts[column + 1]), int(tops[row + 1])


def saliency(lmm: LMM, image: Image.Image, prompt: Callable[[Image.Image], Prompt], words: Sequence[str] | LevelScheme,
             score: Score | None = None, grid: int = 4) -> Saliency:
    """Asks about the image, and about grid * grid copies of it that each lack one patch.

    Args:
        lmm: any model.
        image: RGB.
        prompt: makes the question about an image, for example `QUESTIONS["five-level"].prompt`.
        words: the candidate words, or a `LevelScheme`, whose expectation is then the score.
        score: logits float32 [n, words] -> scores [n]; needed unless `words` is a `LevelScheme`.
        grid: patches per side, 2 to 16; the cost is grid * grid + 1 questions.

    Raises:
        InputError: a grid out of bounds, or an image with fewer pixels per side than patches.
        ValueError: words without a score.
        methods.lmm.LMMError: the model failed.
    """
    if not 2 <= grid <= 16:
        raise InputError(f"A saliency map has 2 to 16 patches per side; got {grid}.")
    if isinstance(words, LevelScheme):
        if score is None:
            score = words.expectation
        words = words.words
    if score is None:
        raise ValueError("Plain words need a function that turns their logits into a score.")
    if min(image.size) < grid:
        raise InputError(f"The image has {image.width} x {image.height} pixels, too few for {grid} x {grid} patches.")
    small = _shrunk(image)
    copies = [small, *occluded(np.asarray(small.convert("RGB")), grid)]
    scores = np.asarray(score(lmm.word_logits([prompt(part) for part in copies], list(words))), np.float64)
    whole, without = float(scores[0]), scores[1:]
    # Taking a bad patch away helps: its contribution is what the score loses by it.
    contribution = whole - without
    patches = (contribution - np.median(contribution)).reshape(grid, grid).astype(np.float32)
    return Saliency(spread(patches, (image.height, image.width)), patches, whole)


def occluded(image: np.ndarray, grid: int) -> list[Image.Image]:
    """Copies of uint8 RGB [H, W, 3], each with one patch softly replaced by its mean colour; row by row."""
    height, width = image.shape[:2]
    tops, lefts = _edges(height, grid), _edges(width, grid)
    soft = max(1.0, min(height, width) / grid / 12)
    copies = []
    for top, bottom in itertools.pairwise(tops):
        for left, right in itertools.pairwise(lefts):
            mask = np.zeros((height, width), np.float32)
            mask[top:bottom, left:right] = 1
            mask = gaussian_filter(mask, soft)[..., None]
            colour = image[top:bottom, left:right].reshape(-1, 3).mean(axis=0)
            copies.append(Image.fromarray(np.rint(image * (1 - mask) + colour * mask).astype(np.uint8)))
    return copies


def spread(patches: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Patch values [rows, columns] over the pixels of [height, width], smoothly: float32."""
    image = Image.fromarray(np.asarray(patches, np.float32), mode="F")
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), np.float32)


def overlay(image: Image.Image, values: np.ndarray, full_scale: float | None = None, opacity: float = 0.55
            ) -> Image.Image:
    """The image under its map: orange where it pulled the score down, blue where it held it up.

    Args:
        image: RGB.
        values: float [height, width] of the image, as `Saliency.map`.
        full_scale: the value that is shown at full opacity; by default the map's largest, but at least 0.02, so that
            an image whose parts do not differ stays uncoloured.
        opacity: in [0, 1], of the strongest colour.

    Raises:
        ValueError: the map is not of the image's size.
    """
    if values.shape != (image.height, image.width):
        height, width = values.shape
        raise ValueError(f"The map is {width} x {height} pixels, the image {image.width} x {image.height}.")
    scale = full_scale or max(float(np.abs(values).max()), 0.02)
    strength = np.clip(np.abs(values) / scale, 0, 1)[..., None] * opacity
    colour = np.where(values[..., None] < 0, np.array((230, 97, 1), np.float32), np.array((33, 102, 172), np.float32))
    base = np.asarray(image.convert("RGB"), np.float32)
    return Image.fromarray(np.rint(base * (1 - strength) + colour * strength).astype(np.uint8))


def _edges(length: int, count: int) -> np.ndarray:
    return np.rint(np.linspace(0, length, count + 1)).astype(int)


def _shrunk(image: Image.Image) -> Image.Image:
    scale = LARGEST_SIDE / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
