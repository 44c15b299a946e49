"""Memory is planned in bytes, batches that do not fit are halved, and the next ones begin at the size that fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.lmm import Prompt
from methods.lmm.reuse import memory, runner
from methods.lmm.reuse.batching import Budget, MemoryShortage, halving, is_out_of_memory, packed, padding, runs
from methods.lmm.reuse.memory import TokenBytes
from methods.lmm.reuse.vision import ImageKey
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm

WORDS = ["good", "poor"]


def prompts(pictures):
    return [Prompt.ask(one, "Rate the quality.", answer_prefix="The quality of the image is") for one in pictures]


@pytest.fixture
def small_memory(monkeypatch):
    """`small_memory(lmm, rows)`: a forward pass of more than `rows` rows runs out of memory; what it learns is undone.
    """

    def limit(lmm, most):
        monkeypatch.setattr(lmm._runner, "budget", Budget(lambda: memory.batch_bytes(lmm.model)))
        forward, sizes = lmm.model.forward, []

        def limited(*args, **kwargs):
            count = len(kwargs["input_ids"])
            if count > most:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            sizes.append(count)
            return forward(*args, **kwargs)

        monkeypatch.setattr(lmm.model, "forward", limited)
        return sizes

    return limit


@pytest.mark.slow
def test_word_logits_halve_and_agree(tiny, pictures, small_memory):
    lmm = tiny("llava")
    expected = lmm.word_logits(prompts(pictures), WORDS)
    sizes = small_memory(lmm, 2)
    np.testing.assert_allclose(lmm.word_logits(prompts(pictures), WORDS), expected, atol=1e-4)
    assert max(sizes) == 2


@pytest.mark.slow
def test_generation_halves_and_agrees(tiny, pictures, small_memory):
    lmm = tiny("llava")
    settings = {"n": 3, "max_new_tokens": 5, "seed": 4}
    expected = lmm.generate(prompts(pictures[:2]), **settings)
    small_memory(lmm, 2)
    assert lmm.generate(prompts(pictures[:2]), **settings) == expected


@pytest.mark.slow
def test_a_single_prompt_that_does_not_fit_is_a_plain_sentence(tiny, pictures, small_memory):
    lmm = tiny("llava")
    small_memory(lmm, 0)
    with pytest.raises(MemoryShortage, match=r"memory does not suffice for one prompt; .*max_pixels"):
        lmm.word_logits(prompts(pictures), WORDS)


def test_other_errors_are_not_mistaken_for_memory():
    def broken(items):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        halving(broken, [1, 2], "one prompt")
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.parametrize("said", [
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "CUDA error: out of memory",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.",
])
def test_a_failed_allocation_of_any_library_counts(said):
    assert is_out_of_memory(RuntimeError(said))


@pytest.mark.parametrize("said", [
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb)`",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED", "CUDA error: an illegal memory access was encountered",
])
def test_a_defect_of_a_library_does_not(said):
    assert not is_out_of_memory(RuntimeError(said))


@pytest.mark.slow
def test_the_next_batch_begins_at_the_size_that_fitted():
    sizes = []

    def run(items):
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return items

    budget = Budget(lambda: 16)
    for batch in packed([1] * 40, runs([1] * 40, 0), lambda count, width: count * width <= budget.bytes()):
        assert halving(run, batch, "one prompt", lambda part: budget.learn(len(part))) == batch
    assert sizes[:4] == [16, 8, 4, 2], "the first one is halved until it fits"
    assert set(sizes[4:]) == {2}, "and no later one fails"
    assert sum(size for size in sizes if size <= 3) == 40


def test_a_budget_forgets_what_it_learned_when_the_device_empties():
    free = [100]
    budget = Budget(lambda: free[0])
    budget.learn(30)
    budget.learn(40)
    assert budget.bytes() == 30
    free[0] = 120
    assert budget.bytes() == 30
    free[0] = 200
    assert budget.bytes() == 200


def test_what_can_be_had_again_is_given_up_before_a_single_item_fails():
    held = [True]

    def run(items):
        if held[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return items

    assert halving(run, [1], "one prompt", shed=lambda: held.pop() and not held.append(False)) == [1]


@pytest.mark.slow
def test_a_vision_cache_gives_its_memory_up(checkpoint, pictures, small_memory):
    lmm = TransformersLMM(checkpoint("llava"), device="cpu")
    lmm.embed(pictures)
    small_memory(lmm, 1)
    lmm.word_logits(prompts(pictures), WORDS)
    assert lmm.vision.cached_bytes == 0
    assert lmm.vision._cache_bytes < memory.CPU_CACHE_BYTES


def test_a_shared_prefix_that_is_followed_too_widely_is_computed_once(tiny, pictures, small_memory):
    lmm = tiny("qwen3_vl")
    asked = [Prompt.ask(pictures[3], f"Rate the {word}.", answer_prefix="It is")
             for word in ("quality", "noise", "sharpness", "blur", "colour")]
    expected = lmm.word_logits(asked, WORDS)
    sizes = small_memory(lmm, 2)
    np.testing.assert_allclose(lmm.word_logits(asked, WORDS), expected, atol=1e-4)
    assert sizes[0] == 1, "the prefix"
    assert sum(sizes) == 1 + len(asked)


def test_batches_respect_the_budget_the_padding_and_lose_nothing():
    lengths = [5, 90, 7, 40, 41, 200, 6, 88, 91, 39]
    joined = runs(lengths, 30)
    assert [sorted((lengths[index] for index in run), reverse=True) for run in joined] == [
        [200], [91, 90, 88], [41, 40, 39], [7, 6, 5]
    ]
    assert padding(lengths, joined) == 1 + 3 + 1 + 2 + 1 + 2
    batches = list(packed(lengths, joined, lambda count, width: count * width <= 200))
    assert sorted(index for batch in batches for index in batch) == list(range(10))
    assert [len(batch) for batch in batches] == [1, 2, 1, 3, 3]
    assert runs([], 5) == []
    assert len(runs(lengths, 0)) == len(lengths)
    assert runs([3, 3, 3], 0) == [[0, 1, 2]]


@pytest.mark.parametrize("seed", range(20))
def test_padding_never_exceeds_its_allowance(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 400, rng.integers(1, 40)).tolist()
    joined = runs(lengths, 0.1 * sum(lengths))
    assert padding(lengths, joined) <= 0.1 * sum(lengths)
    assert sorted(index for run in joined for index in run) == list(range(len(lengths)))


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
def test_small_windows_and_budgets_do_not_change_the_logits(family, tiny, pictures, monkeypatch):
    lmm = tiny(family)
    asked = [*prompts(pictures), *prompts(pictures[:2])]
    expected = lmm.word_logits(asked, WORDS)
    monkeypatch.setattr(memory, "CPU_WINDOW_BYTES", 1)
    monkeypatch.setattr(lmm._runner, "budget", Budget(lambda: 1))
    np.testing.assert_allclose(lmm.word_logits(asked, WORDS), expected, atol=1e-4)
    monkeypatch.setattr(runner, "WINDOW_PROMPTS", 1)
    assert len(list(lmm._runner._windows(lmm.as_sent(asked, WORDS)[0]))) == len(asked)


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_planned_bytes_are_those_of_the_tensors(family, dtype, checkpoint, pictures):
    lmm = TransformersLMM(checkpoint(family), device="cpu", dtype=dtype)
    each = TokenBytes.of(lmm.model)
    rendered, _ = lmm.as_sent(prompts(pictures), WORDS)
    rows = lmm._runner.layout.rows(rendered)
    for row, picture in zip(rows, pictures, strict=True):
        [encoding] = row.encodings
        tokens = len(encoding.features)
        # Some families count what frames a picture too.
        assert tokens <= lmm.vision.tokens(picture.size) <= 2 * tokens
        assert encoding.bytes - encoding.pooled.nbytes == tokens * each.encoding
        state = lmm._runner.passes.prefill([row], cached=True)
        counted = sum(layer.keys.nbytes + layer.values.nbytes for layer in state.cache.layers)
        assert counted == each.cache(len(row))


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "internvl", "llava"])
def test_patches_are_counted_whatever_the_shape_of_the_pixels(family, tiny, pictures):
    lmm = tiny(family)
    inputs = lmm.vision._prepare(ImageKey("", alone=True), pictures[3]).inputs
    pixels = inputs["pixel_values"]
    expected = pixels.shape[0] if pixels.dim() == 2 else pixels.shape[0] * (32 // 8) ** 2
    assert memory.patches(lmm.model, pixels) == expected
    assert memory.patch_bytes(lmm.model) == 4 * (8 * 32 + 2 * 64)


def test_a_device_is_shared_out_in_bytes(tiny, monkeypatch):
    lmm = tiny("qwen3_vl")
    monkeypatch.setattr(memory, "free_bytes", lambda model: 1000)
    assert (memory.cache_bytes(lmm.model), memory.window_bytes(lmm.model)) == (100, 150)
    assert (memory.batch_bytes(lmm.model), memory.tower_bytes(lmm.model)) == (500, 300)


def test_the_tower_takes_fewer_pictures_where_memory_is_short(tiny, pictures, monkeypatch):
    lmm = tiny("llava")
    sizes = []
    forward = lmm.vision._forward
    monkeypatch.setattr(lmm.vision, "_forward", lambda group: sizes.append(len(group)) or forward(group))
    one = 16 * memory.patch_bytes(lmm.model)
    monkeypatch.setattr(lmm.vision, "_budget", Budget(lambda: 2 * one))
    lmm.embed(pictures[:4])
    assert sizes == [2, 2]


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
