"""Scores many images, one row each: the one scorer of the command, of runs and of the page's folders.

One bad file costs one row. Images that cannot be read are known before a batch is formed; where a whole batch fails,
its images are scored again one by one, so that only the one at fault carries the error. A model that cannot be reached
ends the work, because no image is to blame.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from methods.errors import UserError
from methods.images import Decoded, decode
from methods.lmm.errors import ModelUnavailable

PIXELS_AT_ONCE = 32_000_000
"""A batch of full-size photos is cut short at so many pixels, so that memory does not grow with its size."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Row(Generic[Item, Result]):
    """What became of one item: its assessment, or the sentence that says why there is none."""

    item: Item
    assessment: Result | None
    error: str = ""


def score_rows(items: Iterable[Item], source: Callable[[Item], object],
               assess: Callable[[Sequence[Decoded]], Sequence[Result]], *, batch_size: int = 8,
               sentences: tuple[type[Exception], ...] = (UserError,)) -> Iterator[Row[Item, Result]]:
    """One row per item, in order.

    Args:
        items: what to score.
        source: gives what `methods.images.decode` takes; it may raise a `UserError`, which becomes the row's error.
        assess: scores a batch, one result per image: `Method.assess_batch`, or whatever stands before it. What
            libraries print to stdout meanwhile goes to stderr, since rows may go to stdout; only in the main thread,
            because stdout belongs to the whole process.
        batch_size: at most so many images are handed over at once.
        sentences: exceptions whose text is meant for a user. Any other one is named by its kind in its row, with the
            traceback on stderr.

    Raises:
        ModelUnavailable: the model cannot be reached; the items from the present batch on have no rows.
    """
    waiting: list[tuple[Item, Decoded | None, str]] = []
    pixels = 0
    for item in items:
        decoded, error = None, ""
        try:
            decoded = decode(source(item))
            pixels += decoded.image.width * decoded.image.height
        except UserError as refused:
            error = _line(str(refused))
        waiting.append((item, decoded, error))
        ready = sum(one is not None for _, one, _ in waiting)
        if ready >= batch_size or pixels >= PIXELS_AT_ONCE or not ready:
            yield from _batch(waiting, assess, sentences)
            waiting, pixels = [], 0
    yield from _batch(waiting, assess, sentences)


def _batch(waiting: list[tuple[Item, Decoded | None, str]], assess: Callable[[Sequence[Decoded]], Sequence[Result]],
           sentences: tuple[type[Exception], ...]) -> Iterator[Row[Item, Result]]:
    images = [decoded for _, decoded, _ in waiting if decoded is not None]
    assessments: Iterator[Result] | None = None
    if len(images) > 1:
        try:
            with _stdout_to_stderr():
                assessments = iter(assess(images))
        except ModelUnavailable:
            raise
        except Exception as failure:  # One image may be at fault: each is tried by itself, and its row says so.
            print(f"A batch of {len(images)} failed ({_sentence(failure, sentences)}); scoring one by one.",
                  file=sys.stderr)
    for item, decoded, error in waiting:
        if decoded is None:
            yield Row(item, None, error)
        elif assessments is not None:
            yield Row(item, next(assessments))
        else:
            yield _alone(item, decoded, assess, sentences)


def _alone(item: Item, decoded: Decoded, assess: Callable[[Sequence[Decoded]], Sequence[Result]],
           sentences: tuple[type[Exception], ...]) -> Row[Item, Result]:
    try:
        with _stdout_to_stderr():
            return Row(item, assess([decoded])[0])
    except ModelUnavailable:
        raise
    except Exception as error:  # An image that fails is a row with its error, never the end of the run.
        if not isinstance(error, sentences):
            traceback.print_exc(file=sys.stderr)
        return Row(item, None, _sentence(error, sentences))


def _stdout_to_stderr() -> contextlib.AbstractContextManager[object]:
    if threading.current_thread() is threading.main_thread():
        return contextlib.redirect_stdout(sys.stderr)
    return contextlib.nullcontext()


def _sentence(error: Exception, sentences: tuple[type[Exception], ...]) -> str:
    text = _line(str(getattr(error, "message", error)))
    if text and isinstance(error, sentences):
        return text
    return f"{type(error).__name__}: {text}".rstrip(": ") if text else f"{type(error).__name__}."


def _line(text: str) -> str:
    return " ".join(text.split())
