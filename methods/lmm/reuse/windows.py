"""The attention of Qwen's vision towers in few calls: windows of one length go through together.

Qwen2.5-VL's tower attends within windows of 8 x 8 patches, and transformers runs one attention call a window and layer
where no flash attention is installed: 27,220 for a photo of 12 megapixels. All windows but those at the right and lower
edge are alike, so they are one batch, and a layer takes at most four calls. The same holds for several images of one
size, which attend each within itself.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model

# transformers hands all windows over in one call to whatever has "flash" in its name.
_NAME = "sdpa_instead_of_flash"

_Groups: TypeAlias = "list[tuple[int, torch.Tensor | None]]"
_known: ContextVar[dict[int, tuple[torch.Tensor, _Groups]] | None] = ContextVar("known", default=None)


@contextlib.contextmanager
def few_calls(base: Model) -> Iterator[None]:
    """While it lasts, the vision tower of a transformers model attends in batches of windows of one length.

    Nothing changes for a tower of another kind, or one for which another attention than sdpa was chosen.

    Args:
        base: the model without its head; no other thread may run its tower meanwhile.
    """
    config: Any = getattr(getattr(base, "visual", None), "config", None)
    if getattr(config, "_attn_implementation", None) != "sdpa" or not _is_windowed(base.visual):
        yield
        return
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(_NAME, attention)
    token = _known.set({})
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = "sdpa"
        _known.reset(token)


def _is_windowed(tower: Model) -> bool:
    blocks: Any = getattr(tower, "blocks", None)
    return bool(blocks) and "cu_seqlens" in inspect.signature(type(blocks[0].attn).forward).parameters


def groups(bounds: list[int]) -> list[tuple[int, list[int]]]:
    """Windows by length, the longest first: (length, where each begins).

    Args:
        bounds: where each window begins, and the end.
    """
    starts: dict[int, list[int]] = {}
    for start, stop in itertools.pairwise(bounds):
        if stop > start:
            starts.setdefault(stop - start, []).append(start)
    return sorted(starts.items(), reverse=True)


def attention(module: Model, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: None = None,
              *, cu_seq_lens_q: torch.Tensor, scaling: float | None = None, dropout: float = 0.0, **others: object
              ) -> tuple[torch.Tensor, None]:
    """As transformers' attention functions: [1, heads, tokens, width] each to [1, tokens, heads, width].

    Args:
        cu_seq_lens_q: where each window begins, and the end.
    """
    import torch.nn.functional as F

    heads, tokens = query.shape[1:3]
    result = query.new_empty(tokens, heads, value.shape[-1])
    for length, places in _groups(cu_seq_lens_q):
        batch = [part[0] if places is None else part[0, :, places] for part in (query, key, value)]
        # [heads, windows x length, width] to [windows, heads, length, width].
        q, k, v = (part.unflatten(1, (-1, length)).transpose(0, 1) for part in batch)
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
        out = out.transpose(1, 2).flatten(0, 1)
        if places is None:
            return out[None], None
        result[places] = out
    return result[None], None


def _groups(bounds: torch.Tensor) -> _Groups:
    """(length, places of the windows' tokens) of each group; places are None where one group holds all in order."""
    import torch

    known = _known.get()
    if known is not None and id(bounds) in known:
        return known[id(bounds)][1]
    made: _Groups = []
    buckets = groups(bounds.tolist())
    for length, starts in buckets:
        places = None
        if len(buckets) > 1:
            first = torch.tensor(starts, device=bounds.device)
            places = (first[:, None] + torch.arange(length, device=bounds.device)).flatten()
        made.append((length, places))
    if known is not None:
        # Every layer asks with the same tensor; kept with it, so that its id is not given to another.
        known[id(bounds)] = (bounds, made)
    return made
