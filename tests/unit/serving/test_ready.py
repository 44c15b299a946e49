"""What everybody gets alike is made once, for each address and encoding, until the page is launched anew."""

from __future__ import annotations

import gzip
from types import SimpleNamespace

import brotli
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from ui.serving import ready
from ui.serving.headers import Headers
from ui.serving.ready import Ready

TEXT = "The same for everybody. " * 100


@pytest.fixture
def page():
    made = []

    def answer(request):
        made.append(str(request.url))
        if "cookie" in request.url.path:
            return PlainTextResponse(TEXT, headers={"Set-Cookie": "a=b"})
        if "corrected" in request.url.path:
            return PlainTextResponse(TEXT, headers={"Cache-Control": "max-age=86400"})
        if "font" in request.url.path:
            return Response(TEXT.encode(), media_type="font/woff2")
        return PlainTextResponse(f"{TEXT}{request.url.netloc}")

    paths = ("/", "/config", "/page", "/theme.css", "/assets/{name}", "/static/{name}")
    app = Starlette(routes=[Route(path, answer) for path in paths],
                    middleware=[Middleware(Headers), Middleware(Ready)])
    blocks = SimpleNamespace(config={})
    app.get_blocks = lambda: blocks
    return SimpleNamespace(client=TestClient(app), made=made, blocks=blocks)


def raw(page, path, encoding=""):
    with page.client.stream("GET", path, headers={"Accept-Encoding": encoding}) as answer:
        return b"".join(answer.iter_raw()), answer.headers


@pytest.mark.parametrize(("encoding", "name", "unpack"), [
    ("gzip, deflate, br", "br", brotli.decompress), ("gzip", "gzip", gzip.decompress), ("", None, bytes)])
def test_an_answer_is_made_and_compressed_once(page, encoding, name, unpack):
    for _ in range(2):
        content, headers = raw(page, "/?tab=leaderboard", encoding)
        assert unpack(content).decode() == TEXT + "testserver"
        assert headers.get("Content-Encoding") == name
        assert headers["Content-Length"] == str(len(content))
        assert headers["Content-Type"].startswith("text/plain")
        assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert len(page.made) == 1


def test_a_description_names_the_address_that_it_was_asked_for_under(page):
    for name in ("one.example", "two.example", "one.example"):
        assert page.client.get("/config", headers={"Host": name}).text == TEXT + name
    assert len(page.made) == 2


@pytest.mark.parametrize("path", ["/page", "/?deep_link=1", "/?page=other", "/config?page=other", "/assets/cookie.js",
                                  "/assets/nothing/at/all"])
def test_what_is_not_the_same_for_everybody_is_made_each_time(page, path):
    answers = [page.client.get(path) for _ in range(2)]
    assert answers[0].text == answers[1].text
    assert len(page.made) == (0 if answers[0].status_code == 404 else 2)


def test_other_requests_pass(page):
    assert page.client.head("/").status_code == 200
    assert page.client.get("/static/a.js", headers={"Range": "bytes=0-3"}).status_code == 200
    assert page.client.post("/config").status_code == 405
    assert len(page.made) == 2


def test_a_file_whose_name_says_what_is_in_it_stays_in_the_browser(page):
    assert "immutable" in page.client.get("/assets/Index-Akn07EZk2.js").headers["Cache-Control"]
    assert page.client.get("/assets/corrected-Akn07EZk2.js").headers["Cache-Control"] == "max-age=86400"
    for path in ("/assets/index.js", "/theme.css", "/"):
        assert "Cache-Control" not in page.client.get(path).headers
    content, headers = raw(page, "/static/font-Akn07EZk.woff2", "br")
    assert (content, headers.get("Content-Encoding")) == (TEXT.encode(), None)


def test_the_answers_go_when_the_page_is_launched_anew_and_when_they_take_too_much(page, monkeypatch):
    page.client.get("/")
    page.blocks.config = {"another": "one"}
    page.client.get("/")
    assert len(page.made) == 2
    monkeypatch.setattr(ready, "MOST_BYTES", 3 * len(TEXT))
    for name in ("a", "b", "a", "c", "a", "b"):
        raw(page, f"/static/{name}.js")
    assert [made.rpartition("/")[2] for made in page.made[2:]] == ["a.js", "b.js", "c.js", "b.js"]


def test_the_page_s_head_gets_what_its_first_paint_needs():
    def answer(request):
        page = "<head><script>'</head>'</script></head><body></body>"
        return HTMLResponse(page if request.url.path == "/" else "</head>")

    app = Starlette(routes=[Route(path, answer) for path in ("/", "/config")],
                    middleware=[Middleware(Ready, first=lambda config: f"<style>{config['it']}</style>")])
    app.get_blocks = lambda: SimpleNamespace(config={"it": "p{}"})
    client = TestClient(app)
    assert client.get("/").text == "<head><script>'</head>'</script><style>p{}</style></head><body></body>"
    assert client.get("/config").text == "</head>"
