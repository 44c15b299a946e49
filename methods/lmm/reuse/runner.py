"""The forward passes of many prompts, with pictures and prefixes shared.

A window of prompts becomes rows (`layout`), rows become groups (`prefix`), and then there are at most three passes:
the shared prefixes as one left-padded batch; the rest of each row on a copy of its prefix's KV cache, right-padded,
so that no padding lies between a token and what it attends to; and the rows that share nothing as one left-padded
batch. Positions are always given explicitly, so nothing depends on what the model remembers from an earlier call.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from methods.lmm.head import reading
from methods.lmm.rendering import Rendered
from methods.lmm.reuse.batching import halving, in_batches, token_budget
from methods.lmm.reuse.decoding import Prefilled, decode
from methods.lmm.reuse.layout import Layout, Row
from methods.lmm.reuse.prefix import share, sort_rows
from methods.lmm.reuse.vision import Encoding, VisionEncoder
from methods.lmm.sampling import Draw, Sampling, TextPieces

if TYPE_CHECKING:
    import torch

SHARING_FAMILIES = frozenset(
    {"fast_vlm", "gemma3", "idefics3", "internvl", "llava", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "smolvlm"}
)
"""Model types whose shared logits are tested against the plain ones; any other takes the plain way."""

# Encoder outputs are held for one window of prompts, which bounds them whatever the number of prompts.
WINDOW_PICTURES = 64


class SharingRunner:
    """Runs prompts through a model of `SHARING_FAMILIES`.

    Args:
        model: a transformers model in eval mode.
        processor: its processor.
        vision: its vision tower behind a cache.
        max_tokens: the text model's longest input.
    """

    shares = True

    def __init__(self, model: Any, processor: Any, vision: VisionEncoder, max_tokens: int) -> None:
        self.model = model
        self.processor = processor
        self.vision = vision
        self.layout = Layout(model, processor, vision, max_tokens)
        self.tokens_computed = 0

    def word_logits(self, rendered: Sequence[Rendered], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 [prompts, words]: the next-token logits of each prompt's candidate tokens."""
        result = np.empty((len(rendered), len(tokens[0])), dtype=np.float32)
        for window in _windows(rendered):
            rows = self.layout.rows([rendered[index] for index in window])
            # Neighbours in sorted order share prefixes, so a batch boundary rarely parts them.
            order = sort_rows([row.keys for row in rows])
            for batch in _consecutive([len(rows[index]) for index in order], token_budget(self.model)):
                chosen = [order[index] for index in batch]
                jobs = [(rows[index], tokens[window[index]]) for index in chosen]
                for index, values in zip(chosen, halving(self._words, jobs, "one prompt"), strict=True):
                    result[window[index]] = values
        return result

    def generate(self, rendered: Sequence[Rendered], n: int, sampling: Sampling) -> list[list[str]]:
        """`n` continuations of each prompt; each prompt goes through the model once, sample i uses the seed plus i."""
        texts: list[list[str]] = [[""] * n for _ in rendered]
        for window in _windows(rendered):
            rows = self.layout.rows([rendered[index] for index in window])
            jobs = [(index, sample) for index in range(len(rows)) for sample in range(n)]
            lengths = [len(rows[index]) + sampling.max_new_tokens for index, _ in jobs]
            for batch in in_batches(lengths, token_budget(self.model)):
                chosen = sorted(jobs[index] for index in batch)
                answers = halving(partial(self._sample, rows, sampling), chosen, "one prompt")
                for (index, sample), text in zip(chosen, answers, strict=True):
                    texts[window[index]][sample] = text
        return texts

    def stream(self, rendered: Rendered, sampling: Sampling) -> Generator[str]:
        """The first sample's text in pieces; nothing is computed beyond the piece that was asked for."""
        state = self._prefill(self.layout.rows([rendered]), cached=True)
        pieces = TextPieces(self.processor.tokenizer)
        for step in decode(self.model, state, Draw(sampling, [0], self.model.device), self._stops(), sampling):
            if text := pieces.add(step[0]):
                yield text
        if text := pieces.rest():
            yield text

    def _words(self, jobs: list[tuple[Row, Sequence[int]]]) -> list[np.ndarray]:
        with reading(self.model, [token for _, candidates in jobs for token in candidates]) as columns:
            logits = self._next_logits([row for row, _ in jobs]).float().cpu().numpy()
        return [
            logits[index, [columns[token] for token in candidates]] for index, (_, candidates) in enumerate(jobs)
        ]

    def _next_logits(self, rows: list[Row]) -> torch.Tensor:
        import torch

        groups = share([row.keys for row in rows])
        apart = [group.members[0] for group in groups if not group.length]
        shared = [group for group in groups if group.length]
        result: dict[int, torch.Tensor] = {}
        if apart:
            result.update(zip(apart, self._prefill([rows[index] for index in apart], cached=False).logits))
        if shared:
            members = [index for group in shared for index in group.members]
            prefixes = [(rows[group.members[0]], group.length) for group in shared]
            state = self._prefill([row for row, _ in prefixes], cached=True, stops=[length for _, length in prefixes])
            owner = [number for number, group in enumerate(shared) for _ in group.members]
            starts = [group.length for group in shared for _ in group.members]
            result.update(zip(members, self._continue(state, owner, [rows[index] for index in members], starts)))
        return torch.stack([result[index] for index in range(len(rows))])

    def _prefill(self, rows: list[Row], cached: bool, stops: list[int] | None = None) -> Prefilled:
        """One left-padded pass over rows (or over their first `stops` tokens)."""
        import torch

        stops = stops or [len(row) for row in rows]
        width = max(stops)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        positions = torch.zeros(*rows[0].positions.shape[:-1], len(rows), width, dtype=torch.long)
        encodings: list[Encoding] = []
        for index, (row, stop) in enumerate(zip(rows, stops)):
            ids[index, width - stop :] = torch.from_numpy(row.ids[:stop])
            mask[index, width - stop :] = 1
            positions[..., index, width - stop :] = row.positions[..., :stop]
            encodings += row.encodings_in(0, stop)
        output = self._forward(ids, mask, positions, encodings, use_cache=cached, logits_to_keep=1)
        following = torch.tensor([int(row.positions[..., :stop].max()) + 1 for row, stop in zip(rows, stops)])
        return Prefilled(
            logits=output.logits[:, -1],
            cache=output.past_key_values if cached else None,
            mask=mask.to(self.model.device),
            following=following.to(self.model.device),
        )

    def _continue(self, state: Prefilled, owner: list[int], rows: list[Row], starts: list[int]) -> torch.Tensor:
        """Next-token logits of rows whose first `starts` tokens are in `state`, in the cache row `owner`."""
        import torch

        device = self.model.device
        chosen = torch.tensor(owner, device=device)
        state.cache.batch_select_indices(chosen)
        lengths = [len(row) - start for row, start in zip(rows, starts)]
        width = max(lengths)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        own = torch.zeros_like(ids)
        positions = torch.zeros(*rows[0].positions.shape[:-1], len(rows), width, dtype=torch.long)
        encodings: list[Encoding] = []
        for index, (row, start, length) in enumerate(zip(rows, starts, lengths)):
            ids[index, :length] = torch.from_numpy(row.ids[start:])
            own[index, :length] = 1
            positions[..., index, :length] = row.positions[..., start:]
            encodings += row.encodings_in(start, len(row))
        last = torch.tensor(lengths, device=device)[:, None] - 1
        output = self._forward(
            ids, torch.cat([state.mask[chosen], own.to(device)], dim=1), positions, encodings,
            past_key_values=state.cache, use_cache=True, logits_to_keep=last,
            before=self._prefix_ids(rows, starts, state.mask.shape[1]),
        )
        logits: torch.Tensor = output.logits[:, 0]
        return logits

    def _prefix_ids(self, rows: list[Row], stops: list[int], width: int) -> torch.Tensor:
        """The ids behind the cache, left-padded as they went in."""
        import torch

        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for index, (row, stop) in enumerate(zip(rows, stops)):
            ids[index, width - stop :] = torch.from_numpy(row.ids[:stop])
        return ids

    def _forward(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        encodings: list[Encoding],
        before: torch.Tensor | None = None,
        **arguments: Any,
    ) -> Any:
        """One pass; `before` holds the ids whose keys and values are already in the cache."""
        import torch

        device = self.model.device
        self.tokens_computed += ids.numel()
        if self.model.config.model_type == "gemma3":
            # Gemma's pictures attend to themselves in both directions; it wants to know where they are, from the
            # first cached token on.
            whole = ids if before is None else torch.cat([before, ids], dim=1)
            arguments["token_type_ids"] = (whole == self.layout.image_token).long().to(device)
        if encodings:
            arguments["mm_encoder_outputs"] = {"image": self._encoder_output(encodings)}
        with torch.inference_mode():
            return self.model(
                input_ids=ids.to(device), attention_mask=mask.to(device), position_ids=positions.to(device), **arguments
            )

    def _encoder_output(self, encodings: list[Encoding]) -> Any:
        """Features of several pictures in the container in which the family's encoder returns them."""
        import torch

        features = [encoding.features for encoding in encodings]
        arguments: dict[str, Any] = {"pooler_output": features if self.vision.as_list else torch.cat(features)[None]}
        if encodings[0].deepstack:
            arguments["deepstack_features"] = [list(layer) for layer in zip(*(one.deepstack for one in encodings))]
        assert self.vision.output_class is not None  # It is known from the first encoding on.
        return self.vision.output_class(**arguments)

    def _sample(self, rows: list[Row], sampling: Sampling, jobs: list[tuple[int, int]]) -> list[str]:
        import torch

        needed = sorted({index for index, _ in jobs})
        state = self._prefill([rows[index] for index in needed], cached=True)
        chosen = torch.tensor([needed.index(index) for index, _ in jobs], device=self.model.device)
        if len(jobs) != len(needed):
            state.cache.batch_select_indices(chosen)
            state = Prefilled(state.logits[chosen], state.cache, state.mask[chosen], state.following[chosen])
        draw = Draw(sampling, [sample for _, sample in jobs], self.model.device)
        tokens: list[list[int]] = [[] for _ in jobs]
        for step in decode(self.model, state, draw, self._stops(), sampling):
            for job, token in step.items():
                tokens[job].append(token)
        return [self.processor.tokenizer.decode(ids, skip_special_tokens=True) for ids in tokens]

    def _stops(self) -> set[int]:
        """Tokens that end an answer: what the checkpoint's generation config and the tokenizer say."""
        configured = self.model.generation_config.eos_token_id
        stops = set(configured if isinstance(configured, list) else [configured])
        return (stops | {self.processor.tokenizer.eos_token_id}) - {None}


def _windows(rendered: Sequence[Rendered]) -> Iterator[list[int]]:
    """Positions of consecutive prompts that show at most `WINDOW_PICTURES` pictures, or one prompt that shows more."""
    window: list[int] = []
    images: set[int] = set()
    for index, one in enumerate(rendered):
        joined = images | {id(image) for image in one.images}
        if window and len(joined) > WINDOW_PICTURES:
            yield window
            window, joined = [], {id(image) for image in one.images}
        window.append(index)
        images = joined
    if window:
        yield window


def _consecutive(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Consecutive positions in batches whose padded size stays within the budget; at least one per batch."""
    batch: list[int] = []
    longest = 0
    for position, length in enumerate(lengths):
        if batch and (len(batch) + 1) * max(longest, length) > budget:
            yield batch
            batch, longest = [], 0
        batch.append(position)
        longest = max(longest, length)
    if batch:
        yield batch
