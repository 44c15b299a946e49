"""Makes torchvision importable where its compiled operators do not match the installed torch.

A CPU-only torch paired with the registry's torchvision fails at import with "operator torchvision::nms does not
exist", and transformers' fast image processors and sam2 fail with it. This module declares the two operators that
torchvision's Python code looks up and gives `nms` a plain torch kernel. Where torchvision works it does nothing.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_library = None


@functools.cache
def ensure_torchvision() -> bool:
    """Call before torchvision, sam2 or a transformers model class is imported.

    Returns:
        True if the operators had to be supplied, False if torchvision works by itself or is not installed.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return False
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    else:
        return False
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]
    _declare_operators()
    import torchvision.extension

    # torchvision's ops refuse to run unless its compiled library was found; ours is found by construction.
    torchvision.extension._has_ops = lambda: True
    return True


def _declare_operators() -> None:
    import torch

    global _library
    _library = torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.impl("nms", non_maximum_suppression, "CPU")


def non_maximum_suppression(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression in plain torch.

    Args:
        boxes: float [N, 4], (left, top, right, bottom).
        scores: float [N].
        iou_threshold: a box that overlaps a better one by more than this is dropped.

    Returns:
        int64 [M], indices of the boxes kept, best score first.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    suppressed = torch.zeros(len(boxes), dtype=torch.bool)
    survivors = []
    for index in range(len(boxes)):
        if suppressed[index]:
            continue
        survivors.append(index)
        rest = boxes[index + 1 :]
        low = torch.maximum(boxes[index, :2], rest[:, :2])
        high = torch.minimum(boxes[index, 2:], rest[:, 2:])
        overlap = (high - low).clamp(min=0).prod(dim=1)
        union = areas[index] + areas[index + 1 :] - overlap
        suppressed[index + 1 :] |= overlap > iou_threshold * union
    return order[torch.tensor(survivors, dtype=torch.long)]
