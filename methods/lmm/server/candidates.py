"""Candidate words on a server: which tokens they are, and their log-probabilities out of an answer.

The server's own tokenizer decides (vLLM's /tokenize), in context: tokens(prefix + word) minus tokens(prefix), as in
`methods.lmm.tokens`. Log-probabilities come by token id where the server offers it, else out of its likeliest tokens; a
candidate that is not among those has no score, and a number in its place would be made up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from methods.lmm.base import LMMError
from methods.lmm.prompt import Prompt, Turn
from methods.lmm.server.answers import Chat, Tokens
from methods.lmm.server.http import Connection, Refused
from methods.lmm.server.messages import to_messages
from methods.locks import ForkSafeLock

TOP = (20, 1000)
"""How many of the likeliest tokens are asked for where ids cannot be named: what every server grants, then what one
started with --max-logprobs 1000 does."""

FLOOR = -9999.0
"""What vLLM writes for a log-probability of minus infinity."""

HOW_TO_START = ("serve the model with a vLLM that gives log-probabilities by token id (logprob_token_ids; 0.32 does), "
                "or start it with --max-logprobs 1000")


class Candidates:
    """First tokens of candidate words; remembered, so that each context is asked for once.

    Args:
        connection: the server.
        model: as the server names it.
    """

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection, self._model = connection, model
        self._known: dict[tuple[tuple[Turn, ...], str, tuple[str, ...]], tuple[int, ...]] = {}
        self._lock = ForkSafeLock()

    def tokens(self, prompt: Prompt, words: Sequence[str]) -> tuple[int, ...]:
        """One token id a word, all different.

        Raises:
            LMMError: the server cuts no chat into tokens, a word merges with the prefix, or two words share their
                first token.
        """
        context = _context(prompt)
        key = (context.turns, prompt.answer_prefix, tuple(words))
        with self._lock:
            tokens = self._known.get(key)
        if tokens is None:
            tokens = self._first_tokens(context, prompt, words)
            with self._lock:
                self._known[key] = tokens
        return tokens

    def _first_tokens(self, context: Prompt, prompt: Prompt, words: Sequence[str]) -> tuple[int, ...]:
        before = self._tokenize(context)
        owners: dict[int, str] = {}
        tokens = []
        for word in words:
            if not word:
                raise LMMError("A candidate word is empty; name words.")
            after = self._tokenize(Prompt(context.turns, context.answer_prefix + prompt.continuation(word)))
            if len(after) <= len(before) or after[: len(before)] != before:
                raise LMMError(f"The word {word!r} merges with the end of {prompt.answer_prefix[-24:]!r} in the "
                               f"tokenizer of {self._model}, so it has no next-token probability there; end the "
                               "answer prefix elsewhere, for example without a space.")
            token = after[len(before)]
            if token in owners:
                raise LMMError(f"The words {owners[token]!r} and {word!r} begin with the same token ({token}) in the "
                               f"vocabulary of {self._model}, so one next-token distribution cannot tell them apart; "
                               "choose other words or another model.")
            owners[token] = word
            tokens.append(token)
        return tuple(tokens)

    def _tokenize(self, prompt: Prompt) -> list[int]:
        body = {"model": self._model, **to_messages(prompt)}
        try:
            tokens = self._connection.post("/tokenize", body, Tokens).tokens
            reason = "it finds none in a chat"
        except Refused as refused:
            if refused.status in (401, 403):
                raise
            tokens, reason = [], f"{refused.status or 'it answers'}: {refused.message}"
        if not tokens:
            raise LMMError(f"The server at {self._connection.root} has no /tokenize that takes a chat ({reason}), so a "
                           f"word's token cannot be known; {HOW_TO_START}. Texts, as VisualQuality-R1 reads them, it "
                           "can write all the same.")
        return tokens


def _context(prompt: Prompt) -> Prompt:
    """The end of a conversation that decides how the answer is cut into tokens: its last turn, without images.

    Turns are parted by special tokens, across which no tokenizer merges.
    """
    text = prompt.turns[-1].text
    # Some templates refuse an empty turn, and what it says does not matter.
    return Prompt((Turn("user", (text or "Rate the image.",)),), prompt.answer_prefix)


def logprobs(answer: Chat, tokens: Sequence[int]) -> list[float | None]:
    """Log-probability of each token in a chat answer with `return_tokens_as_token_ids`; None for those not listed.

    Raises:
        LMMError: there are none, they are not named by id, one is no logarithm of a probability, or all candidates
            have the same one or none above the server's floor, so that a score would be made up.
    """
    choice = answer.choices[0]
    listed = choice.logprobs
    if listed is None or not listed.content:
        raise LMMError(f"The server answered without log-probabilities ({choice.words}); {HOW_TO_START}.")
    sample = listed.content[0]
    by_token: dict[int, float] = {}
    for entry in [*(sample.top_logprobs or ()), sample]:
        name = entry.token.removeprefix("token_id:")
        if name != entry.token and name.isascii() and name.isdecimal() and entry.logprob is not None:
            by_token.setdefault(int(name), entry.logprob)
    if not by_token:
        raise LMMError("The server gives no log-probability by token id; by its text one token can look like another "
                       f"({sample.token!r}); {HOW_TO_START} (return_tokens_as_token_ids).")
    values = [by_token.get(token) for token in tokens]
    for value in values:
        # Rounding may lift a probability a little above 1.
        if value is not None and (math.isnan(value) or value > 0.01):
            raise LMMError(f"The server gives a candidate the log-probability {value}, which no probability has; look "
                           "at its log.")
    floored = [max(value, FLOOR) for value in values if value is not None]
    if len(floored) == len(values) and (max(floored) <= FLOOR or (len(floored) > 1 and min(floored) == max(floored))):
        raise LMMError(f"The server gives every candidate the same log-probability ({floored[0]:g}), so the score "
                       "would be made up; look at its log, or name more candidates where two tie in bfloat16.")
    return [None if value is None else max(value, FLOOR) for value in values]
