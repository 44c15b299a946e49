"""What a shared comparison's link answers over plain HTTP, to a reader, a crawler and somebody who keeps a copy."""

from __future__ import annotations

import dataclasses
import html.parser
import io
import json
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.unit.comparison.made import compared
from tests.unit.sharing.made import picture
from ui.share.entry import Entry, copy_for_sharing
from ui.share.settings import Settings
from ui.share.store import DAY, Store
from ui.tabs.compare import pages
from ui.tabs.compare import share as compare_share

ROOT = "https://example.org"
EVIL = '"><script>alert(1)</script>'


class Head(html.parser.HTMLParser):
    """meta name or property -> content, the scripts' texts by type, and every address that the page loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.scripts: dict[str, str] = {}
        self.sources: list[str] = []
        self.classes: list[str] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "meta":
            self.meta[named.get("name") or named.get("property") or ""] = named.get("content", "")
        if tag == "script":
            self._open = named.get("type", "text/javascript")
        if named.get("src"):
            self.sources.append(named["src"])
        self.classes += (named.get("class") or "").split()

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open:
            self.scripts[self._open] = data


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """(client, id, delete token) of a store with one comparison, two photos by two methods, a cell of which failed."""
    store = Store(tmp_path, max_bytes=10**9, max_age=365 * DAY)
    monkeypatch.setattr(compare_share, "store", lambda: store)
    monkeypatch.setattr(compare_share, "settings", lambda: Settings(tmp_path))
    made = compared([[0.5, 0.625], [0.25, None]])
    made = dataclasses.replace(made, pictures=(dataclasses.replace(made.pictures[0], name=EVIL), made.pictures[1]))
    receipt = store.put(Entry(made.to_dict(), tuple(copy_for_sharing(picture(n)) for n in range(2)), time.time()))
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("the app")), *pages.routes()],
                    middleware=[Middleware(pages.Reports)])
    return TestClient(app, base_url=ROOT), receipt.id, receipt.token


def test_a_crawler_reads_title_description_and_picture(shared):
    client, name, _ = shared
    answer = client.get(f"/?share={name}")
    assert answer.status_code == 200
    head = Head(answer.text)
    assert head.meta["og:title"] == head.meta["twitter:title"] == f"Q-Bench and LEAF on {EVIL} and photo 1"
    assert "same order" in head.meta["og:description"] or "no order" in head.meta["og:description"]
    assert head.meta["og:url"] == f"{ROOT}/?share={name}"
    assert head.meta["twitter:card"] == "summary_large_image"
    assert head.meta["og:image"] == head.meta["twitter:image"]
    preview = client.get(head.meta["og:image"])
    assert preview.headers["content-type"] == "image/png"
    size = Image.open(io.BytesIO(preview.content)).size
    assert size == (1200, 630) == (int(head.meta["og:image:width"]), int(head.meta["og:image:height"]))
    assert head.meta["citation_publication_date"] == "2026/01/02"
    assert head.meta["citation_fulltext_html_url"] == f"{ROOT}/?share={name}"
    linked = json.loads(head.scripts["application/ld+json"])
    assert linked["@type"] == "Dataset"
    assert linked["identifier"] == name
    assert [one["value"] for one in linked["variableMeasured"]] == [0.5, 0.625, 0.25]
    assert "<script>alert" not in answer.text


def test_the_report_shows_the_shared_methods_results_first_and_nothing_to_press(shared):
    client, name, _ = shared
    page = client.get(f"/?share={name}&__theme=dark").text
    assert 'class="dark"' in page
    for text in ("0.500", "0.625", "0.250", "failed", "embedded@abcdef012345", "<strong>so</strong>"):
        assert text in page
    assert "Q-Debias" not in page
    assert page.index("0.625") < page.index("<img src=\"https") < page.index("The evidence of each score")
    assert "<button" not in page
    assert "<input" not in page


def test_the_frozen_copy_is_one_file_with_everything(shared):
    client, name, _ = shared
    answer = client.get(f"/shared/{name}/frozen.html")
    assert answer.headers["content-disposition"].startswith("attachment")
    head = Head(answer.text)
    assert len(head.sources) == 4, "two photos, and two thumbnails"
    assert all(source.startswith("data:image/webp;base64,") for source in head.sources)
    record = json.loads(head.scripts["application/json"])
    assert record["pictures"][0]["name"] == EVIL
    assert [cell["score"] for cell in record["cells"]] == [0.5, 0.625, 0.25, None]
    assert "location.replace" not in answer.text


@pytest.mark.parametrize(("file", "start"), [("card.png", b"\x89PNG"), ("card.pdf", b"%PDF"), ("record.json", b"{"),
                                             ("photo-1.webp", b"RIFF")])
def test_its_files(shared, file, start):
    client, name, _ = shared
    answer = client.get(f"/shared/{name}/{file}")
    assert answer.status_code == 200
    assert answer.content.startswith(start)


def test_the_app_opens_everything_else(shared):
    client, name, _ = shared
    for path in ("/", "/?tab=leaderboard", f"/?share={name}&tab=compare"):
        assert client.get(path).text == "the app"


@pytest.mark.parametrize("path", ["/?share=" + "a" * 26, "/?share=../../etc/passwd", "/?share=",
                                  "/shared/" + "a" * 26 + "/card.png"])
def test_a_link_to_nothing_says_so_and_is_not_green(shared, path):
    client, _, _ = shared
    answer = client.get(path)
    assert answer.status_code == 404
    assert "gone" in Head(answer.text).classes
    assert "gone" in answer.text.partition("<body>")[2] or "not a link" in answer.text
    assert "og:title" not in answer.text


def test_what_is_deleted_has_no_page_and_no_files(shared):
    client, name, token = shared
    assert client.get(f"/shared/{name}/preview.png").status_code == 200
    compare_share.store().delete(name, token)
    assert client.get(f"/?share={name}").status_code == 404
    assert client.get(f"/shared/{name}/preview.png").status_code == 404
    assert client.get(f"/shared/{name}/frozen.html").status_code == 404


def test_the_app_itself_answers_a_link_with_a_page_and_a_policy(app_url):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{app_url}/?share={'a' * 26}")
    assert refused.value.code == 404
    assert "Content-Security-Policy" in refused.value.headers


def test_a_qr_code_says_the_link():
    import cv2

    from ui.comparison.card import draw

    link = f"{ROOT}/?share={'b' * 26}"
    sheet = draw(compared([[0.5, 0.6]]), [copy_for_sharing(picture())], link=link)
    card = np.asarray(Image.open(io.BytesIO(sheet.encoded("png"))).convert("RGB"))
    # Above it lies a photo of noise; OpenCV's reader wants more than six dots a module.
    corner = np.kron(card[-300:, -300:], np.ones((2, 2, 1), np.uint8))
    assert cv2.QRCodeDetector().detectAndDecode(corner)[0] == link
