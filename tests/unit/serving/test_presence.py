"""Who is there, who may wait, and what is kept of those who left."""

from __future__ import annotations

import asyncio
import datetime
import time
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from gradio.queueing import EventQueue
from PIL import Image

from ui.components import Page
from ui.serving import memory, presence, sessions, waiting
from ui.serving.presence import Lines, Presence
from ui.serving.sessions import Session, Sessions, bytes_of


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(presence.time, "monotonic", lambda: now.seconds)
    return now


def watched() -> Presence:
    """As on a page that is launched with the middleware."""
    here = Presence()
    here.watched = True
    return here


def test_without_the_middleware_everybody_is_there(clock):
    here = Presence()
    here.begin("one")
    clock.seconds += 10_000
    assert here.is_there("one")
    assert here.listens("one")


def test_a_caller_has_a_while_to_ask_for_the_answer_and_less_to_come_back(clock):
    here = watched()
    assert here.is_there("unknown")
    here.begin("one")
    clock.seconds += presence.SECONDS_TO_LISTEN - 1
    assert here.is_there("one")
    here.on_open("one")
    clock.seconds += 10_000
    assert here.is_there("one")
    assert here.absence("one") == 0
    here.on_close("one")
    clock.seconds += presence.SECONDS_TO_RETURN - 0.5
    assert here.is_there("one")
    clock.seconds += 1
    assert not here.is_there("one")
    here.begin("two")
    clock.seconds += presence.SECONDS_TO_LISTEN + 1
    assert not here.is_there("two")


@pytest.mark.parametrize(("path", "query", "session"), [
    ("/gradio_api/queue/data", b"session_hash=abc", "abc"), ("/gradio_api/heartbeat/abc", b"", "abc"),
    ("/gradio_api/call/score/abc", b"", "abc"), ("/gradio_api/call/v2/score/abc", b"", "abc"),
    ("/gradio_api/queue/data", b"", None), ("/config", b"session_hash=abc", None),
    ("/gradio_api/file=/tmp/call/score/abc.png", b"", None),
])
def test_lines_are_told_by_their_addresses(path, query, session):
    here, inside = watched(), []

    async def app(scope, receive, send):
        inside.append(session is not None and here.listens(session))

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query}
    asyncio.run(Lines(app, here)(scope, None, None))
    assert inside == [session is not None]
    assert here.count() == 0


def request(address):
    return SimpleNamespace(client=SimpleNamespace(host=address))


def jobs(queue, *about, lane=waiting.MODELS):
    """Puts jobs of (session, address) into a lane."""
    fn = SimpleNamespace(concurrency_id=lane)
    queue.event_queue_per_concurrency_id[lane] = SimpleNamespace(queue=[
        SimpleNamespace(fn=fn, session_hash=session, request=request(address)) for session, address in about])


@pytest.fixture
def page():
    with Page() as page:
        gr.Button("score").click(lambda: None, None, None, api_name="score", concurrency_id=waiting.MODELS)
        gr.Button("read").click(lambda: None, None, None, api_name="read")
    return page.queue()


def refusal(page, fn, session="me", address="192.0.2.1"):
    body = SimpleNamespace(fn_index=fn, session_hash=session, trigger_id=None)
    return page._queue._refusal(body, request(address))


def test_a_session_and_an_address_have_a_few_places_and_all_together_more(page):
    score, read = sorted(page.fns)
    queue, limits = page._queue, waiting.settings()
    assert refusal(page, score) == ""
    jobs(queue, *[("me", "192.0.2.1")] * limits.waiting_per_session)
    assert "your calls are waiting" in refusal(page, score)
    assert refusal(page, score, session="other") == ""
    jobs(queue, *[(f"visitor {number}", "192.0.2.1") for number in range(limits.waiting_per_address)])
    assert "from your address" in refusal(page, score)
    assert refusal(page, score, address="192.0.2.2") == ""
    jobs(queue, *[(f"visitor {number}", f"192.0.2.{number}") for number in range(limits.waiting)])
    assert "no more are taken" in refusal(page, score, address="198.51.100.1")
    # Whoever only reads has places of their own.
    assert refusal(page, read) == ""




def test_a_job_begins_once_somebody_listens_for_it(page, monkeypatch):
    here = watched()
    monkeypatch.setattr(presence, "PRESENCE", here)
    queue, lane = page._queue, EventQueue(waiting.MODELS, 2)
    queue.event_queue_per_concurrency_id[waiting.MODELS] = lane
    fn = SimpleNamespace(batch=False, concurrency_id=waiting.MODELS)
    lane.queue = [SimpleNamespace(fn=fn, session_hash=session, _id=f"event of {session}") for session in "abc"]
    assert queue.get_events() is None
    here.on_open("event of b")
    here.on_open("c")
    assert queue.get_events()[0][0].session_hash == "b"
    assert queue.get_events()[0][0].session_hash == "c"
    assert queue.get_events() is None
    assert [event.session_hash for event in lane.queue] == ["a"]


def test_what_a_session_holds_is_counted_wherever_it_is():
    image = Image.new("RGB", (100, 50))
    assert bytes_of(image) == 15_000
    assert bytes_of({"a": [np.zeros((10, 10), np.float32)], "b": b"123"}) == 400 + 3 + 2
    assert bytes_of(presence.PRESENCE) < 100


def test_large_states_share_a_room_and_go_with_their_session(page, monkeypatch):
    kept = memory.Kept(1_000_000, 60)
    monkeypatch.setattr(sessions, "KEPT", kept)
    with page:
        state = gr.State(None)
    one, other = Session(page), Session(page)
    one[state._id] = "small"
    assert (one[state._id], kept.size()) == ("small", 0)
    one[state._id] = b"x" * 600_000
    assert one[state._id] == b"x" * 600_000
    other[state._id] = b"y" * 600_000
    assert one[state._id] is None  # the oldest made room
    assert other[state._id] == b"y" * 600_000
    other[state._id] = None
    assert kept.size() == 0
    one[state._id] = b"z" * 600_000
    one.let_go()
    assert kept.size() == 0


def test_what_is_kept_goes_with_time(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(memory.time, "monotonic", lambda: now.seconds)
    kept = memory.Kept(100, 60)
    name = kept.put("value", 10)
    now.seconds = 59
    assert kept.get(name) == "value"
    now.seconds = 118
    assert kept.get(name) == "value"
    now.seconds = 180
    assert kept.get(name) is None
    assert kept.get(None) is None


def test_sessions_that_nobody_holds_are_forgotten(page, monkeypatch):
    deleted, here = [], watched()
    monkeypatch.setattr(sessions, "PRESENCE", here)
    with page:
        state = gr.State(None, delete_callback=deleted.append)
    holder = Sessions()
    holder.set_blocks(page)
    for name in ("left", "open", "fresh"):
        holder[name][state._id] = name
    long_ago = datetime.datetime.now() - datetime.timedelta(seconds=sessions.SECONDS_AFTER_LEAVING + 1)
    holder.time_last_used |= {"left": long_ago, "open": long_ago}
    here.on_open("open")
    holder.forget_old()
    assert sorted(holder.session_data) == ["fresh", "open"]
    assert deleted == ["left"]


def test_a_session_is_made_without_describing_the_page(page):
    start = time.perf_counter()
    assert Session(page).config_values == {}
    assert time.perf_counter() - start < 1
