"""A shared limit for threads, for example on memory. A thread that would exceed it waits, in order of arrival."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

from methods.patience import step

SECONDS_BETWEEN_STEPS = 1.0


class Budget:
    """Args:
    total: that may be held at once, in any unit.
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self.amount = 0.0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, amount: float) -> Iterator[None]:
        """Reserves an amount while the body runs. An amount above the total runs alone.

        Raises:
            UserError: it is no longer waited for (`methods.patience.step`).
        """
        amount, ticket = min(amount, self.total), object()
        with self._changed:
            self._waiting.append(ticket)
        try:
            while True:
                step()
                with self._changed:
                    if self._waiting[0] is ticket and self.amount + amount <= self.total:
                        self.amount += amount
                        break
                    self._changed.wait(SECONDS_BETWEEN_STEPS)
        finally:
            with self._changed:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.amount -= amount
                self._changed.notify_all()
