"""What an answer says to the browser, and what the page says of itself to whoever runs it."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.components import Page
from ui.serving import health
from ui.serving.headers import Headers
from ui.serving.health import Requests


@pytest.fixture(scope="module")
def client():
    def plain(request):
        return PlainTextResponse("content")

    return TestClient(Starlette(routes=[Route("/gradio_api/file={path:path}", plain), Route("/page", plain)],
                                middleware=[Middleware(Headers)]))


def test_every_answer_says_what_may_be_loaded(client):
    for path in ("/page", "/nothing"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "Content-Disposition" not in headers


@pytest.mark.parametrize("name", ["page.html", "photo.jpg", "drawing.svg"])
def test_an_upload_is_never_a_page(client, name):
    headers = client.get(f"/gradio_api/file=/tmp/gradio/{name}").headers
    assert headers["Content-Disposition"].startswith("attachment")
    assert "sandbox" in headers["Content-Security-Policy"]


def event(name: str = "one", alive: bool = True):
    return SimpleNamespace(_id=name, alive=alive)


def test_a_call_leaves_one_line_without_its_contents(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "mean_opinion.calls")
    requests, running = Requests(), event("running")
    monkeypatch.setattr(health, "running_event", lambda: running)
    requests.note(megapixels=12.0)
    requests.note(megapixels=0.5)
    requests.ended(running, "score", 0.25, 1.5)
    requests.failed(event("failed"))
    requests.ended(event("failed"), "leaf", 0, 0.1)
    requests.ended(event("left", alive=False), "leaf", 0, 0.1)
    requests.refused("Too many.")
    assert [record.getMessage() for record in caplog.records] == [
        "call=score outcome=done waited=0.25 ran=1.50 megapixels=12.5", "call=leaf outcome=failed waited=0.00 ran=0.10",
        "call=leaf outcome=left waited=0.00 ran=0.10", "call refused: Too many."]
    assert requests.outcomes == {"done": 1, "failed": 1, "left": 1, "refused": 1}
    assert not requests._notes
    assert not requests._outcomes


def test_nothing_is_noted_outside_of_a_call():
    requests = Requests()
    requests.note(megapixels=1.0)
    assert not requests._notes


@pytest.fixture
def page():
    with Page() as page:
        pass
    return page.queue()


def served(page, monkeypatch, metrics: bool):
    monkeypatch.setattr(health, "settings", lambda: SimpleNamespace(free_disk_mb=1, metrics=metrics))
    app = Starlette(routes=health.routes())
    app.get_blocks = lambda: page
    return TestClient(app)


def test_health_says_how_the_page_is_doing(page, monkeypatch):
    client = served(page, monkeypatch, metrics=False)
    answer = client.get("/healthz").json()
    assert answer["status"] == "ok"
    assert answer["memory_mb"] > 20
    assert (answer["waiting"], answer["readers"]) == (0, 0)
    assert {"models", "visitors", "disk_free_mb", "calls", "damaged_shares"} < set(answer)
    assert client.get("/metrics").status_code == 404
    monkeypatch.setattr(health.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    assert client.get("/healthz").json()["status"] == "full"


def test_metrics_count_calls(page, monkeypatch):
    client = served(page, monkeypatch, metrics=True)
    health.REQUESTS.ended(event(), "score", 0.0, 1.5)
    text = client.get("/metrics").text
    assert 'mean_opinion_calls_total{call="score",outcome="done"} 1.0' in text
    assert re.search(r"^mean_opinion_memory_mb \d", text, re.MULTILINE)
    monkeypatch.setattr(health.REQUESTS, "_metrics", None)
