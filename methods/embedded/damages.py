"""Damage that KADID-10k does not have: what enlarging, rendering, denoising, tone mapping and rolling shutters do.

Each is a pure function of an 8-bit image at five levels. Nobody has rated such images, so only the order within one
photo's ladder is known; `LEVEL_QUALITY` spaces the levels as the mean of KADID-10k's raters spaces theirs.

`RENDERED_HELD_OUT` are never trained on: they are the domain that a model meets for the first time when references
from it are measured.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter

from methods.errors import InputError, suggestion
from methods.kadid.distortions import to_uint8

Pixels = NDArray[np.uint8]
Effect = Callable[[Pixels, int, np.random.Generator], Pixels]

LEVELS = (1, 2, 3, 4, 5)

LEVEL_QUALITY = (0.78, 0.62, 0.47, 0.33, 0.20)
"""Quality in [0, 1] that stands for each level; intact photos have 0.92."""

_EFFECTS: dict[str, Effect] = {}


def _damage(name: str) -> Callable[[Effect], Effect]:
    def register(effect: Effect) -> Effect:
        _EFFECTS[name] = effect
        return effect
    return register


def damage(image: Pixels, name: str, level: int, *, rng: np.random.Generator | int) -> Pixels:
    """The image with a damage.

    Args:
        image: uint8 [H, W, 3], both sides at least 32.
        name: one of `NAMES`.
        level: 1 (hardly seen) to 5.
        rng: of where the damage lies.

    Returns:
        uint8 [H, W, 3].

    Raises:
        InputError: an unknown name or level.
    """
    if name not in _EFFECTS:
        raise InputError(f"There is no damage {name!r}{suggestion(name, _EFFECTS)}")
    if level not in LEVELS:
        raise InputError(f"Levels run from {LEVELS[0]} to {LEVELS[-1]}, not {level}.")
    return _EFFECTS[name](image, level, np.random.default_rng(rng))


def _sharpened(image: np.ndarray, radius: float, amount: float) -> np.ndarray:
    image = image.astype(np.float32)
    return image + amount * (image - cv2.GaussianBlur(image, (0, 0), radius))


# --- enlargement ------------------------------------------------------------------------------------------------------

_FACTORS = (2.0, 3.0, 4.0, 6.0, 8.0)


def _enlarged(image: Pixels, factor: float, how: int) -> np.ndarray:
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(4, round(width / factor)), max(4, round(height / factor))),
                       interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=how)


@_damage("bicubic enlargement")
def _bicubic(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    return to_uint8(_enlarged(image, _FACTORS[level - 1], cv2.INTER_CUBIC))


@_damage("bilinear enlargement")
def _bilinear(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    return to_uint8(_enlarged(image, _FACTORS[level - 1], cv2.INTER_LINEAR))


@_damage("sharpened enlargement")
def _sharpened_enlargement(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """As super-resolution leaves it: crisp outlines, flat surfaces in between."""
    factor = _FACTORS[level - 1]
    large = _enlarged(image, factor, cv2.INTER_CUBIC)
    for _ in range(1 + level // 2):
        large = cv2.bilateralFilter(to_uint8(large), 5, 18.0, 3.0)
    return to_uint8(_sharpened(large, 0.4 * factor, 1.6))


@_damage("ringing enlargement")
def _ringing(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """The high frequencies cut off sharply: every edge has echoes."""
    height, width = image.shape[:2]
    spectrum = np.fft.rfft2(image.astype(np.float32), axes=(0, 1))
    reach = 0.5 / _FACTORS[level - 1]
    keep = (np.abs(np.fft.fftfreq(height))[:, None] <= reach) & (np.fft.rfftfreq(width)[None] <= reach)
    return to_uint8(np.fft.irfft2(spectrum * keep[..., None], (height, width), axes=(0, 1)))


# --- rendering faults -------------------------------------------------------------------------------------------------


def _blobs(shape: tuple[int, int], share: float, grain: float, rng: np.random.Generator) -> np.ndarray:
    """bool [H, W], true on that share of the image in patches about `grain` times its shorter side wide."""
    noise = rng.standard_normal((max(8, shape[0] // 8), max(8, shape[1] // 8)))
    smooth = gaussian_filter(noise, grain * min(noise.shape))
    large = cv2.resize(smooth, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large >= np.quantile(large, 1 - share), dtype=bool)


def _edges(image: Pixels, share: float) -> np.ndarray:
    """bool [H, W]: near the strongest edges, on that share of the image."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 2).astype(np.float32)
    strength = cv2.GaussianBlur(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)),
                                (0, 0), 4)
    return np.asarray(strength >= np.quantile(strength, 1 - share), dtype=bool)


