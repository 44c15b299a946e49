"""The Q-Debias tab: its figures from evidence, and the whole of it through Gradio's own API."""

from __future__ import annotations

import base64
import io
import re

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from methods.q_debias.distortions import DISTORTIONS
from methods.q_debias.method import QDebias
from tests import tiny_lmm
from tests.unit.q_debias.test_method import KnownLMM, photo
from ui.components.inline_images import data_url
from ui.tabs.q_debias import tab
from ui.tabs.q_debias.conditions import THUMBNAIL, conditions_figure, conditions_plot


@pytest.fixture(scope="module")
def evidence():
    return QDebias(KnownLMM()).assess(photo()).evidence


def test_the_figure_shows_every_number(evidence):
    drawn = conditions_figure(evidence)
    for value in (evidence.vanilla, evidence.score, *(condition.quality for condition in evidence.conditions)):
        assert f"{value:.3f}" in drawn
        assert f"left:{100 * value:.2f}%" in drawn
    for condition in evidence.conditions:
        assert f"{condition.weight:.0%}" in drawn
        assert f"{condition.similarity:.2f}" in drawn
    assert drawn.count("<tr") == 1 + 1 + 4 + 1


def test_its_pictures_are_what_the_model_saw_without_loss(evidence):
    urls = re.findall(r'src="data:image/png;base64,([^"]+)"', conditions_figure(evidence))
    views = [np.asarray(Image.open(io.BytesIO(base64.b64decode(url)))) for url in urls]
    expected = [evidence.query, *(evidence.degraded(name) for name in DISTORTIONS)]
    assert len(views) == 5
    for one, other in zip(views, expected):
        assert np.array_equal(one, np.asarray(other))


def test_large_pictures_are_reduced_in_the_figure_alone():
    data = data_url(Image.new("RGB", (2000, 1000)), THUMBNAIL, lossless=True).partition(",")[2]
    assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) == 160
    large = QDebias(KnownLMM(), distortions=("fog",)).assess(photo(1, (400, 300))).evidence
    assert [image.size for image, _ in tab.gallery(large)] == [(400, 300)] * 2


@pytest.mark.parametrize("scheme", ["semantic", "average", "quality-similarity", "winner-takes-all"])
def test_every_aggregation_is_drawn(scheme):
    evidence = QDebias(KnownLMM(), aggregation=scheme, distortions=("fog", "spatter")).assess(photo()).evidence
    assert "Beside fog" in conditions_figure(evidence)
    figure = conditions_plot(evidence)
    assert list(figure.data[1].x) == [condition.quality for condition in evidence.conditions]
    assert tab.render_evidence(evidence) is not None


def test_the_prompts_are_shown_as_they_were_said(evidence):
    text = tab.asked_markdown(evidence)
    assert "4 times" in text
    for transcript in evidence.transcripts.values():
        assert transcript in text


def test_the_tab_scores_a_photo_through_the_api(tmp_path, tmp_path_factory, monkeypatch):
    from gradio_client import Client, handle_file

    from methods.lmm.loading import load_lmm
    from ui.components import Page
    from ui.serving import models

    checkpoint = str(tiny_lmm.build("fast_vlm", tmp_path_factory.mktemp("tab")))
    monkeypatch.setenv("MEAN_OPINION_LMM", checkpoint)
    photo(2).save(tmp_path / "photo.png")
    with Page() as page, gr.Tab(tab.TITLE):
        tab.build(page)
    model = models.default_for(QDebias.name)
    page.queue().launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_name="127.0.0.1")
    try:
        client = Client(page.local_url, verbose=False)
        answer = client.predict(
            handle_file(tmp_path / "photo.png"), model, ["fog", "spatter"], "average", "T3", 7, "code", "lower",
            2.0, api_name="/q_debias",
        )
        with pytest.raises(Exception, match="at least one"):
            client.predict(handle_file(tmp_path / "photo.png"), model, [], "average", "T3", 7, "code", "lower",
                           2.0, api_name="/q_debias")
    finally:
        page.close()
    expected = QDebias(load_lmm(checkpoint)).assess(
        photo(2), distortions=("fog", "spatter"), aggregation="average", prompt="T3", setting="code", temperature=2.0,
        seed=7,
    )
    record = next(part for part in answer if isinstance(part, dict) and "native_score" in part)
    assert record["score"] == pytest.approx(expected.score, abs=1e-6)
    assert record["options"]["distortions"] == ["fog", "spatter"]
    assert any(f"{expected.score:.3f}" in str(part) and "conditions" in str(part) for part in answer)
