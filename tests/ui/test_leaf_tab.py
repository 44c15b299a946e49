"""What the LEAF tab draws and does, without a browser."""

from __future__ import annotations

import dataclasses

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from methods.leaf import maps
from ui.serving import visitors
from ui.tabs import leaf


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def evidence(photo):
    return visitors.assess_with_student(photo).evidence


def test_the_tab_builds_and_offers_its_endpoint():
    with gr.Blocks() as page, gr.Tab(leaf.TITLE):
        leaf.build(page)
    assert "leaf" in {function.api_name for function in page.fns.values()}


def test_the_percentile_is_drawn_with_its_number(evidence):
    page = leaf.standing_html(evidence)
    assert f"{evidence.percentile:.0f} %" in page
    assert f"left:{evidence.percentile:.1f}%" in page
    assert evidence.population in page


def test_the_map_says_in_opinion_scores_what_its_colours_mean(photo, evidence):
    page = leaf.map_html(photo, evidence)
    assert 'href="data:image/webp;base64,' in page
    mos = 100 * evidence.local
    for value, words in ((mos.min(), "worst part"), (mos.mean(), "their mean"), (mos.max(), "best part")):
        assert f"<strong>{value:.3g}</strong> {words}" in page
    assert page.count('class="map-mark') == 2
    assert "on 0 to 100" in page
    for heat in (maps.relative(evidence.local).min(), maps.relative(evidence.local).max()):
        assert f"rgb{maps.colour(float(heat))}" in page
    assert leaf.map_html(photo, visitors.assess_with_student(photo, map=False).evidence) == ""


def test_an_even_picture_has_a_map_without_marks(photo, evidence):
    even = dataclasses.replace(evidence, local=np.full((3, 4), 0.5))
    page = leaf.map_html(photo, even)
    assert "map-mark" not in page
    assert "<strong>50</strong> worst part" in page


def test_the_map_tints_the_worse_half_orange_and_the_better_one_blue():
    picture = Image.new("RGB", (80, 40), (200, 30, 30))
    pixels = np.asarray(maps.overlay(picture, np.array([[0.2, 0.2, 0.8, 0.8]]))).astype(int)
    worse, better = pixels[20, 4], pixels[20, 75]
    assert worse[0] > worse[2] + 60
    assert better[2] > better[0] + 60
    flat = np.asarray(maps.overlay(picture, np.full((2, 2), 0.4))).astype(int)
    assert np.ptp(flat, axis=2).max() == 0


def test_accuracy_and_notes_of_a_calibration_are_told():
    made = visitors.Calibrated("folder", "zip", 40, 0.8, 0.81, (0.7, 0.87), (0.72, 0.88), 0.6, (0.2, 0.5), (0.3, 0.6),
                               ("The scores run from <b>1</b> to 5.",), (1, 5))
    text = leaf.calibrated_markdown(made)
    assert "SRCC **0.800** [0.700, 0.870]" in text
    assert "as it ships has SRCC 0.600" in text
    assert "&lt;b&gt;" in text
    few = visitors.Calibrated("folder", "zip", 6, None, None, None, None, None, (), (), (), caveat="Too <few> ratings.")
    assert "6 ratings.** Too &lt;few&gt; ratings." in leaf.calibrated_markdown(few)
    assert "--student FOLDER" in text
    points = leaf.agreement(made).data[1]
    assert list(points.x) == pytest.approx([1.8, 3.0])
    assert list(points.y) == pytest.approx([2.2, 3.4])
