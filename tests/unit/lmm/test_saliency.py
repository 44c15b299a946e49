"""Occlusion maps point at the part that the score depends on, for any model."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.levels import GOOD_POOR
from methods.lmm.base import LMM
from methods.lmm.prompt import Prompt
from methods.lmm.saliency import occluded, overlay, saliency


class NoiseMeter(LMM):
    """Calls a picture poor in proportion to the noise of its lower right quarter."""

    name, revision, image_budget = "noise meter", "1", 1

    def __init__(self) -> None:
        self.calls: list[int] = []

    def word_logits(self, prompts, words):
        self.calls.append(len(prompts))
        noise = []
        for prompt in prompts:
            pixels = np.asarray(prompt.images[0], np.float32)
            noise.append(pixels[pixels.shape[0] // 2 :, pixels.shape[1] // 2 :].std() / 30)
        return np.stack([-np.array(noise), np.array(noise)], axis=1).astype(np.float32)

    def generate(self, prompts, n=1, **settings):
        raise AssertionError("a map reads logits only")

    stream = embed = generate


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    pixels = np.full((120, 200, 3), 128, np.uint8)
    pixels[60:, 100:] = np.random.default_rng(0).integers(0, 256, (60, 100, 3))
    return Image.fromarray(pixels)


def ask(image):
    return Prompt.ask(image, "Good or poor?", answer_prefix="It is")


def test_the_noisy_quarter_pulled_the_score_down(picture):
    lmm = NoiseMeter()
    influence = saliency(lmm, picture, ask, GOOD_POOR)
    assert lmm.calls == [17]
    assert influence.map.shape == (120, 200)
    assert influence.map.dtype == np.float32
    quarter = influence.map[60:, 100:].mean()
    assert quarter < 0
    assert quarter < influence.map[:60, :100].mean()
    left, top, right, bottom = influence.worst()
    assert left >= 100
    assert top >= 60
    assert (right - left, bottom - top) == (50, 30)


def test_a_map_is_in_units_of_the_score(picture):
    lmm = NoiseMeter()
    single = saliency(lmm, picture, ask, GOOD_POOR)
    doubled = saliency(lmm, picture, ask, ("good", "poor"), lambda logits: 2 * GOOD_POOR.expectation(logits))
    assert doubled.score == pytest.approx(2 * single.score)
    np.testing.assert_allclose(doubled.patches, 2 * single.patches, atol=1e-6)


def test_each_copy_lacks_one_patch_only():
    image = np.random.default_rng(1).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    copies = [np.asarray(copy) for copy in occluded(image, 4)]
    assert len(copies) == 16
    assert copies[5][22:38, 22:38].std(axis=(0, 1)).max() < image[22:38, 22:38].std(axis=(0, 1)).min() / 3
    np.testing.assert_array_equal(copies[5][60:, 60:], image[60:, 60:])


def test_overlay_colours_both_directions():
    grey = Image.new("RGB", (40, 20), (128, 128, 128))
    values = np.zeros((20, 40), np.float32)
    values[:, :10], values[:, 30:] = -0.2, 0.2
    painted = np.asarray(overlay(grey, values))
    assert painted[10, 5, 0] > painted[10, 5, 2]
    assert painted[10, 35, 2] > painted[10, 35, 0]
    np.testing.assert_array_equal(painted[:, 15:25], np.asarray(grey)[:, 15:25])
    faint = np.asarray(overlay(grey, values / 100), np.int32)
    assert np.abs(faint - 128).max() < 12


@pytest.mark.parametrize(("change", "message"), [
    ({"grid": 1}, "2 to 16"), ({"grid": 17}, "2 to 16"), ({"words": ("good", "poor")}, "need a function"),
    ({"image": Image.new("RGB", (3, 50))}, "too few"),
])
def test_wrong_use_is_told(picture, change, message):
    settings = {"image": picture, "words": GOOD_POOR, **change}
    with pytest.raises(ValueError, match=message):
        saliency(NoiseMeter(), prompt=ask, **settings)
    with pytest.raises(ValueError, match="The map is"):
        overlay(picture, np.zeros((5, 5), np.float32))
