"""Makes the reference set that ships: photographs of LIVE Challenge with the opinions of its raters.

Its licence lets the photographs be passed on beside its notice. Chosen are as many from each fifth of the MOS range as
there are, and within a fifth those that differ most in content. Photographs that show people stay out.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from methods import files
from methods.cli.running import guarded
from methods.data import RatedPictures, read_table
from methods.errors import InputError
from methods.images import decode
from methods.iqarag.encoders import Encoder
from methods.iqarag.retrieval import bins_of

DATASET = "live-challenge-dev"
COUNT = 150
WEBP_QUALITY = 95
LEAST_PSNR = 36  # dB
OPINIONS = ("people's opinions from the LIVE In the Wild Image Quality Challenge "
            "(mean of about 175 raters per photo)")
LEFT_OUT = Path(__file__).with_name("left_out.txt")
NOTICE = "LIVE_README_COPYRIGHT.txt"


def left_out() -> frozenset[str]:
    """File names of the photographs that show a person, a legible number plate or a legible name."""
    lines = LEFT_OUT.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def candidates(pictures: RatedPictures) -> RatedPictures:
    """The photographs that may ship.

    Raises:
        InputError: the table is not LIVE Challenge's, the only one whose images may be passed on, as far as can be
            told: its files are numbered, its opinions run over 0 to 100, and each has its spread.
    """
    numbered = all(re.fullmatch(r"\d{1,4}\.webp", name) for name in pictures.names)
    absent = left_out() - set(pictures.names)
    if (pictures.dataset != DATASET or pictures.scale != (0, 100) or not numbered or absent
            or any(picture.std is None for picture in pictures)):
        raise InputError(f"Only the photographs of {DATASET} may be passed on with this project; give the folder and "
                         "the scores.csv of that dataset.")
    return pictures.subset([row for row, name in enumerate(pictures.names) if name not in left_out()])


def shares(available: Sequence[int], count: int) -> list[int]:
    """How many to take from each bin: `count` in all (or all there are), as evenly as `available` allows."""
    taken = [0] * len(available)
    for _ in range(min(count, sum(available))):
        # Of bins with equally many, the one with the fewest left goes first, so that the small ones are used up.
        open_bins = [number for number in range(len(available)) if taken[number] < available[number]]
        taken[min(open_bins, key=lambda number: (taken[number], available[number]))] += 1
    return taken


def farthest(features: NDArray[np.float32], count: int) -> list[int]:
    """Farthest-point selection: the row nearest to the mean, then always the one farthest from all that were taken.

    Args:
        features: [n, d], n >= count.
    """
    def squares(point: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.square(rows - point).sum(axis=1)

    rows = features.astype(np.float64)
    taken: list[int] = []
    nearest = np.full(len(rows), np.inf)
    while len(taken) < count:
        number = int(squares(rows.mean(axis=0)).argmin() if not taken else nearest.argmax())
        taken.append(number)
        nearest = np.minimum(nearest, squares(rows[number]))
        nearest[taken] = -1
    return taken


def choose(pictures: RatedPictures, features: NDArray[np.float32], count: int = COUNT) -> RatedPictures:
    """`count` of the images (features [n, d]), stratified by quality and then by content; in their own order."""
    bins = bins_of(pictures.mos01)
    rows = [np.flatnonzero(bins == number) for number in range(5)]
    counts = shares([len(one) for one in rows], count)
    selection = np.concatenate([one[farthest(features[one], many)] for one, many in zip(rows, counts)])
    return pictures.subset(np.sort(selection))


def psnr(image: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB over the three channels; infinite for equal pixels."""
    error = np.square(np.asarray(image, np.float64) - np.asarray(other.convert("RGB"), np.float64)).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def compressed(pictures: RatedPictures, folder: Path) -> tuple[RatedPictures, list[float]]:
    """The images as WebP files in `folder`, and the PSNR of each to what it was; below `LEAST_PSNR` lossless."""
    folder.mkdir(parents=True, exist_ok=True)
    stored, ratios = [], []
    for picture, source in zip(pictures, pictures.paths):
        image, path = decode(source).image, folder / source.name
        image.save(path, quality=WEBP_QUALITY, method=6)
        if psnr(image, Image.open(path)) < LEAST_PSNR:  # saturated colours, of which WebP halves the resolution
            image.save(path, lossless=True, quality=100, method=6)
        ratios.append(psnr(image, Image.open(path)))
        stored.append(replace(picture, path=path))
    return replace(pictures, pictures=tuple(stored)), ratios


