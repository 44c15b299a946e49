"""Candidates' logits in float32: nearer to the truth than a bfloat16 head, and otherwise what the plain way gives."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from methods.lmm import Prompt
from methods.lmm.head import is_readable, reading
from methods.lmm.plain import PlainRunner
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm
from tests.unit.lmm import naive

pytestmark = pytest.mark.slow

WORDS = ["excellent", "good", "fair", "poor", "bad"]


def prompts(pictures):
    return [
        Prompt.ask(picture, question, answer_prefix="The quality of the image is")
        for picture in pictures for question in ("Rate the quality of the image.", "Good or poor?", "How sharp is it?")
    ]


def own(lmm, change):
    """The tiny model with a changed copy of its network."""
    model = copy.deepcopy(lmm.model)
    change(model)
    return TransformersLMM.wrap(model, lmm.processor, "changed")


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
def test_in_bfloat16_the_logits_are_nearer_to_the_truth_than_the_heads_own(family, tiny, pictures):
    def change(model):
        # Logits as large as a trained model's, so that bfloat16 has something to round.
        model.get_output_embeddings().weight.data *= 40
        model.bfloat16()

    half = own(tiny(family), change)
    asked = prompts(pictures)
    rendered, tokens = half.as_sent(asked, WORDS)
    plain = PlainRunner(half.model, half.processor)
    rounded = np.stack([plain.next_logits(one)[list(few)].float().numpy() for one, few in zip(rendered, tokens)])
    alone, shared = plain.word_logits(rendered, tokens), half.word_logits(asked, WORDS)
    # What the layers round is the model's; the truth is what its last hidden state says.
    weight = half.model.get_output_embeddings().weight.double()
    truth = np.stack([(weight[list(few)] @ last_hidden(half, one).double()).detach().numpy()
                      for one, few in zip(rendered, tokens)])
    assert np.abs(alone - truth).max() < 1e-4
    assert np.abs(rounded - truth).max() > 1e-2
    for fine in (alone, shared):
        on_the_grid = fine == torch.tensor(fine).bfloat16().float().numpy()
        assert on_the_grid.mean() < 0.1
    assert (rounded == torch.tensor(rounded).bfloat16().float().numpy()).all()


def last_hidden(lmm, rendered):
    """What the head is handed for the token after a prompt: [hidden]."""
    handed = []
    hook = lmm.model.get_output_embeddings().register_forward_pre_hook(lambda _, given: handed.append(given[0][0, -1]))
    PlainRunner(lmm.model, lmm.processor).next_logits(rendered)
    hook.remove()
    return handed[0]


@pytest.mark.parametrize("kind", ["bias", "tied", "capped", "scaled", "quantised"])
def test_every_kind_of_head_gives_the_plain_logits(kind, tiny, pictures):
    class Packed(torch.nn.Linear):
        """Stands for a layer whose weight is not what it multiplies with."""

    def change(model):
        head = model.get_output_embeddings()
        if kind == "bias":
            head.bias = torch.nn.Parameter(torch.randn(len(head.weight)))
        elif kind == "tied":
            head.weight = model.get_input_embeddings().weight
        elif kind == "quantised":
            packed = Packed(head.in_features, head.out_features, bias=False)
            packed.weight = head.weight
            model.set_output_embeddings(packed)
        else:
            forward = model.forward

            def changed(*args, **kwargs):
                output = forward(*args, **kwargs)
                output.logits = torch.tanh(output.logits / 2) * 2 if kind == "capped" else output.logits * 0.25
                return output

            model.forward = changed

    lmm = own(tiny("qwen3_vl"), change)
    assert is_readable(lmm.model) is (kind != "quantised")
    asked = prompts(pictures[:3])
    expected = naive.word_logits(lmm.model, lmm.processor, asked, WORDS)
    np.testing.assert_allclose(lmm.word_logits(asked, WORDS), expected, atol=1e-3)
    plain = PlainRunner(lmm.model, lmm.processor)
    np.testing.assert_allclose(plain.word_logits(*lmm.as_sent(asked, WORDS)), expected, atol=1e-4)


def test_the_head_is_whole_again_afterwards(tiny, pictures):
    lmm = tiny("llava")
    head = lmm.model.get_output_embeddings()
    before = dict(vars(head))
    with reading(lmm.model, [3, 1, 3]) as columns:
        assert columns == {1: 0, 3: 1}
        assert head(torch.zeros(1, 1, head.in_features)).shape == (1, 1, 2)
    with pytest.raises(RuntimeError), reading(lmm.model, [1]):
        head(torch.zeros(1, 1, 1))
    assert vars(head) == before

    hooked = head.forward = lambda hidden: hidden  # as the hooks of accelerate do
    try:
        with reading(lmm.model, [1]):
            assert head.forward is not hooked
        assert head.forward is hooked
    finally:
        del head.forward


def test_no_logits_of_the_whole_vocabulary_are_made(tiny, pictures, monkeypatch):
    lmm = tiny("qwen2_5_vl")
    widths = []
    forward = lmm.model.forward

    def watched(*args, **kwargs):
        output = forward(*args, **kwargs)
        widths.append(output.logits.shape[-2:])
        return output

    monkeypatch.setattr(lmm.model, "forward", watched)
    lmm.word_logits(prompts(pictures), WORDS)
    assert set(widths) == {(1, len(WORDS))}
