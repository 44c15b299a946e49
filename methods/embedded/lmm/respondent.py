"""A trained checkpoint that answers prompts about images whose tokens are known already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from methods.embedded.lmm.decoder import Encoder, project
from methods.embedded.lmm.tasks import Example
from methods.lmm.prompt import Prompt

if TYPE_CHECKING:
    import torch

BATCH = 64


class Respondent:
    """A trained checkpoint that answers about images of the cache.

    Args:
        folder: the checkpoint.
        tokens: float32 [shots, READOUT], as its tower sees the images.
    """

    def __init__(self, folder: Path, tokens: np.ndarray) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.encoder = Encoder(AutoProcessor.from_pretrained(folder))
        self.tokens = tokens

    def about(self, prompt: Prompt, rows: Sequence[int]) -> Example:
        """The prompt, showing the images in these rows of the cache."""
        return Example(prompt, self.tokens[list(rows)])

    def probabilities(self, examples: Sequence[Example], words: Sequence[str]) -> np.ndarray:
        """Softmax over the words (as spelled), float64 [examples, words]. Prompts of one length at a time."""
        import torch

        targets = [self.encoder.ids(word)[0] for word in words]
        encoded = [self.encoder.encode(Example(e.prompt, e.pictures, {words[0]: 1.0}))[0] for e in examples]
        out = np.empty((len(examples), len(words)))
        by_length: dict[int, list[int]] = {}
        for line, ids in enumerate(encoded):
            by_length.setdefault(len(ids), []).append(line)
        with torch.inference_mode():
            for lines in by_length.values():
                for start in range(0, len(lines), BATCH):
                    part = lines[start : start + BATCH]
                    embeddings = self._embed([encoded[line] for line in part], [examples[line] for line in part])
                    logits = self.model(inputs_embeds=embeddings, logits_to_keep=1, use_cache=False).logits[:, -1]
                    out[part] = torch.softmax(logits[:, targets].double(), dim=-1).numpy()
        return out

    def texts(self, examples: Sequence[Example], samples: int, seed: int = 0) -> list[list[str]]:
        """Sampled answers (top-k 50, temperature 1), by prompts of one length."""
        import torch

        encoded = [self.encoder.encode(Example(e.prompt, e.pictures, {"a": 1.0}))[0] for e in examples]
        torch.manual_seed(seed)
        texts: list[list[str]] = []
        with torch.inference_mode():
            for start in range(0, len(examples), 16):
                part = slice(start, start + 16)
                embeddings = self._embed(encoded[part], examples[part])
                output = self.model.generate(
                    inputs_embeds=embeddings, attention_mask=torch.ones(embeddings.shape[:2], dtype=torch.long),
                    do_sample=True, top_k=50, num_return_sequences=samples, max_new_tokens=90)
                spelled = self.encoder.words.batch_decode(output, skip_special_tokens=True)
                texts += [spelled[line : line + samples] for line in range(0, len(spelled), samples)]
        return texts

    def _embed(self, ids: Sequence[Sequence[int]], examples: Sequence[Example]) -> torch.Tensor:
        import torch

        table = torch.tensor([list(line) for line in ids])
        tokens = torch.from_numpy(np.concatenate([example.pictures for example in examples]))
        embeddings = self.model.get_input_embeddings()(table)
        slots = (table == self.model.config.image_token_index)[..., None]
        return embeddings.masked_scatter(slots, project(self.model, tokens))
