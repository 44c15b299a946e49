"""The plain way through a model: one prompt at a time, pictures as pixels, one full forward, nothing shared.

It serves every architecture that transformers can load, which is why a family outside the reuse layer's list runs on
it: slower, never wrong. `generate` is transformers' own.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from methods.lmm.rendering import Rendered
from methods.lmm.sampling import Sampling


class PlainRunner:
    """Runs prompts through `model` one by one.

    Args:
        model: a transformers image-text-to-text model in eval mode.
        processor: its processor.
    """

    shares = False

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    def inputs(self, rendered: Rendered) -> dict[str, Any]:
        """What the processor makes of one prompt, on the model's device; floats in the model's dtype."""
        bos = self.processor.tokenizer.bos_token
        features = self.processor(
            text=[rendered.text],
            images=[list(rendered.images)] if rendered.images else None,
            add_special_tokens=not (bos is not None and rendered.text.startswith(bos)),
            return_tensors="pt",
        )
        return dict(features.to(self.model.device, self.model.dtype))

    def word_logits(self, rendered: Sequence[Rendered], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 [prompts, words]: the next-token logits of each prompt's candidate tokens."""
        import torch

        rows = []
        with torch.inference_mode():
            for one, candidates in zip(rendered, tokens, strict=True):
                logits = self.model(**self.inputs(one), use_cache=False).logits[0, -1]
                rows.append(logits[list(candidates)].float().cpu().numpy())
        return np.stack(rows)

    def generate(self, rendered: Sequence[Rendered], n: int, sampling: Sampling) -> list[list[str]]:
        """`n` continuations of each prompt; sample i uses the seed plus i."""
        return [[self._continuation(one, sampling, i) for i in range(n)] for one in rendered]

    def stream(self, rendered: Rendered, sampling: Sampling) -> Generator[str]:
        """The continuation in one piece: without the reuse layer's decoder there is nothing to hand out earlier."""
        yield self._continuation(rendered, sampling, 0)

    def _continuation(self, rendered: Rendered, sampling: Sampling, sample: int) -> str:
        import torch
        from transformers import GenerationConfig

        inputs = self.inputs(rendered)
        # A fresh config: the checkpoint's own may add a repetition penalty that the caller did not ask for.
        stops = self.model.generation_config.eos_token_id or self.processor.tokenizer.eos_token_id
        config = GenerationConfig(
            **sampling.generate_arguments(), eos_token_id=stops, pad_token_id=self.processor.tokenizer.pad_token_id
        )
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(sampling.seed + sample)
            output = self.model.generate(**inputs, generation_config=config)
        answer = output[0, inputs["input_ids"].shape[1] :]
        return str(self.processor.tokenizer.decode(answer, skip_special_tokens=True))
