"""What makes a convolutional vision tower several times faster on a CPU.

glibc hands every large block back to the system as soon as it is freed, so each layer's activations are page-faulted
in anew; with raised thresholds they stay. oneDNN's convolutions run faster on channels-last tensors. And a batch norm
behind a convolution reads and writes all of its output once more for what the weights can say as well.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

# Constants of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 256 * 2**20
_TOWER_CONVOLUTIONS = 4


@functools.cache
def keep_freed_memory() -> bool:
    """Raises glibc's mmap and trim thresholds to 256 MiB, once a process.

    Returns:
        True where glibc took both, False on other systems, where nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        # musl has no mallopt and keeps no such thresholds.
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def channels_last(model: Any) -> bool:
    """Lays a convolutional tower's weights out channels-last, in place.

    Returns:
        True if the model has such a tower. A transformer's one patch embedding is not worth the conversion.
    """
    import torch

    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    if len(convolutions) < _TOWER_CONVOLUTIONS:
        return False
    for module in convolutions:
        module.to(memory_format=torch.channels_last)
    return True


def fold_batch_norms(model: Any) -> int:
    """Folds an EfficientNet's batch norms into its convolutions and takes out gates that are always open, in place.

    The output stays the same but for rounding. What is left can no longer be trained or saved as the checkpoint it was.

    Args:
        model: in evaluation mode; any EfficientNet inside it is treated.

    Returns:
        the number of batch norms folded.
    """
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from transformers import EfficientNetModel

    folded = 0
    for tower in (module for module in model.modules() if isinstance(module, EfficientNetModel)):
        pairs = [(tower.embeddings, "convolution", "batchnorm"), (tower.encoder, "top_conv", "top_bn")]
        for block in tower.encoder.blocks:
            if _always_open(block.squeeze_excite):
                block.squeeze_excite = torch.nn.Identity()
            if block.expand:
                pairs.append((block.expansion, "expand_conv", "expand_bn"))
            pairs += [(block.depthwise_conv, "depthwise_conv", "depthwise_norm"),
                      (block.projection, "project_conv", "project_bn")]
        for owner, convolution, norm in pairs:
            setattr(owner, convolution, fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm)))
            setattr(owner, norm, torch.nn.Identity())
        folded += len(pairs)
    return folded


def _always_open(gate: Any) -> bool:
    """Whether a squeeze-and-excitation block multiplies by one whatever it sees."""
    import torch

    if isinstance(gate, torch.nn.Identity):
        return False
    last = gate.expand
    return bool((last.weight == 0).all() and (torch.sigmoid(last.bias.float()) == 1).all())
