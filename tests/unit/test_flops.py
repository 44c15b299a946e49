"""Analytic operation counts against torch's counter, and the floor against a case counted by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from methods.torchvision_compat import ensure_torchvision

ensure_torchvision()

from benchmarks import shapes  # noqa: E402
from benchmarks.counting import counting, floor  # noqa: E402
from benchmarks.flops import Counted, flops, text_floor  # noqa: E402
from methods.lmm import Prompt  # noqa: E402
from methods.lmm.plain import PlainRunner  # noqa: E402

SMALL = {
    "tiny": {},
    "qwen2.5-vl-7b": {"depth": 3, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 64,
                      "fullatt_block_indexes": [1]},
    "internvl3.5-8b": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
}


@pytest.fixture(params=SMALL)
def small(request, monkeypatch):
    shape = shapes.SHAPES[request.param]
    text = {**shape.text, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2}
    if shape.family != "qwen2.5-vl":
        text["head_dim"] = 16
    monkeypatch.setitem(shapes.SHAPES, request.param,
                        shapes.Shape(shape.family, text, {**shape.vision, **SMALL[request.param]}))
    return shapes.random_lmm(request.param, "cpu")


def photo(seed, size=(448, 336)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_operations_are_those_that_torch_counts(small):
    from torch.utils.flop_counter import FlopCounterMode

    small.model.set_attn_implementation("eager")
    (rendered,), _ = small.as_sent([Prompt.ask(photo(0), "Good or poor?", answer_prefix="It is")], ["good", "poor"])
    inputs = PlainRunner(small.model, small.processor).inputs(rendered)
    with counting(small) as counter, FlopCounterMode(display=False) as torchs, torch.inference_mode():
        small.model(**inputs, use_cache=False, logits_to_keep=1)
    length = inputs["input_ids"].shape[1]
    assert counter.done.tokens == length
    assert counter.done.padding == 0
    assert counter.done.pairs == length * (length + 1) // 2
    assert counter.done.logits == 1
    # Eager attention computes all pairs, and masks those that no token may see.
    work = counter.done + Counted(pairs=length * length - counter.done.pairs)
    assert flops(small.model.config, work) == pytest.approx(torchs.get_total_flops(), rel=0.01)


def test_the_floor_counts_each_prefix_once():
    assert text_floor([[1, 2, 3], [1, 2, 4], [1, 2, 3], [5]]) == Counted(tokens=5, pairs=1 + 2 + 3 + 3 + 1)


def test_repeated_work_and_padding_are_seen():
    lmm = shapes.random_lmm("tiny", "cpu")
    asked = [Prompt.ask(photo(1), question, answer_prefix="It is") for question in ("Good or poor?", "Sharp or not?")]
    with counting(lmm) as counter:
        lmm.word_logits(asked, ["good", "poor"])
    least, naive = floor(lmm, counter.prompts, set())
    assert least.patches == counter.done.patches == 28 * 20
    assert least.logits == counter.done.logits == 0
    real = counter.done.tokens - counter.done.padding
    # The photo's 140 tokens are computed once, and not once a question.
    assert least.tokens <= real <= naive - 140
    # Asked once more, a question is computed once more, and the hooks see it.
    with counting(lmm) as again:
        lmm.word_logits(asked, ["good", "poor"])
        lmm.word_logits(asked[:1], ["good", "poor"])
    assert again.done.tokens > counter.done.tokens + 140
    with counting(lmm) as plain:
        rendered, tokens = lmm.as_sent(asked, ["good", "poor"])
        PlainRunner(lmm.model, lmm.processor).word_logits(rendered, tokens)
    assert (plain.done.tokens, plain.done.patches) == (naive, 2 * 28 * 20)
