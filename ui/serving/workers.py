"""Low-priority threads for long work, so that page requests come first.

All threads share the processor and Python's one lock. The thread that answers everybody needs little of either, but
often and at once; a thread that scores a photo, and the threads that torch starts for it, take all there is. Linux
gives a thread its share by its nice value, which the threads that it starts inherit, and which nobody may lower again:
so long work never runs on the threads that Gradio lends to all handlers.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Value = TypeVar("Value")

NICE = 10
"""A tenth of the weight of a thread that answers."""

SECONDS_OF_PYTHON = 0.001
"""After which a thread lets another one have Python's lock. A request takes it some thirty times."""

_END: object = object()


def give_way() -> None:
    """Lowers the priority of the calling thread and of the threads that it starts; does nothing outside Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # where a sandbox forbids it, everything works as slowly as it did
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Workers:
    """A few threads that give way.

    Args:
        name: of the threads.
        count: of them.
    """

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=give_way)

    def run(self, function: Callable[..., Value], *arguments: object) -> Value:
        """What the function returns or raises, called on one of the threads with this thread's context variables."""
        return self._pool.submit(contextvars.copy_context().run, function, *arguments).result()

    def each(self, values: Iterator[Value]) -> Iterator[Value]:
        """`values` as they come, each made on one of the threads."""
        try:
            while (value := self.run(next, values, _END)) is not _END:
                yield value
        finally:
            if (close := getattr(values, "close", None)) is not None:
                self.run(close)


PHOTOS = Workers("photos", 4)
"""For files that are opened, decoded and hashed."""
