"""Scores many images, one row each: the one scorer of the command, of runs and of the page's folders.

One bad file costs one row. Images that cannot be read are known before a batch is formed; where a whole batch fails,
its images are scored again one by one, so that only the one at fault carries the error. A model that cannot be reached
ends the work, because no image is to blame.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from methods.errors import UserError
from methods.images import Decoded
from methods.lmm.errors import ModelUnavailable, device_lost
from methods.reading import BYTES_AHEAD, Opened, one_line, read_ahead

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
               prepare: Callable[[Decoded], Decoded] | None = None, bytes_ahead: int = BYTES_AHEAD,
               sentences: tuple[type[Exception], ...] = (UserError,)) -> Iterator[Row[Item, Result]]:
    """One row per item, in order; the images that come next are decoded on other threads while a batch is scored.

    Args:
        items: what to score.
        source: gives what `methods.images.decode` takes; it may raise a `UserError`, which becomes the row's error.
        assess: scores a batch, one result per image: `Method.assess_batch`, or whatever stands before it. What
            libraries print to stdout meanwhile goes to stderr, since rows may go to stdout; only in the main thread,
            because stdout belongs to the whole process.
        batch_size: at most so many images are handed over at once.
        prepare: `Method.prepare`, or whatever stands before it; works on each image after it is decoded, on the same
            thread.
        bytes_ahead: of what may be decoded and prepared ahead.
        sentences: exceptions whose text is meant for a user. Any other one is named by its kind in its row, with the
            traceback on stderr.

    Raises:
        ModelUnavailable: the model cannot be reached, or its GPU is lost; the items from the present batch on have no
            rows.
    """
    with contextlib.closing(read_ahead(items, source, prepare, bytes_ahead)) as images:
        yield from _rows(images, assess, batch_size, sentences)


def score_batches(batches: Sequence[Sequence[Item]], source: Callable[[Item], object],
                  assess: Callable[[Sequence[Decoded]], Sequence[Result]], *,
                  prepare: Callable[[Decoded], Decoded] | None = None) -> Iterator[list[Row[Item, Result]]]:
    """The rows of each batch, in order; a row depends on the images of its own batch alone.

    Arguments and errors as `score_rows`, which cuts its batches itself.
    """
    items = (item for batch in batches for item in batch)
    with contextlib.closing(read_ahead(items, source, prepare)) as images:
        for batch in batches:
            own = itertools.islice(images, len(batch))
            yield list(_rows(own, assess, max(len(batch), 1), (UserError,)))


def _rows(images: Iterable[Opened[Item]], assess: Callable[[Sequence[Decoded]], Sequence[Result]], batch_size: int,
          sentences: tuple[type[Exception], ...]) -> Iterator[Row[Item, Result]]:
    waiting: list[Opened[Item]] = []
    pixels = 0
    for one in images:
        waiting.append(one)
        pixels += one.pixels
        ready = sum(other.decoded is not None for other in waiting)
        if ready >= batch_size or pixels >= PIXELS_AT_ONCE or not ready:
            yield from _batch(waiting, assess, sentences)
            waiting, pixels = [], 0
    yield from _batch(waiting, assess, sentences)


def _batch(waiting: list[Opened[Item]], assess: Callable[[Sequence[Decoded]], Sequence[Result]],
           sentences: tuple[type[Exception], ...]) -> Iterator[Row[Item, Result]]:
    images = [one.decoded for one in waiting if one.decoded is not None]
    assessments: Iterator[Result] | None = None
    if len(images) > 1:
        try:
            with _stdout_to_stderr():
                assessments = iter(assess(images))
        except ModelUnavailable:
            raise
        except Exception as failure:  # One image may be at fault: each is tried by itself, and its row says so.
            if lost := device_lost(failure):
                raise lost from failure
            print(f"A batch of {len(images)} failed ({_sentence(failure, sentences)}); scoring one by one.",
                  file=sys.stderr)
    for one in waiting:
        if one.failure is not None:
            yield _failed(one.item, one.failure, sentences)
        elif one.decoded is None:
            yield Row(one.item, None, one.error)
        elif assessments is not None:
            yield Row(one.item, next(assessments))
        else:
            yield _alone(one.item, one.decoded, assess, sentences)


def _alone(item: Item, decoded: Decoded, assess: Callable[[Sequence[Decoded]], Sequence[Result]],
           sentences: tuple[type[Exception], ...]) -> Row[Item, Result]:
    try:
        with _stdout_to_stderr():
            return Row(item, assess([decoded])[0])
    except Exception as error:  # An image that fails is a row with its error, never the end of the run.
        return _failed(item, error, sentences)


def _failed(item: Item, error: Exception, sentences: tuple[type[Exception], ...]) -> Row[Item, Result]:
    if isinstance(error, ModelUnavailable):
        raise error
    if lost := device_lost(error):
        raise lost from error
    if not isinstance(error, sentences):
        traceback.print_exception(error, file=sys.stderr)
    return Row(item, None, _sentence(error, sentences))


def _stdout_to_stderr() -> contextlib.AbstractContextManager[object]:
    if threading.current_thread() is threading.main_thread():
        return contextlib.redirect_stdout(sys.stderr)
    return contextlib.nullcontext()


def _sentence(error: Exception, sentences: tuple[type[Exception], ...]) -> str:
    text = one_line(str(getattr(error, "message", error)))
    if text and isinstance(error, sentences):
        return text
    return f"{type(error).__name__}: {text}".rstrip(": ") if text else f"{type(error).__name__}."
