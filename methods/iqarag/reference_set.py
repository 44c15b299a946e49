"""A reference set: images with known MOS, and features by which those that resemble the query are retrieved.

On disk it is a folder: `reference-set.json` (which encoder, which MOS scale, where it came from), `references.csv`
(an image per row: its MOS and, where it is known, the spread of its raters, in [0, 1]), `features.faiss` (the exact
index, which holds the features) and, for a large set, `codes.faiss` (the compressed index). Loading maps the indices
into memory and opens no image.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from methods import files
from methods.errors import InputError
from methods.images import content_hash, decode, perceptual_hash, same_content
from methods.iqarag import index as indices
from methods.iqarag.encoders import Encoder

if TYPE_CHECKING:
    import faiss

MANIFEST, TABLE, FEATURES, CODES = "reference-set.json", "references.csv", "features.faiss", "codes.faiss"
FORMAT = 1
_KEPT_BYTES = 256 * 2**20  # decoded references kept in memory: neighbours repeat from query to query.

THUMBNAIL = 320
"""Longest side of a thumbnail, in pixels."""

Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


def check_place(folder: Path) -> None:
    """Refuses a place where writing a set would take away something else than an older set.

    Raises:
        InputError: a file, or a folder with anything in it that is no reference set.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is no reference set, and nothing of it is overwritten; choose another --out.")


@dataclass(frozen=True)
class Neighbours:
    """References by ascending distance to an image (Eq. 5).

    Attributes:
        indices: int64 [k].
        distances: float64 [k], L2 (Eq. 4).
        itself: whether the image or a copy of it was found in the set, and left out.
    """

    indices: np.ndarray
    distances: np.ndarray
    itself: bool = False


def thumbnail(image: Image.Image) -> Image.Image:
    """A copy of at most `THUMBNAIL` pixels per side."""
    scale = min(1.0, THUMBNAIL / max(image.size))
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


