"""What the LEAF tab draws and does, without a browser."""

from __future__ import annotations

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from methods.leaf import visitors
from ui import leaf


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    return str(path)


@pytest.fixture(scope="module")
def evidence(photo):
    return visitors.assess(photo).evidence


def test_the_tab_builds_and_offers_its_endpoint():
    with gr.Blocks() as page, gr.Tab(leaf.TITLE):
        leaf.build(page)
    assert "leaf" in {function.api_name for function in page.fns.values()}


def test_the_percentile_is_drawn_with_its_number(evidence):
    shown = leaf.standing_html(evidence)
    assert f"{evidence.percentile:.0f} %" in shown
    assert f"left:calc({evidence.percentile:.1f}%" in shown


def test_the_map_is_part_of_the_page(photo, evidence):
    shown = leaf.map_html(photo, evidence)
    assert 'src="data:image/webp;base64,' in shown
    assert f"from {evidence.local.min():.2f} to {evidence.local.max():.2f}" in shown
    assert leaf.map_html(photo, visitors.assess(photo, map=False).evidence) == ""


def test_accuracy_and_notes_of_a_calibration_are_told():
    made = visitors.Calibrated("folder", "zip", 40, 0.8, 0.81, (0.7, 0.87), (0.72, 0.88), 0.6, (0.2, 0.5), (0.3, 0.6),
                               ("The scores run from <b>1</b> to 5.",))
    text = leaf.calibrated_markdown(made)
    assert "SRCC **0.800** [0.700, 0.870]" in text
    assert "as it ships has SRCC 0.600" in text
    assert "&lt;b&gt;" in text
    few = visitors.Calibrated("folder", "zip", 6, None, None, None, None, None, (), (), ())
    assert "Too few" in leaf.calibrated_markdown(few)
    points = leaf.agreement(made).data[1]
    assert list(points.x) == [0.2, 0.5]
    assert list(points.y) == [0.3, 0.6]
