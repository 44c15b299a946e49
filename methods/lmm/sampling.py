"""How the next token is drawn: temperature, top-k and top-p by transformers' logits warpers, one generator per sample.

Sample i of a prompt draws from a generator seeded with `seed + i`, whatever else is in the batch. So n samples under
one seed are the same texts as n single runs under the seeds that follow it, and the score of an image does not
depend on its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import LogitsProcessor

    from methods.lmm.loaded import Tokenizer


@dataclass(frozen=True)
class Sampling:
    """Settings of one generation, as in `LMM.generate`.

    Raises:
        InputError: a value outside its range; the sentence names it.
    """

    max_new_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1; got {self.max_new_tokens}.")
        if not self.temperature >= 0:
            raise InputError(f"The temperature must be 0 (greedy) or above; got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must be above 0 and at most 1; got {self.top_p}.")
        if self.top_k < 0:
            raise InputError(f"top_k must be 0 (off) or above; got {self.top_k}.")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def check_count(self, n: int) -> None:
        """Raises `InputError` for a number of texts that these settings cannot give."""
        if n < 1 or (self.greedy and n != 1):
            raise InputError(f"Greedy decoding gives one text and sampling at least one; got n={n}.")

    def generate_arguments(self) -> dict[str, float]:
        """These settings as transformers' `generate` takes them."""
        if self.greedy:
            return {"max_new_tokens": self.max_new_tokens, "do_sample": False}
        return {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": True,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
        }

    def warpers(self) -> list[LogitsProcessor]:
        """transformers' warpers in transformers' order: temperature, then top-k, then top-p; empty if greedy."""
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        if self.greedy:
            return []
        warpers: list[LogitsProcessor] = []
        if self.temperature != 1.0:
            warpers.append(TemperatureLogitsWarper(float(self.temperature)))
        if self.top_k > 0:
            warpers.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1.0:
            warpers.append(TopPLogitsWarper(self.top_p))
        return warpers


class Draw:
    """Draws next tokens for a set of samples, each from its own generator.

    Args:
        sampling: the settings.
        samples: the sample number of each row; row r draws from the seed plus `samples[r]`.
        device: where the logits are.
    """

    def __init__(self, sampling: Sampling, samples: list[int], device: torch.device) -> None:
        import torch

        self._warpers = sampling.warpers()
        self._greedy = sampling.greedy
        self._generators = [torch.Generator(device).manual_seed(sampling.seed + sample) for sample in samples]

    def __call__(self, rows: list[int], logits: torch.Tensor) -> torch.Tensor:
        """One token per row: int64 [rows] from float logits [rows, vocabulary]; `rows` are the samples still alive."""
        import torch

        if self._greedy:
            return logits.argmax(dim=-1)
        scores = logits.float()
        for warper in self._warpers:
            scores = warper(None, scores)
        probabilities = scores.softmax(dim=-1)
        tokens = [
            torch.multinomial(row, 1, generator=self._generators[index]) for index, row in zip(rows, probabilities)
        ]
        return torch.cat(tokens)


class TextPieces:
    """Turns a growing list of token ids into the pieces of text that are text_before.

    A token can hold half a character, so a piece is held back while it ends in a replacement character. Only the ids
    since the last piece are decoded, with the ids before it as context for the space between words.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._context = 0
        self._read = 0

    def add(self, token: int) -> str:
        """The text that this token settles; often empty."""
        self._ids.append(token)
        return self._settle(final=False)

    def rest(self) -> str:
        """What was held back, at the end."""
        return self._settle(final=True)

    def _settle(self, final: bool) -> str:
        text_before = self._decode(self._ids[self._context : self._read])
        text = self._decode(self._ids[self._context :])
        if len(text) <= len(text_before) or (text.endswith("�") and not final):
            return ""
        self._context, self._read = self._read, len(self._ids)
        return text[len(text_before) :]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
