"""Four distortions that ruin an image's quality and leave its content recognisable (Q-Debias section 3.2.1, Eq. 3-7).

They are ImageNet-C's zoom blur, spatter, saturate and fog (Hendrycks and Dietterich, 2019), for an image of any
size. Each is a pure function on float RGB; everything random comes from the generator that the caller hands over,
in the order in which ImageNet-C draws it. Constants are the defaults of the arguments, the paper's where it states
them; `SETTINGS` holds the paper's and the released code's side by side.

ImageNet-C defines its spatter by OpenCV's Canny, distance transform and histogram equalisation, so OpenCV computes
them here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from methods.q_debias.diamond_square import plasma

PAPER_ZOOMS = tuple(round(1 + 0.01 * step, 2) for step in range(11))
"""Section 4.1: z from 1.00 to 1.10 in steps of 0.01, n = 11."""

CODE_ZOOMS = tuple(round(1 + 0.02 * step, 2) for step in range(11))
"""The released code, ImageNet-C's severity 3: z from 1.00 to 1.20 in steps of 0.02."""

WATER = np.array([175, 238, 238], dtype=np.float32) / 255
"""ImageNet-C's pale turquoise."""

MUD = np.array([63, 42, 20], dtype=np.float32) / 255
"""ImageNet-C's mud brown."""


def zoom_blur(image: np.ndarray, *, rng: np.random.Generator | None = None, factors: Sequence[float] = PAPER_ZOOMS,
              extra_original: bool = True) -> np.ndarray:
    """A camera that moved towards the scene during the exposure: the mean of zooms into the centre (Eq. 3).

    Args:
        image: float RGB [H, W, 3] in [0, 1]; not changed.
        rng: not used; every distortion takes one.
        factors: zoom factors, at least 1.
        extra_original: ImageNet-C counts the unzoomed image once more beside the zooms, the mean being over n + 1;
            False is Eq. 3 to the letter.

    Returns:
        The same shape and dtype, in [0, 1].

    Raises:
        ValueError: `image` is not float RGB in [0, 1], or a factor is below 1 or missing.
    """
    pixels = _as_float32(image)
    if len(factors) == 0 or not all(np.isfinite(factor) and factor >= 1 for factor in factors):
        raise ValueError(f"Zoom blur needs at least one factor, each 1 or more; got {tuple(factors)}.")
    total = pixels.copy() if extra_original else np.zeros_like(pixels)
    for factor in factors:
        cv2.add(total, clipped_zoom(pixels, factor), dst=total)
    total /= len(factors) + extra_original
    return _finish(total, image)


