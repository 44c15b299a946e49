"""A teacher's judgements on disk: written as they come, read again after a kill, known by the images' content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from methods import files
from methods.errors import UserError


class TeacherError(UserError, RuntimeError):
    """The teacher cannot go on; one plain sentence."""


class Cache:
    """Judgements of one LMM in a JSON-lines file that is appended to and flushed after every batch of answers.

    Args:
        path: the file; None keeps nothing.
        heading: "teacher", name and revision of the LMM, and the wording of its questions; the file's first line.

    Attributes:
        judgements: the logits of each question, by the image's key or by "first>second" for a comparison.

    Raises:
        TeacherError: the file holds another LMM's judgements, or is no such file.
    """

    def __init__(self, path: str | Path | None, heading: dict[str, str]) -> None:
        self.path = Path(path) if path is not None else None
        self.judgements: dict[str, list[float]] = {}
        if self.path is None:
            return
        header, self.judgements = read(self.path) if self.path.is_file() else (None, {})
        if header is not None and header != heading:
            raise TeacherError(f"{self.path.name} holds judgements of {header['teacher']} and not of "
                               f"{heading['teacher']}; choose another file or delete it.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Written anew, so that a half-written last line never has another one joined to it; beside the old file, so
        # that a kill in this moment loses nothing either.
        lines = [json.dumps(heading)]
        lines += [json.dumps({"key": key, "value": value}) for key, value in self.judgements.items()]
        files.replace(self.path, "\n".join(lines) + "\n")

    def add(self, answers: Iterable[tuple[str, list[float]]]) -> None:
        answers = list(answers)
        self.judgements.update(answers)
        if self.path is not None:
            files.append(self.path, "".join(json.dumps({"key": key, "value": value}) + "\n" for key, value in answers))


def read(path: Path) -> tuple[dict[str, str] | None, dict[str, list[float]]]:
    """Heading and judgements of a cache; None and nothing where the file is empty.

    Raises:
        TeacherError: it is no such file.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    judgements: dict[str, list[float]] = {}
    if not lines:
        return None, judgements
    try:
        heading = json.loads(lines[0])
    except json.JSONDecodeError:
        heading = None
    if not isinstance(heading, dict) or "teacher" not in heading:
        raise TeacherError(f"{path.name} is no cache of judgements; choose another file.")
    for number, line in enumerate(lines[1:], start=2):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            if number != len(lines):
                raise TeacherError(f"Line {number} of {path.name} is damaged; delete that line.") from None
            continue  # the run was killed while it wrote the last line
        judgements[entry["key"]] = entry["value"]
    return heading, judgements


def key_of(image: str | Path) -> str:
    """An image's name in a cache: its content, whatever the file is called."""
    return files.hash_file(image)[:24]
