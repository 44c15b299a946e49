"""Qwen's towers attend in batches of windows: the same features in a fraction of the calls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from methods.lmm.reuse.windows import attention, few_calls, groups
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm


@pytest.fixture
def calls(monkeypatch):
    """Batch sizes of the attention calls."""
    made = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def counted(query, *args, **kwargs):
        made.append(len(query))
        return attend(query, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    return made


def pixels(processor, sizes):
    rng = np.random.default_rng(2)
    images = [Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)) for width, height in sizes]
    return dict(processor.image_processor(images=images, return_tensors="pt"))


SIZES = [(96, 96), (100, 70), (40, 120), (96, 96), (16, 16), (130, 120)]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_the_features_are_those_of_one_call_a_window(family, calls):
    torch.manual_seed(0)
    model, processor = tiny_lmm.FAMILIES[family]()
    base = model.eval().model
    inputs = pixels(processor, SIZES)
    with torch.inference_mode():
        plain = base.get_image_features(**inputs, return_dict=True)
        one_by_one = len(calls)
        calls.clear()
        with few_calls(base):
            quick = base.get_image_features(**inputs, return_dict=True)
        together = len(calls)
        again = base.get_image_features(**inputs, return_dict=True)
    for few, each, after in zip(quick.pooler_output, plain.pooler_output, again.pooler_output, strict=True):
        torch.testing.assert_close(few, each, atol=1e-5, rtol=0)
        torch.testing.assert_close(after, each, atol=0, rtol=0)
    torch.testing.assert_close(quick.last_hidden_state, plain.last_hidden_state, atol=1e-5, rtol=0)
    # A picture of 64 x 64 pixels at most is up to 2 x 2 windows of 4 x 4 patches, of up to four lengths.
    depth = base.visual.config.depth
    lengths = len({int(grid.prod()) for grid in inputs["image_grid_thw"]})
    assert one_by_one > 1.9 * together
    assert together <= (4 + lengths if family == "qwen2_5_vl" else depth * lengths)


def test_an_lmm_takes_the_few_calls_and_leaves_the_model_as_it_was(checkpoint, calls):
    lmm = TransformersLMM(checkpoint("qwen2_5_vl"), device="cpu")
    lmm.embed([Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")])
    assert calls == [12, 3], "3 pictures of 4 windows each in the layer of windows, 3 pictures in the other"
    assert lmm.model.model.visual.config._attn_implementation == "sdpa"


def test_a_photo_of_12_megapixels_takes_four_calls_a_layer_at_most():
    from transformers.vision_utils import get_vision_window_index

    grid = torch.tensor([[1, 216, 288]])  # 3024 x 4032 pixels in patches of 14
    _, bounds = get_vision_window_index(grid, spatial_merge_size=2, window_size=112, patch_size=14, kwargs={})
    bounds = bounds.tolist()
    windows = len(bounds) - 1
    assert 28 * windows + 4 == 27_220, "one call a window and layer, and one in each of the layers that see all"
    grouped = groups(bounds)
    assert sum(len(starts) for _, starts in grouped) == windows
    assert 28 * len(grouped) + 4 <= 28 * 4 + 4


def test_windows_of_every_length_are_kept_apart():
    assert groups([0, 4, 8, 8, 10, 14, 15]) == [(4, [0, 4, 10]), (2, [8]), (1, [14])]
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 1, 2, 15, 8, dtype=torch.float64).unbind()
    bounds = torch.tensor([0, 4, 8, 10, 14, 15])
    out, _ = attention(None, query, key, value, None, cu_seq_lens_q=bounds, scaling=0.3)
    for start, stop in itertools.pairwise(bounds):
        weights = (query[0, :, start:stop] @ key[0, :, start:stop].transpose(1, 2) * 0.3).softmax(-1)
        expected = (weights @ value[0, :, start:stop]).transpose(0, 1)
        torch.testing.assert_close(out[0, start:stop], expected)


def test_another_attention_and_another_tower_are_left_alone(tiny):
    model, _ = tiny_lmm.qwen2_5_vl()
    model.model.visual.config._attn_implementation = "eager"
    for base in (model.model, tiny("llava").model.model, tiny("internvl").model.model):
        tower = getattr(base, "visual", None)
        before = None if tower is None else tower.config._attn_implementation
        with few_calls(base):
            assert tower is None or tower.config._attn_implementation == before
