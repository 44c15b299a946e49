"""The corrected scripts of Gradio's front end; what they do is tried in a browser."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ui.serving import corrections
from ui.serving.front_end import FOLDER


def test_a_sign_of_progress_counts_no_longer_than_its_event_runs():
    (script,) = (FOLDER / "assets").glob("statustracker-*.js")
    before, after = script.read_text("utf-8"), corrected_script("statustracker")
    timer = re.search(r"function (\w+)\(\)\{\w+\(\(\)=>\{[^{}]*performance\.now\(\)[^{}]*&&\1\(\)\}\)\}", after)[0]
    assert ".status===`pending`&&" in timer
    assert timer not in before
    assert len(after) - len(before) == len("o.status===`pending`&&"), "and nothing else is changed"


def test_an_event_is_cancelled_once_it_has_a_number_and_lets_the_next_one_begin():
    client, page = (corrected_script(name) for name in ("index", "Blocks"))
    cancel = re.search(r"async function \w+\(\)\{await (\w+)\.catch\(\(\)=>\{\}\);if\(!(\w+)\)return;let (\w)=", client)
    assert f"let {cancel[1]}=this.handle_blob(" in client
    assert f"{cancel[3]}={{event_id:{cancel[2]}}}" in client
    forgets = re.search(r"await (\w+)\.cancel\(\).{0,400}?\.clear_submission\((\w+),(\w+)\)", page)
    assert forgets[1] == forgets[3]
    assert f"this.queue.has({forgets[2]})&&(this.queue.delete({forgets[2]}),this.dispatch(" in page[forgets.end():][:80]


def test_parts_of_the_page_are_looked_up_not_looked_for():
    tree = corrected_script("core")
    assert re.search(r"var (\w+)_=new WeakMap;function \1\(\w+,\w+\)\{let all=", tree)
    assert "find_attached_events(e,t){let all=" in re.sub(r"(find_attached_events)\(\w+,\w+\)", r"\1(e,t)", tree)


def corrected_script(name):
    """The one script of this name that is served with a correction."""
    app = Starlette(routes=corrections.routes())
    (path,) = [route.path for route in app.routes if re.match(rf"/assets/{name}-.*\.js", route.path)]
    answer = TestClient(app).get(path)
    assert answer.headers["cache-control"] == "max-age=86400", "its name does not tell of another correction"
    return answer.text


@pytest.mark.parametrize("name", corrections.CORRECTIONS)
def test_one_script_is_corrected_and_one_that_is_written_in_another_way_is_not(name):
    assert corrected_script(name)
    assert corrections.CORRECTIONS[name]("function other(){return 1}") == ""
