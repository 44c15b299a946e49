"""Where an image loses quality in the eyes of an LMM: its occlusion map under the plain five-level question, drawn.

Any LMM and any method that stands on it: the map is of the model, not of what a method adds to its question.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from methods.images import Decoded
from methods.lmm.base import LMM
from methods.lmm.saliency import LARGEST_SIDE, overlay, saliency
from methods.q_bench.prompts import QUESTIONS

GRID = 4
PASSES = GRID * GRID + 1


@dataclass(frozen=True)
class Where:
    """Attributes:
    picture: the image, at most 768 pixels per side, under its map: orange where it loses quality, blue where it holds.
    worst: which part loses most, in words.
    loss: by how much of the score that part lies below the image's median part, at least 0.
    """

    picture: Image.Image
    worst: str
    loss: float


def where(lmm: LMM, image: Decoded) -> Where:
    """The map of one image; `PASSES` questions.

    Raises:
        InputError: the image has fewer pixels per side than the map has parts.
        methods.lmm.LMMError: the model failed.
    """
    small = image.image.copy()
    small.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    question = QUESTIONS["five-level"]
    result = saliency(lmm, small, question.prompt, question.levels, grid=GRID)
    left, top, right, bottom = result.worst()
    place = part_of((left + right) / 2 / small.width, (top + bottom) / 2 / small.height)
    return Where(overlay(small, result.map), place, max(0.0, -float(result.patches.min())))


def part_of(x: float, y: float) -> str:
    """A place in an image in words, such as "top left"; x and y in [0, 1] from the left and from the top."""
    vertical, horizontal = (min(int(3 * value), 2) for value in (y, x))
    if vertical == horizontal == 1:
        return "centre"
    return f"{('top', 'middle', 'bottom')[vertical]} {('left', 'centre', 'right')[horizontal]}"
