"""A Stop button that ends a run where it stands and keeps what it wrote.

Gradio's own `cancels` ends the event from outside: what was still on its way to the page is drawn over the button's
answer, and the outputs are left with an error badge. Here the run is asked instead. It looks whenever a piece arrives
or a queue moves, and ends by itself, with a last output of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr


class Stopped(gr.Error):
    """The visitor pressed Stop before anything was written."""

    def __init__(self) -> None:
        super().__init__("Stopped.", print_exception=False)


class Stops:
    """The runs of one button, by visitor, and who asked theirs to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str | None, list[threading.Event]] = {}

    @contextmanager
    def run(self, visitor: str | None) -> Iterator[threading.Event]:
        """Holds an event that is set once this visitor presses Stop.

        Args:
            visitor: `gr.Request.session_hash`.
        """
        flag = threading.Event()
        with self._lock:
            self._running.setdefault(visitor, []).append(flag)
        try:
            yield flag
        finally:
            with self._lock:
                self._running[visitor].remove(flag)
                if not self._running[visitor]:
                    del self._running[visitor]

    def stop(self, visitor: str | None) -> None:
        """Asks all of a visitor's runs to end; nothing where none is under way."""
        with self._lock:
            for flag in self._running.get(visitor, ()):
                flag.set()


class StoppableProgress:
    """Passes on what a run tells the page, and raises `Stopped` instead once it was asked to end."""

    def __init__(self, progress: gr.Progress, flag: threading.Event) -> None:
        self._progress, self._asked = progress, flag

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._asked.is_set():
            raise Stopped
        return self._progress(*args, **kwargs)