class ReferenceSet:
    """Reference images with MOS in [0, 1] and their features (R, MOS and F_R of Eq. 1-2).

    Args:
        images: paths or RGB images, [n].
        mos: [n] in [0, 1], higher is better.
        features: float32 [n, d]; or the exact FAISS index that holds them.
        encoder: name of the encoder that made the features.
        revision: of the encoder's weights.
        names: what to call each image; by default the file's name.
        contents: `content_hash` of each image; computed where it is left out.
        perceptual: `perceptual_hash` of each; computed when it is first needed where it is left out.
        std: standard deviation of each image's opinions in units of `mos`, None where it is not known.
        codes: the compressed index over the same features, for a large set.
        about: where the set came from, as `reference-set.json` keeps it.

    Raises:
        InputError: no image, a MOS outside [0, 1], or a spread below 0.
        ValueError: lengths that differ.
    """

    def __init__(self, images: Sequence[Path | Image.Image], mos: Sequence[float] | np.ndarray,
                 features: np.ndarray | faiss.Index, encoder: str, *, revision: str = "",
                 names: Sequence[str] | None = None, contents: Sequence[str] | None = None,
                 perceptual: Sequence[str] | None = None, std: Sequence[float | None] | None = None,
                 codes: np.ndarray | None = None, about: dict[str, Any] | None = None) -> None:
        self.images = list(images)
        self.mos = np.asarray(mos, dtype=np.float64).reshape(-1)
        if not self.images:
            raise InputError("A reference set needs at least one image with a score.")
        if not ((self.mos >= 0) & (self.mos <= 1)).all():
            raise InputError("Every reference needs a MOS in [0, 1]; rescale it first.")
        self.index = indices.exact_index(np.asarray(features)) if isinstance(features, np.ndarray) else features
        self.codes = codes
        self.encoder = encoder
        self.revision = revision
        self.names = list(names) if names is not None else [_name(image, i) for i, image in enumerate(self.images)]
        self._thumbnails = functools.lru_cache(maxsize=4096)(lambda number: thumbnail(self.image(number)))
        self._open: OrderedDict[int, Image.Image] = OrderedDict()
        self.contents = (list(contents) if contents is not None
                         else [content_hash(self._decoded(i)) for i in range(len(self.images))])
        self.about = dict(about or {})
        self._perceptual = list(perceptual) if perceptual is not None else None
        self.std = list(std) if std is not None else [None] * len(self.images)
        if not all(one is None or one >= 0 for one in self.std):
            raise InputError("The spread of a reference's opinions is a number from 0; leave out what is unknown.")
        lengths = {len(self.images), len(self.mos), self.index.ntotal, len(self.names), len(self.contents),
                   len(self.std), len(self.images if self._perceptual is None else self._perceptual)}
        if len(lengths) != 1:
            raise ValueError(f"Images, scores, features, names and hashes differ in number: {sorted(lengths)}.")
        self._positions: dict[str, list[int]] = {}
        for number, content in enumerate(self.contents):
            self._positions.setdefault(content, []).append(number)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def features(self) -> np.ndarray:
        """float32 [n, d], a view into the index."""
        return indices.features_of(self.index)

    @property
    def title(self) -> str:
        """What to call the set in a sentence."""
        return self.about.get("title") or "reference set"

    @property
    def datasets(self) -> tuple[str, ...]:
        """Slugs of the datasets whose opinions the set holds; () where its builder did not say."""
        return tuple(filter(None, self.about.get("dataset", "").split("+")))

    @property
    def opinions(self) -> str:
        """Whose opinions the references bear, as a noun phrase."""
        return self.about.get("opinions") or f"people's opinions as given by {self.title}"

    @property
    def perceptual(self) -> list[str]:
        """`perceptual_hash` of each image, [n]; those of older sets are computed on first use, from the images."""
        if self._perceptual is None:
            self._perceptual = [perceptual_hash(self._decoded(number)) for number in range(len(self))]
        return self._perceptual

    @property
    def digest(self) -> str:
        """Follows from the images and their scores, not from the encoder."""
        parts = "".join(f"{content}{mos:.9f}" for content, mos in zip(self.contents, self.mos))
        return files.hash_joined([parts])[:16]

    def image(self, number: int) -> Image.Image:
        """A reference as RGB image.

        Raises:
            methods.images.ImageError: the file is gone or broken.
        """
        number = int(number)
        image = self._open.pop(number, None) or self._decoded(number)
        self._open[number] = image
        size = sum(_bytes(one) for one in self._open.values())
        while size > _KEPT_BYTES and len(self._open) > 1:
            size -= _bytes(self._open.popitem(last=False)[1])
        return image

    def thumbnail(self, number: int) -> Image.Image:
        """A small copy of a reference, for people. Errors as `image`."""
        return self._thumbnails(int(number))

    def _decoded(self, number: int) -> Image.Image:
        return decode(self.images[number]).image

    def positions(self, content: str) -> list[int]:
        """Where images with this `content_hash` stand in the set; usually none."""
        return list(self._positions.get(content, ()))

    def nearest(self, feature: np.ndarray, k: int | None = None, content: str | None = None,
                perceptual: str | None = None) -> Neighbours:
        """The k nearest references (Eq. 3-5), without the image itself.

        Args:
            feature: float32 [d], by this set's encoder.
            k: None for all.
            content: the image's `content_hash`; a reference with the same pixels is left out.
            perceptual: its `perceptual_hash`; references with the same content are left out.
        """
        if k is not None and k < 1:
            raise InputError(f"At least one neighbour has to be considered; got K = {k}.")
        itself = set(self.positions(content) if content else [])
        if perceptual:
            itself |= set(np.flatnonzero(same_content(perceptual, self.perceptual)).tolist())
        count = len(self) if k is None else k
        numbers, distances = indices.nearest(self.index, self.codes, feature, count + len(itself))
        keep = ~np.isin(numbers, list(itself))
        return Neighbours(numbers[keep][:count], distances[keep][:count], bool(itself))

    def subset(self, chosen: Sequence[int]) -> ReferenceSet:
        """Some of the references, with their features; searched exactly."""
        chosen = [int(number) for number in chosen]
        return ReferenceSet(
            [self.images[i] for i in chosen], self.mos[chosen], np.array(self.features[chosen]), self.encoder,
            revision=self.revision, names=[self.names[i] for i in chosen],
            contents=[self.contents[i] for i in chosen], std=[self.std[i] for i in chosen],
            perceptual=None if self._perceptual is None else [self._perceptual[i] for i in chosen],
            about={**self.about, "part": f"{len(chosen)} of {len(self)}"},
        )

    def encoded_by(self, encoder: Encoder, progress: Progress | None = None, batch: int = 16) -> ReferenceSet:
        """The same images with another encoder's features."""
        rows = []
        for start in range(0, len(self), batch):
            images = [self.image(i) for i in range(start, min(start + batch, len(self)))]
            rows.append(encoder.embed(images))
            if progress:
                progress(min(start + batch, len(self)), len(self))
        features = np.concatenate(rows)
        codes = indices.compressed_index(features) if indices.is_large(*features.shape) else None
        return ReferenceSet(self.images, self.mos, features, encoder.name, revision=encoder.revision,
                            names=self.names, contents=self.contents, perceptual=self._perceptual, std=self.std,
                            codes=codes, about=self.about)

    def save(self, folder: Path | str, *, copy_images: bool = False, pages: Sequence[Path] = ()) -> Path:
        """Writes the set to a folder that appears complete or not at all; an older set there is replaced.

        Args:
            copy_images: store the images inside the folder; otherwise their paths are kept. Images that are not
                files are always stored, losslessly.
            pages: texts that go with the images, such as their licence; copied into the folder.

        Raises:
            InputError: something else than a reference set is in the folder's place.
        """
        folder = Path(folder)
        check_place(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = files.fresh_folder(folder)
        try:
            self._write(partial, folder, copy_images)
            for page in pages:
                shutil.copyfile(page, partial / page.name)
            files.replace_folder(folder, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return folder

    def _write(self, partial: Path, folder: Path, copy_images: bool) -> None:
        rows = [("image", "name", "mos", "std", "content", "perceptual")]
        for number, image in enumerate(self.images):
            stored = self._stored(partial, folder, number, image, copy_images)
            std = "" if self.std[number] is None else f"{self.std[number]:.9g}"
            rows.append((stored, self.names[number], f"{self.mos[number]:.9g}", std, self.contents[number],
                         self.perceptual[number]))
        files.replace(partial / TABLE, files.csv_text(rows))
        indices.save(self.index, partial / FEATURES)
        if self.codes is not None:
            indices.save(self.codes, partial / CODES)
        manifest = {**self.about, "format": FORMAT, "count": len(self), "features": int(self.index.d),
                    "encoder": self.encoder, "revision": self.revision, "digest": self.digest}
        files.replace(partial / MANIFEST, json.dumps(manifest, indent=1) + "\n")

    @staticmethod
    def _stored(partial: Path, folder: Path, number: int, image: Path | Image.Image, copy_images: bool) -> str:
        """The path to write into the table: inside the set's folder where the image lies or is put there."""
        if isinstance(image, Image.Image) or copy_images:
            (partial / "images").mkdir(exist_ok=True)
            inside = f"images/{number:06d}.png" if isinstance(image, Image.Image) else f"images/{Path(image).name}"
            if (partial / inside).exists():
                inside = f"images/{number:06d}-{Path(image).name}"
            if isinstance(image, Image.Image):
                image.save(partial / inside)
            else:
                shutil.copyfile(image, partial / inside)
            return inside
        path = Path(image).resolve()
        if path.is_relative_to(folder.resolve()):
            inside = path.relative_to(folder.resolve())
            (partial / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, partial / inside)
            return inside.as_posix()
        return str(path)

    @classmethod
    def load(cls, folder: Path | str) -> ReferenceSet:
        """Opens a saved set; its indices are mapped into memory.

        Raises:
            InputError: the folder holds no reference set, a damaged one, or not all of it.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            with (folder / TABLE).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{folder} holds no reference set; build one with `mean-opinion refset build`."
                             ) from error
        except (json.JSONDecodeError, UnicodeDecodeError, csv.Error) as error:
            raise _damaged(folder) from error
        version = manifest.get("format") if isinstance(manifest, dict) else None
        if version != FORMAT:
            raise InputError(f"{folder} was written in format {version}, this version reads {FORMAT}; build the set "
                             "again.")
        try:
            images, names, contents = ([row[column] for row in rows] for column in ("image", "name", "content"))
            mos = [float(row["mos"]) for row in rows]
            # Sets of earlier versions have neither of these columns.
            std = [float(row["std"]) if row.get("std") else None for row in rows]
            perceptual = [row["perceptual"] for row in rows] if rows and "perceptual" in rows[0] else None
            encoder, revision, count = (manifest[key] for key in ("encoder", "revision", "count"))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder) from error
        index = indices.load(folder / FEATURES)
        if not len(rows) == count == index.ntotal or None in contents or not _whole(perceptual):
            raise _damaged(folder)
        about = {key: value for key, value in manifest.items()
                 if key not in ("format", "count", "features", "encoder", "revision", "digest")}
        codes = indices.load(folder / CODES) if (folder / CODES).exists() else None
        return cls([folder / image for image in images], mos, index, encoder, revision=revision, names=names,
                   contents=contents, perceptual=perceptual, std=std, codes=codes, about=about)


def _whole(perceptual: Sequence[str | None] | None) -> bool:
    return perceptual is None or all(one is not None and re.fullmatch("([0-9a-f]{64})?", one) for one in perceptual)


def _damaged(folder: Path) -> InputError:
    return InputError(f"The reference set in {folder} is damaged or not complete; copy it again or build it again.")


def _bytes(image: Image.Image) -> int:
    return image.width * image.height * 3


def _name(image: Path | Image.Image, number: int) -> str:
    return f"image {number + 1}" if isinstance(image, Image.Image) else Path(image).name
