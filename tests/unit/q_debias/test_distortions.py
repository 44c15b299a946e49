"""The four distortions against their definitions, on random pictures and on every awkward shape."""

from __future__ import annotations

import numpy as np
import pytest

from methods.q_debias import distortions
from methods.q_debias.diamond_square import diamond_square, map_shape, plasma
from methods.q_debias.distortions import CODE_ZOOMS, DISTORTIONS, IMAGENET_C, PAPER_ZOOMS, SETTINGS
from tests.unit.q_debias import imagenet_c_reference as reference

SHAPES = [(1, 1), (1, 2), (2, 1), (3, 5), (7, 500), (1, 40), (33, 1), (31, 47), (64, 64)]


def random_picture(height, width, kind="random", dtype=np.float32):
    rng = np.random.default_rng([height, width])
    if kind == "grey":
        return np.repeat(rng.random((height, width, 1)), 3, axis=2).astype(dtype)
    if kind == "black":
        return np.zeros((height, width, 3), dtype)
    if kind == "white":
        return np.ones((height, width, 3), dtype)
    if kind == "constant":
        return np.full((height, width, 3), (0.2, 0.5, 0.7), dtype)
    return rng.random((height, width, 3)).astype(dtype)


@pytest.mark.parametrize("kind", ["random", "grey", "constant", "black", "white"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DISTORTIONS)
def test_any_picture_keeps_its_shape_range_and_pixels(name, shape, kind):
    picture = random_picture(*shape, kind)
    before = picture.copy()
    picture.flags.writeable = False
    result = DISTORTIONS[name](picture, rng=np.random.default_rng(5))
    assert result.shape == picture.shape
    assert result.dtype == picture.dtype
    assert np.isfinite(result).all()
    assert 0 <= result.min() <= result.max() <= 1
    assert np.array_equal(picture, before)
    assert not np.shares_memory(result, picture)
    again = DISTORTIONS[name](picture, rng=np.random.default_rng(5))
    assert np.array_equal(result, again)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factors", [PAPER_ZOOMS, CODE_ZOOMS, IMAGENET_C["zoom_blur"][4]["factors"], (1.0,), (3.0,)])
@pytest.mark.parametrize("extra_original", [True, False])
def test_zoom_blur_is_the_mean_of_zooms(shape, factors, extra_original):
    picture = random_picture(*shape)
    result = distortions.zoom_blur(picture, factors=factors, extra_original=extra_original)
    expected = reference.zoom_blur(picture, factors, extra_original)
    assert np.abs(result - expected).max() < 5e-5


def test_zoom_blur_of_a_long_line():
    picture = random_picture(1, 40_000)
    assert np.abs(distortions.zoom_blur(picture) - reference.zoom_blur(picture, PAPER_ZOOMS)).max() < 5e-3


@pytest.mark.parametrize("kind", ["random", "grey", "black", "white"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arguments", IMAGENET_C["saturate"])
def test_saturate_scales_the_s_of_hsv(shape, kind, arguments):
    picture = random_picture(*shape, kind)
    result = distortions.saturate(picture, **arguments)
    assert np.abs(result - reference.saturate(picture, **arguments)).max() < 2e-5


def test_saturate_by_hand():
    # Hue 0, saturation 0.25, value 0.8; doubled saturation 0.5 takes the lower channels to 0.4.
    picture = np.array([[[0.8, 0.6, 0.6], [0.5, 0.5, 0.5], [0.2, 0.8, 0.5]]], np.float64)
    expected = [[[0.8, 0.4, 0.4], [0.5, 0.5, 0.5], [0.0, 0.8, 0.4]]]
    assert np.allclose(distortions.saturate(picture), expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arguments", [*IMAGENET_C["fog"], {"strength": 2.5, "decay": 1.5, "rescale": False}])
def test_fog_is_plasma_over_the_picture(shape, arguments):
    picture = random_picture(*shape)
    result = distortions.fog(picture, rng=np.random.default_rng(8), **arguments)
    expected = reference.fog(picture, np.random.default_rng(8), **arguments)
    assert np.abs(result - expected).max() < 2e-5


def test_fog_leaves_black_black():
    assert distortions.fog(np.zeros((9, 9, 3)), rng=np.random.default_rng(0)).max() == 0


@pytest.mark.parametrize("severity", range(5))
@pytest.mark.parametrize("shape", [*SHAPES, (90, 61)])
def test_spatter_is_canny_and_chamfer_on_blobs(shape, severity):
    picture = random_picture(*shape)
    arguments = IMAGENET_C["spatter"][severity]
    result = distortions.spatter(picture, rng=np.random.default_rng(3), **arguments)
    expected = reference.spatter(picture, np.random.default_rng(3), **arguments)
    assert np.abs(result - expected).max() < 2e-5
    if shape == (90, 61):
        wet = np.abs(result - picture).max(axis=2) > 0.05
        assert 0.02 < wet.mean() < 0.9


@pytest.mark.parametrize("seed", range(6))
def test_water_mask_agrees_on_edges_of_every_direction(seed):
    rng = np.random.default_rng(seed)
    liquid = (np.kron(rng.random((9, 7)), np.ones((5, 6))) * 255).astype(np.uint8)
    liquid[rng.random(liquid.shape) < 0.2] = 0
    assert np.abs(distortions.water_mask(liquid, 0.5) - reference.water_mask(liquid, 0.5)).max() < 1e-6


def test_the_defaults_are_the_papers_constants():
    assert PAPER_ZOOMS == (1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09, 1.1)
    assert CODE_ZOOMS == (1.0, 1.02, 1.04, 1.06, 1.08, 1.1, 1.12, 1.14, 1.16, 1.18, 1.2)
    picture = random_picture(40, 30)
    severities = {"zoom_blur": 3, "spatter": 3, "saturate": 3, "fog": 4}
    for name, distort in DISTORTIONS.items():
        default = distort(picture, rng=np.random.default_rng(1))
        # Spatter's default is ImageNet-C's, and Eq. 4 a setting.
        constants = {key: value for key, value in SETTINGS["paper"][name].items() if key != "blend"}
        assert np.array_equal(default, distort(picture, rng=np.random.default_rng(1), **constants))
        released = distort(picture, rng=np.random.default_rng(1), **SETTINGS["code"][name])
        by_severity = IMAGENET_C[name][severities[name] - 1]
        assert np.allclose(released, distort(picture, rng=np.random.default_rng(1), **by_severity), atol=1e-6)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_float64_in_float64_out(name):
    picture = random_picture(20, 30, dtype=np.float64)
    wide = DISTORTIONS[name](picture, rng=np.random.default_rng(2))
    assert wide.dtype == np.float64
    narrow = DISTORTIONS[name](picture.astype(np.float32), rng=np.random.default_rng(2))
    assert np.allclose(wide, narrow, atol=1e-6)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_views_are_as_good_as_arrays(name):
    picture = random_picture(40, 60)[::2, ::-1]
    same = np.ascontiguousarray(picture)
    assert np.array_equal(DISTORTIONS[name](picture, rng=np.random.default_rng(2)),
                          DISTORTIONS[name](same, rng=np.random.default_rng(2)))


@pytest.mark.parametrize("name", ["spatter", "fog"])
def test_the_noise_follows_the_generator(name):
    picture = random_picture(40, 60)
    one, other = (DISTORTIONS[name](picture, rng=np.random.default_rng(seed)) for seed in (1, 2))
    assert np.abs(one - other).mean() > 0.01


@pytest.mark.parametrize("bad", [
    np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((4, 4, 4)), np.zeros((0, 4, 3)),
    np.full((4, 4, 3), 1.01), np.full((4, 4, 3), -0.01), np.full((4, 4, 3), np.nan), [[[0.0, 0.0, 0.0]]],
])
@pytest.mark.parametrize("name", DISTORTIONS)
def test_what_is_no_float_picture_is_refused(name, bad):
    with pytest.raises(ValueError, match="RGB"):
        DISTORTIONS[name](bad, rng=np.random.default_rng(0))


def test_bad_constants_are_refused():
    picture = random_picture(4, 4)
    for factors in ((), (0.9,), (float("nan"),)):
        with pytest.raises(ValueError, match="factor"):
            distortions.zoom_blur(picture, factors=factors)
    with pytest.raises(ValueError, match="decay"):
        distortions.fog(picture, rng=np.random.default_rng(0), decay=1.0)
    with pytest.raises(ValueError, match="pixel"):
        plasma(0, 4, rng=np.random.default_rng(0), decay=2)


def test_the_fog_of_a_panorama_needs_no_giant_square():
    assert map_shape(500, 375) == (512, 512)
    assert map_shape(1000, 1400) == (2048, 2048)
    assert map_shape(100, 4000) == (128, 4096)
    assert map_shape(70_000, 1) == (131_072, 1)
    line = plasma(1, 70_000, rng=np.random.default_rng(0), decay=1.5)
    assert line.shape == (1, 70_000)
    assert line.std() > 0.05
    # Neighbours are alike: it is fog, not white noise.
    assert np.abs(np.diff(line)).mean() < 0.3 * line.std()


@pytest.mark.parametrize("shape", [(8, 64), (64, 8), (1, 32), (32, 1)])
def test_rectangular_plasma_is_plasma_in_both_orientations(shape):
    points = diamond_square(*shape, rng=np.random.default_rng(4), decay=2)
    turned = diamond_square(*shape[::-1], rng=np.random.default_rng(4), decay=2)
    assert points.shape == shape
    assert len(np.unique(points)) == points.size
    # The levels that subdivide one side alone see the same draws, whichever side it is.
    short = min(shape)
    assert np.allclose(points[:: short, :: short].ravel(), turned[:: short, :: short].ravel())


def test_spatter_is_blended_as_eq_4_has_it_under_the_papers_setting_and_added_under_the_codes():
    picture = random_picture(60, 50)
    # On black nothing is kept, so what spatter adds there is C M itself.
    water = distortions.spatter(np.zeros_like(picture), rng=np.random.default_rng(5))
    mask = (water / distortions.WATER).mean(axis=-1, keepdims=True)
    assert mask.max() > 0.3
    by_paper, by_code = (distortions.spatter(picture, rng=np.random.default_rng(5), **SETTINGS[setting]["spatter"])
                         for setting in ("paper", "code"))
    np.testing.assert_allclose(by_paper, picture * (1 - mask) + water, atol=1e-6)
    np.testing.assert_allclose(by_code, np.clip(picture + water, 0, 1), atol=1e-6)
    assert np.abs(by_paper - by_code).max() > 0.1
