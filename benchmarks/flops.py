"""Floating-point operations of an LMM, counted from its config, and the work that no way of scoring can do without.

A product of [m, k] and [k, n] is 2 m k n operations. Attention is counted by pairs of a query and a key that it may
see: 4 times the heads' width each, for both of its products. Norms, activations and softmax are left out, as in torch's
FlopCounterMode, to which a test holds these counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Counted:
    """Work of a model, in units that do not depend on its width.

    Attributes:
        tokens: through the text model, padding included.
        padding: of these, the padding.
        pairs: query and key in the text model's attention, a layer.
        patches: through the vision tower.
        vision_pairs: query and key in the tower's attention across a whole image (or tile), a layer.
        logits: rows of the whole vocabulary.
    """

    tokens: int = 0
    padding: int = 0
    pairs: int = 0
    patches: int = 0
    vision_pairs: int = 0
    logits: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def flops(config: Any, counted: Counted) -> int:
    """Operations of that work in a model of this config (Qwen3-VL, Qwen2.5-VL or InternVL)."""
    text, vision = config.get_text_config(), config.vision_config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    wide, narrow = text.num_attention_heads * head, text.num_key_value_heads * head
    layer = text.hidden_size * (2 * wide + 2 * narrow + 3 * text.intermediate_size)
    return (text.num_hidden_layers * (2 * layer * counted.tokens + 4 * wide * counted.pairs)
            + 2 * text.hidden_size * text.vocab_size * counted.logits + _vision(config, vision, counted))


def _vision(config: Any, vision: Any, counted: Counted) -> int:
    hidden, inner = vision.hidden_size, vision.intermediate_size
    if config.model_type == "internvl":
        side = vision.patch_size[0]
        tile = (vision.image_size[0] // side) ** 2
        # A tile's class token goes through the layers, not through the projector.
        through = counted.patches // tile * (tile + 1)
        layers = vision.num_hidden_layers * (2 * (4 * hidden * hidden + 2 * hidden * inner) * through
                                             + 4 * hidden * counted.vision_pairs)
        out = config.text_config.hidden_size
        projector = 2 * (4 * hidden * out + out * out) * (counted.patches // 4)
        return layers + projector + 2 * side * side * 3 * hidden * counted.patches
    products = 3 if config.model_type == "qwen2_5_vl" else 2
    linear = 2 * (4 * hidden * hidden + products * hidden * inner) * counted.patches * vision.depth
    whole = vision.depth
    near = 0
    if config.model_type == "qwen2_5_vl":
        whole = len(vision.fullatt_block_indexes)
        # In the other blocks a patch sees its window, 64 patches at most.
        near = (vision.depth - whole) * counted.patches * (vision.window_size // vision.patch_size) ** 2
    attention = 4 * hidden * (whole * counted.vision_pairs + near)
    mergers = 1 + len(getattr(vision, "deepstack_visual_indexes", None) or ())
    merged = 2 * (16 * hidden * hidden + 4 * hidden * vision.out_hidden_size) * (counted.patches // 4) * mergers
    patch = 2 * vision.in_channels * vision.temporal_patch_size * vision.patch_size**2 * hidden * counted.patches
    return linear + attention + merged + patch


def text_floor(rows: Iterable[list[Any]]) -> Counted:
    """The tokens that have to go through the text model: each distinct prefix's last token once.

    Args:
        rows: keys of the tokens of each prompt; equal keys after equal keys are equal hidden states.
    """
    known: dict[tuple[int, Any], int] = {}
    tokens = pairs = 0
    for row in rows:
        node = 0
        for position, key in enumerate(row):
            following = known.get((node, key))
            if following is None:
                following = known[node, key] = len(known) + 1
                tokens, pairs = tokens + 1, pairs + position + 1
            node = following
    return Counted(tokens=tokens, pairs=pairs)
