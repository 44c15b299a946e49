"""The token loop of generation on a KV cache that is already filled.

transformers' own `generate` draws every sample of a batch from one random stream, so a text would depend on its
neighbours; here each row has its own generator. Rows that have ended leave the batch, so one long answer does not
make the others pay.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from methods import patience
from methods.lmm.sampling import Draw, Sampling

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model


@dataclass
class Prefilled:
    """Rows after their first pass.

    Attributes:
        logits: float [rows, vocabulary], for the token after each row.
        cache: the KV cache.
        mask: int64 [rows, tokens so far], 0 where padding stands.
        next_positions: int64 [rows], the position of each row's next token.
    """

    logits: torch.Tensor
    cache: Any
    mask: torch.Tensor
    next_positions: torch.Tensor


def decode(model: Model, state: Prefilled, draw: Draw, stops: set[int], sampling: Sampling) -> Iterator[dict[int, int]]:
    """Yields the tokens of one step at a time, by row; rows that have ended are left out.

    Args:
        model: the transformers model whose cache `state` holds.
        state: the prompts after their first pass; used up.
        draw: picks the tokens.
        stops: tokens that end a row; they are not yielded.
        sampling: how many tokens at most.
    """
    import torch

    alive = list(range(len(state.logits)))
    logits, mask, next_positions = state.logits, state.mask, state.next_positions
    three_axes = hasattr(model.model, "get_rope_index")
    for step in range(sampling.max_new_tokens):
        drawn_tokens = draw(alive, logits)
        tokens = drawn_tokens.tolist()
        unfinished = [place for place, token in enumerate(tokens) if token not in stops]
        if not unfinished:
            return
        # The rows of this step, before those that have ended are dropped.
        yield {alive[place]: tokens[place] for place in unfinished}
        if step + 1 == sampling.max_new_tokens:
            return
        if len(unfinished) < len(alive):
            places = torch.tensor(unfinished, device=mask.device)
            alive = [alive[place] for place in unfinished]
            state.cache = cache_rows(state.cache, places)
            drawn_tokens, mask, next_positions = drawn_tokens[places], mask[places], next_positions[places]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        positions = next_positions[:, None].expand(3, -1, -1) if three_axes else next_positions[:, None]
        patience.step()
        with torch.inference_mode():
            output = model(
                input_ids=drawn_tokens[:, None], attention_mask=mask, position_ids=positions,
                past_key_values=state.cache, use_cache=True, logits_to_keep=1,
            )
        logits, next_positions = output.logits[:, -1], next_positions + 1


def cache_rows(cache: Any, rows: torch.Tensor) -> Any:
    """A KV cache of some rows of another one, repeats allowed; the other one stays as it is."""
    subset = copy.copy(cache)
    # Tensors are shared until the selection makes new ones, layer by layer, each on its own device.
    subset.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in subset.layers:
        layer.batch_select_indices(rows.to(layer.keys.device))
    return subset
