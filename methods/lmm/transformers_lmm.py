"""An LMM that transformers runs in this process: every family with a native class, through one pair of Auto classes.

The class renders prompts, finds the candidates' tokens and checks the budgets; a runner does the rest. Where the
family is known to allow it, the runner shares images and prefixes (`methods.lmm.reuse`); otherwise it takes the
plain way (`methods.lmm.plain`). Both give the same logits.
"""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from methods.lmm.base import LMM, LMMError
from methods.lmm.checkpoint import Checkpoint
from methods.lmm.head import is_readable
from methods.lmm.pixels import PixelLimit, limited
from methods.lmm.plain import PlainRunner
from methods.lmm.prompt import Prompt
from methods.lmm.rendering import Rendered, render
from methods.lmm.reuse.runner import SHARING_FAMILIES, SharingRunner
from methods.lmm.reuse.vision import Ahead, ImageKey, VisionEncoder
from methods.lmm.sampling import Sampling
from methods.lmm.tokens import candidate_tokens
from methods.locks import ForkSafeLock

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model, Processor

logger = logging.getLogger(__name__)


class TransformersLMM(LMM):
    """A model of transformers behind the `LMM` protocol.

    Remote code is never run: a family that needs it is refused with a sentence that points to the server backend.
    One lock guards the model, so several threads may share one object.

    Args:
        source: a Hub id or a checkpoint folder.
        device: where the weights go; by default the first CUDA device, else the CPU.
        dtype: "float32", "bfloat16" or "float16" (or the torch dtype); by default bfloat16 on CUDA, else float32.
        revision: a Hub branch, tag or commit.
        max_pixels: larger images are shown with so many pixels, or in so many tiles, at most; by default as
            `methods.lmm.pixels` lists for each family, and never more than the checkpoint itself takes.
        attn_implementation: "eager", "sdpa", "flash_attention_2" and the like; by default what transformers chooses.
        device_map: spreads a model that is too large for one device over all there are ("auto"), in place of `device`.
        name: what to call the model in results; by default the Hub id or the folder's name.
        vision_cache_bytes: how much encoder output is kept across calls, on the model's device; 0 keeps none. By
            default a tenth of the memory that the weights leave free, 256 MiB on a CPU.

    Raises:
        LMMError: the model cannot be found, loaded or held in memory.
        InputError: a pixel limit below 1.
    """

    def __init__(self, source: str | Path, device: str | None = None, dtype: str | torch.dtype | None = None,
                 revision: str | None = None, name: str | None = None, vision_cache_bytes: int | None = None,
                 max_pixels: int | None = None, attn_implementation: str | None = None,
                 device_map: str | dict[str, int | str] | None = None) -> None:
        checkpoint = Checkpoint.load(source, device=device, dtype=dtype, revision=revision,
                                     attn_implementation=attn_implementation, device_map=device_map)
        limit = limited(checkpoint.model, checkpoint.processor, max_pixels)
        self._hold(checkpoint, name or checkpoint.name, vision_cache_bytes, limit, frozen=True)

    @classmethod
    def wrap(cls, model: Model, processor: Processor, name: str, max_pixels: int | None = None) -> TransformersLMM:
        """An LMM around a model that is already in memory, for example one that is being trained.

        Nothing is kept between calls, since the weights may change; the revision says "in memory". Without a pixel
        limit, images are shown as the processor is set.
        """
        self = cls.__new__(cls)
        processor = copy.deepcopy(processor) if max_pixels is not None else processor
        limit = limited(model, processor, max_pixels, default=False)
        self._hold(Checkpoint.of(model, processor, name), name, 0, limit, frozen=False)
        return self

    def limited_to(self, max_pixels: int) -> TransformersLMM:
        """The same model as one that is shown fewer pixels of an image: weights and lock are shared.

        Args:
            max_pixels: as for `TransformersLMM`; itself is returned where its own limit is no higher.

        Raises:
            LMMError: the model's limit is not its processor's alone, or every image is scaled to one size anyway.
        """
        if not self.limit.varies or self.limit.pixels is None:
            raise LMMError(f"{self.name} has no pixel limit that can be changed after it is loaded; leave max_pixels "
                           "out.")
        if max_pixels >= self.limit.pixels:
            return self
        lower = copy.copy(self)
        lower.processor = copy.copy(self.processor)
        lower.processor.image_processor = copy.deepcopy(self.processor.image_processor)
        lower.limit = limited(self.model, lower.processor, max_pixels)
        lower.max_pixels = lower.limit.pixels
        lower.vision = self.vision.limited_to(lower.processor, lower.limit)
        lower._runner = lower._make_runner()
        return lower

    def _hold(self, checkpoint: Checkpoint, name: str, vision_cache_bytes: int | None, limit: PixelLimit, frozen: bool
              ) -> None:
        self.name = name
        self.revision = checkpoint.revision
        self.image_budget = checkpoint.image_budget
        self.model = checkpoint.model
        self.processor = checkpoint.processor
        self.max_tokens = checkpoint.max_tokens
        self.max_pixels = limit.pixels
        self.limit = limit
        readable = is_readable(self.model)
        if not readable:
            logger.warning("The output layer of %s is packed or adapted, so its words are read in the precision in "
                           "which it answers, not in float32.", name)
        self.settings = {**checkpoint.settings, "word_logits": "float32" if readable else "as the head gives them"}
        self._lock = ForkSafeLock()
        self.vision = VisionEncoder(self.model, self.processor, vision_cache_bytes, frozen, limit)
        self._runner = self._make_runner()
        self._candidates = functools.lru_cache(maxsize=4096)(self._find_candidates)

    def prepare(self, image: Image.Image, alone: bool = True) -> Ahead | None:
        """As `LMM.prepare`: what the processor makes of the image, where the reuse layer encodes it by itself."""
        return self.vision.prepare(image, alone) if self._runner.shares else None

    def _make_runner(self) -> SharingRunner | PlainRunner:
        if self.model.config.model_type in SHARING_FAMILIES:
            return SharingRunner(self.model, self.processor, self.vision, self.max_tokens)
        return PlainRunner(self.model, self.processor, self.limit)

    def word_logits(self, prompts: Sequence[Prompt], words: Sequence[str]) -> np.ndarray:
        words = list(words)
        if not words:
            raise ValueError("Name at least one candidate word.")
        if not prompts:
            return np.zeros((0, len(words)), dtype=np.float32)
        rendered, tokens = self.as_sent(prompts, words)
        with self._lock:
            return self._runner.word_logits(rendered, tokens)

    def as_sent(self, prompts: Sequence[Prompt], words: Sequence[str]) -> tuple[list[Rendered], list[tuple[int, ...]]]:
        """What a runner's `word_logits` takes: the prompts rendered, and the tokens of the words after each.

        Raises:
            LMMError: a word has no token of its own after a prompt, or a prompt cannot be shown to this model.
        """
        placed = [self._placed(self._render(prompt), tuple(words)) for prompt in prompts]
        return [one for one, _ in placed], [tokens for _, tokens in placed]

    def _placed(self, one: Rendered, words: tuple[str, ...]) -> tuple[Rendered, tuple[int, ...]]:
        try:
            return one, self._candidates(one.tail, tuple(map(one.continuation, words)), words)
        except LMMError as clash:
            if not one.joint:
                raise
            # In many vocabularies " 1" and " 2" begin with the space's token: then the prompt already ends with it.
            prompt = one.with_joint()
            try:
                return prompt, self._candidates(prompt.tail, words, words)
            except LMMError:
                raise clash from None

    def generate(self, prompts: Sequence[Prompt], n: int = 1, max_new_tokens: int = 512, temperature: float = 1.0,
                 top_p: float = 1.0, top_k: int = 0, seed: int = 0) -> list[list[str]]:
        """As `LMM.generate`. Sample i draws from a generator seeded with `seed + i`: n samples are n single runs."""
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        sampling.check_count(n)
        rendered = [self._render(prompt) for prompt in prompts]
        with self._lock:
            return self._runner.generate(rendered, n, sampling)

    def stream(self, prompt: Prompt, max_new_tokens: int = 512, temperature: float = 1.0, top_p: float = 1.0,
               top_k: int = 0, seed: int = 0) -> Iterator[str]:
        """As `LMM.stream`; closing the iterator stops the model."""
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        pieces = self._in_turns(self._runner.sample(self._render(prompt), 1, sampling))
        try:
            yield from filter(None, pieces)
        finally:
            pieces.close()

    def sample(self, prompt: Prompt, n: int = 1, max_new_tokens: int = 512, temperature: float = 1.0,
               top_p: float = 1.0, top_k: int = 0, seed: int = 0) -> Generator[str, None, list[str]]:
        """As `LMM.sample`: all texts are written side by side, so that n of them take little longer than one."""
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        sampling.check_count(n)
        return (yield from self._in_turns(self._runner.sample(self._render(prompt), n, sampling)))

    def _in_turns(self, pieces: Generator[str, None, list[str]]) -> Generator[str, None, list[str]]:
        try:
            while True:
                # The lock is held while the model works, not while the reader reads, who may be another thread.
                with self._lock:
                    try:
                        piece = next(pieces)
                    except StopIteration as end:
                        texts: list[str] = end.value
                        return texts
                yield piece
        finally:
            pieces.close()

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """As `LMM.embed`: the tower's last hidden states, before the projector, averaged over tokens (and tiles)."""
        if not images:
            return np.zeros((0, 0), dtype=np.float32)
        keys = [ImageKey(self.vision.content(image), alone=True) for image in images]
        with self._lock:
            encodings = self.vision.encode(dict(zip(keys, images)))
        return np.stack([encodings[key].pooled for key in keys]).astype(np.float32)

    def picture_tokens(self, width: int, height: int) -> int:
        """How many tokens an image of so many pixels takes when it stands alone in a prompt, under the pixel limit.

        For families outside of `SHARING_FAMILIES` too; some count the few tokens that frame an image.
        """
        return self.vision.tokens((width, height))

    def _render(self, prompt: Prompt) -> Rendered:
        self.check_budget(prompt)
        return render(self.processor, prompt, self.name)

    def _find_candidates(self, tail: str, spellings: tuple[str, ...], words: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(candidate_tokens(self.processor.tokenizer, tail, spellings, words))
