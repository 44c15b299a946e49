"""From masks to the regions that are scored (Algorithm 1): threshold, complement, bounding boxes and areas.

A region's box is cut from the original pixels, because a model reads zero padding as a black background
(section 3.2); its weight is the area of the mask, not of the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

MIN_AREA = 1000
"""The paper's t: masks of fewer pixels are not scored."""


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the image that is scored on its own.

    Attributes:
        box: (left, top, right, bottom) in pixels; right and bottom are exclusive.
        area: pixels in the mask.
        mask: bool [H, W] in the image's size.
        complement: True for what no mask covered, and for the whole image where no mask was kept.
    """

    box: tuple[int, int, int, int]
    area: int
    mask: np.ndarray
    complement: bool = False

    def cut(self, image: Image.Image, padded: bool = False) -> Image.Image:
        """The region as the LMM sees it.

        Args:
            image: the image, in the mask's size.
            padded: False fills the box with original pixels (the paper); True sets what the mask leaves out to
                black (Table 3 row 5).
        """
        crop = image.crop(self.box)
        if not padded:
            return crop
        left, top, right, bottom = self.box
        inside = Image.fromarray(self.mask[top:bottom, left:right])
        return Image.composite(crop, Image.new(crop.mode, crop.size), inside)


def regions(masks: Sequence[np.ndarray], shape: tuple[int, int], min_area: int = MIN_AREA, *,
            complement: bool = True) -> list[Region]:
    """Algorithm 1: masks of at least `min_area` pixels, then the uncovered rest where it is as large.

    The rest is what the union of the kept masks leaves, so overlapping masks are not counted twice (the released
    code subtracts the sum of their areas). Where nothing is kept, the whole image is the one region.

    Args:
        masks: bool [H, W] each; any order, which is kept.
        shape: (H, W) of the image.
        min_area: t, in pixels; a mask of exactly t is kept.
        complement: False leaves the rest out (Table 5, "No Complement").

    Returns:
        At least one region; the complement is last.

    Raises:
        ValueError: a mask of another size than the image, or an image without pixels.
    """
    height, width = (int(side) for side in shape[:2])
    if height < 1 or width < 1:
        raise ValueError(f"An image needs at least one pixel; got {height} x {width}.")
    result = []
    covered = np.zeros((height, width), dtype=bool)
    for mask in masks:
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != covered.shape:
            raise ValueError(f"A mask of {mask.shape} does not fit an image of {covered.shape}.")
        area = int(np.count_nonzero(mask))
        if area >= max(min_area, 1):
            result.append(Region(_box(mask), area, mask))
            covered |= mask
    if not result:
        return [Region((0, 0, width, height), height * width, ~covered, complement=True)]
    rest = ~covered
    area = int(np.count_nonzero(rest))
    if complement and area >= max(min_area, 1):
        result.append(Region(_box(rest), area, rest, complement=True))
    return result


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def anchor(mask: np.ndarray, longest_side: int = 256) -> tuple[float, float]:
    """The point (x, y) deepest inside the mask, in its own pixels: where a label can stand without leaving it."""
    import cv2

    height, width = mask.shape
    scale = min(1.0, longest_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    if not reduced.any():  # a mask so thin that reducing it loses it
        rows, columns = np.nonzero(mask)
        return float(columns[len(columns) // 2]) + 0.5, float(rows[len(rows) // 2]) + 0.5
    # The frame counts as outside, so that labels keep away from the image's border.
    depth = cv2.distanceTransform(cv2.copyMakeBorder(reduced, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(depth[1:-1, 1:-1].argmax()), reduced.shape)
    return round((column + 0.5) * width / size[0], 1), round((row + 0.5) * height / size[1], 1)


def outline(mask: np.ndarray, tolerance: float = 1.5, longest_side: int = 512) -> tuple[tuple[tuple[float, float], ...],
                                                                                         ...]:
    """The mask's outer borders as polygons, for drawing: small enough for a page or a JSON file.

    Args:
        mask: bool [H, W].
        tolerance: how far, in pixels of the reduced mask, a polygon may stray from the border.
        longest_side: the mask is reduced to this before it is traced.

    Returns:
        Polygons of (x, y) points in the mask's own pixels, largest first; specks below 0.1 % of the image are left
        out unless nothing else remains.
    """
    import cv2

    height, width = mask.shape
    scale = min(1.0, longest_side / max(height, width))
    reduced_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = cv2.resize(mask.astype(np.uint8), reduced_size, interpolation=cv2.INTER_NEAREST)
    borders, _ = cv2.findContours(reduced, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    borders = sorted(borders, key=cv2.contourArea, reverse=True)
    large = [border for border in borders if cv2.contourArea(border) >= 1e-3 * reduced.size]
    to_pixels = np.array([width / reduced_size[0], height / reduced_size[1]])
    polygons = []
    for border in large or borders[:1]:
        points = cv2.approxPolyDP(border, tolerance, True)[:, 0, :]
        polygons.append(tuple((float(x), float(y)) for x, y in np.round((points + 0.5) * to_pixels, 1)))
    return tuple(polygons)
