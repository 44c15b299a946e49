"""Logits of a few candidate words in float32, whatever the precision of the model.

A bfloat16 head rounds a logit near 20 to steps of 0.125, which is .03 of a score at even odds, so photos tie that a
finer head tells apart. The last hidden state is taken where the model hands it to its output embedding, and multiplied
with the rows of the candidates alone, in float32. Whatever the model does to its logits afterwards (Gemma's soft cap,
Cohere's scale) it does to these, and the product with the whole vocabulary is spared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model


def is_readable(model: Model) -> bool:
    """Whether the candidates' rows can be taken from the model's output embedding.

    False for one that is quantised, adapted, or moved away between passes: its own logits are then read as they are.
    """
    import torch

    head = model.get_output_embeddings()
    return type(head) is torch.nn.Linear and head.weight.is_floating_point() and not head.weight.is_meta


@contextlib.contextmanager
def reading(model: Model, tokens: Sequence[int]) -> Iterator[dict[int, int]]:
    """While the context is open, the model's forward returns float32 logits of these tokens only.

    Args:
        model: a transformers model with an output embedding; no other thread may run it meanwhile.
        tokens: of the vocabulary; repeats count once.

    Yields:
        the column of each token in the logits. Where the head is not readable, the logits are the model's own, of the
        whole vocabulary, and each token is its own column.
    """
    import torch

    wanted = sorted(set(tokens))
    if not is_readable(model):
        yield {token: token for token in wanted}
        return
    head = model.get_output_embeddings()
    rows = head.weight[wanted].float()
    bias = None if head.bias is None else head.bias[wanted].float()

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        with torch.autocast(rows.device.type, enabled=False):
            return torch.nn.functional.linear(hidden.to(rows.device).float(), rows, bias)

    # What device hooks of accelerate have put on the module itself comes back afterwards.
    before = vars(head).get("forward")
    head.forward = forward
    try:
        yield {token: column for column, token in enumerate(wanted)}
    finally:
        if before is None:
            del head.forward
        else:
            head.forward = before
