"""For every family: whatever is batched, shared or cached, the logits and the texts are those of the plain way."""

from __future__ import annotations

import numpy as np
import pytest

from methods.lmm import Prompt
from methods.lmm.plain import PlainRunner
from methods.lmm.reuse.runner import SHARING_FAMILIES
from methods.lmm.sampling import Sampling
from tests import tiny_lmm
from tests.unit.lmm import naive

pytestmark = pytest.mark.slow

FAMILIES = list(tiny_lmm.FAMILIES)
WORDS = ["excellent", "good", "fair", "poor", "bad"]
PREFIX = "The quality of the image is"


def mixed(pictures):
    """Prompts of one to three pictures of several sizes, with and without a prefix, one without a picture."""
    wide, tall, square, large, _ = pictures
    return [
        Prompt.ask(wide, "Rate the quality of the image.", answer_prefix=PREFIX),
        Prompt.ask(tall, square, "Is the second image good or poor?", answer_prefix=PREFIX),
        Prompt.ask("First image: ", large, " second image: ", wide, " third image: ", tall, " Rate the third."),
        Prompt.ask(square, "Good or poor?", system="You judge pictures.", answer_prefix="It is"),
        Prompt.ask("Is blur good or poor?", answer_prefix=PREFIX),
    ]


def debias(pictures):
    """Q-Debias's shape: pairs of pictures under two questions, so that pairs of prompts share all but the end."""
    query, *others = pictures[:4]
    return [
        Prompt.ask(other, query, question, answer_prefix=prefix)
        for other in others
        for question, prefix in (
            ("The visual quality of the first image is poor. How about the second image?", PREFIX),
            ("Do these two images describe the same object? Yes or no?", "The answer is"),
        )
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_the_sharing_way(family, tiny):
    assert family in SHARING_FAMILIES
    assert tiny(family)._runner.shares


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_logits_equal_the_plain_way(family, tiny, pictures):
    lmm = tiny(family)
    prompts = mixed(pictures)
    expected = naive.word_logits(lmm.model, lmm.processor, prompts, WORDS)
    assert np.ptp(expected, axis=0).min() > 0.01, "the prompts must differ for this test to mean anything"
    actual = lmm.word_logits(prompts, WORDS)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_pictures_and_prefixes_give_the_plain_logits(family, tiny, pictures):
    lmm = tiny(family)
    prompts = debias(pictures)
    expected = naive.word_logits(lmm.model, lmm.processor, prompts, WORDS)
    encoded, computed = lmm.vision.encoded, lmm._runner.tokens_computed
    actual = lmm.word_logits(prompts, WORDS)
    np.testing.assert_allclose(actual, expected, atol=1e-3)
    assert lmm.vision.encoded - encoded == 4, "six prompts show four distinct pictures"
    alone = sum(naive.inputs(lmm.processor, prompt)["input_ids"].shape[1] for prompt in prompts)
    assert lmm._runner.tokens_computed - computed < 0.85 * alone
    again = lmm.word_logits(prompts, WORDS)
    np.testing.assert_allclose(again, expected, atol=1e-3)
    assert lmm.vision.encoded - encoded == 4, "the second call finds the pictures in the cache"


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_runner_gives_the_plain_logits(family, tiny, pictures):
    lmm = tiny(family)
    prompts = mixed(pictures)[:3]
    runner = PlainRunner(lmm.model, lmm.processor)
    rendered = [lmm._render(prompt) for prompt in prompts]
    tokens = [lmm._candidates(one.tail, tuple(map(one.prompt.continuation, WORDS)), tuple(WORDS)) for one in rendered]
    expected = naive.word_logits(lmm.model, lmm.processor, prompts, WORDS)
    np.testing.assert_allclose(runner.word_logits(rendered, tokens), expected, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_texts_equal_the_plain_way(family, tiny, pictures):
    lmm = tiny(family)
    prompts = mixed(pictures)[:3]
    expected = [naive.greedy(lmm.model, lmm.processor, prompt, 8) for prompt in prompts]
    assert [texts for [texts] in lmm.generate(prompts, temperature=0, max_new_tokens=8)] == expected
    assert "".join(lmm.stream(prompts[1], temperature=0, max_new_tokens=8)) == expected[1]
    rendered = lmm._render(prompts[1])
    sampling = Sampling(max_new_tokens=8, temperature=0)
    assert PlainRunner(lmm.model, lmm.processor).generate([rendered], 1, sampling) == [[expected[1]]]


@pytest.mark.parametrize("family", FAMILIES)
def test_n_samples_are_n_single_runs(family, tiny, pictures):
    lmm = tiny(family)
    prompts = mixed(pictures)[:2]
    settings = {"max_new_tokens": 8, "temperature": 0.9, "top_k": 40, "top_p": 0.95}
    together = lmm.generate(prompts, n=3, seed=11, **settings)
    assert len(set(together[0])) > 1
    for sample in range(3):
        for index, prompt in enumerate(prompts):
            [[alone]] = lmm.generate([prompt], n=1, seed=11 + sample, **settings)
            assert together[index][sample] == alone
    assert "".join(lmm.stream(prompts[0], seed=12, **settings)) == together[0][1]


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_are_one_row_a_picture(family, tiny, pictures):
    lmm = tiny(family)
    features = lmm.embed(pictures)
    assert features.dtype == np.float32
    assert features.shape[0] == len(pictures)
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=0).max() > 1e-3
    lmm.vision.clear()
    for index, picture in enumerate(pictures):
        np.testing.assert_allclose(lmm.embed([picture])[0], features[index], atol=1e-4)
