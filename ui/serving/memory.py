"""Bounded memory: malloc's arenas, what it gives back, and the pictures that stand behind results.

glibc gives every thread an arena of its own, and an arena that once held a large picture rarely shrinks. Two arenas and
a trim after each picture keep a page that decodes on forty threads as small as one that decodes on two.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import time
import uuid
from collections import OrderedDict

from methods.images import limit_decoding
from ui.serving.settings import settings

_M_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2
_SECONDS_BETWEEN_TRIMS = 2.0
_trimmed = 0.0


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    """None on other systems, whose allocators know neither call."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if library.mallopt and library.malloc_trim else None
    except (OSError, AttributeError):
        return None


def bound() -> None:
    """Bounds the process's arenas, and what images may claim while they are decoded; called once, at the start."""
    if (library := _glibc()) is not None:
        library.mallopt(_M_ARENA_MAX, _ARENAS)
    limit_decoding(settings().decoding_mb * 10**6)


def trim() -> None:
    """Gives freed memory back to the system, at most every two seconds."""
    global _trimmed
    if (library := _glibc()) is not None and time.monotonic() - _trimmed > _SECONDS_BETWEEN_TRIMS:
        _trimmed = time.monotonic()
        library.malloc_trim(0)


class Kept:
    """Keeps the images of recent results outside the sessions, within a limit of bytes and time.

    A session that nobody holds any more costs nothing here: what is oldest goes as soon as the room is needed.

    Args:
        most_bytes: of all values together.
        seconds: that a value is kept after it was last used.
    """

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self.most_bytes, self.seconds = most_bytes, seconds
        self._lock = threading.Lock()
        self._values: OrderedDict[str, tuple[float, int, object]] = OrderedDict()

    def put(self, value: object, size: int) -> str:
        """Keeps a value of so many bytes; the name that `get` takes, which nobody can guess."""
        name = uuid.uuid4().hex
        with self._lock:
            self._values[name] = (time.monotonic(), size, value)
            self._sweep()
        return name

    def get(self, name: str | None) -> object:
        """The value, None where it is no longer kept."""
        with self._lock:
            self._sweep()
            if name not in self._values:
                return None
            _, size, value = self._values.pop(name)
            self._values[name] = (time.monotonic(), size, value)
            return value

    def discard(self, name: str | None) -> None:
        """Forgets a value."""
        with self._lock:
            self._values.pop(name, None)

    def size(self) -> int:
        """Bytes of all values."""
        with self._lock:
            return sum(size for _, size, _ in self._values.values())

    def _sweep(self) -> None:
        now, total = time.monotonic(), sum(size for _, size, _ in self._values.values())
        for name, (used, size, _) in list(self._values.items()):
            if total <= self.most_bytes and now - used <= self.seconds:
                return
            del self._values[name]
            total -= size


SECONDS_KEPT = 600.0
KEPT = Kept(settings().kept_mb * 10**6, SECONDS_KEPT)
"""Of this process."""
