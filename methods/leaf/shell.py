"""What the commands share: how they speak, how they fail, and which pictures of a folder they take."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from methods.cli.running import reader_gone
from methods.data import find_images
from methods.errors import InputError
from methods.images import ImageError, decode

DONE, SOME_FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def plainly(work: Callable[[argparse.Namespace], int], chosen: argparse.Namespace) -> int:
    """The exit status of `work`: its own, 2 with one sentence on stderr where it cannot be done, 130 where it was
    interrupted."""
    try:
        return work(chosen)
    except BrokenPipeError:
        reader_gone()
        return SOME_FAILED
    except KeyboardInterrupt:
        print("Stopped; judgements made so far are kept, and the same command goes on after them.", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(f"{named}{error.strerror or error}.", file=sys.stderr)
        return REFUSED
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return REFUSED


def tell(what: str, done: int, total: int) -> None:
    """A line that overwrites itself on a terminal, ten lines in a log."""
    if sys.stderr.isatty():
        print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done == total or done * 10 // total > (done - 1) * 10 // total:
        print(f"{what} {done}/{total}", file=sys.stderr, flush=True)


def usable_pictures(folder: Path, known_good: Collection[Path] = (), notes: Collection[str] = ()) -> list[Path]:
    """The pictures of a folder that can be read; the others are named on stderr.

    Args:
        known_good: those that need not be tried.
        notes: sentences that have been said already.

    Raises:
        InputError: there is no such folder, or fewer than two are left.
    """
    usable, known_good = [], set(known_good)
    for path in find_images(folder):
        try:
            if path not in known_good:
                decode(path)
            usable.append(path)
        except ImageError as error:
            sentence = f"{path.name} is left out: {error}"
            if sentence not in notes:
                print(sentence, file=sys.stderr)
    if len(usable) < 2:
        raise InputError(f"The folder {folder} holds fewer than two usable pictures; add some.")
    return usable
