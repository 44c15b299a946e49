"""The About tab: every method is described, drawn, cited; the drawings are those that their script makes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from methods.base import METHODS, Method, method_class
from scripts.make_pipelines import DRAWINGS
from ui.share.settings import Settings
from ui.tabs.about import tab as about


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_a_paragraph_a_drawing_and_a_citation(name):
    kind = method_class(name)
    idea, limits = about.about(kind).split("\n\n")
    assert len(idea.split()) > 40
    assert limits.startswith("**Keep in mind:** ")
    assert limits.endswith(".")
    drawing = ElementTree.fromstring(about.pipeline(kind))
    assert drawing.find("{http://www.w3.org/2000/svg}title").text.startswith(kind.title)
    assert kind.citation.startswith("@")


@pytest.mark.parametrize("name", METHODS)
def test_drawings_take_their_ink_from_the_page(name):
    drawing = about.pipeline(method_class(name))
    assert 'fill="currentColor"' in drawing
    colours = {part[:7] for part in drawing.replace('"#', "§#").split("§") if part.startswith("#")}
    assert colours <= {"#1f8a8a", "#c2703d"}, "only the two accents, which both themes bear"
    assert f"url(#arrow-head-{name})" in drawing, "an arrow head of its own, so that no hidden drawing takes it away"


def test_the_drawings_are_up_to_date():
    assert set(DRAWINGS) == set(METHODS)
    for name, draw in DRAWINGS.items():
        assert draw().svg(name).strip() == about.pipeline(method_class(name)), "run python -m scripts.make_pipelines"


def test_a_method_without_a_page_of_its_own_is_described_by_its_own_words():
    class New(Method):
        """Counts the pixels that are too bright.

        And more.
        """

        summary = "The fewer the better."

    assert about.about(New) == "The fewer the better. Counts the pixels that are too bright."
    assert about.pipeline(New) == ""


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
