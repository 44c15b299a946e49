"""Counts what a model really computes, by hooks on its passes, and what the asked prompts would need at least."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.flops import Counted, text_floor
from methods.lmm.reuse.vision import content_key
from methods.lmm.transformers_lmm import TransformersLMM

TOWERS = ("visual", "vision_tower")


class Counter:
    """The work of everything that runs within `counting`.

    Attributes:
        done: what went through the model.
        prompts: what the methods asked, as (rendered prompts, samples, new tokens); 0 samples for candidate words.
    """

    def __init__(self) -> None:
        self.done = Counted()
        self.prompts: list[tuple[list[Any], int, int]] = []

    def on_text(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Before a pass of the whole model: [rows, width] new tokens after what is in the cache."""
        ids = kwargs.get("input_ids")
        ids = kwargs["inputs_embeds"] if ids is None else ids
        rows, width = ids.shape[:2]
        mask = kwargs.get("attention_mask")
        length = width if mask is None else mask.shape[-1]
        padding = 0 if mask is None else int((mask[:, -width:] == 0).sum())
        before = length - width
        pairs = rows * (width * before + width * (width + 1) // 2)
        self.done += Counted(tokens=rows * width, padding=padding, pairs=pairs)

    def on_head(self, module: Any, args: Any) -> None:
        """Before the output layer, unless a few candidates' rows stand in its place."""
        if "forward" not in vars(module):
            self.done += Counted(logits=args[0].shape[:-1].numel())

    def on_vision(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Before a pass of the tower: patches with the grids of their images, or tiles."""
        grid = kwargs.get("grid_thw")
        grid = args[1] if grid is None and len(args) > 1 else grid
        if grid is not None:
            sizes = grid.prod(dim=-1).tolist()
            self.done += Counted(patches=sum(sizes), vision_pairs=sum(size * size for size in sizes))
            return
        pixels = kwargs["pixel_values"] if "pixel_values" in kwargs else args[0]
        tile = (pixels.shape[-1] // module.config.patch_size[0]) ** 2
        self.done += Counted(patches=len(pixels) * tile, vision_pairs=len(pixels) * (tile + 1) ** 2)


@contextlib.contextmanager
def counting(lmm: TransformersLMM) -> Iterator[Counter]:
    """While it lasts, the counter sees every pass of the LMM's model and every prompt that it is asked."""
    counter = Counter()
    base = lmm.model.model
    tower = next(getattr(base, name) for name in TOWERS if hasattr(base, name))
    hooks = [base.register_forward_pre_hook(counter.on_text, with_kwargs=True),
             tower.register_forward_pre_hook(counter.on_vision, with_kwargs=True),
             lmm.model.get_output_embeddings().register_forward_pre_hook(counter.on_head)]
    runner = lmm._runner
    words, texts = runner.word_logits, runner.generate

    @functools.wraps(words)
    def word_logits(rendered: Sequence[Any], tokens: Any) -> Any:
        counter.prompts.append((list(rendered), 0, 0))
        return words(rendered, tokens)

    @functools.wraps(texts)
    def generate(rendered: Sequence[Any], n: int, sampling: Any) -> Any:
        counter.prompts.append((list(rendered), n, sampling.max_new_tokens))
        return texts(rendered, n, sampling)

    runner.word_logits, runner.generate = word_logits, generate
    try:
        yield counter
    finally:
        del runner.word_logits, runner.generate
        for hook in hooks:
            hook.remove()


def floor(lmm: TransformersLMM, prompts: Sequence[tuple[list[Any], int, int]], kept: set[str]) -> tuple[Counted, int]:
    """The least work that answers the prompts, and the tokens of the same prompts one at a time.

    Prefixes are looked for among the prompts of one call, which are known together.

    Args:
        kept: hashes of images that were encoded before and whose encodings may be kept.
    """
    from methods.lmm.plain import PlainRunner

    plain = PlainRunner(lmm.model, lmm.processor)
    image_token = lmm.model.config.image_token_id
    least, naive = Counted(), 0
    patches = dict.fromkeys(kept, Counted())
    for rendered, samples, new in prompts:
        rows = []
        for one in rendered:
            inputs = plain.inputs(one)
            names = [content_key(image) for image in one.images]
            rows.append(_keys(inputs["input_ids"][0].tolist(), image_token, names))
            naive += len(rows[-1]) * max(samples, 1)
            for name, counted in zip(names, _images(inputs, lmm.model.config, len(names)), strict=True):
                if name not in patches:
                    patches[name] = counted
                    least += counted
        least += text_floor(rows)
        for row in rows:
            # The first new token comes of the prompt's own pass.
            steps = samples * max(new - 1, 0)
            least += Counted(tokens=steps, logits=steps + min(samples, 1),
                             pairs=samples * sum(len(row) + step for step in range(1, new)))
    return least, naive


def _keys(ids: list[int], image_token: int, names: Sequence[str]) -> list[Any]:
    """Token ids, an image's tokens told apart by its content and their place in it."""
    keys: list[Any] = []
    number, place = -1, 0
    for before, token in zip([None, *ids], ids):
        if token != image_token:
            keys.append(token)
            continue
        number, place = (number, place + 1) if before == image_token else (number + 1, 0)
        keys.append((names[number], place))
    return keys


def _images(inputs: dict[str, Any], config: Any, count: int) -> list[Counted]:
    if not count:
        return []
    if "image_grid_thw" in inputs:
        sizes = inputs["image_grid_thw"].prod(dim=-1).tolist()
        return [Counted(patches=size, vision_pairs=size * size) for size in sizes]
    tile = (config.vision_config.image_size[0] // config.vision_config.patch_size[0]) ** 2
    # Images of one prompt are tiled alike here: the benchmark's photos have one shape.
    tiles = len(inputs["pixel_values"]) // count
    return [Counted(patches=tiles * tile, vision_pairs=tiles * (tile + 1) ** 2) for _ in range(count)]
