"""What the LLM-IQA tab draws, without a browser."""

import numpy as np
import pytest
from PIL import Image

from methods.llm_iqa.method import LLMIQA, explain
from tests.ui.fakes import Mute
from ui.tabs.llm_iqa.tab import digit_figure, drawn_regions, regions_html, render_evidence, summary


class Fixed(Mute):
    """Likes the left half of any picture."""

    name = "fixed"

    def word_logits(self, prompts, words):
        likes = [np.asarray(prompt.images[0])[..., 0].mean() / 40 for prompt in prompts]
        return np.array([[-abs(int(word) - like) for word in words] for like in likes], dtype=np.float32)


class Halves:
    name = "halves"

    def masks(self, image):
        mask = np.zeros((image.height, image.width), dtype=bool)
        mask[:, : image.width // 2] = True
        return [mask]


@pytest.fixture
def evidence():
    pixels = np.zeros((60, 120, 3), dtype=np.uint8)
    pixels[:, :60, 0], pixels[:, 60:, 0] = 240, 80
    return LLMIQA(Fixed(), own_segmenter=Halves()).assess(Image.fromarray(pixels)).evidence


def test_every_region_is_drawn_with_its_score_and_weight(evidence):
    left, rest = drawn_regions(evidence, "argmax")
    assert (left.label, rest.label) == ("6", "2")
    assert left.caption == "region 1, 50% of the weight"
    assert rest.caption == "rest of the photo, 50% of the weight"
    page = regions_html(evidence)
    assert page.count('class="region-card ') == 2
    assert 'tabindex="0"' in page
    assert "level-excellent" in page
    assert "level-bad" in page


def test_the_expectation_changes_the_labels(evidence):
    assert drawn_regions(evidence, "expectation")[0].label != drawn_regions(evidence, "argmax")[0].label


def test_lambda_changes_the_line_and_the_words(evidence):
    total = evidence.rescored(lam=0.0)
    assert summary(evidence, total) == "whole 4.00 of 7 · regions 4.00 · final 4.00 on 1 to 7"
    assert "with lambda 0" in explain(evidence, total)


def test_the_score_tab_gets_a_figure_either_way(evidence):
    assert len(render_evidence(evidence).data) == 2
    whole = LLMIQA(Fixed(), scored="whole").assess(Image.new("RGB", (30, 30), (200, 0, 0))).evidence
    assert regions_html(whole) == ""
    assert list(render_evidence(whole).data[0].y) == list(whole.standard)
    assert digit_figure(whole) is not None
    assert (evidence.passes, whole.passes) == (len(evidence.regions) + 1, 1)
