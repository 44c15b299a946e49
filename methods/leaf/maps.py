"""Where the quality drops: the student's score of every neighbourhood, laid over the picture.

The head is applied to the statistics of a window of the tower's last maps instead of those of the whole picture, so
the map says what the student would think of that neighbourhood alone. It is an explanation of this student, not a
measurement: a plain sky has few activations wherever it is.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def overlay(image: Image.Image, local: np.ndarray, strength: float = 0.55) -> Image.Image:
    """The picture with its worse parts tinted orange and its better parts blue, about the picture's own mean.

    Args:
        image: RGB.
        local: float [rows, columns] in [0, 1], from `Student.local_scores`.
        strength: opacity of the strongest tint, in [0, 1].

    Returns:
        RGB, at most 1,024 pixels on its longest side.
    """
    shown = image.convert("RGB")
    shown.thumbnail((1024, 1024))
    heat = relative(local)
    field = Image.fromarray(heat.astype(np.float32)).resize(shown.size, Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(field), -1, 1)[..., None]
    # Orange and blue, which people who see red and green alike can tell apart.
    tint = np.where(heat < 0, np.array([230.0, 97.0, 1.0]), np.array([33.0, 102.0, 172.0]))
    alpha = strength * np.abs(heat)
    pixels = np.asarray(shown, dtype=np.float64)
    return Image.fromarray(np.rint(pixels * (1 - alpha) + tint * alpha).astype(np.uint8))


def relative(local: np.ndarray) -> np.ndarray:
    """Local scores minus their mean, divided by the largest difference or 0.1, whichever is more: float in [-1, 1]."""
    difference = np.asarray(local, dtype=np.float64) - np.mean(local)
    return difference / max(float(np.abs(difference).max()), 0.1)


def worst_box(local: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The worst cell as (left, top, right, bottom) in pixels of a picture of `size` (width, height)."""
    rows, columns = local.shape
    row, column = np.unravel_index(int(np.argmin(local)), local.shape)
    width, height = size
    return (round(column * width / columns), round(row * height / rows),
            round((column + 1) * width / columns), round((row + 1) * height / rows))
