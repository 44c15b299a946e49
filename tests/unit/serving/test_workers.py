"""Long work has threads of its own, which come after those that answer."""

from __future__ import annotations

import os
import sys
import threading
from contextvars import ContextVar

import pytest

from methods.patience import step, streamed
from ui.serving import gpu, models
from ui.serving.workers import NICE, Workers


@pytest.fixture(scope="module")
def workers():
    return Workers("test", 1)


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux alone")
def test_its_threads_and_those_that_they_start_give_way_and_no_other_does(workers):
    def of_another():
        values = []
        thread = threading.Thread(target=lambda: values.append(nice()))
        thread.start()
        thread.join()
        return values[0]

    before = nice()
    assert (workers.run(nice), workers.run(of_another)) == (max(NICE, before), max(NICE, before))
    assert nice() == before


def test_what_runs_sees_the_context_and_raises_into_it(workers):
    who = ContextVar("who", default="nobody")
    who.set("a visitor")
    assert workers.run(who.get) == "a visitor"
    with pytest.raises(ZeroDivisionError):
        workers.run(lambda: 1 // 0)


def test_values_come_one_by_one_and_are_closed_where_they_are_made(workers):
    threads, asked = [], []

    def numbers():
        try:
            for number in range(3):
                step()
                threads.append(threading.current_thread().name)
                yield number
        finally:
            threads.append(threading.current_thread().name)

    assert list(workers.each(streamed(numbers(), lambda: asked.append(1)))) == [0, 1, 2]
    values = workers.each(numbers())
    assert next(values) == 0
    values.close()
    assert len(threads) == 6
    assert {name.partition("_")[0] for name in threads} == {"test"}
    assert asked == [1, 1, 1]


def test_a_model_runs_on_its_own_thread_but_on_zerogpu(monkeypatch):
    assert gpu.call("threading:current_thread").name.startswith("models")
    monkeypatch.setattr(models, "ON_ZERO_GPU", True)
    assert gpu.call("threading:current_thread") is threading.current_thread()
