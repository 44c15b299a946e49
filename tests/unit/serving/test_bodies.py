"""What a request may bring: measured before it is parsed, and read as it came where it is let in."""

from __future__ import annotations

import asyncio
import json

import pytest

from ui.serving import bodies
from ui.serving.bodies import BodyLimits, RefusedError, check_json

JSON = [(b"content-type", b"application/json")]


@pytest.mark.parametrize("body", [
    b'{"data": [1, "two", {"path": "three"}]}',
    b"not JSON at all",  # whoever parses it says so
    b'{"data": ["' + b"[" * 5000 + b'"]}',  # brackets in a text are text
    b'{"data": ["a quote \\" and [[[[ then"]}',
    b'{"data": [' + b"[" * 29 + b"]" * 29 + b"]}",
    b'{"data": [{"path": "data:image/png;base64,' + b"A" * 5_000_000 + b'"}]}',
])
def test_bodies_that_are_let_in(body):
    check_json(body)


@pytest.mark.parametrize(("status", "body"), [
    (413, b'{"data": ["' + b"x" * 1_100_000 + b'"]}'),
    (413, b'{"data": [' + b"[" * 40 + b"]" * 40 + b"]}"),
    (413, b"[" * 900_000),
    (413, b'{"data": [' + b"[]," * 30_000 + b"1]}"),
    (413, b'{"data": [' + b"1," * 60_000 + b"1]}"),
    (413, b'{"data": [' + b'"",' * 60_000 + b"1]}"),
    (413, b'{"data": ["data:' + b"A" * 2_000_000 + b'", "' + b"x" * 1_100_000 + b'"]}'),
    (400, '{"data": ["∢", [[[1]]], "∢"]}'.encode("utf-16")),
])
def test_bodies_that_are_not(status, body):
    with pytest.raises(RefusedError) as refused:
        check_json(body)
    assert refused.value.status == status


def send(body_parts, headers, method="POST", app=None):
    """(status, answer, what the application read) of a request that comes in parts."""
    read, sent = [], []

    async def reads(scope, receive, send):
        more = True
        while more:
            message = await receive()
            read.append(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def run():
        parts = [{"type": "http.request", "body": part, "more_body": place + 1 < len(body_parts)}
                 for place, part in enumerate(body_parts)]

        async def receive():
            if parts:
                return parts.pop(0)
            return {"type": "http.disconnect"}

        async def collect(message):
            sent.append(message)

        await BodyLimits(app or reads)({"type": "http", "method": method, "path": "/", "headers": headers}, receive,
                                       collect)
        return parts

    left = asyncio.run(run())
    return sent[0]["status"], json.loads(sent[1]["body"]), b"".join(read), len(left)


def test_a_body_arrives_as_it_was_sent():
    assert send([b'{"data"', b": []}"], JSON)[::2] == (200, b'{"data": []}')
    assert send([b""], [], method="GET")[0] == 200


def test_a_body_that_says_it_is_too_long_is_not_read():
    status, answer, read, left = send([b"x"] * 3, [*JSON, (b"content-length", b"99000000")])
    assert (status, read, left) == (413, b"", 3)
    assert "upload files first" in answer["detail"]
    assert send([b"x"], [*JSON, (b"content-length", b"-5")])[0] == 400


def test_a_body_without_a_length_is_read_no_further_than_its_limit(monkeypatch):
    monkeypatch.setattr(bodies, "MOST_WITH_PHOTOS", 1000)
    status, _, read, left = send([b"x" * 600] * 9, JSON)
    assert (status, read, left) == (413, b"", 7)


def test_an_upload_is_counted_as_it_comes(monkeypatch):
    form = [(b"content-type", b"multipart/form-data; boundary=x")]
    monkeypatch.setattr(bodies, "most_uploaded", lambda: 1000)
    assert send([b"x" * 600], form)[0] == 200
    assert send([b"x"], [*form, (b"content-length", b"1001")])[0] == 413
    assert send([b"x" * 600] * 9, form)[0::3] == (413, 7)


def test_an_upload_needs_room_on_the_disk(monkeypatch):
    monkeypatch.setattr(bodies.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 400_000_000}))
    status, answer, *_ = send([b"x"], [(b"content-type", b"multipart/form-data; boundary=x")])
    assert status == 507
    assert "no room" in answer["detail"]


def test_a_body_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr(bodies, "SECONDS_TO_SEND", 0.05)

    async def run():
        async def receive():
            await asyncio.sleep(3600)

        with pytest.raises(RefusedError) as refused:
            await bodies._whole(receive, None)
        return refused.value.status

    assert asyncio.run(run()) == 408


def test_bodies_that_are_read_at_the_same_time_share_their_room(monkeypatch):
    monkeypatch.setattr(bodies, "MOST_AT_ONCE", 100)
    inside, most = 0, 0

    async def app(scope, receive, send):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.02)
        inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def run():
        limits = BodyLimits(app)

        async def one():
            async def receive():
                return {"type": "http.request", "body": b"x" * 50}

            async def ignore(message):
                pass

            await limits({"type": "http", "method": "POST", "path": "/",
                          "headers": [*JSON, (b"content-length", b"50")]}, receive, ignore)

        await asyncio.gather(*(one() for _ in range(6)))

    asyncio.run(run())
    assert most == 2
