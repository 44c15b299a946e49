"""Batches as large as the memory allows: a budget in tokens, and halves where the budget was wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from methods.lmm.base import LMMError

Item = TypeVar("Item")
Result = TypeVar("Result")

# On a CPU a longer batch saves nothing once the cores are busy, and its activations leave the caches.
CPU_TOKENS = 16_384
# Of the free device memory, what one batch may plan with; the rest is for what the plan does not see.
GPU_SHARE = 0.5


def token_budget(model: Any) -> int:
    """Tokens, padding included, that one batch may hold on the model's device."""
    if model.device.type != "cuda":
        return CPU_TOKENS
    import torch

    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    size = torch.finfo(model.dtype).bits // 8
    cached = 2 * text.num_hidden_layers * heads * width * size
    # Hidden states, the gated MLP and attention of one layer at a time; the factor was taken generously.
    passing = size * (8 * text.hidden_size + 3 * text.intermediate_size)
    free, _ = torch.cuda.mem_get_info(model.device)
    reserved = torch.cuda.memory_reserved(model.device) - torch.cuda.memory_allocated(model.device)
    return max(1, int(GPU_SHARE * (free + reserved) / (cached + passing)))


def in_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Positions of `lengths` in batches whose padded size stays within the budget; longest first, so that rows of
    like length meet and the first batch is the one most likely to fail.

    A single item above the budget is a batch by itself.
    """
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    batch: list[int] = []
    for position in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def halving(run: Callable[[list[Item]], list[Result]], items: list[Item], what: str) -> list[Result]:
    """`run(items)`, or the same in halves for as long as the memory does not suffice.

    Args:
        run: gives one result an item, in order.
        items: at least one.
        what: names one item, for the error's sake.

    Raises:
        LMMError: a single item does not fit.
    """
    try:
        return run(items)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            raise LMMError(
                f"The memory does not suffice for {what}; choose a smaller model, a smaller picture or fewer "
                f"pictures in one prompt."
            ) from error
    # Outside the except block, whose traceback would keep the failed batch's tensors alive.
    _release()
    half = len(items) // 2
    return [*halving(run, items[:half], what), *halving(run, items[half:], what)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out, on the device or on the host."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
