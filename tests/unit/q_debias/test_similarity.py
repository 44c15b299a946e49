"""SSIM against scikit-image's, and on sizes that scikit-image refuses."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from methods.q_debias.evidence import degrade
from methods.q_debias.similarity import ssim


def random_picture(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("distortion", ["zoom_blur", "spatter", "saturate", "fog"])
def test_it_is_wangs_ssim(distortion):
    first = random_picture(90, 120)
    second = degrade(first, distortion)
    greys = [np.asarray(image.convert("L"), dtype=np.float64) / 255 for image in (first, second)]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    _, field = structural_similarity(*greys, full=True, **settings)
    assert ssim(first, second) == pytest.approx(field.mean(), abs=2e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (64, 48)])
def test_equal_pictures_have_similarity_one(size):
    image = random_picture(*size)
    assert ssim(image, image) == pytest.approx(1, abs=1e-5)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="one size"):
        ssim(random_picture(8, 8), random_picture(8, 9))
