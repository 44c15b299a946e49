"""The distortions do what their names say, to any picture, the same way for the same seed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from methods.kadid import colour
from methods.kadid.distortions import (
    DISTORTIONS,
    LEVELS,
    PLAIN_NAMES,
    distort,
    distortion_name,
    level_mos,
)

# Types whose squared error must grow with the level. Brightness shift and contrast pass through their mildest
# strength in the middle; nearest-neighbour pixelation moves rather than removes detail at its first levels.
MONOTONE = [name for name in DISTORTIONS if name not in ("Mean_Shift", "Contrast Dist.", "Pixelate")]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A landscape of smooth shades, edges, texture and colours, 160x200."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:160, :200] / 200.0
    image = np.stack([60 + 150 * rows, 90 + 80 * columns, 190 - 120 * rows * columns], axis=-1)
    image[40:100, 30:90] = (200, 60, 40)
    image[90:150, 110:180] += np.kron(rng.choice([-40, 40], (30, 35)), np.ones((2, 2)))[..., None]
    image[:40] += rng.normal(0, 12, (40, 200, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def error(image: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean((image.astype(np.float64) - other) ** 2))


def test_there_are_kadids_25_types_in_order() -> None:
    assert len(DISTORTIONS) == 25
    assert DISTORTIONS[0] == "GBLUR"
    assert DISTORTIONS[9] == "JPEG"
    assert DISTORTIONS[24] == "Contrast Dist."
    assert set(PLAIN_NAMES) == set(DISTORTIONS)
    assert len(set(PLAIN_NAMES.values())) == 25


@pytest.mark.parametrize("name", DISTORTIONS)
def test_shape_type_and_input_are_kept_and_the_seed_decides(picture: np.ndarray, name: str) -> None:
    before = picture.copy()
    for level in LEVELS:
        first = distort(picture, name, level, rng=np.random.default_rng(3))
        assert first.shape == picture.shape
        assert first.dtype == np.uint8
        assert np.array_equal(first, distort(picture, name, level, rng=3))
        assert not np.shares_memory(first, picture)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("name", MONOTONE)
def test_damage_grows_with_the_level(picture: np.ndarray, name: str) -> None:
    errors = [np.mean([error(picture, distort(picture, name, level, rng=seed)) for seed in range(4)])
              for level in LEVELS]
    # Fringes of a random direction, and overwritten blocks, vary from draw to draw; 5 % forgives that.
    assert all(later >= 0.95 * earlier for earlier, later in itertools.pairwise(errors)), errors
    assert errors[4] > 1.2 * errors[0]
    assert errors[4] > 5


def test_the_strongest_pixelation_is_the_worst(picture: np.ndarray) -> None:
    errors = [error(picture, distort(picture, "Pixelate", level, rng=0)) for level in LEVELS]
    assert np.argmax(errors) == 4


@pytest.mark.parametrize("name", ["Mean_Shift", "Contrast Dist."])
def test_two_sided_types_are_mildest_inside(picture: np.ndarray, name: str) -> None:
    errors = [error(picture, distort(picture, name, level, rng=0)) for level in LEVELS]
    assert 0 < np.argmin(errors) < 4


def test_noise_has_the_published_variance() -> None:
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    for level, variance in zip(LEVELS, (0.001, 0.002, 0.003, 0.005, 0.01)):
        noise = distort(grey, "AWGN", level, rng=1).astype(np.float64) / 255
        assert noise.var() == pytest.approx(variance, rel=0.05)
    salted = distort(grey, "Impulse_Noise", 5, rng=1)
    assert np.mean(salted != 128) == pytest.approx(0.03, rel=0.1)


def test_gaussian_blur_has_the_published_width() -> None:
    edge = np.zeros((41, 81, 3), dtype=np.uint8)
    edge[:, 41:] = 255
    profile = distort(edge, "GBLUR", 4, rng=0)[20, :, 0].astype(np.float64)
    spread = np.diff(profile) / 255
    centre = (spread * np.arange(80)).sum()
    # Sigma 2 cut at two sigma keeps a little less spread.
    assert np.sqrt((spread * (np.arange(80) - centre) ** 2).sum()) == pytest.approx(1.85, abs=0.15)


def test_quantisation_leaves_the_published_number_of_tones(picture: np.ndarray) -> None:
    for level, thresholds in zip(LEVELS, (20, 16, 13, 10, 7)):
        assert len(np.unique(distort(picture, "Quantization", level, rng=0))) <= thresholds + 1
    for level, colours in zip(LEVELS, (64, 48, 32, 16, 8)):
        painted = distort(picture, "Color_Quantization", level, rng=0).reshape(-1, 3)
        assert len(np.unique(painted, axis=0)) <= colours


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (20, 5), (33, 47)])
def test_any_size_works(shape: tuple[int, int]) -> None:
    tiny = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for name in DISTORTIONS:
        for level in LEVELS:
            assert distort(tiny, name, level, rng=0).shape == tiny.shape


def test_lab_round_trip_is_exact_on_every_grey_and_close_on_colours() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(colour.lab_to_rgb(colour.rgb_to_lab(grey)), grey)
    colours = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    back = colour.lab_to_rgb(colour.rgb_to_lab(colours)).astype(int)
    assert np.abs(back - colours).max() <= 1
    red = colour.rgb_to_lab(np.array([[[255, 0, 0]]], dtype=np.uint8))[0, 0]
    assert red == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


def test_level_scores_are_kadids_means() -> None:
    assert level_mos("GBLUR", 1) == pytest.approx((4.6122 - 1) / 4)
    assert level_mos(25, 5) == pytest.approx((3.3238 - 1) / 4)
    assert all(0 <= level_mos(name, level) <= 1 for name in DISTORTIONS for level in LEVELS)
    assert level_mos("JPEG", 5) < level_mos("JPEG", 1)


def test_names_ids_and_plain_names_mean_the_same() -> None:
    assert [distortion_name(index) for index in range(1, 26)] == list(DISTORTIONS)
    assert distortion_name("jpeg compression") == "JPEG"
    assert distortion_name("gblur") == "GBLUR"


def test_errors_say_what_is_wrong(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Pixelate"):
        distort(picture, "pixelat", 1, rng=0)
    with pytest.raises(ValueError, match="between 1 and 25"):
        distort(picture, 26, 1, rng=0)
    with pytest.raises(ValueError, match="between 1 and 5"):
        distort(picture, "JPEG", 0, rng=0)
    with pytest.raises(ValueError, match="uint8 RGB"):
        distort(picture.astype(np.float32), "JPEG", 1, rng=0)
    with pytest.raises(ValueError, match="uint8 RGB"):
        distort(picture[..., 0], "JPEG", 1, rng=0)
