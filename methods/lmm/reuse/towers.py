"""Vision towers as they run soonest on a CPU: the same arithmetic with fewer passes over the memory."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from methods.lmm.cpu import in_strips

if TYPE_CHECKING:
    from methods.lmm.loaded import Model

Tower = TypeVar("Tower", bound="Model")

LARGE = 2_000_000
"""Widened activations of a map that no longer fits a core's share of the cache."""

ROWS = 16
"""Rows of the output at a time, of such a map."""

VECTOR = 16
"""Channels in one register of the widest processors."""


def fused_tower(model: Tower) -> Tower:
    """A copy of an EfficientNet of transformers for inference only: the same output in two thirds of the time.

    Batch norms are folded into the convolutions before them, activations overwrite their input, and squeeze-excite
    gates that are always open are left out. Outputs agree to float32 rounding.

    Args:
        model: an EfficientNetModel in evaluation mode; it is not changed.
    """
    fast = copy.deepcopy(model).requires_grad_(False)
    encoder = fast.encoder
    pairs = [(fast.embeddings, "convolution", "batchnorm"), (encoder, "top_conv", "top_bn")]
    for block in encoder.blocks:
        if _always_open(block.squeeze_excite):
            block.squeeze_excite = torch.nn.Identity()
        if block.expand:
            pairs.append((block.expansion, "expand_conv", "expand_bn"))
        pairs += [(block.depthwise_conv, "depthwise_conv", "depthwise_norm"),
                  (block.projection, "project_conv", "project_bn")]
    for owner, convolution, norm in pairs:
        setattr(owner, convolution, fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm)))
        setattr(owner, norm, torch.nn.Identity())
    for module in fast.modules():
        if isinstance(module, torch.nn.ReLU6 | torch.nn.SiLU):
            module.inplace = True
    laid_out: Tower = fast.to(memory_format=torch.channels_last)
    return laid_out


class TrimmedBlock(torch.nn.Module):
    """A block of a fused EfficientNet without the channels that carry nothing, a strip at a time where it is large.

    A widened channel that the projection ignores, and an input that the expansion ignores, change no output.

    Args:
        block: an EfficientNetBlock of what `fused_tower` returns, without gate.
    """

    def __init__(self, block: Model) -> None:
        super().__init__()
        depthwise, project = block.depthwise_conv, block.projection
        conv, squeeze = depthwise.depthwise_conv, project.project_conv
        width = conv.kernel_size[0]
        pad = depthwise.depthwise_conv_pad.padding if depthwise.stride == 2 else (width // 2,) * 4
        self.padding = tuple(pad)
        self.skips = project.apply_dropout
        self.activation = depthwise.depthwise_act
        self.expand = None
        self.register_buffer("inputs", None, persistent=False)
        if not block.expand:
            self.depthwise, self.project = conv, squeeze
            return
        alive = _in_full_vectors(squeeze.weight.flatten(1).any(0))
        expand = block.expansion.expand_conv
        sources = _in_full_vectors(expand.weight[alive].flatten(1).any(0))
        self.expand = _part(expand, alive, sources)
        self.depthwise = _part(conv, alive, None)
        self.project = _part(squeeze, None, alive)
        if not sources.all():
            self.inputs = sources.nonzero().flatten()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[n, c, H, W] to the block's output, as the block gives it."""
        inputs = maps if self.inputs is None else maps.index_select(1, self.inputs)
        wide = maps.shape[2] * maps.shape[3] * self.depthwise.in_channels
        out = in_strips(inputs, ROWS if wide > LARGE else maps.shape[2], self._widen, self.depthwise,
                        lambda wide: self.project(self.activation(wide)), self.padding)
        return out + maps if self.skips else out

    def _widen(self, maps: torch.Tensor) -> torch.Tensor:
        return maps if self.expand is None else self.activation(self.expand(maps))


def _in_full_vectors(alive: torch.Tensor) -> torch.Tensor:
    """Fills the mask up to a multiple of the processor's vector width, with the first channels that were dropped. One
    channel fewer can be slower than a full vector."""
    missing = -int(alive.sum()) % VECTOR
    return alive | (~alive & ((~alive).cumsum(0) <= missing))


def _part(conv: Model, outputs: torch.Tensor | None, inputs: torch.Tensor | None) -> torch.nn.Conv2d:
    """A convolution with some of its outputs and inputs, bool masks; None keeps all. Depthwise ones have no inputs."""
    weight, bias = conv.weight, conv.bias
    if outputs is not None:
        weight, bias = weight[outputs], bias[outputs]
    if inputs is not None:
        weight = weight[:, inputs]
    part = torch.nn.Conv2d(weight.shape[1] if conv.groups == 1 else len(weight), len(weight), conv.kernel_size,
                           conv.stride, 0, groups=1 if conv.groups == 1 else len(weight))
    part.weight, part.bias = torch.nn.Parameter(weight.detach().clone()), torch.nn.Parameter(bias.detach().clone())
    return part.requires_grad_(False)


def _always_open(gate: Model) -> bool:
    """Whether a squeeze-excite gate multiplies by exactly 1, whatever the image."""
    return not gate.expand.weight.any() and bool((gate.expand.bias.sigmoid() == 1).all())


def with_fast_tower(base: Model) -> Model:
    """The base of an LMM as it is, with a tower of `fused_tower` and trimmed blocks where it is an EfficientNet.

    Args:
        base: a transformers model with `get_image_features`, on the CPU in float32. Its other weights are shared, and
            it is not changed, so that it saves and trains as before; later changes of its tower do not reach what is
            returned.
    """
    from transformers import EfficientNetModel

    tower = getattr(base, "vision_tower", None)
    if not isinstance(tower, EfficientNetModel) or tower.training or tower.dtype != torch.float32:
        return base
    quick: Model = fused_tower(tower)
    for number, block in enumerate(quick.encoder.blocks):
        if isinstance(block.squeeze_excite, torch.nn.Identity):
            quick.encoder.blocks[number] = TrimmedBlock(block)
    fast = copy.copy(base)
    fast._modules = {**base._modules, "vision_tower": quick.to(memory_format=torch.channels_last)}
    return fast
