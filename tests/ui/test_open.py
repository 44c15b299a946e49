"""The page as strangers meet it: what is let in, what is said of the server, and who is worked for."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid

import pytest

from tests.app_server import fake_lmm
from tests.conftest import REPOSITORY
from tests.ui.plain_http import call, file, post, upload
from ui.components import EXAMPLES

COFFEE = EXAMPLES / "coffee.jpg"


def answer(url: str, body: bytes | None = None, **headers: str):
    """(status, headers, body), whatever the status."""
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as got:
            return got.status, got.headers, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def health(app_url: str) -> dict:
    return json.loads(answer(f"{app_url}/healthz")[2])


def test_health_is_answered(app_url):
    assert health(app_url)["status"] == "ok"


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/theme.css", "/nothing"])
def test_every_answer_has_its_headers(app_url, path):
    _, headers, _ = answer(app_url + path)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_an_upload_comes_back_as_an_attachment(app_url):
    _, headers, content = answer(f"{app_url}/gradio_api/file={upload(app_url, COFFEE)}")
    assert content == COFFEE.read_bytes()
    assert headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("body", [
    b'{"data":[' + b"[]," * 300_000 + b"1]}", b'{"data":[' + b"[" * 200_000, b'{"data":["' + b"x" * 3_000_000 + b'"]}'])
def test_a_body_that_would_freeze_the_page_is_refused_before_it_is_parsed(app_url, body):
    status, _, said = answer(f"{app_url}/gradio_api/call/leaderboard", body, **{"Content-Type": "application/json"})
    assert status == 413
    assert json.loads(said)["detail"].endswith(".")


def test_nothing_that_is_answered_tells_where_the_server_keeps_its_code(app_url):
    inside = [str(REPOSITORY), sys.prefix, "site-packages"]
    pages = ("/config", "/", "/gradio_api/info", "/healthz", "/nothing")
    texts = [answer(app_url + path)[2].decode() for path in pages]
    texts += [str(call(app_url, "score", data)) for data in (
        [file("/etc/passwd"), "q-bench", None, {}], [file(upload(app_url, COFFEE)), "q-bench", "/etc", {}], [None] * 4)]
    for text in texts:
        assert not [place for place in inside if place in text]


def until(condition, seconds: float = 90) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return met


def test_a_session_has_a_few_places_and_who_leaves_gives_them_back(app_url, monkeypatch):
    """The fake model's answers are held back for minutes, so that nothing ends by itself."""
    session, photo = uuid.uuid4().hex, file(upload(app_url, COFFEE))
    config = json.loads(answer(f"{app_url}/config")[2])
    index = next(one["id"] for one in config["dependencies"] if one["api_name"] == "score" and one["api_visibility"]
                 == "public")
    data = [photo, "q-bench", config_model(config), {}]
    monkeypatch.setattr(fake_lmm(), "delay", 300.0)
    try:
        for _ in range(4):
            post(f"{app_url}/gradio_api/queue/join", {"data": data, "fn_index": index, "session_hash": session})
        body = json.dumps({"data": data, "fn_index": index, "session_hash": session}).encode()
        status, _, said = answer(f"{app_url}/gradio_api/queue/join", body, **{"Content-Type": "application/json"})
        assert status == 503
        assert "your calls are waiting" in json.loads(said)["detail"]
        host, port = app_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as line:
            line.sendall(f"GET /gradio_api/queue/data?session_hash={session} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert until(lambda: b"process_starts" in line.recv(65536))
            assert health(app_url)["waiting"] == 4
            # Whoever only reads does not wait.
            assert call(app_url, "leaderboard", ["", "csv"])[0] == "complete"
        assert until(lambda: health(app_url)["waiting"] == 0)
    finally:
        monkeypatch.undo()
    assert call(app_url, "score", [photo, "leaf", None, {}])[0] == "complete"


def config_model(config: dict) -> str:
    """The name of the second model that the page offers, the fake one."""
    choices = next(one["props"]["choices"] for one in config["components"]
                   if one["props"].get("elem_id") == "score-model")
    return choices[-1][1]
