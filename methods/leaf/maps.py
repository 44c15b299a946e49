"""Where the quality drops: the student's score of every neighbourhood, laid over the image.

The head is applied to the statistics of a window of the tower's last maps instead of those of the whole image, so
the map says what the student would think of that neighbourhood alone. It is an explanation of this student, not a
measurement: a plain sky has few activations wherever it is.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

WORSE, BETTER = (230, 97, 1), (33, 102, 172)
"""Orange and blue, which people who see red and green alike can tell apart."""

LONGEST_SIDE = 1024
STRENGTH = 0.72
_LEAST_REACH = 0.1  # in score units; below it an image counts as even, and its small differences stay pale
_MIDDLE = 150.0  # grey


def overlay(image: Image.Image, local: np.ndarray, strength: float = STRENGTH) -> Image.Image:
    """The image in grey, its worse parts tinted orange and its better parts blue, about the mean of its parts.

    The image's own colours would be taken for the map's; grey with half its contrast leaves shapes and tints alone.

    Args:
        image: RGB.
        local: float [rows, columns] in [0, 1], from `Student.local_scores`.
        strength: opacity of the strongest tint, in [0, 1].

    Returns:
        RGB, at most `LONGEST_SIDE` pixels on its longest side.
    """
    small = image.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    field = Image.fromarray(relative(local).astype(np.float32)).resize(small.size, Image.Resampling.BICUBIC)
    grey = 0.5 * np.asarray(small.convert("L"), dtype=np.float64) + 0.5 * _MIDDLE
    return Image.fromarray(np.rint(_tinted(grey[..., None], np.asarray(field)[..., None], strength)).astype(np.uint8))


def colour(heat: float, strength: float = STRENGTH) -> tuple[int, int, int]:
    """RGB of a value of `relative` on middle grey, for a legend."""
    red, green, blue = np.rint(_tinted(np.array([_MIDDLE]), np.array([heat]), strength)).astype(int)
    return int(red), int(green), int(blue)


def relative(local: np.ndarray) -> np.ndarray:
    """Local scores minus their mean, divided by the largest difference or 0.1, whichever is more: float in [-1, 1]."""
    difference = np.asarray(local, dtype=np.float64) - np.mean(local)
    return difference / max(float(np.abs(difference).max()), _LEAST_REACH)


def _tinted(grey: np.ndarray, heat: np.ndarray, strength: float) -> np.ndarray:
    heat = np.clip(heat, -1, 1)
    alpha = strength * np.abs(heat)
    return grey * (1 - alpha) + np.where(heat < 0, np.array(WORSE, float), np.array(BETTER, float)) * alpha
