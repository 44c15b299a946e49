"""A lock that another thread holds at a fork is free in the child: of every lock that a worker may meet."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from methods.iqarag import opened_sets
from methods.lmm import load_lmm, loading
from methods.locks import ForkSafeLock
from ui.serving import models

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(work: Callable[[], object], seconds: float = 20) -> bool:
    """Whether `work` ends in a forked process within this time."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


class held:
    """Holds a lock in another thread."""

    def __init__(self, lock: AbstractContextManager) -> None:
        self.lock, self.taken, self.done = lock, threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self.thread = threading.Thread(target=self._hold)
        self.thread.start()
        assert self.taken.wait(10)

    def _hold(self) -> None:
        with self.lock:
            self.taken.set()
            self.done.wait(60)

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def enter(lock: AbstractContextManager) -> None:
    with lock, lock:  # reentrant
        pass


def test_a_plain_lock_stays_shut_which_is_what_the_others_are_held_against():
    plain = threading.Lock()
    with held(plain):
        assert not in_child(lambda: plain.__enter__(), seconds=0.5)


@pytest.mark.parametrize("name", ["own", "loading", "sets", "served models", "model"])
def test_a_lock_held_at_the_fork_is_free_in_the_child(name):
    lock = {"own": ForkSafeLock, "loading": lambda: loading._lock, "sets": lambda: opened_sets._lock,
            "served models": lambda: models._lock, "model": lambda: load_lmm("embedded")._lock}[name]()
    with held(lock):
        assert in_child(lambda: enter(lock))
        # It is still held here.
        waiting = threading.Thread(target=lambda: enter(lock))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()


def test_no_module_of_the_methods_makes_a_lock_that_a_fork_could_shut():
    offenders = [f"{path.relative_to(REPOSITORY)}:{number}" for path in (REPOSITORY / "methods").rglob("*.py")
                 if path.name != "locks.py" for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
                 if re.search(r"threading\.R?Lock\(", line)]
    assert not offenders
