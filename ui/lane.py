"""First come, first served: a fair turn for every visitor on a machine that runs one model call at a time.

A plain semaphore lets whoever just gave it back take it again, so one visitor's folder of fifty pictures would keep
everybody else waiting. Here each request draws a ticket, and the tickets are called in order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class BusyError(RuntimeError):
    """Nobody gave up their turn in time; the sentence says what to do."""


class FairLane:
    """Lets at most `slots` callers run at once, in order of arrival."""

    def __init__(self, slots: int = 1) -> None:
        self._free = slots
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, longest_wait: float, on_wait: Callable[[int], None] | None = None) -> Iterator[None]:
        """Holds a slot while the body runs.

        Args:
            longest_wait: seconds.
            on_wait: told how many are before this caller, about once a second while it waits.

        Raises:
            BusyError: the turn did not come within `longest_wait`.
        """
        self._take(longest_wait, on_wait)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _take(self, longest_wait: float, on_wait: Callable[[int], None] | None) -> None:
        ticket, deadline = object(), time.monotonic() + longest_wait
        with self._changed:
            self._waiting.append(ticket)
        try:
            while True:
                with self._changed:
                    if self._free and self._waiting[0] is ticket:
                        self._free -= 1
                        return
                    ahead = self._waiting.index(ticket) + 1
                if time.monotonic() >= deadline:
                    raise BusyError(
                        f"The queue is full: {ahead} requests are still before yours; try again in a minute."
                    )
                if on_wait is not None:
                    on_wait(ahead)
                with self._changed:
                    first = self._free and self._waiting[0] is ticket
                    if not first:
                        self._changed.wait(timeout=min(1.0, max(deadline - time.monotonic(), 0.0)))
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()
