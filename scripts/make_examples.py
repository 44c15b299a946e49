"""Makes the example pictures of the Score tab from photographs that scikit-image carries (see NOTICE for their terms).

    python -m scripts.make_examples

Three are left as they are and three are damaged, so that a visitor sees at once what moves the score. Running it
again writes the same files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from skimage import data

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "examples"


def blurred(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(3.0))


def dark_and_noisy(picture: Image.Image) -> Image.Image:
    linear = (np.asarray(picture, dtype=np.float32) / 255.0) ** 2.2 * 0.09
    noise = np.random.default_rng(7).normal(scale=0.011 + 0.05 * np.sqrt(linear), size=linear.shape)
    return Image.fromarray((np.clip(linear + noise, 0, 1) ** (1 / 2.2) * 255).round().astype(np.uint8))


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    coffee, cat, astronaut, rocket = (
        Image.fromarray(photo()) for photo in (data.coffee, data.chelsea, data.astronaut, data.rocket)
    )
    coffee.save(FOLDER / "coffee.jpg", quality=93)
    rocket.save(FOLDER / "rocket.jpg", quality=93)
    astronaut.save(FOLDER / "astronaut.jpg", quality=93)
    dark_and_noisy(coffee).save(FOLDER / "coffee-dark-and-noisy.jpg", quality=93)
    blurred(cat).save(FOLDER / "cat-blurred.jpg", quality=93)
    astronaut.save(FOLDER / "astronaut-compressed.jpg", quality=6)


if __name__ == "__main__":
    main()
