"""What makes a convolutional vision tower several times faster on a CPU.

glibc hands every large block back to the system as soon as it is freed, so each layer's activations are page-faulted
in anew; with raised thresholds they stay. oneDNN's convolutions run faster on channels-last tensors. And several
images are done sooner with a core each than one after the other on all cores.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from methods import patience

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Model

Item = TypeVar("Item")
Result = TypeVar("Result")
Maps = Callable[["torch.Tensor"], "torch.Tensor"]

# Constants of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 256 * 2**20
_TOWER_CONVOLUTIONS = 4


@functools.cache
def keep_freed_memory() -> bool:
    """Raises glibc's mmap and trim thresholds to 256 MiB, once per process.

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


def channels_last(model: Model) -> bool:
    """Lays a convolutional tower's weights out channels-last, in place.

    Returns:
        True if the model has such a tower. A transformer's one patch embedding is not worth the conversion.
    """
    import torch

    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    if len(convolutions) < _TOWER_CONVOLUTIONS:
        return False
    for module in convolutions:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub leaves it out
    return True


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def in_strips(maps: torch.Tensor, rows: int, widen: Maps, depthwise: torch.nn.Conv2d, squeeze: Maps,
              padding: tuple[int, int, int, int]) -> torch.Tensor:
    """`squeeze(depthwise(widen(maps)))`, a few rows at a time, so that the widened rows stay in the cache.

    Args:
        maps: [n, c, H, W].
        rows: of the result, at a time.
        widen: works on each pixel by itself.
        depthwise: a Conv2d; its own padding does not count.
        squeeze: works on each pixel by itself.
        padding: zeros around the widened maps: left, right, top, bottom.
    """
    import torch
    import torch.nn.functional as F

    left, right, top, bottom = padding
    (kernel, _), (stride, _) = depthwise.kernel_size, depthwise.stride
    # What the convolution pads by itself is not copied.
    sides, own = ((0, 0), left) if left == right else ((left, right), 0)
    height = maps.shape[2]
    out_height = (height + top + bottom - kernel) // stride + 1
    strips = []
    for start in range(0, out_height, rows):
        stop = min(start + rows, out_height)
        low, high = start * stride - top, (stop - 1) * stride + kernel - top
        inner = widen(maps[:, :, max(low, 0) : min(high, height)])
        margins = (*sides, max(-low, 0), max(high - height, 0))
        if any(margins):
            inner = F.pad(inner, margins)
        strips.append(squeeze(F.conv2d(inner, depthwise.weight, depthwise.bias, stride, (0, own), 1,
                                       depthwise.groups)))
    return torch.cat(strips, dim=2)


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """`work(item)` of every item, in order, as they come: one thread per item with one core each.

    A last item for which no other is left to run beside it takes all cores, in the calling thread. The threads of
    PyTorch outside `work` keep their number of cores.

    Args:
        work: safe to be called in several threads at once; what it raises is raised here.
        items: any number.
    """
    import torch

    workers = min(cores(), torch.get_num_threads())
    together = len(items) if len(items) % workers != 1 else len(items) - 1
    if workers > 1 and together > 1:
        # The pool's threads end with it, and PyTorch's own count holds for every thread that the process starts.
        with ThreadPoolExecutor(workers, thread_name_prefix="side-by-side", initializer=_one_core) as pool:
            yield from patience.steps(pool.map(work, items[:together]))
    else:
        together = 0
    for item in patience.steps(items[together:]):
        yield work(item)


def _one_core() -> None:
    """Makes PyTorch use one core in this thread alone; `torch.set_num_threads` would change all threads to come."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.get_num_threads()  # the first question in a thread sets its count, which would undo the limit
    threadpool_limits(1, user_api="openmp")
