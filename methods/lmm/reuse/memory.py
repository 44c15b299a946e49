"""What a token takes, in bytes, read off a model's config; and how much memory there is to plan with.

Three things compete for what the weights leave free: encoder outputs that are kept across calls (the vision cache),
those of the prompts that are worked on together (a window), and one batch with its KV cache and activations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model

# Of the device memory that is free when it is asked for. What the plan does not see takes the rest.
CACHE_SHARE = 0.1
WINDOW_SHARE = 0.15
BATCH_SHARE = 0.5
TOWER_SHARE = 0.3

# On a CPU memory is no constraint at these sizes, but a longer batch saves nothing once the cores are busy, and its
# activations leave the caches.
CPU_CACHE_BYTES = 256 * 2**20
CPU_WINDOW_BYTES = 2**30
CPU_TOKENS = 16_384
_CPU_WIDTH = 1024


@dataclass(frozen=True)
class TokenBytes:
    """Bytes per token, of one model in its precision.

    Attributes:
        layer: keys and values of one token in one layer.
        windows: for each layer, the most tokens whose keys and values it keeps; None for all.
        passing: activations while one layer works on a token: hidden states, the gated MLP, attention.
        expanded: keys and values of one attended token, repeated for every head, while one layer works.
        encoding: encoder output of one image token, with the features for deeper layers.
        vocabulary: one row of logits while a token is drawn from it.
    """

    layer: int
    windows: tuple[int | None, ...]
    passing: int
    expanded: int
    encoding: int
    vocabulary: int

    @classmethod
    def of(cls, model: Model) -> TokenBytes:
        """Of a transformers image-text-to-text model."""
        text = model.config.get_text_config()
        vision = getattr(model.config, "vision_config", None)
        heads = text.num_attention_heads
        width = getattr(text, "head_dim", None) or text.hidden_size // heads
        size = model.dtype.itemsize
        kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
        window = getattr(text, "sliding_window", None)
        deep = len(getattr(vision, "deepstack_visual_indexes", None) or ())
        return cls(
            layer=2 * (getattr(text, "num_key_value_heads", None) or heads) * width * size,
            windows=tuple(window - 1 if kind == "sliding_attention" and window else None for kind in kinds),
            passing=size * (8 * text.hidden_size + 3 * text.intermediate_size),
            expanded=2 * heads * width * size,
            encoding=(1 + deep) * text.hidden_size * size,
            # Scores, their softmax and a sorted copy with its indices.
            vocabulary=4 * 5 * text.vocab_size,
        )

    def cache(self, tokens: int) -> int:
        """The KV cache of one row of so many tokens."""
        return self.layer * sum(tokens if most is None else min(tokens, most) for most in self.windows)

    def activations(self, rows: int, width: int, before: int = 0) -> int:
        """What one pass over [rows, width] tokens takes while it runs, its KV cache apart.

        Args:
            before: tokens per row whose keys and values are in the cache already.
        """
        attended = before + width
        # Rows of one batch have an attention mask, [width, attended] of bool and of the model's dtype.
        mask = 3 * attended if rows > 1 else 0
        return rows * (width * (self.passing + mask) + before * self.expanded)


def patch_bytes(model: Model) -> int:
    """Activations of one patch while one layer of the vision tower works on it; 0 where its config does not say."""
    vision = getattr(model.config, "vision_config", None)
    hidden, wide = getattr(vision, "hidden_size", None), getattr(vision, "intermediate_size", None)
    if not isinstance(hidden, int) or not isinstance(wide, int):
        return 0
    return int(model.dtype.itemsize * (8 * hidden + 2 * wide))


def patches(model: Model, pixels: torch.Tensor) -> int:
    """Patches in a tensor of pixels, whatever its shape."""
    vision = model.config.vision_config
    side = getattr(vision, "patch_size", None) or 1
    area = math.prod(side) if isinstance(side, (list, tuple)) else side * side
    per_patch = area * getattr(vision, "num_channels", getattr(vision, "in_channels", 3)) \
        * getattr(vision, "temporal_patch_size", 1)
    return -(-pixels.numel() // max(int(per_patch), 1))


def free_bytes(model: Model) -> int | None:
    """Device memory that this process may still take, of the fullest device that holds the model; None on a CPU."""
    import torch

    devices = set((getattr(model, "hf_device_map", None) or {}).values()) | {model.device}
    cuda = {torch.device("cuda", device) if isinstance(device, int) else torch.device(device) for device in devices}
    free = []
    for device in {device for device in cuda if device.type == "cuda"}:
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free.append(torch.cuda.mem_get_info(device)[0] + unused)
    return min(free, default=None)


def cache_bytes(model: Model) -> int:
    """How much encoder output is kept across calls."""
    free = free_bytes(model)
    return CPU_CACHE_BYTES if free is None else int(CACHE_SHARE * free)


def window_bytes(model: Model) -> int:
    """How much encoder output the prompts that are worked on together may have."""
    free = free_bytes(model)
    return CPU_WINDOW_BYTES if free is None else int(WINDOW_SHARE * free)


def tower_bytes(model: Model) -> int | None:
    """What one pass of the vision tower may take; None where nothing limits it."""
    free = free_bytes(model)
    return None if free is None else int(TOWER_SHARE * free)


def batch_bytes(model: Model) -> int:
    """What one batch may take: its KV cache and its activations."""
    free = free_bytes(model)
    if free is not None:
        return int(BATCH_SHARE * free)
    each = TokenBytes.of(model)
    return CPU_TOKENS * each.cache(1) + each.activations(CPU_TOKENS // _CPU_WIDTH, _CPU_WIDTH)
