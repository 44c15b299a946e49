"""The plain way through a model: one prompt at a time, images as pixels, one full forward, nothing shared.

It serves every architecture that transformers can load, which is why a family outside the reuse layer's list runs on
it: slower, never wrong. `generate` is transformers' own.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from methods.lmm.head import reading
from methods.lmm.pixels import UNLIMITED, PixelLimit
from methods.lmm.rendering import Rendered
from methods.lmm.sampling import Sampling
from methods.patience import step

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model, Processor


class PlainRunner:
    """Runs prompts through `model` one by one.

    Args:
        model: a transformers image-text-to-text model in eval mode.
        processor: its processor.
        limit: on the pixels of an image.
    """

    shares = False

    def __init__(self, model: Model, processor: Processor, limit: PixelLimit = UNLIMITED) -> None:
        self.model = model
        self.processor = processor
        self.limit = limit
        # The logits of every position are a gigabyte for an image of many tokens.
        takes = inspect.signature(model.forward).parameters
        self._last = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}

    def inputs(self, rendered: Rendered) -> dict[str, torch.Tensor]:
        """What the processor makes of one prompt, on the model's device; floats in the model's dtype."""
        bos = self.processor.tokenizer.bos_token
        features = self.processor(
            text=[rendered.text],
            images=[[self.limit.scaled(image) for image in rendered.images]] if rendered.images else None,
            add_special_tokens=not (bos is not None and rendered.text.startswith(bos)),
            return_tensors="pt",
        )
        return dict(features.to(self.model.device, self.model.dtype))

    def word_logits(self, rendered: Sequence[Rendered], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 [prompts, words]: the next-token logits of each prompt's candidate tokens."""
        rows = []
        for one, candidates in zip(rendered, tokens, strict=True):
            with reading(self.model, candidates) as columns:
                logits = self.next_logits(one)
            rows.append(logits[[columns[token] for token in candidates]].float().cpu().numpy())
        return np.stack(rows)

    def next_logits(self, rendered: Rendered) -> torch.Tensor:
        """[vocabulary]: what the model's own head says of the token after one prompt, in the model's precision."""
        import torch

        step()
        with torch.inference_mode():
            logits: torch.Tensor = self.model(**self.inputs(rendered), use_cache=False, **self._last).logits[0, -1]
        return logits

    def generate(self, rendered: Sequence[Rendered], n: int, sampling: Sampling) -> list[list[str]]:
        """`n` continuations of each prompt; sample i uses the seed plus i."""
        return [[self._continuation(one, sampling, i) for i in range(n)] for one in rendered]

    def sample(self, rendered: Rendered, n: int, sampling: Sampling) -> Generator[str, None, list[str]]:
        """As `LMM.sample`, each text in one piece: without the reuse layer's decoder nothing can be given earlier."""
        texts = []
        for sample in range(n):
            texts.append(self._continuation(rendered, sampling, sample))
            yield "" if sample else texts[0]
        return texts

    def _continuation(self, rendered: Rendered, sampling: Sampling, sample: int) -> str:
        import torch
        from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

        class Asks(StoppingCriteria):  # transformers asks its criteria after every token
            def __call__(self, input_ids: torch.Tensor, scores: object, **settings: object) -> torch.Tensor:
                step()
                return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

        inputs = self.inputs(rendered)
        # A fresh config: the checkpoint's own may add a repetition penalty that the caller did not ask for.
        stops = self.model.generation_config.eos_token_id or self.processor.tokenizer.eos_token_id
        config = GenerationConfig(
            **sampling.generate_arguments(), eos_token_id=stops, pad_token_id=self.processor.tokenizer.pad_token_id
        )
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(sampling.seed + sample)
            output = self.model.generate(**inputs, generation_config=config,
                                         stopping_criteria=StoppingCriteriaList([Asks()]))
        answer = output[0, inputs["input_ids"].shape[1] :]
        return str(self.processor.tokenizer.decode(answer, skip_special_tokens=True))
