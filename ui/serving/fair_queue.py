"""First come, first served: a fair turn for every visitor on a machine that runs one model call at a time.

A plain semaphore lets whoever just gave it back take it again, so one visitor's folder of fifty images would keep
everybody else waiting. Here each request draws a ticket, and the tickets are called in order. A folder's images wait
on a bench of their own, behind everybody who waits for a single result: however many folders are under way, a visitor
waits for at most the one image that is being scored. Now and then an image of a folder goes first all the same, so
that no folder waits for ever.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from methods.errors import UserError

PATIENCE = 4
"""Single requests that may pass the folders' bench one after the other before a folder's image has its turn."""


class BusyError(UserError, RuntimeError):
    """Nobody gave up their turn in time; the sentence says what to do."""


class FairQueue:
    """Lets at most `slots` callers run at once, in order of arrival."""

    def __init__(self, slots: int = 1) -> None:
        self._free = slots
        self._waiting: deque[object] = deque()
        self._bench: deque[object] = deque()
        self._passed = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, longest_wait: float, on_wait: Callable[[int], None] | None = None, *, yields: bool = False
             ) -> Iterator[None]:
        """Holds a slot while the body runs.

        Args:
            longest_wait: seconds.
            on_wait: told how many are before this caller, about once per second while it waits.
            yields: for one of many images: lets those go first who wait for a single result.

        Raises:
            BusyError: the turn did not come within `longest_wait`.
        """
        self._take(self._bench if yields else self._waiting, longest_wait, on_wait)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _next(self) -> object | None:
        """The ticket whose turn it is."""
        if self._bench and (not self._waiting or self._passed >= PATIENCE):
            return self._bench[0]
        return self._waiting[0] if self._waiting else None

    def _called(self, ticket: object) -> bool:
        return self._free > 0 and self._next() is ticket

    def _ahead(self, queue: deque[object], ticket: object) -> int:
        """How many are before this ticket, the one that runs included."""
        before = queue.index(ticket) + 1
        return before + len(self._waiting) if queue is self._bench else before

    def _take(self, queue: deque[object], longest_wait: float, on_wait: Callable[[int], None] | None) -> None:
        ticket, deadline = object(), time.monotonic() + longest_wait
        with self._changed:
            queue.append(ticket)
        try:
            while True:
                with self._changed:
                    if self._called(ticket):
                        self._free -= 1
                        self._passed = 0 if queue is self._bench else self._passed + bool(self._bench)
                        return
                    ahead = self._ahead(queue, ticket)
                if time.monotonic() >= deadline:
                    raise BusyError(
                        f"The queue is full: {ahead} requests are still before yours; try again in a minute."
                    )
                if on_wait is not None:
                    on_wait(ahead)
                with self._changed:
                    if not self._called(ticket):
                        self._changed.wait(timeout=min(1.0, max(deadline - time.monotonic(), 0.0)))
        finally:
            with self._changed:
                queue.remove(ticket)
                self._changed.notify_all()
