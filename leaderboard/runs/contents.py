"""Hashes of a run's images, so that a resumed run notices other images under the same names.

Beside predictions.csv, contents.csv names the size and the hash of every scored file. A file whose path, size and time
of change are those of the last look is not read again, so that resuming a run of ten thousand images costs ten thousand
looks at the folder and no reading.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from leaderboard.runs.folder import RunError
from methods import files

CONTENTS = "contents.csv"


class Content(NamedTuple):
    """One scored file: SHA-256 and bytes, and the path and time that recognise it without reading."""

    hash: str
    size: int
    path: str
    changed_ns: int


class Contents:
    """The contents of a run's scored images, in the run's folder.

    Args:
        folder: of the run.

    Attributes:
        known: image name -> its content when it was scored.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / CONTENTS
        self.known = read_contents(folder)
        files.recover(self.path)  # No row may be joined to one that a kill tore.

    def check(self, images: Mapping[str, str | Path | None]) -> int:
        """Compares files with what was scored.

        Args:
            images: name -> file of every image that has a score; None where the file is gone.

        Returns:
            How many of them were scored before contents were recorded, so that nothing is known of them.

        Raises:
            RunError: a file holds something else now.
        """
        changed, moved, unknown = [], {}, 0
        for name, path in images.items():
            if not path or not Path(path).is_file():
                continue
            before = self.known.get(name)
            if before is None:
                unknown += 1
                continue
            size, place, changed_ns = _look(path)
            if (size, place, changed_ns) == before[1:]:
                continue
            now = Content(files.hash_file(path) if size == before.size else "", size, place, changed_ns)
            if now.hash == before.hash:
                moved[name] = now
            else:
                changed.append(name)
        if changed:
            count = "1 image" if len(changed) == 1 else f"{len(changed)} images"
            raise RunError(f"{count} of this run had another content when scored, {changed[0]!r} first. Give the "
                           "images that it began with, or choose another --out.")
        self._add(moved)
        return unknown

    def record(self, images: Mapping[str, str | Path | None]) -> None:
        """Writes down what scored files hold: name -> file; those without a file are passed over."""
        self._add({name: Content(files.hash_file(path), *_look(path)) for name, path in images.items()
                   if path and Path(path).is_file()})

    def digest(self, names: Iterable[str]) -> str | None:
        """One hash of the contents of these images, whatever their order; None where one of them is not known."""
        pairs = [(name, self.known.get(name)) for name in sorted(names)]
        if not pairs or any(content is None for _, content in pairs):
            return None
        return files.hash_parts(part for name, content in pairs if content for part in (name, content.hash))

    def _add(self, fresh: Mapping[str, Content]) -> None:
        if not fresh:
            return
        rows: list[tuple[object, ...]] = [(name, *content) for name, content in fresh.items()]
        if not self.path.exists():
            rows.insert(0, ("image", *Content._fields))
        files.append(self.path, files.csv_text(rows))
        self.known |= fresh


def read_contents(folder: str | Path) -> dict[str, Content]:
    """Image name -> content, of a run's folder; empty where none was recorded. The latest row of an image counts.

    Raises:
        RunError: the file has other columns or a row that is none.
    """
    path = Path(folder) / CONTENTS
    if not path.is_file():
        return {}
    text = files.whole_lines(path.read_bytes()).decode("utf-8", "surrogateescape")
    lines = csv.reader(io.StringIO(text, newline=""))
    if text and next(lines) != ["image", *Content._fields]:
        raise RunError(f"{path} does not begin with image,{','.join(Content._fields)}; delete it or choose another "
                       "--out.")
    contents = {}
    for number, cells in enumerate(lines, start=2):
        try:
            name, digest, size, place, changed_ns = cells
            contents[name] = Content(digest, int(size), place, int(changed_ns))
        except ValueError:
            raise RunError(f"{path}, line {number} is not a row of contents; delete that line and run again.") from None
    return contents


def _look(path: str | Path) -> tuple[int, str, int]:
    """Size, full path and time of the last change (nanoseconds): what is cheap to know of a file."""
    facts = Path(path).stat()
    return facts.st_size, str(Path(path).resolve()), facts.st_mtime_ns
