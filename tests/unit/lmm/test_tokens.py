"""Candidate words become tokens in context, or an error; never a silent wrong token."""

from __future__ import annotations

import pytest

from methods.lmm import LMMError, Prompt
from methods.lmm.tokens import candidate_tokens
from tests import tiny_lmm


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_lmm.tokenizer("<image>")


def test_the_token_depends_on_the_context(tokenizer):
    [spaced] = candidate_tokens(tokenizer, "The quality of the image is", [" good"], ["good"])
    [bare] = candidate_tokens(tokenizer, "<|im_start|>assistant\n", ["good"], ["good"])
    assert tokenizer.convert_ids_to_tokens(spaced) == "Ġgood"
    assert tokenizer.convert_ids_to_tokens(bare).startswith("g")
    assert spaced != bare


def test_digits_without_a_space_are_their_own_tokens(tokenizer):
    tokens = candidate_tokens(tokenizer, "<|im_start|>assistant\n", list("1234567"), list("1234567"))
    assert tokenizer.convert_ids_to_tokens(tokens) == list("1234567")


def test_words_that_begin_alike_are_an_error_that_names_both(tokenizer):
    with pytest.raises(LMMError, match=r"'12' and '13'.*same token"):
        candidate_tokens(tokenizer, "<|im_start|>assistant\n", ["12", "13"], ["12", "13"])
    with pytest.raises(LMMError, match="'1' and '2'"):
        # A spaced digit starts with the space's token.
        candidate_tokens(tokenizer, "My score is", [" 1", " 2"], ["1", "2"])


def test_a_word_that_merges_with_the_context_is_an_error(tokenizer):
    with pytest.raises(LMMError, match=r"'good'.*merges"):
        candidate_tokens(tokenizer, "The quality of the image is ", ["good"], ["good"])


def test_an_empty_word_is_an_error(tokenizer):
    with pytest.raises(LMMError, match="''"):
        candidate_tokens(tokenizer, "The image is", [""], [""])


def test_a_clash_reaches_the_caller_of_word_logits(tiny, pictures):
    prompt = Prompt.ask(pictures[0], "Rate it from 1 to 7.", answer_prefix="My score is")
    with pytest.raises(LMMError, match="begin with the same token"):
        tiny("fast_vlm").word_logits([prompt], ["6", "7"])
