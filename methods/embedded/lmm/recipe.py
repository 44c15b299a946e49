"""Which images the embedded LMM is trained and measured on, and what is known of each.

A `Shot` is an image to be made: a photo, how it is cropped, mirrored and damaged, and what that says about its
quality. The list of shots follows from the photos and the seed alone, so every run makes the same images and a
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
from methods.embedded import damages
from methods.embedded.lmm.tower import SIZE
from methods.images import decode
from methods.kadid.distortions import DISTORTIONS, LEVELS, distort, level_mos

CONDITIONS = ("zoom_blur", "spatter", "saturate", "fog")
"""Q-Debias's damages, which its prompts show first."""

LADDERS = ("Darken",)
"""Damages of which every photo shows all levels. Raters hardly see the first steps of darkening; one level per photo
does not teach to tell a darkened photo from a dark one (rank correlation 0.48 over held-out photos' levels, with all
levels 0.70)."""

PARTIAL = ("GBLUR", "JPEG", "AWGN", "Pixelate", "Darken", "holes")
"""Damages that are also laid on a part of a photo only."""

RATED_SHARE = 600
"""How many of the rated photos are also cropped and damaged."""

BEST, BEST_DAMAGES = 250, 8
"""How many of the tenth of the rated photos that people liked best are damaged in known ways, and in how many. Damage
to 97 photos alone is learned as damage to these photos."""

HELD_OUT_SHARE = 5
"""One in so many pristine photos is never trained on and measures the synthetic distortions."""


