"""Batches that do not fit are halved, batches are planned by tokens, and the vision cache stays within its bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.lmm import LMMError, Prompt
from methods.lmm.reuse import runner
from methods.lmm.reuse.batching import halving, in_batches, is_out_of_memory
from methods.lmm.transformers_lmm import TransformersLMM

WORDS = ["good", "poor"]


def prompts(pictures):
    return [Prompt.ask(one, "Rate the quality.", answer_prefix="The quality of the image is") for one in pictures]


@pytest.fixture
def small_memory(monkeypatch):
    """`small_memory(lmm, rows)`: a forward pass of more than `rows` rows runs out of memory."""

    def limit(lmm, most):
        forward, seen = lmm.model.forward, []

        def limited(*args, **kwargs):
            count = len(kwargs["input_ids"])
            if count > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            seen.append(count)
            return forward(*args, **kwargs)

        monkeypatch.setattr(lmm.model, "forward", limited)
        return seen

    return limit


@pytest.mark.slow
def test_word_logits_halve_and_agree(tiny, pictures, small_memory):
    lmm = tiny("llava")
    expected = lmm.word_logits(prompts(pictures), WORDS)
    seen = small_memory(lmm, 2)
    np.testing.assert_allclose(lmm.word_logits(prompts(pictures), WORDS), expected, atol=1e-4)
    assert max(seen) == 2


@pytest.mark.slow
def test_generation_halves_and_agrees(tiny, pictures, small_memory):
    lmm = tiny("llava")
    settings = {"n": 3, "max_new_tokens": 5, "seed": 4}
    expected = lmm.generate(prompts(pictures[:2]), **settings)
    small_memory(lmm, 2)
    assert lmm.generate(prompts(pictures[:2]), **settings) == expected


def test_a_single_prompt_that_does_not_fit_is_a_plain_sentence(tiny, pictures, small_memory):
    lmm = tiny("llava")
    small_memory(lmm, 0)
    with pytest.raises(LMMError, match="memory does not suffice for one prompt"):
        lmm.word_logits(prompts(pictures), WORDS)


def test_other_errors_are_not_mistaken_for_memory():
    def broken(items):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        halving(broken, [1, 2], "one prompt")
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_batches_respect_the_budget_and_lose_nothing():
    lengths = [5, 90, 7, 40, 41, 200, 6]
    batches = list(in_batches(lengths, 100))
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 100


def test_small_windows_and_budgets_do_not_change_the_logits(tiny, pictures, monkeypatch):
    lmm = tiny("qwen3_vl")
    expected = lmm.word_logits(prompts(pictures), WORDS)
    monkeypatch.setattr(runner, "WINDOW_PICTURES", 2)
    monkeypatch.setattr(runner, "token_budget", lambda model: 1)
    np.testing.assert_allclose(lmm.word_logits(prompts(pictures), WORDS), expected, atol=1e-4)


def test_the_vision_cache_is_bounded_and_drops_the_least_recently_used(checkpoint, pictures):
    # One picture of this family is 16 tokens of 32 floats, and a pooled row of 32 floats.
    one = 17 * 32 * 4
    lmm = TransformersLMM(checkpoint("llava"), device="cpu", vision_cache_bytes=2 * one)
    lmm.embed(pictures[:2])
    lmm.embed(pictures[:1])
    lmm.embed(pictures[2:3])
    assert (lmm.vision.encoded, lmm.vision.cached_bytes) == (3, 2 * one)
    lmm.embed(pictures[:1])
    assert lmm.vision.encoded == 3, "recently used: still there"
    lmm.embed(pictures[1:2])
    assert lmm.vision.encoded == 4, "least recently used: dropped"


def test_a_picture_is_known_by_its_content(tiny, pictures):
    lmm = tiny("llava")
    before = lmm.vision.encoded
    lmm.embed([pictures[0], pictures[0].copy(), pictures[1]])
    assert lmm.vision.encoded - before == 2