def _moved(image: Pixels, right: np.ndarray, down: np.ndarray) -> Pixels:
    """The image sampled at each pixel's place plus (right, down) in pixels, float [H, W]."""
    rows, columns = np.indices(image.shape[:2], dtype=np.float32)
    return np.asarray(cv2.remap(image, columns + right.astype(np.float32), rows + down.astype(np.float32),
                                cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)


@_damage("holes")
def _holes(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Parts that a renderer did not know, black or filled with what lies round them."""
    mask = _blobs(image.shape[:2], (0.01, 0.03, 0.06, 0.12, 0.22)[level - 1], 0.04, rng)
    out = image.copy()
    if rng.random() < 0.5:
        out[mask] = 0
    else:
        filled = cv2.GaussianBlur(image, (0, 0), 14)
        out[mask] = filled[mask]
    return out


@_damage("doubled edges")
def _doubled(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Near edges, two positions of the scene at once."""
    shift = (2, 4, 6, 9, 13)[level - 1]
    angle = rng.uniform(0, 2 * np.pi)
    second = _moved(image, np.full(image.shape[:2], shift * np.cos(angle)),
                    np.full(image.shape[:2], shift * np.sin(angle)))
    weight = 0.5 * gaussian_filter(_edges(image, 0.15 + 0.09 * level).astype(np.float32), 2)[..., None]
    return to_uint8(image * (1 - weight) + second * weight)


@_damage("warped contours")
def _warped(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Straight lines bend, as where depth was estimated wrongly."""
    side = min(image.shape[:2])
    fields = gaussian_filter(rng.standard_normal((2, *image.shape[:2])).astype(np.float32), (0, side / 40, side / 40))
    fields *= (1.0, 2.0, 3.5, 5.5, 8.5)[level - 1] / fields.std()
    near = gaussian_filter(_edges(image, 0.5).astype(np.float32), 4)
    return _moved(image, fields[0] * near, fields[1] * near)


@_damage("torn edges")
def _torn(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Strips across edges, each pushed aside by another amount."""
    height, width = image.shape[:2]
    strip = int(rng.integers(3, 8))
    push = np.repeat(rng.normal(0, (1.0, 2.0, 3.5, 6.0, 10.0)[level - 1], height // strip + 1), strip)[:height]
    near = gaussian_filter(_edges(image, 0.35).astype(np.float32), 2)
    return _moved(image, push[:, None] * near, np.zeros((height, width)))


@_damage("shaking contours")
def _shaking(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Contours tremble at the scale of a few pixels."""
    fields = gaussian_filter(rng.standard_normal((2, *image.shape[:2])).astype(np.float32), (0, 2, 2))
    fields *= (0.7, 1.3, 2.0, 3.0, 4.5)[level - 1] / fields.std()
    near = gaussian_filter(_edges(image, 0.4).astype(np.float32), 2)
    return _moved(image, fields[0] * near, fields[1] * near)


@_damage("ghosting")
def _ghosting(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """A faint second image of parts of the scene, far from the first."""
    height, width = image.shape[:2]
    far = (0.04 + 0.03 * rng.random()) * min(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    second = _moved(image, np.full((height, width), far * np.cos(angle)), np.full((height, width), far * np.sin(angle)))
    mask = gaussian_filter(_blobs((height, width), 0.25 + 0.1 * level, 0.12, rng).astype(np.float32), 4)[..., None]
    weight = (0.12, 0.2, 0.3, 0.4, 0.5)[level - 1] * mask
    return to_uint8(image * (1 - weight) + second * weight)


# --- processing -------------------------------------------------------------------------------------------------------


@_damage("over-smoothed denoising")
def _oversmoothed(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Noise removed together with every texture."""
    smooth = to_uint8(image + rng.normal(0, 6, image.shape))
    for _ in range((1, 2, 3, 4, 6)[level - 1]):
        smooth = cv2.bilateralFilter(smooth, 7, (24.0, 36.0, 54.0, 76.0, 100.0)[level - 1], 3.0)
    return np.asarray(median_filter(smooth, (3, 3, 1)) if level >= 4 else smooth, dtype=np.uint8)


@_damage("heavy tone mapping")
def _tone_mapped(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Local contrast lifted until light halos lie round dark things."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lift = cv2.createCLAHE(clipLimit=(1.5, 2.5, 4.0, 6.5, 10.0)[level - 1], tileGridSize=(6, 6)).apply(lab[..., 0])
    halo = _sharpened(lift, min(image.shape[:2]) / 18, (0.1, 0.25, 0.45, 0.7, 1.0)[level - 1])
    colours = 128 + (lab[..., 1:].astype(np.float32) - 128) * (1 + 0.12 * level)
    lab = np.dstack([to_uint8(halo), to_uint8(colours)])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), dtype=np.uint8)


@_damage("banding of smooth areas")
def _banding(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Gradients fall into steps while edges stay."""
    smooth = cv2.bilateralFilter(image, 9, 30.0, 5.0).astype(np.float32)
    step = (10.0, 16.0, 24.0, 36.0, 52.0)[level - 1]
    stepped = np.round(smooth / step) * step
    flat = 1 - gaussian_filter(_edges(image, 0.25).astype(np.float32), 3)[..., None]
    return to_uint8(stepped * flat + image * (1 - flat))


@_damage("rolling shutter")
def _rolling(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Rows are read one after the other while the camera shakes."""
    height, width = image.shape[:2]
    rows = np.arange(height) / height
    reach = (2.0, 4.0, 7.0, 11.0, 17.0)[level - 1]
    waves = sum(np.sin(2 * np.pi * (rng.uniform(1, 9) * rows + rng.random())) for _ in range(3)) / 1.5
    return _moved(image, np.broadcast_to((reach * waves)[:, None], (height, width)), np.zeros((height, width)))


@_damage("two at once")
def _mixed(image: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    """Two of this module's and KADID's most frequent damages, one after the other."""
    from methods.kadid.distortions import distort

    frequent = ("GBLUR", "JPEG", "AWGN", "Darken", "bicubic enlargement", "over-smoothed denoising")
    first, second = rng.permutation(frequent)[:2]
    for name in (str(first), str(second)):
        weaker = max(1, level - 1) if rng.random() < 0.5 else level
        image = damage(image, name, weaker, rng=rng) if name in _EFFECTS else distort(image, name, weaker, rng=rng)
    return image


NAMES = tuple(_EFFECTS)

RENDERED_HELD_OUT = ("torn edges", "shaking contours", "ghosting")
"""Rendering faults that nothing is trained on."""

TRAINING_NAMES = tuple(name for name in NAMES if name not in RENDERED_HELD_OUT)
"""What may be trained on."""

FAMILIES = {
    "enlargement": ("bicubic enlargement", "bilinear enlargement", "sharpened enlargement", "ringing enlargement"),
    "rendering faults": ("holes", "doubled edges", "warped contours", *RENDERED_HELD_OUT),
    "over-smoothed denoising": ("over-smoothed denoising",),
    "heavy tone mapping": ("heavy tone mapping",),
    "banding": ("banding of smooth areas",),
    "rolling shutter": ("rolling shutter",),
    "mixed": ("two at once",),
}
"""What they are called together; the keys of a table."""
