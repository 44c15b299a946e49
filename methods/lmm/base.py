"""The one protocol behind which every large multimodal model stands.

A method never knows which model it talks to: it hands over prompts and reads logits, text or features. Below this
line a backend may do anything that leaves the result equal: encode each distinct image once, share the KV cache
of a common prefix, batch the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from PIL import Image

from methods.errors import UserError
from methods.images.decoding import AheadWork
from methods.lmm.prompt import Prompt


class LMMError(UserError, RuntimeError):
    """Something about the model that the user can act on, in one plain sentence."""


class LMM(ABC):
    """A large multimodal model.

    Attributes:
        name: what the user asked for: "embedded", a Hub id, a folder's name or "server:URL#model".
        revision: the exact weights: a Hub commit, a content hash, or what the server reports.
        image_budget: the most images that one prompt may show.
        max_pixels: the most pixels of one image that it is shown, as `methods.lmm.pixels`; None where every image
            is scaled to one size anyway, or where a server decides.
        settings: how it runs, for the provenance of results: device, dtype and the like; nothing for a server.
    """

    name: str
    revision: str
    image_budget: int
    max_pixels: int | None = None
    settings: Mapping[str, object] = MappingProxyType({})

    def prepare(self, image: Image.Image, alone: bool = True) -> AheadWork | None:
        """What can be made of an image before it is shown in a prompt, on any thread while the model works.

        Args:
            image: RGB; not to be changed afterwards.
            alone: whether prompts show it without other images.

        Returns:
            something with `nbytes`, used when this very image object is shown for as long as the caller holds it; None
            where nothing can be made ahead. The results of all other calls stay the same.
        """
        return None

    def check_budget(self, prompt: Prompt) -> None:
        """Raises `LMMError` for a prompt that shows more images than the model takes."""
        if len(prompt.images) > self.image_budget:
            raise LMMError(f"The prompt shows {len(prompt.images)} images but {self.name} takes at most "
                           f"{self.image_budget}; show fewer or choose another model.")

    @abstractmethod
    def word_logits(self, prompts: Sequence[Prompt], words: Sequence[str]) -> np.ndarray:
        """Next-token logits of the candidate words, right after each prompt's answer prefix.

        All prompts are handed over at once so that the backend can share images and prefixes among them.

        Args:
            prompts: any number; each shows at most `image_budget` images.
            words: candidates without a leading space; each prompt's prefix decides whether one is added.

        Returns:
            float32 [prompts, words]. A server may return log-probabilities: equal up to a constant per row.

        Raises:
            LMMError: two candidates share their first token, a prompt shows too many images or is too long, or
                the model failed.
        """

    @abstractmethod
    def generate(self, prompts: Sequence[Prompt], n: int = 1, max_new_tokens: int = 512, temperature: float = 1.0,
                 top_p: float = 1.0, top_k: int = 0, seed: int = 0) -> list[list[str]]:
        """`n` sampled continuations of each prompt, without the prompt's own text.

        `temperature=0` is greedy, and `n` must then be 1; `top_k=0` and `top_p=1` switch these filters off. The same
        seed gives the same texts. The prompt is processed once, whatever `n`.
        """

    @abstractmethod
    def stream(self, prompt: Prompt, max_new_tokens: int = 512, temperature: float = 1.0, top_p: float = 1.0,
               top_k: int = 0, seed: int = 0) -> Iterator[str]:
        """One continuation, piece by piece as it is made; the pieces joined are the whole text."""

    def sample(self, prompt: Prompt, n: int = 1, max_new_tokens: int = 512, temperature: float = 1.0,
               top_p: float = 1.0, top_k: int = 0, seed: int = 0) -> Generator[str, None, list[str]]:
        """The continuations of `generate`, the first of them piece by piece as it is made.

        Yields:
            pieces whose sum is the first text. Empty ones may come between and after them, so that a reader who closes
            the iterator is heard while the other texts are made.

        Returns:
            all `n` texts, as `yield from` gives them.
        """
        decoding = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "top_k": top_k}
        pieces = []
        for piece in self.stream(prompt, seed=seed, **decoding):  # type: ignore[arg-type]
            pieces.append(piece)
            yield piece
        others = self.generate([prompt], n=n - 1, seed=seed + 1, **decoding)[0] if n > 1 else []  # type: ignore[arg-type]
        return ["".join(pieces), *others]

    @abstractmethod
    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """The tower's features, mean-pooled over an image's tokens: float32 [images, features]."""
