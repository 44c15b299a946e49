"""KADID-10k's 25 distortion types at 5 levels, as pure functions of an 8-bit image.

The order, the identifiers and the strengths follow the published generator of KADID-10k (Lin, Hosu and Saupe, QoMEX
2019), so the MOS that KADID's raters gave a type and level (`level_mos`) is a fair label for the result.
Three types differ in their means and not in their strength: noise is removed by a guided filter where KADID ran a
trained network, numeric quantisation and colour quantisation choose their levels with an own k-means and median cut.
Images smaller than a patch or a wavelet level are handled by shrinking the patch or the level.
"""

from __future__ import annotations

import csv
import difflib
import functools
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter

from methods.errors import InputError
from methods.kadid import colour

Pixels = NDArray[np.uint8]
Effect = Callable[[Pixels, float, np.random.Generator], Pixels]

_EFFECTS: dict[str, tuple[Effect, tuple[float, ...], str]] = {}


def _kadid(name: str, plain: str, strengths: tuple[float, ...]) -> Callable[[Effect], Effect]:
    """Registers an effect under KADID's name with its five strengths; the order of definition is the order of ids."""
    def register(effect: Effect) -> Effect:
        _EFFECTS[name] = (effect, strengths, plain)
        return effect
    return register


def to_uint8(image: np.ndarray) -> Pixels:
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian smoothing of the first two axes, cut at two sigma as in KADID's generator."""
    radius = max(1, math.ceil(2 * sigma))
    sigmas = (sigma, sigma) + (0,) * (image.ndim - 2)
    return gaussian_filter(image.astype(np.float32), sigmas, radius=(radius,) * 2 + (0,) * (image.ndim - 2))


