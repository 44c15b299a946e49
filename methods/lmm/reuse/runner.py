"""Many prompts through one model, with images and prefixes shared.

A window of prompts becomes rows (`layout`), rows become groups that share a prefix (`prefix`), and then there are three
kinds of passes: the rows that share nothing; the shared prefixes; and what follows each prefix, on a copy of its KV
cache. Each kind goes through in batches of rows of like length, so that little of it is padding (`batching`), and of a
size that the memory allows (`memory`). A group is never parted: its prefix is computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from methods.lmm.head import reading
from methods.lmm.rendering import Rendered
from methods.lmm.reuse import memory
from methods.lmm.reuse.batching import (
    MOST_PADDING,
    Budget,
    Item,
    Result,
    halving,
    is_out_of_memory,
    packed,
    padding,
    release,
    runs,
    shortage,
)
from methods.lmm.reuse.decoding import Prefilled, cache_rows, decode
from methods.lmm.reuse.layout import Layout, Row
from methods.lmm.reuse.passes import Passes
from methods.lmm.reuse.prefix import Group, share
from methods.lmm.reuse.vision import VisionEncoder
from methods.lmm.sampling import Draw, Sampling, TextPieces

if TYPE_CHECKING:
    from methods.lmm.loaded import Model, Processor

SHARING_FAMILIES = frozenset(
    {"fast_vlm", "gemma3", "idefics3", "internvl", "llava", "llava_onevision", "qwen2_5_vl", "qwen3_vl", "smolvlm"}
)
"""Model types whose shared logits are tested against the plain ones; any other takes the plain way."""

# Steps after which an empty piece says that the model is still at work.
HEARTBEAT = 16
# Prefixes are compared within a window, which takes time that grows with its square.
WINDOW_PROMPTS = 512


class SharingRunner:
    """Runs prompts through a model of `SHARING_FAMILIES`.

    Args:
        model: a transformers model in eval mode.
        processor: its processor.
        vision: its vision tower behind a cache.
        max_tokens: the text model's longest input.
    """

    shares = True

    def __init__(self, model: Model, processor: Processor, vision: VisionEncoder, max_tokens: int) -> None:
        self.model = model
        self.processor = processor
        self.vision = vision
        self.layout = Layout(model, processor, vision, max_tokens)
        self.passes = Passes(model, vision, self.layout.image_token)
        self.each = memory.TokenBytes.of(model)
        self.budget = Budget(lambda: memory.batch_bytes(model))

    @property
    def tokens_computed(self) -> int:
        """Tokens that went through the model so far, padding included; setting it begins to count anew."""
        return self.passes.tokens

    @tokens_computed.setter
    def tokens_computed(self, count: int) -> None:
        self.passes.tokens, self.passes.padding = count, 0

    @property
    def padding_computed(self) -> int:
        """Of `tokens_computed`, the padding."""
        return self.passes.padding

    def word_logits(self, rendered: Sequence[Rendered], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 [prompts, words]: the next-token logits of each prompt's candidate tokens."""
        result = np.empty((len(rendered), len(tokens[0])), dtype=np.float32)
        for window in self._windows(rendered):
            with reading(self.model, [token for index in window for token in tokens[index]]) as columns:
                logits = self._logits(self.layout.rows([rendered[index] for index in window]))
            for place, index in enumerate(window):
                result[index] = logits[place][[columns[token] for token in tokens[index]]]
        return result

    def _logits(self, rows: list[Row]) -> dict[int, np.ndarray]:
        """Next-token logits by row, float32 each."""
        groups = share([row.keys for row in rows])
        shared = [group for group in groups if group.length]
        apart = [group.members[0] for group in groups if not group.length]
        result: dict[int, np.ndarray] = {}
        # Half of what may be padded goes to the prefixes, what they leave to what follows them.
        lengths = [group.length for group in shared]
        joined = runs(lengths, MOST_PADDING / 2 * sum(lengths))
        allowance = MOST_PADDING * sum(lengths) - padding(lengths, joined)
        # Half of the budget is left for what follows the prefixes, on copies of their caches.
        for batch in packed(lengths, joined, lambda *size: 2 * self._prefix_bytes(*size) <= self.budget.bytes()):
            part = allowance * sum(lengths[place] for place in batch) / sum(lengths)
            for logits in self._halving(
                    partial(self._together, rows, part), [shared[place] for place in batch],
                    lambda some: 2 * self._prefix_bytes(len(some), max(group.length for group in some))):
                result.update(logits)
        lengths = [len(rows[index]) for index in apart]
        joined = runs(lengths, MOST_PADDING * sum(lengths))
        for batch in packed(lengths, joined, lambda *size: self.each.activations(*size) <= self.budget.bytes()):
            result.update(self._halving(
                partial(self._alone, rows), [apart[place] for place in batch],
                lambda some: self.each.activations(len(some), max(len(rows[index]) for index in some))))
        return result

    def _halving(self, run: Callable[[list[Item]], list[Result]], items: list[Item], cost: Callable[[list[Item]], int],
                 ) -> list[Result]:
        """`halving`, which tells the budget what fitted; `cost` gives the bytes of a part."""
        return halving(run, items, "one prompt", lambda part: self.budget.learn(cost(part)), self.vision.shed)

    def _prefix_bytes(self, count: int, width: int) -> int:
        return count * self.each.cache(width) + self.each.activations(count, width)

    def _alone(self, rows: list[Row], members: list[int]) -> list[tuple[int, np.ndarray]]:
        logits = self.passes.prefill([rows[index] for index in members], cached=False).logits
        return list(zip(members, logits.float().cpu().numpy(), strict=True))

    def _together(self, rows: list[Row], allowance: float, groups: list[Group]) -> list[dict[int, np.ndarray]]:
        """Next-token logits by row, a group at a time: their prefixes in one pass, and what follows in batches.

        Args:
            allowance: tokens of padding, beyond the share of the tokens that follow the prefixes.
        """
        longest = max(group.length for group in groups)
        state = self.passes.prefill([rows[group.members[0]] for group in groups], cached=True,
                                    stops=[group.length for group in groups])
        cache_size = len(groups) * self.each.cache(longest)

        def cost(count: int, width: int) -> int:
            return cache_size + count * self.each.cache(longest + width) + self.each.activations(count, width, longest)

        jobs = [(number, index) for number, group in enumerate(groups) for index in group.members]
        lengths = [len(rows[index]) - groups[number].length for number, index in jobs]
        result: list[dict[int, np.ndarray]] = [{} for _ in groups]
        joined = runs(lengths, allowance + MOST_PADDING * sum(lengths))
        for batch in packed(lengths, joined, lambda *size: cost(*size) <= self.budget.bytes()):
            batch_jobs = [(*jobs[place], lengths[place]) for place in batch]
            logits = self._halving(partial(self._following, rows, groups, state), batch_jobs,
                                   lambda part: cost(len(part), max(length for *_, length in part)))
            for (number, index, _), values in zip(batch_jobs, logits, strict=True):
                result[number][index] = values
        return result

    def _following(self, rows: list[Row], groups: list[Group], state: Prefilled, jobs: list[tuple[int, int, int]]
                   ) -> list[np.ndarray]:
        owner = [number for number, *_ in jobs]
        logits = self.passes.proceed(state, owner, [rows[index] for _, index, _ in jobs],
                                     [groups[number].length for number in owner])
        return list(logits.float().cpu().numpy())

    def generate(self, rendered: Sequence[Rendered], n: int, sampling: Sampling) -> list[list[str]]:
        """`n` continuations of each prompt; each prompt goes through the model once, sample i uses the seed plus i.

        Batches are as wide as the memory allows whatever the padding: every step reads all weights, so hundreds of
        steps with half of the rows would cost more than some padding in the one pass over the prompts.
        """
        texts: list[list[str]] = [[""] * n for _ in rendered]
        for window in self._windows(rendered):
            rows = self.layout.rows([rendered[index] for index in window])
            for (index, sample), text in self._samples(rows, n, sampling):
                texts[window[index]][sample] = text
        return texts

    def _samples(self, rows: list[Row], n: int, sampling: Sampling) -> Iterator[tuple[tuple[int, int], str]]:
        """((row, sample), text) of n samples per row."""

        def fits(count: int, width: int) -> bool:
            return count * n * self._sample_bytes(width, sampling) <= self.budget.bytes()

        lengths = [len(row) for row in rows]
        for batch in packed(lengths, runs(lengths, math.inf), fits):
            yield from self._drawn(rows, [(index, sample) for index in sorted(batch) for sample in range(n)], sampling)

    def _drawn(self, rows: list[Row], jobs: list[tuple[int, int]], sampling: Sampling
               ) -> Iterator[tuple[tuple[int, int], str]]:
        """((row, sample), text) of the jobs, in as few batches as the memory allows."""

        def cost(jobs: list[tuple[int, int]]) -> int:
            return len(jobs) * self._sample_bytes(max(len(rows[index]) for index, _ in jobs), sampling)

        most = self._most_samples(max(len(rows[index]) for index, _ in jobs), sampling)
        for start in range(0, len(jobs), most):
            part = jobs[start : start + most]
            yield from zip(part, self._halving(partial(self._sample, rows, sampling), part, cost), strict=True)

    def _most_samples(self, width: int, sampling: Sampling) -> int:
        """How many samples of prompts of so many tokens may be drawn side by side."""
        return max(1, self.budget.bytes() // self._sample_bytes(width, sampling))

    def _sample_bytes(self, width: int, sampling: Sampling) -> int:
        """One sample of a prompt of so many tokens, at its longest."""
        width += sampling.max_new_tokens
        return self.each.cache(width) + width * self.each.expanded + self.each.vocabulary

    def sample(self, rendered: Rendered, n: int, sampling: Sampling) -> Generator[str, None, list[str]]:
        """As `LMM.sample`; nothing is computed beyond the piece that was asked for."""
        rows = self.layout.rows([rendered])
        most = min(n, self._most_samples(len(rows[0]), sampling))
        streamed: list[str] = []
        while True:
            try:
                texts = yield from self._side_by_side(rows, most, sampling, streamed)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if most == 1:
                    raise shortage("one prompt") from error
            # Outside the except block, whose traceback would keep the batch's tensors alive. The same seeds give the
            # same texts, so what was told stays told.
            release(self.vision.shed)
            most = (most + 1) // 2
        left = [(0, sample) for sample in range(most, n)]
        for _, text in self._drawn(rows, left, sampling) if left else ():
            texts.append(text)
            yield ""
        return texts

    def _side_by_side(self, rows: list[Row], count: int, sampling: Sampling, streamed: list[str]
                      ) -> Generator[str, None, list[str]]:
        """The first samples of one prompt; yields what follows `streamed` of the very first, and adds it there."""
        skip = sum(map(len, streamed))
        pieces = TextPieces(self.processor.tokenizer)
        tokens: list[list[int]] = [[] for _ in range(count)]
        jobs = [(0, sample) for sample in range(count)]

        def fresh(text: str) -> str:
            nonlocal skip
            fresh, skip = text[skip:], max(skip - len(text), 0)
            if fresh:
                streamed.append(fresh)
            return fresh

        settled = False
        for number, step in enumerate(self._steps(rows, jobs, sampling)):
            for job, token in step.items():
                tokens[job].append(token)
            if 0 in step:
                if text := fresh(pieces.add(step[0])):
                    yield text
            elif not settled:
                settled = True
                yield fresh(pieces.rest())
            elif number % HEARTBEAT == 0:
                yield ""
        if not settled:
            yield fresh(pieces.rest())
        others = [self.processor.tokenizer.decode(ids, skip_special_tokens=True) for ids in tokens[1:]]
        return ["".join(streamed), *others]

    def _sample(self, rows: list[Row], sampling: Sampling, jobs: list[tuple[int, int]]) -> list[str]:
        tokens: list[list[int]] = [[] for _ in jobs]
        for step in self._steps(rows, jobs, sampling):
            for job, token in step.items():
                tokens[job].append(token)
        return [self.processor.tokenizer.decode(ids, skip_special_tokens=True) for ids in tokens]

    def _steps(self, rows: list[Row], jobs: list[tuple[int, int]], sampling: Sampling) -> Iterator[dict[int, int]]:
        """The tokens of (row, sample) jobs, a step at a time: each prompt is read once, its cache repeated."""
        import torch

        needed = sorted({index for index, _ in jobs})
        state = self.passes.prefill([rows[index] for index in needed], cached=True)
        row_numbers = torch.tensor([needed.index(index) for index, _ in jobs], device=self.model.device)
        if len(jobs) != len(needed):
            cache = cache_rows(state.cache, row_numbers)
            state = Prefilled(state.logits[row_numbers], cache, state.mask[row_numbers],
                              state.next_positions[row_numbers])
        draw = Draw(sampling, [sample for _, sample in jobs], self.model.device)
        yield from decode(self.model, state, draw, self._stops(), sampling)

    def _stops(self) -> set[int]:
        """Tokens that end an answer: what the checkpoint's generation config and the tokenizer say."""
        configured = self.model.generation_config.eos_token_id
        stops = set(configured if isinstance(configured, list) else [configured])
        return (stops | {self.processor.tokenizer.eos_token_id}) - {None}

    def _windows(self, rendered: Sequence[Rendered]) -> Iterator[list[int]]:
        """Positions of consecutive prompts whose encoder outputs fit into the window, or of one prompt alone."""
        most = memory.window_bytes(self.model)
        window: list[int] = []
        images: dict[int, int] = {}
        for index, one in enumerate(rendered):
            own = {id(image): self.vision.tokens(image.size) * self.each.encoding for image in one.images}
            if window and (sum((images | own).values()) > most or len(window) == WINDOW_PROMPTS):
                yield window
                window, images = [], {}
            window.append(index)
            images |= own
        if window:
            yield window
