"""Plasma by the diamond-square algorithm: the fog of ImageNet-C, for an image of any shape.

ImageNet-C draws its fog on a square whose side is a power of two and cuts the image's corner out of it. That is
kept wherever the square is affordable. A panorama, or a line of pixels, would need a square far larger than itself;
there the same algorithm runs on a rectangle whose sides are both powers of two: while one side is still a single
cell, only the other is subdivided, by the midpoint rule to which diamond-square reduces in one dimension.
"""

from __future__ import annotations

import numpy as np

MAX_WASTE = 8
"""A square map may hold at most this many times the image's pixels before the rectangle takes over ..."""

ALWAYS_SQUARE = 1 << 20
"""... but a map of this many points or fewer is always square."""

INITIAL_WIBBLE = 100.0
"""ImageNet-C's first amplitude. The result is normalised, so only its ratio to the later ones matters."""


def plasma(height: int, width: int, *, rng: np.random.Generator, decay: float) -> np.ndarray:
    """Cloud-like noise (Q-Debias section 3.2.1, fog; ImageNet-C's fractal).

    Args:
        height, width: of the image, in pixels, at least 1.
        rng: draws the noise; every level takes its squares first, then its two kinds of diamonds.
        decay: above 1; the amplitude is divided by its square from one level to the next, so that a smaller value
            gives grainier fog.

    Returns:
        float32 [height, width] within [0, 1]; the whole map, of which this is the top left corner, spans [0, 1].

    Raises:
        ValueError: a side below 1, or a decay that is not above 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"Fog needs at least one pixel; got {height} x {width}.")
    if not decay > 1:
        raise ValueError(f"The decay of the fog must be above 1; got {decay}.")
    points = diamond_square(*map_shape(height, width), rng=rng, decay=decay)
    lowest, highest = float(points.min()), float(points.max())
    cut = points[:height, :width] - np.float32(lowest)
    cut /= np.float32(highest - lowest)
    return np.minimum(cut, 1.0, out=cut)


def map_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the map that an image is cut from: powers of two, and equal unless that is a great waste."""
    # At least four points per side: a single point has no range to normalise by.
    side = next_power_of_two(max(height, width, 4))
    if side * side <= max(ALWAYS_SQUARE, MAX_WASTE * height * width):
        return side, side
    return next_power_of_two(height), next_power_of_two(width)


def next_power_of_two(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def diamond_square(rows: int, columns: int, *, rng: np.random.Generator, decay: float) -> np.ndarray:
    """The heights of a plasma on a torus, float32 [rows, columns], not normalised; both sides are powers of two."""
    step = max(rows, columns)
    grid = np.zeros((max(rows // step, 1), max(columns // step, 1)), dtype=np.float32)
    wibble = INITIAL_WIBBLE
    while step >= 2:
        both = step <= min(rows, columns)
        grid = _subdivide(grid, wibble, rng) if both else _subdivide_line(grid, columns > rows, wibble, rng)
        step //= 2
        wibble /= decay
    return grid


def _noise(shape: tuple[int, ...], wibble: float, rng: np.random.Generator) -> np.ndarray:
    # The amplitude is the square of the wibble, as in ImageNet-C.
    return wibble * rng.uniform(-wibble, wibble, shape)


def _subdivide(corners: np.ndarray, wibble: float, rng: np.random.Generator) -> np.ndarray:
    """One level: [n, m] corners become [2n, 2m] points; each new one is the mean of its four neighbours plus noise."""
    rows, columns = corners.shape
    points = np.empty((2 * rows, 2 * columns), dtype=np.float32)
    points[::2, ::2] = corners
    below = corners + np.roll(corners, -1, axis=0)
    centres = below + np.roll(below, -1, axis=1)
    centres *= 0.25
    centres += _noise(centres.shape, wibble, rng)
    points[1::2, 1::2] = centres

    # Points between two corners of a row: the centres above and below them are the other two neighbours.
    across = corners + np.roll(corners, -1, axis=1)
    across += centres
    across += np.roll(centres, 1, axis=0)
    across *= 0.25
    across += _noise(across.shape, wibble, rng)
    points[::2, 1::2] = across

    # Points between two corners of a column: the centres left and right of them.
    below += centres
    below += np.roll(centres, 1, axis=1)
    below *= 0.25
    below += _noise(below.shape, wibble, rng)
    points[1::2, ::2] = below
    return points


def _subdivide_line(corners: np.ndarray, wide: bool, wibble: float, rng: np.random.Generator) -> np.ndarray:
    """One level in one dimension, while the other side is still a single cell."""
    line = corners.ravel()
    points = np.empty(2 * line.size, dtype=np.float32)
    points[::2] = line
    points[1::2] = (line + np.roll(line, -1)) * np.float32(0.5) + _noise(line.shape, wibble, rng)
    return points.reshape((1, -1) if wide else (-1, 1))
