"""Which file a name in a table means: image files of a folder, and names matched with them one to one."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from methods.errors import InputError
from methods.images import PICTURE_SUFFIXES

_THUMBNAIL_FOLDERS = frozenset({"@eadir", "__macosx", "thumbs", "thumbnails", "$recycle.bin"})

Parts = tuple[str, ...]


def find_images(folder: str | Path) -> list[Path]:
    """The image files of a folder and its subfolders, by their endings, sorted.

    Hidden files and folders and those that systems keep thumbnails in (@eaDir, __MACOSX, .thumbnails, Thumbs) are
    passed over: their images have the names of real ones and are not the real ones.

    Raises:
        InputError: there is no such folder, or a folder inside it cannot be read.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give the folder that holds the images.")
    refusals: list[OSError] = []
    images = sorted(map(Path, walk_images(folder, refusals)))
    if refusals:
        raise InputError(f"The folder {refusals[0].filename} cannot be read; change its permissions.")
    return images


def walk_images(folder: str | Path, refusals: list[OSError]) -> Iterator[str]:
    """As `find_images`: the image files of a folder, its own by name and then those of its subfolders.

    Args:
        refusals: takes why folders could not be read.
    """
    for where, folders, names in os.walk(folder, onerror=refusals.append):
        folders[:] = sorted(name for name in folders
                            if not name.startswith(".") and name.lower() not in _THUMBNAIL_FOLDERS)
        yield from (os.path.join(where, name) for name in sorted(names)
                    if not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES)


@dataclass(frozen=True)
class Match:
    """What became of the names of a table.

    Attributes:
        paths: file of each name, None where there is none.
        several: names that fit more than one file, with these.
        taken: names that fit a file which another name means, with that file.
    """

    paths: tuple[Path | None, ...]
    several: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    taken: dict[str, Path] = field(default_factory=dict)


class ImageIndex:
    """The files that names are matched with.

    Args:
        images: a folder, or files; of files only the last part of the path counts.

    Raises:
        InputError: there is no such folder, or it holds no image.
    """

    def __init__(self, images: str | Path | Iterable[str | Path]) -> None:
        if isinstance(images, (str, Path)):
            root = Path(images).expanduser()
            self.place = f"the folder {root.name or root}"
            self._files = {path.relative_to(root).parts: path for path in find_images(root)}
        else:
            self.place = "the images given"
            self._files = {(Path(image).name,): Path(image) for image in images}
        if not self._files:
            raise InputError(f"There is no image in {self.place}; give the folder that holds the images.")

    def match(self, names: Sequence[str]) -> Match:
        """A file for each name, never one file for two names.

        In this order, each only where exactly one name and one file fit each other: the path within the folder as it
        is written; the same without regard to Unicode form and case; the file's name, where the folders that are
        written do not contradict; and, for a name without an image's ending, the file's name without its ending.
        """
        rows = {row: _parts(name) for row, name in enumerate(names)}
        bare = {row: parts for row, parts in rows.items()
                if parts and PurePosixPath(parts[-1]).suffix.lower() not in PICTURE_SUFFIXES}
        paths: dict[int, Path] = {}
        several: dict[int, tuple[Path, ...]] = {}
        owners: dict[int, Path] = {}
        for candidates, stem, whole in ((rows, False, True), (rows, False, False), (bare, True, False)):
            for form in (_as_written, _folded):
                left = {row: form(parts) for row, parts in candidates.items() if parts and row not in paths}
                if not left:
                    continue
                fits = self._fits(left, form, stem, whole)
                users = Counter(path for files in fits.values() for path in files)
                used = set(paths.values())
                for row, files in fits.items():
                    if len(files) > 1:
                        several.setdefault(row, files)
                    elif files and (files[0] in used or users[files[0]] > 1):
                        owners.setdefault(row, files[0])
                    elif files:
                        paths[row] = files[0]
        return Match(tuple(paths.get(row) for row in rows),
                     {names[row]: files for row, files in several.items() if row not in paths},
                     {names[row]: path for row, path in owners.items() if row not in paths})

    def _fits(self, keys: dict[int, Parts], form: Callable[[Parts], Parts], stem: bool,
              whole: bool) -> dict[int, tuple[Path, ...]]:
        """The files that each name may mean, by its parts in a form.

        Args:
            stem: files are known without their endings.
            whole: the path within the folder has to be the same, else the shorter of the two may lack folders.
        """
        by_parts: dict[Parts, list[Path]] = {}
        endings: dict[Parts, list[Path]] = {}
        for parts, path in self._files.items():
            key = form((*parts[:-1], PurePosixPath(parts[-1]).stem) if stem else parts)
            by_parts.setdefault(key, []).append(path)
            for start in range(1, len(key)):
                endings.setdefault(key[start:], []).append(path)

        def files(key: Parts) -> list[Path]:
            if whole or key in by_parts or key in endings:
                return [*by_parts.get(key, ()), *(() if whole else endings.get(key, ()))]
            # The name has more folders than the file: they may lie above the folder of images.
            return next((by_parts[key[start:]] for start in range(1, len(key)) if key[start:] in by_parts), [])

        return {row: tuple(files(key)) for row, key in keys.items()}


def _as_written(parts: Parts) -> Parts:
    return parts


def _parts(name: str) -> Parts:
    """The parts of a path as any system writes it, without drive, root, "." and ".."."""
    parts = name.replace("\\", "/").split("/")
    if parts[0].endswith(":") and len(parts) > 1:
        parts = parts[1:]
    return tuple(part for part in parts if part not in ("", ".", ".."))


def _folded(parts: Parts) -> Parts:
    return tuple(unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold()) for part in parts)
