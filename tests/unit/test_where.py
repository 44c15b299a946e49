"""Where an image loses quality in the eyes of an LMM, in a picture and in words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.images import decode
from methods.q_bench.where import PASSES, part_of, where
from tests.brightness_lmm import BrightnessLMM


class SharpRight(BrightnessLMM):
    """Calls a picture the worse the noisier its lower right quarter is."""

    @staticmethod
    def brightness(image):
        pixels = np.asarray(image.convert("L"), np.float32)
        return 1 - min(pixels[pixels.shape[0] // 2 :, pixels.shape[1] // 2 :].std() / 100, 1.0)


def test_the_noisy_corner_is_orange_and_named():
    pixels = np.full((160, 240, 3), 128, np.uint8)
    pixels[120:, 180:] = np.random.default_rng(0).integers(0, 256, (40, 60, 3))
    lmm = SharpRight()
    result = where(lmm, decode(Image.fromarray(pixels)))
    assert result.worst == "bottom right"
    assert result.loss > 0.02
    assert len(lmm.prompts) == PASSES
    drawn = np.asarray(result.picture, float)
    red, _, blue = drawn[125:155, 185:235].mean(axis=(0, 1))
    assert red > blue + 40
    assert np.abs(drawn[:60, :60] - 128).max() < 8


def test_an_even_image_loses_nothing_anywhere():
    result = where(SharpRight(), decode(Image.new("RGB", (900, 600), (90, 90, 90))))
    assert result.loss == pytest.approx(0, abs=1e-4)
    assert result.picture.size == (768, 512)
    assert np.ptp(np.asarray(result.picture)) <= 1


@pytest.mark.parametrize(("x", "y", "words"), [(0.1, 0.1, "top left"), (0.5, 0.5, "centre"), (0.9, 0.5, "middle right"),
                                               (0.5, 1.0, "bottom centre")])
def test_places_are_named(x, y, words):
    assert part_of(x, y) == words
