"""How alike two images look, for the quality-similarity aggregation of Table 5.

The paper measures it by LPIPS. LPIPS is a trained network on top of an ImageNet network, and no maintained package
carries both sets of weights, so that a score would depend on a download. SSIM needs no weights.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

WINDOW = (11, 11)
SIGMA = 1.5
STABILISER_1 = 0.01**2
STABILISER_2 = 0.03**2


def ssim(first: Image.Image, second: Image.Image) -> float:
    """Mean structural similarity of the luminance (Wang et al., 2004), with an 11 x 11 Gaussian window.

    Args:
        first, second: images of one size, any size.

    Returns:
        In [-1, 1]; 1 for equal images.

    Raises:
        ValueError: the sizes differ.
    """
    if first.size != second.size:
        raise ValueError(f"SSIM compares images of one size; got {first.size} and {second.size}.")
    x, y = (np.asarray(image.convert("L"), dtype=np.float32) / 255 for image in (first, second))
    mean_x, mean_y = _local(x), _local(y)
    variance_x = _local(x * x) - mean_x**2
    variance_y = _local(y * y) - mean_y**2
    covariance = _local(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + STABILISER_1) * (2 * covariance + STABILISER_2)
    likeness /= (mean_x**2 + mean_y**2 + STABILISER_1) * (variance_x + variance_y + STABILISER_2)
    return float(likeness.mean(dtype=np.float64))


def _local(field: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(field, WINDOW, SIGMA, borderType=cv2.BORDER_REFLECT)
