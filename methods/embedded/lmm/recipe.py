"""Which pictures the embedded LMM is trained and measured on, and what is known of each.

A `Shot` is a picture to be made: a photo, how it is cropped, mirrored and damaged, and what that says about its
quality. The list of shots follows from the photos and the seed alone, so every run makes the same pictures and a
cache of their features can be resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from methods import files
from methods.data import find_images
from methods.embedded.lmm.tower import SIZE
from methods.kadid.distortions import DISTORTIONS, LEVELS, distort, level_mos

ROLES = ("opinion", "pristine")

CONDITIONS = ("zoom_blur", "spatter", "saturate", "fog")
"""Q-Debias's damages, which its prompts show first."""

LADDERS = ("Darken",)
"""Damages that every photo is shown at all levels of. Raters hardly see the first steps of darkening; one level a photo
does not teach to tell a darkened photo from a dark one (rank correlation 0.48 over held-out photos' levels, with all
levels 0.70)."""

HELD_OUT_SHARE = 5
"""One in so many pristine photos is never trained on and measures the synthetic distortions."""


@dataclass(frozen=True)
class Shot:
    """One picture to be made.

    Attributes:
        photo: the file it comes from.
        role: "opinion" (people have rated the photo) or "pristine" (it is good, and its damage is known).
        group: number of the photo; folds and held-out sets never split a group.
        mos: quality in [0, 1] of exactly this picture, or NaN where nobody knows (a damaged rated photo).
        damage: a name of `DISTORTIONS` or `CONDITIONS`, or "".
        level: 1 to 5 for `DISTORTIONS`, else 0.
        crop: share of the sides that is kept; 1 for the whole photo.
        mirrored: left and right exchanged.
        seed: of the crop's place and of the damage.
        held_out: never trained on.
    """

    photo: Path
    role: str
    group: int
    mos: float
    damage: str = ""
    level: int = 0
    crop: float = 1.0
    mirrored: bool = False
    seed: int = 0
    held_out: bool = False

    @property
    def key(self) -> str:
        """Identifies the picture's pixels across runs."""
        parts = (self.photo.name, self.role, self.damage, self.level, round(self.crop, 4), self.mirrored, self.seed)
        return files.hash_joined([repr(parts)])[:16]

    def make(self) -> Image.Image:
        """The picture, RGB, [SIZE, SIZE]."""
        rng = np.random.default_rng(self.seed)
        with Image.open(self.photo) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
        if self.role == "pristine":
            picture = _working_size(picture, rng)
        if self.crop < 1:
            picture = _cropped(picture, self.crop, rng)
        if self.mirrored:
            picture = ImageOps.mirror(picture)
        if self.damage:
            picture = Image.fromarray(_damaged(np.array(picture), self.damage, self.level, rng))
        return picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def _working_size(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A pristine photo at the sizes at which KADID damages its photos; shrinking first hides its own flaws."""
    short = int(rng.integers(400, 640))
    scale = min(1.0, short / min(picture.size))
    size = tuple(max(64, round(side * scale)) for side in picture.size)
    return picture.resize(size, Image.Resampling.LANCZOS) if scale < 1 else picture


def _cropped(picture: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    width, height = (max(1, round(side * share)) for side in picture.size)
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    return picture.crop((left, top, left + width, top + height))


def _damaged(image: np.ndarray, damage: str, level: int, rng: np.random.Generator) -> np.ndarray:
    if damage in DISTORTIONS:
        return distort(image, damage, level, rng=rng)
    from methods.q_debias.distortions import DISTORTIONS as CONDITION

    result = CONDITION[damage](image.astype(np.float32) / 255, rng=rng)
    return np.clip(np.rint(result * 255), 0, 255).astype(np.uint8)


def photos_in(folders: Iterable[Path]) -> list[Path]:
    """Every picture file in the folders, in the order of their names."""
    return [path for folder in folders for path in find_images(folder)]


def opinion_shots(photos: Sequence[Path], mos01: Sequence[float], seed: int = 0) -> list[list[Shot]]:
    """Rated photos, as lists of one shot a photo.

    Whole and mirrored they keep their own score. Cropped, damaged twice by Q-Debias's conditions and once by one of
    KADID's types, nobody has scored them: they serve in pairs.
    """
    rng = np.random.default_rng(seed)
    takes: list[list[Shot]] = [[] for _ in range(6)]
    for group, (photo, mos) in enumerate(zip(photos, mos01, strict=True)):
        score = float(mos)
        first, second = rng.permutation(CONDITIONS)[:2]
        shots = [
            Shot(photo, "opinion", group, score),
            Shot(photo, "opinion", group, score, mirrored=True),
            # A crop is enlarged, which blurs it: as a rated picture it costs two points of rank correlation.
            Shot(photo, "opinion", group, np.nan, crop=float(rng.uniform(0.7, 0.95)), mirrored=bool(rng.integers(2)),
                 seed=int(rng.integers(2**31))),
            Shot(photo, "opinion", group, np.nan, damage=str(first), seed=int(rng.integers(2**31))),
            Shot(photo, "opinion", group, np.nan, damage=str(second), seed=int(rng.integers(2**31))),
            Shot(photo, "opinion", group, np.nan, damage=str(rng.choice(DISTORTIONS)), level=int(rng.choice(LEVELS)),
                 seed=int(rng.integers(2**31))),
        ]
        for take, shot in zip(takes, shots):
            take.append(shot)
    return takes


def ladder_shots(pristine: Sequence[Shot]) -> list[Shot]:
    """Each training photo of `pristine` at all five levels of `LADDERS`, with nothing else changed."""
    photos = {shot.group: shot for shot in pristine if not shot.held_out}
    return [Shot(shot.photo, "pristine", group, level_mos(name, level), damage=name, level=level, seed=shot.seed)
            for group, shot in photos.items() for name in LADDERS for level in LEVELS]


def pristine_shots(photos: Sequence[Path], first_group: int, damages: int = 16, seed: int = 1) -> list[Shot]:
    """Pristine photos: undamaged twice, and damaged by `damages` types at one level each (all 25 where held out)."""
    rng = np.random.default_rng(seed)
    shots = []
    held = set(rng.permutation(len(photos))[: len(photos) // HELD_OUT_SHARE].tolist())
    for number, photo in enumerate(photos):
        group, held_out = first_group + number, number in held
        for mirrored in (False, True):
            shots.append(Shot(photo, "pristine", group, 0.92, mirrored=mirrored, seed=int(rng.integers(2**31)),
                              held_out=held_out))
        names = DISTORTIONS if held_out else rng.permutation(DISTORTIONS)[:damages]
        for name in names:
            level = int(rng.choice(LEVELS))
            shots.append(Shot(photo, "pristine", group, level_mos(str(name), level), damage=str(name), level=level,
                              mirrored=bool(rng.integers(2)), seed=int(rng.integers(2**31)), held_out=held_out))
    return shots