def sources_page(chosen: RatedPictures, ratios: Sequence[float]) -> str:
    """Markdown that stands beside the images: where they come from, under which terms, and what was done."""
    counts = np.bincount(bins_of(chosen.mos01), minlength=5)
    by_bin = ", ".join(f"{number} from {20 * low} to {20 * low + 20}" for low, number in enumerate(counts))
    lossy = [ratio for ratio in ratios if np.isfinite(ratio)]
    paragraphs = (
        f"""{len(chosen)} photographs of the LIVE In the Wild Image Quality Challenge Database with its mean opinion
        scores and the standard deviations of its raters (about 175 per photo), under the notice in `{NOTICE}`, which
        lies beside them and has to go wherever they go. To be cited:""",
        """D. Ghadiyaram and A.C. Bovik, "Massive Online Crowdsourced Study of Subjective and Objective Picture
        Quality", IEEE Transactions on Image Processing, 2016.""",
        """D. Ghadiyaram and A.C. Bovik, "LIVE In the Wild Image Quality Challenge Database", 2015,
        http://live.ece.utexas.edu/research/ChallengeDB/index.html""",
        f"""Made by `python -m methods.embedded.reference_set --images DIR --scores CSV` from the part {DATASET}.
        By MOS: {by_bin}; within each fifth those that differ most in content. Left out is what may show a person, a
        legible number plate or a legible name (`methods/embedded/{LEFT_OUT.name}`).""",
        f"""What was changed: {len(lossy)} files are WebP of quality {WEBP_QUALITY}, PSNR {np.mean(lossy):.1f} dB on
        average and {min(lossy):.1f} dB at least to the database's pixels; {len(ratios) - len(lossy)} that would have
        been below {LEAST_PSNR} dB are lossless. `references.csv` gives MOS and standard deviation divided by 100.""",
    )
    filled = (textwrap.fill(" ".join(one.split()), 120, break_on_hyphens=False) for one in paragraphs)
    return "\n\n".join(("# Reference photographs", *filled)) + "\n"


def make(pictures: RatedPictures, notice: Path, encoder: Encoder, out: Path) -> int:
    """Writes the set to the folder `out` and returns the number of its references.

    Args:
        notice: LIVE's notice; it goes with the images.
        encoder: tells contents apart, and makes the set's features.

    Raises:
        InputError: images that may not be passed on, or no notice.
    """
    from methods.cli.progress import steps
    from methods.iqarag.build import build

    if not notice.is_file():
        raise InputError(f"{notice} is missing; the photographs may only be passed on together with it.")
    free = candidates(pictures)
    features = np.concatenate([encoder.embed([decode(path).image]) for path in free.paths])
    with tempfile.TemporaryDirectory() as scratch:
        selection, ratios = compressed(choose(free, features), Path(scratch) / "photos")
        page = Path(scratch) / "SOURCES.md"
        files.replace(page, sources_page(selection, ratios))
        title = f"{len(selection)} photos of LIVE Challenge with the opinions of its raters"
        built = build(selection, Path(scratch) / "set", encoder, title=title, copy_images=True,
                      progress=steps("Encoded: "), about={"opinions": OPINIONS})
        built.references.save(out, copy_images=True, pages=[page, notice])
    return len(built.references)


def main(argv: Sequence[str] | None = None) -> int:
    """Makes the set that ships, with the features of the embedded LMM unless another encoder is named."""
    from methods.iqarag.commands import add_encoder, chosen_encoder
    from methods.iqarag.opened_sets import SHIPPED_FOLDER

    parser = argparse.ArgumentParser("python -m methods.embedded.reference_set", description=main.__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help=f"photographs of {DATASET}")
    parser.add_argument("--scores", type=Path, required=True, metavar="CSV", help="its scores.csv: image,mos,std; the "
                        f"folder also holds {NOTICE}")
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER, metavar="DIR", help="folder of the set")
    add_encoder(parser)
    arguments = parser.parse_args(argv)
    pictures = read_table(arguments.scores, arguments.images)
    count = make(pictures, arguments.scores.parent / NOTICE, chosen_encoder(arguments), arguments.out)
    print(f"{count} references in {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m methods.embedded.reference_set", main))