@dataclass(frozen=True)
class Shot:
    """One image to be made.

    Attributes:
        photo: the file it comes from.
        role: "opinion" (people have rated the photo) or "pristine" (it is good, and its damage is known).
        group: number of the photo; folds and held-out sets never split a group.
        mos: quality in [0, 1] of exactly this image, or NaN where nobody knows (a damaged rated photo).
        damage: a name of `DISTORTIONS`, `damages.NAMES` or `CONDITIONS`, or "".
        level: 1 to 5, 0 for `CONDITIONS`.
        part: the damage lies on a part of the photo, and the image is that part ("inside") or as large a part that
            is intact ("outside"); "" is the whole photo.
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
    part: str = ""

    @property
    def key(self) -> str:
        """Identifies the image's pixels across runs."""
        parts = (self.photo.name, self.role, self.damage, self.level, round(self.crop, 4), self.mirrored, self.seed,
                 self.part)
        return files.hash_joined([repr(parts)])[:16]

    def make(self) -> Image.Image:
        """The image, RGB, [SIZE, SIZE]."""
        rng = np.random.default_rng(self.seed)
        image = decode(self.photo).image
        if self.part:
            return self._part_of(image, rng).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        if self.role == "pristine":
            image = _working_size(image, rng)
        if self.crop < 1:
            image = _cropped(image, self.crop, rng)
        if self.mirrored:
            image = ImageOps.mirror(image)
        if self.damage:
            image = Image.fromarray(_damaged(np.array(image), self.damage, self.level, rng))
        return image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)

    def _part_of(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """One corner of the photo, damaged, or the opposite one, left as it is."""
        width, height = (max(32, round(side * rng.uniform(0.35, 0.5))) for side in image.size)
        right, low = bool(rng.integers(2)), bool(rng.integers(2))
        if self.part == "outside":
            right, low = not right, not low
        left, top = (image.width - width) * right, (image.height - height) * low
        corner = np.array(image.crop((left, top, left + width, top + height)))
        return Image.fromarray(
            _damaged(corner, self.damage, self.level, rng) if self.part == "inside" else corner)


def _working_size(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A pristine photo at the sizes at which KADID damages its photos; shrinking first hides its own flaws."""
    short = int(rng.integers(400, 640))
    scale = min(1.0, short / min(image.size))
    size = tuple(max(64, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS) if scale < 1 else image


def _cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    width, height = (max(1, round(side * share)) for side in image.size)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _damaged(image: np.ndarray, damage: str, level: int, rng: np.random.Generator) -> np.ndarray:
    if damage in DISTORTIONS:
        return distort(image, damage, level, rng=rng)
    if damage in damages.NAMES:
        return damages.damage(image, damage, level, rng=rng)
    from methods.q_debias.distortions import DISTORTIONS as CONDITION

    result = CONDITION[damage](image.astype(np.float32) / 255, rng=rng)
    return np.clip(np.rint(result * 255), 0, 255).astype(np.uint8)


def level_quality(damage: str, level: int) -> float:
    """Quality in [0, 1] of a pristine photo with a damage: KADID-10k's raters', or `damages.LEVEL_QUALITY`."""
    return level_mos(damage, level) if damage in DISTORTIONS else damages.LEVEL_QUALITY[level - 1]


def photos_in(folders: Iterable[Path]) -> list[Path]:
    """Every image file in the folders, in the order of their names."""
    return [path for folder in folders for path in find_images(folder)]


def opinion_shots(photos: Sequence[Path], mos01: Sequence[float], seed: int = 0) -> list[list[Shot]]:
    """Rated photos: all of them as they are, then what is made of some, in lists of one kind.

    As they are they keep their own score. Cropped, and damaged by two of Q-Debias's conditions, one of KADID-10k's
    types and one of `damages.TRAINING_NAMES`, nobody has scored them: they serve in pairs.
    """
    rng = np.random.default_rng(seed)
    takes: list[list[Shot]] = [
        [Shot(photo, "opinion", group, float(mos)) for group, (photo, mos) in enumerate(zip(photos, mos01, strict=True))
         ], *([] for _ in range(5))]
    for group in sorted(rng.permutation(len(photos))[:RATED_SHARE].tolist()):
        photo = photos[group]
        first, second = rng.permutation(CONDITIONS)[:2]
        shots = [
            # A crop is enlarged, which blurs it: as a rated image it costs two points of rank correlation.
            Shot(photo, "opinion", group, np.nan, crop=float(rng.uniform(0.7, 0.95)), mirrored=bool(rng.integers(2)),
                 seed=int(rng.integers(2**31))),
            *(Shot(photo, "opinion", group, np.nan, damage=str(name), level=level, seed=int(rng.integers(2**31)))
              for name, level in ((first, 0), (second, 0), (rng.choice(DISTORTIONS), int(rng.choice(LEVELS))),
                                  (rng.choice(damages.TRAINING_NAMES), int(rng.choice(LEVELS))))),
        ]
        for take, shot in zip(takes[1:], shots, strict=True):
            take.append(shot)
    return takes


def best_shots(photos: Sequence[Path], mos01: Sequence[float], seed: int = 2) -> list[Shot]:
    """The best rated photos, damaged in known ways; their groups are the photos' own."""
    rng = np.random.default_rng(seed)
    mos = np.asarray(mos01)
    best = np.flatnonzero(mos >= np.quantile(mos, 0.9))
    shots = []
    for group in sorted(rng.permutation(best)[:BEST].tolist()):
        for name in rng.permutation([*DISTORTIONS, *damages.TRAINING_NAMES])[:BEST_DAMAGES]:
            shots.append(_known(photos[group], group, str(name), int(rng.choice(LEVELS)), rng))
    return shots


def ladder_shots(pristine: Sequence[Shot]) -> list[Shot]:
    """Each training photo of `pristine` at all five levels of `LADDERS`, with nothing else changed."""
    photos = {shot.group: shot for shot in pristine if not shot.held_out}
    return [Shot(shot.photo, "pristine", group, level_mos(name, level), damage=name, level=level, seed=shot.seed)
            for group, shot in photos.items() for name in LADDERS for level in LEVELS]


def part_shots(pristine: Sequence[Shot], seed: int = 3) -> list[Shot]:
    """Corners of each photo of `pristine`, of which one is damaged: two damages per photo, from inside and outside."""
    rng = np.random.default_rng(seed)
    photos = {shot.group: shot for shot in pristine}
    shots = []
    for group, shot in photos.items():
        for name in rng.permutation(PARTIAL)[:2]:
            level, own = int(rng.choice(LEVELS)), int(rng.integers(2**31))
            for part, quality in (("inside", level_quality(str(name), level)), ("outside", INTACT)):
                shots.append(Shot(shot.photo, "pristine", group, quality, damage=str(name) if part == "inside" else "",
                                  level=level if part == "inside" else 0, seed=own, held_out=shot.held_out, part=part))
    return shots


INTACT = 0.92
"""Quality in [0, 1] of a pristine photo."""


def pristine_shots(photos: Sequence[Path], first_group: int, extra: int = 12, others: int = 8, seed: int = 1
                   ) -> list[Shot]:
    """Pristine photos: undamaged twice, and damaged by each of KADID-10k's types at one level.

    Args:
        extra: so many types at a second level.
        others: so many of `damages.TRAINING_NAMES` too. Held-out photos get all of `damages.NAMES` and no extra.
    """
    rng = np.random.default_rng(seed)
    shots = []
    held = set(rng.permutation(len(photos))[: len(photos) // HELD_OUT_SHARE].tolist())
    for number, photo in enumerate(photos):
        group, held_out = first_group + number, number in held
        for mirrored in (False, True):
            shots.append(Shot(photo, "pristine", group, INTACT, mirrored=mirrored, seed=int(rng.integers(2**31)),
                              held_out=held_out))
        more = [*damages.NAMES] if held_out else [*rng.permutation(DISTORTIONS)[:extra],
                                                  *rng.permutation(damages.TRAINING_NAMES)[:others]]
        for name in [*DISTORTIONS, *more]:
            shots.append(_known(photo, group, str(name), int(rng.choice(LEVELS)), rng, held_out))
    return shots


def _known(photo: Path, group: int, name: str, level: int, rng: np.random.Generator, held_out: bool = False) -> Shot:
    """A pristine photo with a damage of which it is known how bad it is."""
    return Shot(photo, "pristine", group, level_quality(name, level), damage=name, level=level,
                mirrored=bool(rng.integers(2)), seed=int(rng.integers(2**31)), held_out=held_out)
