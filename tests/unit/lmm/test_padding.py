"""How much of what goes through the model is padding, per method, with prompts of a photo's real shape."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.base import load_method
from methods.lmm.transformers_lmm import TransformersLMM
from tests import real_vocabularies, tiny_lmm, tiny_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[tiny_tokenizer.tokenizer, real_vocabularies.qwen], ids=["tiny", "real"])
def lmm(request, tmp_path_factory):
    folder = tiny_lmm.build("qwen3_vl", tmp_path_factory.mktemp("padding"), most_pixels=512 * 384, image_budget=8,
                            vocabulary=request.param)
    return TransformersLMM(folder, device="cpu", vision_cache_bytes=0)


def photos(count):
    """Photos of three sizes, each of a few coarse areas, so that a segmenter finds regions of very different sizes."""
    rng = np.random.default_rng(3)
    for index in range(count):
        size = ((512, 384), (384, 512), (480, 360))[index % 3]
        coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), np.uint8)).resize(size, Image.Resampling.NEAREST)
        yield Image.fromarray((np.asarray(coarse) + rng.integers(0, 9, (size[1], size[0], 3))).clip(0, 255)
                              .astype(np.uint8))


@pytest.mark.parametrize(("method", "most_passes"), [("q-bench", 3), ("q-debias", 12), ("llm-iqa", 12)])
@pytest.mark.parametrize("count", [1, 3])
def test_at_most_a_tenth_is_padding(method, most_passes, count, lmm, monkeypatch):
    passes = []
    forward = lmm.model.forward
    monkeypatch.setattr(lmm.model, "forward", lambda *a, **k: passes.append(k["input_ids"].shape) or forward(*a, **k))
    tokens, padding = lmm._runner.tokens_computed, lmm._runner.padding_computed
    load_method(method, lmm=lmm).assess_batch(list(photos(count)))
    tokens, padding = lmm._runner.tokens_computed - tokens, lmm._runner.padding_computed - padding
    assert tokens == sum(rows * width for rows, width in passes)
    assert padding <= 0.1 * (tokens - padding)
    assert len(passes) <= most_passes
