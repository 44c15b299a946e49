"""The head names the files of Gradio's front end that its script would else find one after the other."""

from __future__ import annotations

import re
from types import SimpleNamespace

from starlette.applications import Starlette
from starlette.testclient import TestClient

from ui.serving import front_end


def config(*kinds, **props):
    return {"components": [{"type": kind, "props": {"visible": True, **props}} for kind in kinds]}


def hrefs(html, rel, disabled=False):
    tags = [tag for tag in re.findall(r"<link[^>]*>", html) if f'rel="{rel}"' in tag]
    return [tag.partition('href="./assets/')[2].partition('"')[0] for tag in tags if (" disabled" in tag) == disabled]


def test_the_head_names_the_page_s_scripts_and_those_of_its_components():
    little, much = front_end.links(config("button")), front_end.links(config("button", "code"))
    scripts = hrefs(little, "modulepreload")
    assert {name.partition("-")[0] for name in scripts} >= {"Index", "core", "Blocks"}
    assert len(hrefs(much, "modulepreload")) > len(scripts)
    assert len(hrefs(much, "stylesheet", disabled=True)) > len(hrefs(little, "stylesheet", disabled=True)) > 5
    assert all((front_end.FOLDER / "assets" / name).is_file()
               for name in [*hrefs(much, "modulepreload"), *hrefs(much, "stylesheet", disabled=True)])
    assert front_end.links(config("button", "code")) == much


def test_what_is_hidden_or_named_by_the_page_already_is_not_named():
    bare = front_end.links(config())
    assert front_end.links({"components": [{"type": "code", "props": {"visible": False}}]}) == bare
    page = (front_end.FOLDER / "index.html").read_text("utf-8")
    assert not [name for name in hrefs(bare, "modulepreload") if name in page]


def test_the_style_sheets_of_the_components_come_as_one():
    app = Starlette(routes=front_end.routes())
    app.get_blocks = lambda: SimpleNamespace(config=config("button", "code"))
    html = front_end.links(config("button", "code"))
    (name,), parts = hrefs(html, "stylesheet"), hrefs(html, "stylesheet", disabled=True)
    client = TestClient(app)
    text = client.get(f"/assets/{name}").text
    for part in parts:
        # What an address in it is relative to stays the same: both lie in one folder.
        assert (front_end.FOLDER / "assets" / part).read_text("utf-8") in text
    assert client.get("/assets/opening-00000000.css").status_code == 404


def test_lists_that_cannot_be_read_name_nothing(tmp_path, monkeypatch):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "core-abcdefgh.js").write_text("other")
    monkeypatch.setattr(front_end, "FOLDER", tmp_path)
    front_end._lists.cache_clear()
    front_end._opening.cache_clear()
    try:
        assert front_end.links(config("button")) == ""
    finally:
        front_end._lists.cache_clear()
        front_end._opening.cache_clear()
