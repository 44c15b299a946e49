"""The About tab: every method is described, drawn, cited; the drawings are those that their script makes."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ElementTree

import pytest

from methods.base import METHODS, method_class
from tests.app_server import REPOSITORY
from ui.share.settings import Settings
from ui.tabs.about import tab as about
from ui.tabs.about.methods import about as told


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_a_paragraph_a_drawing_and_a_citation(name):
    assert len(told(name).text.split()) > 40
    assert "\n" not in told(name).text
    assert told(name).limits.endswith(".")
    drawing = ElementTree.fromstring(about.pipeline(name))
    assert drawing.find("{http://www.w3.org/2000/svg}title").text.startswith(method_class(name).title)
    assert method_class(name).citation.startswith("@")


@pytest.mark.parametrize("name", METHODS)
def test_drawings_take_their_ink_from_the_page(name):
    drawing = about.pipeline(name)
    assert 'fill="currentColor"' in drawing
    colours = {part[:7] for part in drawing.replace('"#', "§#").split("§") if part.startswith("#")}
    assert colours <= {"#1f8a8a", "#c2703d"}, "only the two accents, which both themes bear"
    assert f"url(#arrow-head-{name})" in drawing, "an arrow head of its own, so that no hidden drawing takes it away"


def test_the_drawings_are_up_to_date():
    path = REPOSITORY / "assets" / "make_pipelines.py"
    spec = importlib.util.spec_from_file_location("make_pipelines", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert set(script.DRAWINGS) == set(METHODS)
    for name, draw in script.DRAWINGS.items():
        assert draw().svg(name).strip() == about.pipeline(name), "run python assets/make_pipelines.py"


def test_a_method_that_is_new_is_described_by_its_own_words(monkeypatch):
    monkeypatch.setattr("ui.tabs.about.methods._ABOUT", {})
    assert told("q-bench").text.startswith(method_class("q-bench").summary)


def test_privacy_says_what_is_kept_here(tmp_path):
    said = about.privacy(Settings(tmp_path, days=30, repo="me/<shares>"))
    assert "30 days" in said
    assert "me/&lt;shares&gt;" in said
    assert "switched off" in about.privacy(Settings(tmp_path, days=0))


def test_versions_name_this_app_and_what_scores_depend_on():
    said = about.versions()
    assert said.startswith("Mean Opinion 0.")
    for package in ("Python 3.", "torch 2.", "transformers 5."):
        assert package in said
