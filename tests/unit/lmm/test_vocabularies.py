"""Candidate words on the vocabularies of real models: the tokens that the methods read there."""

from __future__ import annotations

import numpy as np
import pytest

from methods.levels import FIVE_LEVELS
from methods.llm_iqa.standard import Standard
from methods.lmm import LMMError, Prompt
from methods.lmm.plain import PlainRunner
from methods.lmm.tokens import candidate_tokens
from methods.lmm.transformers_lmm import TransformersLMM
from methods.q_bench.prompts import QUESTIONS
from methods.q_debias.prompts import WORDS, condition_prompt, similarity_prompt
from tests import real_vocabularies, tiny_lmm
from tests.unit.lmm import naive

pytestmark = pytest.mark.slow

ASSISTANT = "<|im_start|>assistant\n"
PREFIX = ASSISTANT + "The quality of the image is"

BAKLLAVA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}IMAGE_TOKEN\n{% endif %}{% endfor %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Speaks as LLaVA 1.5 and BakLLaVA were trained to: "USER: ... ASSISTANT: ..."."""


@pytest.fixture(scope="module")
def qwen():
    return real_vocabularies.qwen()


@pytest.fixture(scope="module")
def qwen_lmm(tmp_path_factory):
    folder = tiny_lmm.build("qwen3_vl", tmp_path_factory.mktemp("qwen"), vocabulary=real_vocabularies.qwen)
    return TransformersLMM(folder, device="cpu")


@pytest.fixture(scope="module")
def bakllava(tmp_path_factory):
    folder = tiny_lmm.build("llava", tmp_path_factory.mktemp("bakllava"), vocabulary=real_vocabularies.mistral,
                            template=BAKLLAVA)
    return TransformersLMM(folder, device="cpu")


def spelled(context, words):
    """As `Prompt.continuation` joins a word to a context that ends so."""
    return [word if context[-1].isspace() else f" {word}" for word in words]


@pytest.mark.parametrize(("context", "words", "tokens"), [
    (PREFIX, FIVE_LEVELS.words, [9073, 1661, 6624, 7852, 3873]),
    (PREFIX, ("good", "poor"), [1661, 7852]),
    (ASSISTANT, ("Good", "Poor", "Yes", "No"), [15216, 84103, 9454, 2753]),
    (ASSISTANT, tuple("123456789"), list(range(16, 25))),
    # Of the two tokens of "poor", the first.
    (ASSISTANT, ("good", "poor"), [18536, 5368]),
])
def test_qwens_candidates(qwen, context, words, tokens):
    assert candidate_tokens(qwen, context, spelled(context, words), words) == tokens


@pytest.mark.parametrize(("context", "words"), [
    (PREFIX, ("1", "2")),  # the token of the space
    (ASSISTANT, ("1", "10")),
    (ASSISTANT, ("poor", "po")),
])
def test_qwens_clashes_are_errors_that_name_both(qwen, context, words):
    with pytest.raises(LMMError, match=f"'{words[0]}' and '{words[1]}' begin with the same token"):
        candidate_tokens(qwen, context, spelled(context, words), words)


def test_a_prefix_that_ends_in_a_space_merges_with_the_word(qwen):
    with pytest.raises(LMMError, match=r"'good'.*merges"):
        candidate_tokens(qwen, PREFIX + " ", ["good"], ["good"])


def test_the_methods_read_qwens_own_tokens(qwen_lmm, pictures):
    """Every method's prompts and words around the real vocabulary: the plain logits, by shared passes."""
    query, degraded = pictures[0], pictures[4]
    standard = Standard("word", 7)
    asked = [
        ([QUESTIONS["two-word"].prompt(query)], ("good", "poor")),
        ([QUESTIONS["five-level"].prompt(query)], FIVE_LEVELS.words),
        ([standard.prompt(query), standard.prompt(degraded)], standard.levels.words),
        *(([condition_prompt(degraded, query), similarity_prompt(degraded, query)], words)
          for words in WORDS.values()),
    ]
    for prompts, words in asked:
        expected = naive.word_logits(qwen_lmm.model, qwen_lmm.processor, prompts, words)
        np.testing.assert_allclose(qwen_lmm.word_logits(prompts, words), expected, atol=1e-3)
    [row] = qwen_lmm.as_sent([standard.prompt(query)], standard.levels.words)[1]
    assert row == tuple(15 + int(digit) for digit in standard.levels.words)


@pytest.mark.parametrize(("words", "pieces"), [
    (WORDS["capitalised"], ["▁Good", "▁Poor", "▁Yes", "▁No"]),
    (WORDS["lower"], ["▁good", "▁poor", "▁yes", "▁no"]),
])
def test_bakllava_answers_with_a_space_before_the_word(bakllava, pictures, words, pieces):
    prompt = Prompt.ask(*pictures[:2], "Do these two images describe the same object? Yes or no?")
    [rendered], [tokens] = bakllava.as_sent([prompt], words)
    assert rendered.text.endswith("ASSISTANT:")
    assert rendered.joint == " "
    assert bakllava.processor.tokenizer.convert_ids_to_tokens(list(tokens)) == pieces
    if words == WORDS["capitalised"]:
        assert dict(zip(words, tokens))["Yes"] == 5592


def test_bakllavas_digits_are_read_after_the_space(bakllava, pictures):
    prompt = Prompt.ask(pictures[0], "Rate it from 1 to 5.")
    [rendered], [tokens] = bakllava.as_sent([prompt], tuple("12345"))
    assert rendered.text.endswith("ASSISTANT: ")
    assert bakllava.processor.tokenizer.convert_ids_to_tokens(list(tokens)) == list("12345")
    plain = PlainRunner(bakllava.model, bakllava.processor)
    np.testing.assert_allclose(bakllava.word_logits([prompt], list("12345")),
                               plain.word_logits([rendered], [tokens]), atol=1e-3)
    with pytest.raises(LMMError, match="begin with the same token"):
        bakllava.as_sent([Prompt.ask(pictures[0], "Rate it.", answer_prefix="My score is")], ("1", "2"))


def test_bakllavas_level_words_are_single_tokens_after_a_prefix(bakllava, pictures):
    prompt = QUESTIONS["five-level"].prompt(pictures[0])
    [tokens] = bakllava.as_sent([prompt], FIVE_LEVELS.words)[1]
    pieces = bakllava.processor.tokenizer.convert_ids_to_tokens(list(tokens))
    assert pieces == [f"▁{word}" for word in FIVE_LEVELS.words]
