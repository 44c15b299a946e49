"""Finds the token that stands for a candidate word, in the context where the LMM would say it.

The same word has different tokens in different places: " good" after "The quality is" is one token, "Good" at the
start of an answer is another, and some words need two. Reading the wrong one gives a score that looks right and is
not, so a candidate's token is always read off the tokenised context: tokenize(context + word) minus
tokenize(context). Two candidates that begin with the same token cannot be told apart by one next-token
distribution; that is an error, never a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from methods.lmm.base import LMMError

if TYPE_CHECKING:
    from methods.lmm.loaded import Tokenizer


def candidate_tokens(tokenizer: Tokenizer, context: str, spellings: Sequence[str], words: Sequence[str]) -> list[int]:
    """First token of each candidate, right after `context`.

    Args:
        tokenizer: a transformers tokenizer.
        context: the end of the rendered prompt, from a special token (or the start) on, with the answer prefix.
        spellings: the words as they continue the answer, `Prompt.continuation(word)`.
        words: the words as the caller named them, for the error's sake.

    Returns:
        one token id a word, all different.

    Raises:
        LMMError: a word is empty or unknown to the tokenizer, the context's last token would change if the word
            followed, or two words begin with the same token.
    """
    before = _ids(tokenizer, context)
    owners: dict[int, str] = {}
    tokens = []
    for word, spelling in zip(words, spellings, strict=True):
        token = _next_token(tokenizer, context, before, spelling, word)
        if token in owners:
            raise LMMError(
                f"The words {owners[token]!r} and {word!r} begin with the same token "
                f"({tokenizer.convert_ids_to_tokens(token)!r}) in this model's vocabulary, so one next-token "
                f"distribution cannot tell them apart; choose other words or another model."
            )
        owners[token] = word
        tokens.append(token)
    return tokens


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _next_token(tokenizer: Tokenizer, context: str, before: list[int], spelling: str, word: str) -> int:
    after = _ids(tokenizer, context + spelling)
    if len(after) <= len(before) or after[: len(before)] != before:
        raise LMMError(
            f"The word {word!r} merges with the last token of {context[-24:]!r} in this model's vocabulary, so it has "
            f"no next-token probability there; end the answer prefix elsewhere, for example without a space."
        )
    token = after[len(before)]
    if token == tokenizer.unk_token_id:
        raise LMMError(f"The word {word!r} is not in this model's vocabulary; choose other words or another model.")
    return token
