"""Locks that are free in a forked child.

A forked process has one thread, the one that forked. A lock that another thread held at that moment stays locked in it
for ever, since nobody is left to release it: a worker of ZeroGPU would wait until it is killed. So every lock of
`methods` is made here, and is a new one in a child.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType

_locks: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


class ForkSafeLock:
    """A reentrant lock, used as a context; free in a forked child, whoever held it in the parent.

    What it guards has to be whole between any two of its steps, since the parent's other threads may stand anywhere.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.RLock()


def _renew_all() -> None:
    for lock in list(_locks):
        lock._renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_renew_all)
