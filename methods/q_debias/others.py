"""Images that do not show what the query shows: the semantically inconsistent conditions of Table 3, exp 8.

The paper takes images of other datasets and does not name them. Here they are the photos of the shipped reference
set; which one serves for a query and a distortion follows from the query's pixels and the seed, so a score repeats.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from assets import FOLDER
from methods.data import find_images
from methods.errors import InputError
from methods.images import decode
from methods.q_debias.distortions import DISTORTIONS

POOL = FOLDER / "reference-set" / "images"


def other_image(image: Image.Image, distortion: str, seed: int = 0) -> Image.Image:
    """A photo of the pool other than the query, another one for each distortion.

    Args:
        image: the query, RGB.
        distortion: a name in `distortions.DISTORTIONS`.
        seed: at least 0.

    Raises:
        InputError: the pool has too few photos.
    """
    content = content_number(np.asarray(image.convert("RGB")))
    others = [path for path, own in _pool() if own != content]
    if len(others) < len(DISTORTIONS):
        raise InputError(f"Conditions of other images need at least {len(DISTORTIONS)} photos in {POOL}; check the "
                         "whole repository out, or leave the conditions consistent.")
    order = np.random.default_rng([seed, content]).permutation(len(others))
    return _photo(others[order[list(DISTORTIONS).index(distortion)]])


def content_number(pixels: np.ndarray) -> int:
    """A number below 2 ** 64 that follows from an image's size and pixels, uint8 [H, W, 3]; the seed of its noise."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(pixels))
    return int.from_bytes(digest.digest(), "big")


@functools.cache
def _pool() -> tuple[tuple[Path, int], ...]:
    paths = find_images(POOL) if POOL.is_dir() else []
    return tuple((path, content_number(np.asarray(_photo(path)))) for path in paths)


@functools.lru_cache(maxsize=16)
def _photo(path: Path) -> Image.Image:
    return decode(path).image
