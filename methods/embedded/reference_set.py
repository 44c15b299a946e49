"""Makes the pictures of the reference set that ships: free photographs, degraded in known ways, with pseudo-MOS.

Human ratings of photographs that may be passed on freely are rare, so the set borrows its opinions: KADID-10k's mean
human score of each distortion type and level stands for the score of any photograph degraded that way. That is coarse,
and the set says so; a set of real ratings is one command away (`mean-opinion refset build`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from methods.data import RatedPicture, RatedPictures
from methods.iqarag.retrieval import bins_of
from methods.kadid.distortions import DISTORTIONS, LEVELS, PLAIN_NAMES, distort, level_mos

TITLE = "the set that ships (10 free photographs, degraded; opinions borrowed from KADID-10k)"
LONGEST_SIDE = 384
A_BIN = 2  # degraded versions of a photograph in each quality bin
WEBP_QUALITY = 92


@dataclass(frozen=True)
class Source:
    """A photograph that scikit-image carries.

    Attributes:
        name: in `skimage.data`.
        what: what it shows.
        licence: as scikit-image's documentation states it.
        origin: photographer or publisher, and where it was published.
    """

    name: str
    what: str
    licence: str
    origin: str


SOURCES = (
    Source("astronaut", "portrait of Eileen Collins", "public domain", "NASA Great Images database"),
    Source("chelsea", "a cat's face", "CC0", "Stefan van der Walt"),
    Source("coffee", "a cup of coffee", "CC0", "Rachel Michetti, courtesy of Pikolo Espresso Bar"),
    Source("rocket", "launch of a Falcon 9", "public domain", "SpaceX Photos"),
    Source("camera", "a photographer, in grey", "CC0", "Lav Varshney"),
    Source("hubble_deep_field", "galaxies", "public domain", "NASA, HubbleSite"),
    Source("retina", "the back of an eye", "CC0", "Mikael Häggström, Wikimedia Commons"),
    Source("grass", "grass, in grey", "CC0", "linolafett, DeviantArt"),
    Source("gravel", "gravel, in grey", "CC0", "CC0Textures, Gravel04"),
    Source("brick", "a brick wall, in grey", "CC0", "CC0Textures, Bricks25"),
)


def photograph(source: Source) -> Image.Image:
    """The photograph in RGB, its longest side `LONGEST_SIDE` pixels."""
    import skimage.data

    image = Image.fromarray(getattr(skimage.data, source.name)()).convert("RGB")
    scale = LONGEST_SIDE / max(image.size)
    return image.resize(tuple(round(side * scale) for side in image.size), Image.Resampling.LANCZOS)


def pristine_mos() -> float:
    """Pseudo-MOS of an undamaged photograph: the best mean score that KADID-10k gives any type and level."""
    return max(level_mos(name, level) for name in DISTORTIONS for level in LEVELS)


def recipes() -> Iterator[tuple[Source, str, int, float]]:
    """(photograph, distortion, level, pseudo-MOS): `A_BIN` a photograph and quality bin, the types taken in turn.

    Types that change colour only are skipped for grey photographs, which they would leave as they are.
    """
    by_bin: dict[int, list[tuple[str, int]]] = {}
    # Level by level, so that the types take turns before one comes again.
    for level in LEVELS:
        for name in [name for name in DISTORTIONS if _does_something(name, level)]:
            by_bin.setdefault(int(bins_of([level_mos(name, level)])[0]), []).append((name, level))
    turn = dict.fromkeys(by_bin, 0)
    for source in SOURCES:
        grey = photograph(source).convert("HSV").getextrema()[1][1] == 0
        for quality in sorted(by_bin, reverse=True):
            chosen: list[str] = []
            while len(chosen) < A_BIN:
                name, level = by_bin[quality][turn[quality] % len(by_bin[quality])]
                turn[quality] += 1
                if name in chosen or (grey and ("color" in name.lower() or "saturation" in name.lower())):
                    continue
                chosen.append(name)
                yield source, name, level, level_mos(name, level)


def _does_something(name: str, level: int) -> bool:
    """Whether a type changes pixels at a level; KADID-10k's mildest blurs and saturations do not."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return bool((distort(noise, name, level, rng=0) != noise).any())


def make_pictures(folder: Path) -> RatedPictures:
    """Writes the pictures as WebP and returns them with their pseudo-MOS in [0, 1]."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for source in SOURCES:
        path = folder / f"{source.name}.webp"
        photograph(source).save(path, quality=WEBP_QUALITY, method=6)
        pictures.append(RatedPicture(f"{source.what}, undamaged", path, pristine_mos()))
    for source, name, level, mos in recipes():
        plain = PLAIN_NAMES[name]
        path = folder / f"{source.name}-{plain.replace(' ', '-')}-{level}.webp"
        # The seed follows from the file's name, so one more recipe leaves the other pictures as they were.
        pixels = distort(np.asarray(photograph(source)), name, level, rng=zlib.crc32(path.name.encode()))
        Image.fromarray(pixels).save(path, quality=WEBP_QUALITY, method=6)
        pictures.append(RatedPicture(f"{source.what}, {plain}, level {level} of 5", path, mos))
    return RatedPictures(tuple(pictures), 0, 1, dataset="kadid-10k")  # whose opinions they borrow


def sources_page() -> str:
    """Markdown that stands beside the pictures: where each comes from, under which licence, and what was done."""
    rows = "\n".join(f"| `{source.name}` | {source.what} | {source.licence} | {source.origin} |" for source in SOURCES)
    return f"""# Reference pictures

Made by `python -m methods.embedded.reference_set` from photographs that scikit-image carries in `skimage.data`.
Licences are those that scikit-image's documentation states for each photograph; all may be used, changed and passed on
by anyone.

| photograph | shows | licence | from |
|---|---|---|---|
{rows}

Each was scaled to {LONGEST_SIDE} pixels on its longest side and degraded by `methods.kadid`, {A_BIN} times in each
fifth of the quality range. The degraded pictures are under the same terms as the photographs.

The MOS of a picture is **borrowed**: KADID-10k's mean human score of the same distortion type and level, over 81 other
photographs, rescaled from 1..5 to [0, 1]. An undamaged photograph gets the best such mean, {pristine_mos():.3f}. Nobody
rated these very pictures. Source of the means: H. Lin, V. Hosu, D. Saupe, "KADID-10k: A Large-scale Artificially
Distorted IQA Database", QoMEX 2019.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Makes the set that ships, with the features of the embedded LMM unless another encoder is named."""
    from methods.cli.progress import steps
    from methods.iqarag.build import build
    from methods.iqarag.commands import add_encoder, chosen_encoder
    from methods.iqarag.opened_sets import SHIPPED_FOLDER

    parser = argparse.ArgumentParser("python -m methods.embedded.reference_set", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER, metavar="DIR", help="folder of the set")
    add_encoder(parser)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        pictures = make_pictures(Path(scratch) / "pictures")
        work = Path(scratch) / "set"
        build(pictures, work, chosen_encoder(arguments), title=TITLE, copy_images=True, progress=steps("Encoded: "))
        (work / "SOURCES.md").write_text(sources_page(), encoding="utf-8")
        (work / "problems.csv").unlink()
        shutil.rmtree(arguments.out, ignore_errors=True)
        shutil.copytree(work, arguments.out)
    print(f"{len(pictures)} references in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
