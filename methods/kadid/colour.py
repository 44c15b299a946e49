"""Colour conversions that the distortions need, in float32 NumPy and fast enough to run inside a training loop.

Several of KADID-10k's distortions act on CIE Lab. The sRGB transfer curve is looked up (8-bit in, 12-bit out), which
is what makes a 512x512 round trip take milliseconds.
"""

from __future__ import annotations

import numpy as np

# IEC 61966-2-1 primaries, D65 white.
_RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423],
                        [0.212671, 0.715160, 0.072169],
                        [0.019334, 0.119193, 0.950227]], dtype=np.float32)
_WHITE = _RGB_TO_XYZ.sum(axis=1)
_TO_XYZ = np.ascontiguousarray((_RGB_TO_XYZ / _WHITE[:, None]).T)
_TO_RGB = np.ascontiguousarray(np.linalg.inv(_RGB_TO_XYZ.astype(np.float64) / _WHITE[:, None]).T.astype(np.float32))
_F_TO_LAB = np.array([[0, 500, 0], [116, -500, 200], [0, 0, -200]], dtype=np.float32)
_TO_YCBCR = np.array([[0.299, -0.168736, 0.5],
                      [0.587, -0.331264, -0.418688],
                      [0.114, 0.5, -0.081312]], dtype=np.float32)
_FROM_YCBCR = np.linalg.inv(_TO_YCBCR.astype(np.float64)).astype(np.float32)
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_STEPS = 4095


def _decode(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encode(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * np.maximum(value, 0) ** (1 / 2.4) - 0.055)


_LINEAR = _decode(np.arange(256) / 255)
# The curve is steep near black, so the table is indexed by the square root of the linear value.
_SRGB = np.rint(_encode((np.arange(_STEPS + 1) / _STEPS) ** 2) * 255).astype(np.uint8)


def rgb_to_lab(image: np.ndarray) -> np.ndarray:
    """uint8 sRGB [H, W, 3] to float32 CIE Lab [H, W, 3], L in [0, 100]."""
    xyz = _LINEAR[image] @ _TO_XYZ
    root = np.where(xyz > 0.008856, np.cbrt(xyz), xyz * np.float32(7.787) + np.float32(16 / 116))
    lab: np.ndarray = root @ _F_TO_LAB
    lab[..., 0] -= 16
    return lab


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """float32 CIE Lab [H, W, 3] to uint8 sRGB [H, W, 3]; colours outside the gamut are clipped."""
    lightness = (lab[..., 0] + 16) / 116
    root = np.stack([lightness + lab[..., 1] / 500, lightness, lightness - lab[..., 2] / 200], axis=-1)
    xyz = np.where(root > 0.206893, root * root * root, (root - np.float32(16 / 116)) / np.float32(7.787))
    linear = np.clip(xyz @ _TO_RGB, 0, 1)
    return np.asarray(_SRGB[np.rint(np.sqrt(linear) * _STEPS).astype(np.uint16)])


def rgb_to_ycbcr(image: np.ndarray) -> np.ndarray:
    """Any RGB [H, W, 3] to float32 luma and centred chroma [H, W, 3] on the same scale (BT.601, full range)."""
    return image.astype(np.float32) @ _TO_YCBCR


def ycbcr_to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """The inverse of `rgb_to_ycbcr`, float32 [H, W, 3], not clipped."""
    return ycbcr @ _FROM_YCBCR


def luminance(image: np.ndarray) -> np.ndarray:
    """RGB [H, W, 3] to float32 luma [H, W] on the same scale (BT.601)."""
    return image.astype(np.float32) @ _LUMINANCE
