"""Candidate words on a server: which tokens they are, and their log-probabilities out of an answer.

The server's own tokenizer decides (vLLM's /tokenize), in context: tokens(prefix + word) minus tokens(prefix), as in
`methods.lmm.tokens`. Log-probabilities come by token id where the server offers it, else out of its likeliest tokens; a
candidate that is not among those has no score, and a number in its place would be made up.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from methods.lmm.base import LMMError
from methods.lmm.prompt import Prompt, Turn
from methods.lmm.server.http import Connection, Refused
from methods.lmm.server.messages import to_messages

TOP = (20, 1000)
"""How many of the likeliest tokens are asked for where ids cannot be named: what every server grants, then what one
started with --max-logprobs 1000 does."""

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
        self._known: dict[tuple, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def tokens(self, prompt: Prompt, words: Sequence[str]) -> tuple[int, ...]:
        """One token id a word, all different.

        Raises:
            LMMError: the server has no /tokenize, a word merges with the prefix, or two words share their first token.
        """
        context = _context(prompt)
        key = (context.turns, prompt.answer_prefix, tuple(words))
        with self._lock:
            found = self._known.get(key)
        if found is None:
            found = self._find(context, prompt, words)
            with self._lock:
                self._known[key] = found
        return found

    def _find(self, context: Prompt, prompt: Prompt, words: Sequence[str]) -> tuple[int, ...]:
        before = self._tokenize(context)
        owners: dict[int, str] = {}
        tokens = []
        for word in words:
            if not word:
                raise LMMError("A candidate word is empty; name words.")
            after = self._tokenize(Prompt(context.turns, context.answer_prefix + prompt.spelled(word)))
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
            return list(self._connection.post("/tokenize", body)["tokens"])
        except Refused as refused:
            if refused.status in (404, 405):
                raise LMMError(f"The server at {self._connection.root} has no /tokenize, so a word's token cannot be "
                               f"known; {HOW_TO_START}.") from refused
            raise


def _context(prompt: Prompt) -> Prompt:
    """The end of a conversation that decides how the answer is cut into tokens: its last turn, without pictures.

    Turns are parted by special tokens, across which no tokenizer merges.
    """
    text = prompt.turns[-1].text
    # Some templates refuse an empty turn, and what it says does not matter.
    return Prompt((Turn("user", (text or "Rate the image.",)),), prompt.answer_prefix)


def logprobs(answer: dict[str, Any], tokens: Sequence[int]) -> list[float | None]:
    """Log-probability of each token in a chat answer with `return_tokens_as_token_ids`; None for those not listed."""
    try:
        listed = answer["choices"][0]["logprobs"]["content"][0]
        entries = [*listed.get("top_logprobs", ()), listed]
    except (KeyError, IndexError, TypeError):
        raise LMMError(f"The server answered without log-probabilities; {HOW_TO_START}.") from None
    known: dict[int, float] = {}
    for entry in entries:
        name = str(entry.get("token", ""))
        if name.startswith("token_id:"):
            known.setdefault(int(name.removeprefix("token_id:")), float(entry["logprob"]))
    if not known:
        raise LMMError("The server names tokens by their text, in which two tokens can look alike; "
                       f"{HOW_TO_START} (return_tokens_as_token_ids).")
    return [known.get(token) for token in tokens]
