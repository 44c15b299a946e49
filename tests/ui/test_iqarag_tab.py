"""The tab: its pure drawing functions, and the page itself through Gradio's client."""

from __future__ import annotations

import csv
import dataclasses
import zipfile

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file

from methods.iqarag import opened_sets
from methods.iqarag.method import IQARAG
from methods.iqarag.reference_set import ReferenceSet
from tests.brightness_lmm import BrightnessLMM, grey
from ui.components import Page
from ui.components.opinion_scale import GUESS, scale_of
from ui.serving import models, visitors
from ui.tabs import iqarag as tab


@pytest.fixture
def lmm():
    return BrightnessLMM()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_OPINION_CACHE", str(tmp_path / "cache"))
    opened_sets._sets.clear()


@pytest.fixture
def evidence(lmm):
    images = [grey(20 * number) for number in range(12)]
    references = ReferenceSet(images, np.linspace(0, 0.7, 12), lmm.embed(images), "VE", revision="brightness@1")
    return IQARAG(lmm, references=references).assess(grey(105), K=6, interval=10).evidence


def test_the_figure_has_both_distributions(evidence):
    figure = tab.render_evidence(evidence)
    assert [trace.name for trace in figure.data] == ["without references", "with references"]
    assert list(figure.data[1].x) == pytest.approx(evidence.probabilities_with)


def test_the_gallery_says_mos_level_and_distance(evidence):
    text = tab.gallery_html(evidence)
    assert text.count("<img src=\"data:image/png;base64,") == len(evidence.references)
    for one in evidence.references:
        for part in (f">{one.level}</strong>", f"people: {100 * one.mos:.0f} of 100",
                     f"distance {one.distance:.3g}", f"no. {one.rank}"):
            assert part in text
    hostile = dataclasses.replace(evidence.references[0], name='"><script>')
    assert "<script>" not in tab.gallery_html(dataclasses.replace(evidence, references=(hostile,)))


@pytest.mark.parametrize(("text", "ends"), [
    (GUESS, None), ("1 to 5", (1, 5)), (" 0-100 ", (0, 100)), ("-1.5 to 2", (-1.5, 2)),
])
def test_scales(text, ends):
    assert scale_of(text) == ends


def test_a_scale_that_is_none():
    with pytest.raises(ValueError, match="1 to 5"):
        scale_of("stars")


def test_empty_bins_are_named(evidence):
    text = tab.empty_markdown(evidence)
    assert "**excellent** (MOS 0.8 to 1.0): the set holds none" in text
    assert "**good** (MOS 0.6 to 0.8): the set holds 2, further away" in text
    assert text.index("excellent") < text.index("good")


def test_both_scores_and_the_interval(evidence):
    text = tab.both_scores(evidence)
    assert f"{evidence.score_without:.3f}" in text
    assert f"{evidence.score_with:.3f}" in text
    assert f"{evidence.interval[0]:.3f} to {evidence.interval[1]:.3f}" in text


def test_what_a_visitor_wrote_is_escaped():
    received = visitors.Received("f", 3, (1, 1, 1, 0, 0), tuple(f"<b>{n}: bad" for n in range(12)), ("<script>",))
    text = tab.received_markdown(received)
    assert "<b>" not in text
    assert "<script>" not in text
    assert "... and 2 more" in text
    assert "**3 references:** 0 excellent, 0 good, 1 fair, 1 poor, 1 bad." in text


@pytest.fixture
def served(monkeypatch, tmp_path):
    lmm = BrightnessLMM()
    monkeypatch.setattr(models, "lmm", lambda name: lmm)
    monkeypatch.setattr(models, "offered", lambda: [("Brightness", "brightness")])
    monkeypatch.setattr(models, "default_for", lambda method: "brightness")
    monkeypatch.setattr(models, "_methods", {})
    monkeypatch.setattr(visitors, "home", lambda: tmp_path / "home")
    with Page() as page, gr.Tab(tab.TITLE):
        tab.build(page)
    page.queue().launch(prevent_thread_lock=True, server_name="127.0.0.1", quiet=True, ssr_mode=False)
    yield page
    page.close()


def test_a_photo_on_the_page(served, tmp_path):
    grey(128, (400, 300)).save(tmp_path / "photo.png")
    client = Client(served.local_url, verbose=False, download_files=str(tmp_path))
    answer = client.predict(photo=handle_file(tmp_path / "photo.png"), api_name="/iqarag")
    record = answer[-1]
    assert record["method"] == "iqarag"
    assert len(record["evidence"]["references"]) >= 3
    assert any(isinstance(value, str) and value.count("<figure") == len(record["evidence"]["references"])
               for value in answer)


def test_the_form_offers_no_path_on_the_server(served):
    labels = [component.label for component in served.blocks.values() if isinstance(component, gr.Textbox)]
    assert labels == []


def _handler(page, name: str):
    return next(function.fn for function in page.fns.values() if function.fn is not None and function.name == name)


def test_a_visitors_set_is_built_used_and_deleted(served, tmp_path, monkeypatch):
    monkeypatch.setattr(tab, "upload_path", lambda path: str(path))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive, (tmp_path / "s.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("image", "mos"))
        for number in range(12):
            grey(20 * number).save(tmp_path / f"{number}.png")
            archive.write(tmp_path / f"{number}.png", f"{number}.png")
            table.writerow((f"{number}.png", number / 2 - 0.5 if number else 0.1))
    receive, score = _handler(served, "receive"), _handler(served, "score")
    folder, status, chosen = receive(str(tmp_path / "set.zip"), str(tmp_path / "s.csv"), "0 to 5", "higher",
                                     "brightness", None)
    assert "12 references" in status
    assert chosen == tab.OWN
    grey(105, (30, 30)).save(tmp_path / "query.png")
    answer = score(str(tmp_path / "query.png"), "brightness", tab.OWN, folder, *_defaults())
    assert answer[-1]["evidence"]["reference_set"] == "your reference set"
    visitors.discard(folder)
    with pytest.raises(gr.Error, match="Build your reference set first"):
        score(str(tmp_path / "query.png"), "brightness", tab.OWN, folder, *_defaults())


def _defaults() -> list:
    """The form's values as it starts: plain options first, then the folded ones."""
    specs = [spec for spec in dataclasses.fields(IQARAG.options) if spec.name != "reference_set"]
    return [getattr(IQARAG.options, spec.name) for spec in sorted(specs, key=lambda spec: spec.metadata["advanced"])]


def test_the_score_tab_takes_no_folder_from_a_visitor():
    from ui.components.options import as_options, free_text

    assert free_text(IQARAG.options) == ("reference_set",)
    assert as_options("iqarag", {"K": 8, "reference_set": "shipped"}) == {"K": 8, "reference_set": "shipped"}
    with pytest.raises(ValueError, match="cannot be set from the page"):
        as_options("iqarag", {"reference_set": "/etc"})
