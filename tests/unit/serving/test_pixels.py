"""The page's pixel limit: lowered for one call, recorded, counted in the time, and never raised."""

from __future__ import annotations

from collections import OrderedDict

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from methods.base import load_method
from methods.images import Decoded
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm
from ui.components import pickers
from ui.serving import gpu, models


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_lmm.build("qwen3_vl", tmp_path_factory.mktemp("tiny") / "qwen", most_pixels=2**20)


@pytest.fixture(autouse=True)
def page(checkpoint, monkeypatch):
    loaded = TransformersLMM(checkpoint, device="cpu", name="tiny")
    monkeypatch.setattr(models, "_catalogue",
                        lambda: {"tiny": ("Tiny", str(checkpoint)), "embedded": ("Embedded", "embedded")})
    monkeypatch.setattr(models, "default_for", lambda method: "tiny")
    monkeypatch.setattr(models, "_lmms", OrderedDict(tiny=loaded))
    for kept in ("_methods", "_limited"):
        monkeypatch.setattr(models, kept, {})


def photo() -> Decoded:
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return Decoded(coarse.resize((640, 480), Image.Resampling.BICUBIC))


def test_a_result_is_that_of_the_same_limit_elsewhere_and_records_it(checkpoint):
    (whole,) = gpu.assess("q-bench", [photo()])
    (lower,) = gpu.assess("q-bench", [photo()], max_pixels=2**16)
    elsewhere = load_method("q-bench", TransformersLMM(checkpoint, device="cpu", max_pixels=2**16)).assess(photo())
    assert lower.score == elsewhere.score != whole.score
    assert (whole.max_pixels, lower.max_pixels) == (2**20, 2**16)
    assert models.lmm("tiny").model is models.model_within("tiny", 2**16).model


@pytest.mark.parametrize("limit", [0, 1, 2**20, 2**30, 2.0**16, "65536", [65536], True])
def test_no_other_limit_is_taken(limit):
    with pytest.raises(gr.Error, match="524288, 262144, 131072, 65536 pixels of a photo"):
        gpu.assess("q-bench", [photo()], max_pixels=limit)


def test_what_has_no_such_limit_says_so():
    with pytest.raises(gr.Error, match="embedded has no pixel limit"):
        gpu.assess("q-bench", [photo()], "embedded", max_pixels=2**16)
    with pytest.raises(gr.Error, match="LEAF brings its own network"):
        gpu.assess("leaf", [photo()], max_pixels=2**16)


def test_the_time_that_is_asked_for_counts_it(monkeypatch):
    jobs = []
    monkeypatch.setattr(gpu, "_finish", lambda job, progress: jobs.append(job))
    for limit in (None, 2**16):
        gpu.assess("q-debias", [photo()], max_pixels=limit)
    saved = 18 * (640 * 480 - 2**16) / 1e6
    assert jobs[0].seconds - jobs[1].seconds == pytest.approx(saved * gpu.SECONDS_PER_MEGAPIXEL)
    assert models.most_pixels("tiny") == 2**20
    assert models.most_pixels("tiny", 2**16) == 2**16


def test_the_control_says_what_the_photo_takes(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    photo().image.save(path)
    monkeypatch.setattr(pickers, "upload_path", str)
    with gr.Blocks():
        control = pickers.pixel_picker("q-bench")
    assert control.visible
    assert [value for _, value in control.choices] == [0, *models.PIXEL_CHOICES]
    whole, lower = (pickers.pixels_for("tiny", str(path), limit) for limit in (0, 2**16))
    assert f"640 x 480, takes {models.lmm('tiny').picture_tokens(640, 480):,} tokens" in whole.info
    assert f"takes {models.model_within('tiny', 2**16).picture_tokens(640, 480):,} tokens" in lower.info
    assert whole.info != lower.info
    assert pickers.pixels_for("tiny", None, 0).info == pickers.PIXELS_INFO
    # Hidden, a choice made before is undone: it would reach a model that has no limit.
    hidden = pickers.pixels_for("embedded", str(path), 2**16)
    assert (hidden.visible, hidden.value) == (False, 0)
    assert pickers.pixels_for(["tiny", "embedded"], None, 0).visible is False
    assert pickers.pixels_for("tiny", None, 0, "leaf").visible is False
    assert pickers.pixels_for("tiny", None, 0, "q-bench").visible
    path.write_bytes(b"no photo")
    assert pickers.pixels_for("tiny", str(path), 0).info == pickers.PIXELS_INFO