def clipped_zoom(image: np.ndarray, factor: float) -> np.ndarray:
    """The centre of the image enlarged back to the image's size, bilinear with corners aligned (ImageNet-C).

    Args:
        image: float32 [H, W, 3].
        factor: 1 or more.

    Returns:
        float32 [H, W, 3].
    """
    if factor == 1:
        return image
    scales, offsets = zip(*(_zoom_axis(side, factor) for side in image.shape[:2]))
    from_output = np.array([[scales[1], 0, offsets[1]], [0, scales[0], offsets[0]]])
    height, width = image.shape[:2]
    return cv2.warpAffine(
        image,
        from_output,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _zoom_axis(side: int, factor: float) -> tuple[float, float]:
    """(scale, offset) such that output pixel i of this axis shows the input at scale * i + offset."""
    inner = int(np.ceil(side / factor))
    first = (side - inner) // 2
    enlarged = max(round(inner * factor), side)
    scale = (inner - 1) / (enlarged - 1) if enlarged > 1 else 0.0
    # Rounding can enlarge the centre beyond the image; what is too much goes off both ends.
    return scale, first + scale * ((enlarged - side) // 2)


def spatter(image: np.ndarray, *, rng: np.random.Generator, mean: float = 0.65, std: float = 0.3, sigma: float = 2.0,
            threshold: float = 0.68, strength: float = 0.5, mud: bool = False, blend: bool = False) -> np.ndarray:
    """Drops of water, or splashes of mud, on the lens (Eq. 4, with ImageNet-C's mask M and colours C).

    The defaults are ImageNet-C's severity 3.

    Args:
        image: float RGB [H, W, 3] in [0, 1]; not changed.
        rng: draws one normal number per pixel.
        mean, std: of those numbers.
        sigma: of the Gaussian that turns them into blobs, in pixels; its tail is cut after four sigma.
        threshold: blobs below it are dry.
        strength: of water, the largest opacity in [0, 1]; of mud, the sigma in pixels that softens its edges.
        mud: mud instead of water (severities 4 and 5).
        blend: water as Eq. 4 has it, x (1 - M) + C M; False adds it, x + C M, as ImageNet-C and the released code do.
            The two differ by up to M times the image. Mud is blended in both.

    Returns:
        The same shape and dtype, in [0, 1]. Where no pixel is wet the image stays as it is.

    Raises:
        ValueError: `image` is not float RGB in [0, 1].
    """
    pixels = _as_float32(image)
    liquid = _gaussian(rng.normal(loc=mean, scale=std, size=pixels.shape[:2]), sigma)
    liquid[liquid < threshold] = 0
    if mud:
        mask = _gaussian((liquid > threshold).astype(np.float32), strength)
        mask[mask < 0.8] = 0
        mask = mask[..., None]
        return _finish(pixels * (1 - mask) + MUD * mask, image)
    mask = water_mask((liquid * 255).astype(np.uint8), strength)
    water = cv2.merge([mask * channel for channel in WATER])
    background = pixels * (1 - mask[..., None]) if blend else pixels
    return _finish(background + water, image)


def water_mask(liquid: np.ndarray, strength: float) -> np.ndarray:
    """The opacity of water from its thickness: bright in the drops' bodies, embossed at their edges (ImageNet-C).

    Args:
        liquid: uint8 [H, W], 0 where dry.
        strength: the largest opacity.

    Returns:
        float32 [H, W] in [0, strength].
    """
    inside = 255 - cv2.Canny(liquid, 50, 150)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    distance = cv2.equalizeHist(distance)
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float32)
    relief = cv2.blur(cv2.filter2D(distance, cv2.CV_8U, emboss), (3, 3))
    mask = liquid * relief.astype(np.float32)
    thickest = mask.max()
    # ImageNet-C divides by zero on an image so small that no pixel of it is wet.
    return mask * (strength / thickest) if thickest > 0 else mask


def saturate(
    image: np.ndarray, *, rng: np.random.Generator | None = None, scale: float = 2.0, shift: float = 0.0
) -> np.ndarray:
    """Colours pushed to the limit: saturation in HSV becomes clip(scale * s + shift, 0, 1) (Eq. 5-6).

    Args:
        image: float RGB [H, W, 3] in [0, 1]; not changed.
        rng: not used; every distortion takes one.
        scale: the paper's c, 2.0 (section 4.1).
        shift: 0 in the paper; ImageNet-C's severities 4 and 5 add some. A grey pixel has hue 0, so it turns red.

    Returns:
        The same shape and dtype, in [0, 1].

    Raises:
        ValueError: `image` is not float RGB in [0, 1].
    """
    hsv = cv2.cvtColor(_as_float32(image), cv2.COLOR_RGB2HSV)
    saturation = hsv[..., 1] * np.float32(scale) + np.float32(shift)
    hsv[..., 1] = np.clip(saturation, 0, 1, out=saturation)
    return _finish(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), image)


