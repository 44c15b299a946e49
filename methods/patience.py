"""Cancelling long work: between its steps it calls a function of the caller, which may raise.

A photo may take a second or minutes, and whoever asked may leave or may have been promised an end. Work that is under
way cannot be ended from outside without leaving a model in an unknown state. So it asks by itself, between prompts,
batches, decoding steps and images, wherever it can stop cleanly: `step()` does nothing, or raises what the waiting side
chose. Without a waiting side, as in the command line, it costs a look at a variable.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

_asked: ContextVar[Callable[[], None] | None] = ContextVar("asked", default=None)


def step() -> None:
    """Call between two steps of long work; raises what the caller's function raises."""
    if (ask := _asked.get()) is not None:
        ask()


def steps(items: Iterable[Item]) -> Iterator[Item]:
    """`items` with a `step` before each of them."""
    for item in items:
        step()
        yield item


@contextlib.contextmanager
def questions_by(ask: Callable[[], None]) -> Iterator[None]:
    """Has `ask` called between the steps of what runs inside, in this thread.

    Args:
        ask: returns while the result is wanted, and raises a `methods.errors.UserError` when it no longer is.
    """
    token = _asked.set(ask)
    try:
        yield
    finally:
        _asked.reset(token)


def streamed(values: Iterator[Item], ask: Callable[[], None]) -> Iterator[Item]:
    """`values` as they come, each made under `waiting(ask)`; they may be asked for from several threads in turn."""
    try:
        while True:
            with questions_by(ask):
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value
    finally:
        if (close := getattr(values, "close", None)) is not None:
            close()