def _convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolution of each channel with a small odd kernel in the Fourier domain, borders mirrored."""
    pad = kernel.shape[0] // 2
    padded = np.pad(image.astype(np.float32), ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    size = [fft.next_fast_len(length, real=True) for length in padded.shape[:2]]
    spectrum = fft.rfft2(padded, size, axes=(0, 1)) * fft.rfft2(kernel.astype(np.float32), size)[..., None]
    full = fft.irfft2(spectrum, size, axes=(0, 1))
    return full[2 * pad: 2 * pad + image.shape[0], 2 * pad: 2 * pad + image.shape[1]]


@_kadid("GBLUR", "Gaussian blur", (0.1, 0.5, 1, 2, 5))
def _gaussian_blur(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    return to_uint8(_smooth(image, sigma))


@_kadid("Lens_Blur", "lens blur", (1, 2, 4, 6, 8))
def _lens_blur(image: Pixels, radius: float, rng: np.random.Generator) -> Pixels:
    reach = math.ceil(radius)
    grid = np.linspace(-reach - 0.5, reach + 0.5, (2 * reach + 1) * 8 + 1)
    centres = (grid[1:] + grid[:-1]) / 2
    inside = centres[:, None] ** 2 + centres[None] ** 2 <= radius**2
    # The share of each pixel that the disc covers, as an average over 8x8 sub-pixels.
    kernel = inside.reshape(2 * reach + 1, 8, 2 * reach + 1, 8).mean(axis=(1, 3))
    return to_uint8(_convolve(image, kernel / kernel.sum()))


@_kadid("Motion_Blur", "motion blur", (1, 2, 4, 6, 10))
def _motion_blur(image: Pixels, length: float, rng: np.random.Generator) -> Pixels:
    angle = rng.uniform(0, math.pi)
    reach = math.ceil(length / 2) + 1
    steps = np.linspace(-(length - 1) / 2, (length - 1) / 2, 16 * math.ceil(length) + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    row, column = reach + steps * math.sin(angle), reach + steps * math.cos(angle)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (1 - np.abs(row - top - down)) * (1 - np.abs(column - left - right))
        np.add.at(kernel, (top + down, left + right), share)
    return to_uint8(_convolve(image, kernel / kernel.sum()))


@_kadid("Color_Diffusion", "colour bleeding", (1, 3, 6, 8, 12))
def _color_diffusion(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    lab = colour.rgb_to_lab(image)
    lab[..., 1:] = _smooth(lab[..., 1:], 1.5 * amount + 2) * amount
    return colour.lab_to_rgb(lab)


@_kadid("Color_Shift", "colour fringes", (1, 3, 6, 8, 12))
def _color_shift(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    grey = colour.luminance(image) / 255
    down = np.gradient(grey, axis=0) if grey.shape[0] > 1 else np.zeros_like(grey)
    across = np.gradient(grey, axis=1) if grey.shape[1] > 1 else np.zeros_like(grey)
    edges = _smooth(np.hypot(down, across), 4)
    low, high = np.quantile(edges, (0.01, 0.99))
    edges = np.clip((edges - low) / max(high - low, 1e-6), 0, 1)
    angle = rng.uniform(0, 2 * math.pi)
    rows = np.clip(np.arange(grey.shape[0]) + round(amount * math.sin(angle)), 0, grey.shape[0] - 1)
    columns = np.clip(np.arange(grey.shape[1]) + round(amount * math.cos(angle)), 0, grey.shape[1] - 1)
    green = image[..., 1].astype(np.float32)
    result = image.copy()
    result[..., 1] = to_uint8(green + (green[rows][:, columns] - green) * edges)
    return result


@_kadid("Color_Quantization", "too few colours", (64, 48, 32, 16, 8))
def _color_quantization(image: Pixels, colours: float, rng: np.random.Generator) -> Pixels:
    photo = Image.fromarray(image)
    palette = photo.quantize(int(colours), method=Image.Quantize.MEDIANCUT)
    return np.asarray(photo.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


@_kadid("Saturation_Dist._HSV", "washed-out or inverted colours", (0.4, 0.2, 0.1, 0, -0.4))
def _saturation_hsv(image: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    # Scaling the saturation of HSV moves each channel towards (or past) the value, the largest channel.
    value = image.max(axis=-1, keepdims=True).astype(np.float32)
    return to_uint8(value - factor * (value - image))


@_kadid("Saturation_Dist._Lab", "oversaturated colours", (1, 2, 3, 6, 9))
def _saturation_lab(image: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    lab = colour.rgb_to_lab(image)
    lab[..., 1:] *= factor
    return colour.lab_to_rgb(lab)


@_kadid("JP2K", "JPEG2000 compression", (16, 32, 45, 120, 400))
def _jpeg2000(image: Pixels, ratio: float, rng: np.random.Generator) -> Pixels:
    resolutions = min(6, int(math.log2(min(image.shape[:2]))) + 1)
    return _recompress(image, format="JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True,
                       num_resolutions=resolutions)


@_kadid("JPEG", "JPEG compression", (43, 36, 24, 7, 4))
def _jpeg(image: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    return _recompress(image, format="JPEG", quality=int(quality))


def _recompress(image: Pixels, **settings: Any) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **settings)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _noise(shape: tuple[int, ...], variance: float, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(255 * math.sqrt(variance))


@_kadid("AWGN", "white noise", (0.001, 0.002, 0.003, 0.005, 0.01))
def _white_noise(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    return to_uint8(image + _noise(image.shape, variance, rng))


@_kadid("AWGN_YCbCr", "colour noise", (0.0001, 0.0005, 0.001, 0.002, 0.003))
def _white_noise_ycbcr(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    return to_uint8(colour.ycbcr_to_rgb(colour.rgb_to_ycbcr(image) + _noise(image.shape, variance, rng)))


@_kadid("Impulse_Noise", "salt-and-pepper noise", (0.001, 0.005, 0.01, 0.02, 0.03))
def _impulse_noise(image: Pixels, density: float, rng: np.random.Generator) -> Pixels:
    draw = rng.random(image.shape, dtype=np.float32)
    result = image.copy()
    result[draw < density / 2] = 0
    result[draw > 1 - density / 2] = 255
    return result


@_kadid("Multiplicative_Noise", "speckle noise", (0.001, 0.005, 0.01, 0.02, 0.05))
def _multiplicative_noise(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    return to_uint8(image * (1 + _noise(image.shape, variance, rng) / 255))


@_kadid("Denoising", "smearing by noise removal", (0.01, 0.03, 0.05, 0.1, 0.15))
def _denoising(image: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    noisy = np.clip(image + _noise(image.shape, variance, rng), 0, 255).astype(np.float32) / 255

    def mean(plane: np.ndarray) -> np.ndarray:
        return uniform_filter(plane, 9, mode="reflect")

    guide = colour.luminance(noisy)
    guide_mean = mean(guide)
    spread = np.maximum(mean(guide * guide) - guide_mean**2, 0) + np.float32(0.6 * variance)
    result = np.empty_like(noisy)
    for channel in range(3):
        plane = noisy[..., channel]
        plane_mean = mean(plane)
        slope = (mean(guide * plane) - guide_mean * plane_mean) / spread
        result[..., channel] = mean(slope) * guide + mean(plane_mean - slope * guide_mean)
    return to_uint8(result * 255)


def _parabola(middle: float) -> np.ndarray:
    """Tone curve of 256 entries through (0, 0), (0.5, middle), (1, 1), clipped to [0, 1]."""
    tone = np.arange(256) / 255
    return np.clip((2 - 4 * middle) * tone**2 + (4 * middle - 1) * tone, 0, 1)


@_kadid("Brighten", "overexposure", (0.1, 0.2, 0.4, 0.7, 1.1))
def _brighten(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    curve = _parabola(0.5 + amount / 2)
    lab = colour.rgb_to_lab(image)
    lab[..., 0] = 100 * np.interp(lab[..., 0] / 100, np.arange(256) / 255, curve)
    # KADID blends the curve on RGB, which shifts colours, with the curve on lightness, which keeps them.
    return to_uint8((2 * (255 * curve).astype(np.float32)[image] + colour.lab_to_rgb(lab)) / 3)


@_kadid("Darken", "underexposure", (0.05, 0.1, 0.2, 0.4, 0.8))
def _darken(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    return to_uint8(255 * _parabola(0.5 - amount / 2))[image]


@_kadid("Mean_Shift", "shifted brightness", (0.15, 0.08, 0, -0.08, -0.15))
def _mean_shift(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    return to_uint8(np.arange(256) + 255 * amount)[image]


@_kadid("Jitter", "jitter", (0.05, 0.1, 0.2, 0.5, 1))
def _jitter(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    grid = np.mgrid[:height, :width].astype(np.float32)
    result = image.astype(np.float32)
    for _ in range(5):
        where = grid + rng.standard_normal(grid.shape, dtype=np.float32) * np.float32(amount)
        result = np.stack([map_coordinates(np.ascontiguousarray(result[..., channel]), where, order=1, mode="nearest")
                           for channel in range(3)], axis=-1)
    return to_uint8(result)


@_kadid("Non-eccentricity_patch", "displaced patches", (20, 40, 60, 80, 100))
def _non_eccentricity_patch(image: Pixels, count: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    side, reach = min(16, height, width), 16
    result = image.copy()
    for _ in range(int(count)):
        row, column = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        to_row = np.clip(row + rng.integers(-reach // 2, reach // 2 + 1), 0, height - side)
        to_column = np.clip(column + rng.integers(-reach // 2, reach // 2 + 1), 0, width - side)
        patch = result[row: row + side, column: column + side].copy()
        result[to_row: to_row + side, to_column: to_column + side] = patch
    return result


@_kadid("Pixelate", "pixelation", (0.01, 0.05, 0.1, 0.2, 0.5))
def _pixelate(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    share = 0.95 - strength**0.6
    height, width = image.shape[:2]
    rows = _nearest(height, max(1, round(height * share)))
    return np.asarray(image[rows][:, _nearest(width, max(1, round(width * share)))])


def _nearest(length: int, cells: int) -> np.ndarray:
    """For each of `length` positions, the centre of the one of `cells` equal cells that it falls in."""
    cell = np.arange(length) * cells // length
    return np.asarray(np.minimum(((cell + 0.5) * length / cells).astype(int), length - 1))


@_kadid("Quantization", "banding", (20, 16, 13, 10, 7))
def _quantization(image: Pixels, thresholds: float, rng: np.random.Generator) -> Pixels:
    histogram = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    tones = np.arange(256)
    # Otsu's thresholds for many classes are those of one-dimensional k-means on the histogram.
    centres = np.quantile(image, (np.arange(thresholds + 1) + 0.5) / (thresholds + 1))
    for _ in range(20):
        nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, tones)
        weight = np.bincount(nearest, histogram, len(centres))
        total = np.bincount(nearest, histogram * tones, len(centres))
        centres = np.sort(np.where(weight > 0, total / np.maximum(weight, 1e-9), centres))
    nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, tones)
    return to_uint8(centres[nearest])[image]


@_kadid("Color_Block", "coloured blocks", (2, 4, 6, 8, 10))
def _color_block(image: Pixels, count: float, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    # A block of 32 pixels on KADID's 512x384; smaller images get smaller blocks, never one that hides them.
    side = max(1, min(32, height // 4, width // 4))
    result = image.copy()
    for _ in range(int(count)):
        row, column = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        result[row: row + side, column: column + side] = rng.integers(0, 256, 3, dtype=np.uint8)
    return result


@_kadid("High_Sharpen", "oversharpening", (1, 2, 3, 6, 12))
def _high_sharpen(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    lab = colour.rgb_to_lab(image)
    lightness = lab[..., 0]
    lab[..., 0] = np.clip(lightness + amount * (lightness - _smooth(lightness, 3)), 0, 100)
    return colour.lab_to_rgb(lab)


@_kadid("Contrast Dist.", "wrong contrast", (0.3, 0.15, 0, -0.4, -0.6))
def _contrast(image: Pixels, amount: float, rng: np.random.Generator) -> Pixels:
    curve = CubicSpline([0, 0.3, 0.5, 0.7, 1], [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1])
    return to_uint8(255 * curve(np.arange(256) / 255))[image]


DISTORTIONS: tuple[str, ...] = tuple(_EFFECTS)
"""KADID-10k's names in its order; a type's id is its place, counted from 1."""

LEVELS = (1, 2, 3, 4, 5)

PLAIN_NAMES: dict[str, str] = {name: plain for name, (_, _, plain) in _EFFECTS.items()}
"""What a person would call each distortion, for sentences."""


def distortion_name(name_or_id: str | int) -> str:
    """KADID's name for a name (case is forgiven), a plain name or an id from 1 to 25.

    Raises:
        InputError: no such distortion; the sentence suggests the nearest.
    """
    if isinstance(name_or_id, (int, np.integer)) and not isinstance(name_or_id, bool):
        if not 1 <= name_or_id <= len(DISTORTIONS):
            raise InputError(f"A distortion's id lies between 1 and {len(DISTORTIONS)}; got {name_or_id}.")
        return DISTORTIONS[name_or_id - 1]
    names = {key.lower(): name for name in DISTORTIONS for key in (name, PLAIN_NAMES[name])}
    key = str(name_or_id).strip().lower()
    if key not in names:
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
        hint = f"did you mean {names[near[0]]!r}" if near else f"choose from {', '.join(DISTORTIONS)}"
        raise InputError(f"There is no distortion {name_or_id!r}; {hint}.")
    return names[key]


def distort(image: np.ndarray, name_or_id: str | int, level: int, *, rng: np.random.Generator | int) -> np.ndarray:
    """A distorted copy of an image.

    Args:
        image: uint8 RGB [H, W, 3] of any size from 1x1; it is not changed.
        name_or_id: one of `DISTORTIONS`, its plain name, or its id from 1 to 25.
        level: 1 (KADID's mildest) to 5. Some types begin with no damage at level 1, and brightness and contrast
            run from one direction through almost none to the other.
        rng: a generator, or a seed; the same seed gives the same image.

    Returns:
        uint8 RGB [H, W, 3], a new array.

    Raises:
        InputError: an unknown distortion or a level outside 1..5.
        ValueError: an array that is not uint8 RGB.
    """
    name = distortion_name(name_or_id)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"distort takes a uint8 RGB array [H, W, 3]; got {kind}.")
    if image.size == 0:
        raise ValueError("distort takes an image of at least one pixel; got an empty one.")
    effect, strengths, _ = _EFFECTS[name]
    result = effect(image, strengths[_checked_level(level) - 1], np.random.default_rng(rng))
    return np.array(result, dtype=np.uint8, order="C", copy=True)


def level_mos(name_or_id: str | int, level: int) -> float:
    """Mean opinion score in [0, 1] of a distortion type and level in KADID-10k, (mean - 1) / 4 of its 1-to-5 scale.

    Raises:
        InputError: an unknown distortion or a level outside 1..5.
    """
    return _level_means()[distortion_name(name_or_id), _checked_level(level)]


def _checked_level(level: int) -> int:
    if isinstance(level, bool) or level not in LEVELS:
        raise InputError(f"A distortion's level lies between 1 and 5; got {level}.")
    return int(level)


@functools.cache
def _level_means() -> dict[tuple[str, int], float]:
    with (Path(__file__).parent / "kadid_level_means.csv").open(newline="") as file:
        return {(row["distortion"], int(row["level"])): (float(row["mos_mean"]) - 1) / 4
                for row in csv.DictReader(file)}