def fog(image: np.ndarray, *, rng: np.random.Generator, strength: float = 2.5, decay: float = 1.5, rescale: bool = True
       ) -> np.ndarray:
    """Haze in clouds: diamond-square plasma laid over the image (Eq. 7).

    Args:
        image: float RGB [H, W, 3] in [0, 1]; not changed.
        rng: draws the plasma.
        strength: the paper's k, 2.5 (section 4.1).
        decay: ImageNet-C's wibble decay; the paper is silent, 1.5 is severity 4, which its code uses.
        rescale: ImageNet-C then scales by m / (m + strength), m being the image's brightest value, so that nothing
            is cut off; False is Eq. 7 to the letter, which turns most of an image white.

    Returns:
        The same shape and dtype, in [0, 1].

    Raises:
        ValueError: `image` is not float RGB in [0, 1], or `decay` is not above 1.
    """
    pixels = _as_float32(image)
    haze = plasma(*pixels.shape[:2], rng=rng, decay=decay)
    haze *= np.float32(strength)
    foggy = cv2.add(pixels, cv2.merge([haze, haze, haze]))
    if rescale:
        brightest = float(pixels.max())
        foggy *= np.float32(brightest / (brightest + strength))
    return _finish(foggy, image)


DISTORTIONS: dict[str, Callable[..., np.ndarray]] = {
    "zoom_blur": zoom_blur,
    "spatter": spatter,
    "saturate": saturate,
    "fog": fog,
}
"""By name, in the order of the paper's x'_1 to x'_4."""

SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "paper": {"zoom_blur": {"factors": PAPER_ZOOMS}, "spatter": {"blend": True}, "saturate": {}, "fog": {}},
    "code": {"zoom_blur": {"factors": CODE_ZOOMS}, "spatter": {}, "saturate": {}, "fog": {}},
}
"""Arguments by setting and distortion; where there are none, paper and released code agree with the defaults."""

IMAGENET_C: dict[str, tuple[dict[str, object], ...]] = {
    "zoom_blur": tuple(
        {"factors": tuple(np.arange(1, stop, step).tolist())}
        for stop, step in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
    ),
    "spatter": (
        {"mean": 0.65, "std": 0.3, "sigma": 4, "threshold": 0.69, "strength": 0.6, "mud": False},
        {"mean": 0.65, "std": 0.3, "sigma": 3, "threshold": 0.68, "strength": 0.6, "mud": False},
        {"mean": 0.65, "std": 0.3, "sigma": 2, "threshold": 0.68, "strength": 0.5, "mud": False},
        {"mean": 0.65, "std": 0.3, "sigma": 1, "threshold": 0.65, "strength": 1.5, "mud": True},
        {"mean": 0.67, "std": 0.4, "sigma": 1, "threshold": 0.65, "strength": 1.5, "mud": True},
    ),
    "saturate": tuple(
        {"scale": scale, "shift": shift} for scale, shift in ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))
    ),
    "fog": tuple(
        {"strength": strength, "decay": decay}
        for strength, decay in ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))
    ),
}
"""ImageNet-C's five severities, mildest first, for ablations: `fog(x, rng=rng, **IMAGENET_C["fog"][3])`."""


def _as_float32(image: np.ndarray) -> np.ndarray:
    """A contiguous float32 view or copy, checked; never to be written to."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        shape = getattr(image, "shape", type(image).__name__)
        raise ValueError(f"A distortion takes an RGB image [H, W, 3] of at least one pixel; got {shape}.")
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"A distortion takes float RGB in [0, 1]; got {image.dtype}. Divide 8-bit values by 255.")
    # Written so that NaN fails too.
    if not (image.min() >= 0 and image.max() <= 1):
        raise ValueError("A distortion takes float RGB in [0, 1]; got values outside it. Divide 8-bit values by 255.")
    return np.ascontiguousarray(image, dtype=np.float32)


def _finish(distorted: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.clip(distorted, 0, 1, out=distorted).astype(image.dtype, copy=False)


def _gaussian(field: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur whose kernel ends after four sigma, edges repeated: scikit-image's, at OpenCV's speed."""
    size = 2 * int(4 * sigma + 0.5) + 1
    return cv2.GaussianBlur(field, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
