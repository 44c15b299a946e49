"""Batches as large as the memory allows, of rows of like length; smaller ones where the plan was wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from methods.lmm.base import LMMError

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_PADDING = 0.1
"""Padding in a call's passes, as a share of its tokens: so much is given for fewer passes, and no more."""

_SHORTAGES = (
    "out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed",
    "when calling `cublascreate", "when calling `cublasltcreate", "cudnn_status_alloc_failed",
    "cudnn_status_internal_error_device_allocation_failed", "cudnn_status_internal_error_host_allocation_failed",
    "cusolver_status_alloc_failed", "cusparse_status_alloc_failed", "cudaerrormemoryallocation",
)
"""How torch and the libraries below it say, in lower case, that memory ran out: a cuBLAS handle needs some too."""


class MemoryShortage(LMMError):
    """The memory does not suffice even for one item."""


class Budget:
    """Bytes that one batch may take: what is planned, or what was learned from a shortage if that is less.

    Args:
        plan: bytes; asked again for every batch, since free memory changes.
    """

    def __init__(self, plan: Callable[[], int]) -> None:
        self._plan = plan
        self._learned: int | None = None
        self._planned_then = 0

    def bytes(self) -> int:
        planned = self._plan()
        if self._learned is not None and planned > 1.5 * self._planned_then:
            # Others have left the device since: what was learned is of another time.
            self._learned = None
        return planned if self._learned is None else min(planned, self._learned)

    def learn(self, fitted: int) -> None:
        """A batch of so many bytes fitted after a larger one had not: the next begin at that size."""
        self._learned = fitted if self._learned is None else min(fitted, self._learned)
        self._planned_then = self._plan()


def runs(lengths: Sequence[int], allowance: float) -> list[list[int]]:
    """Positions of `lengths` in as few runs as the allowance makes them, longest first.

    Rows of one length are a run. Neighbouring runs are joined, those first whose joint adds least padding, until the
    next would add more than is left.

    Args:
        lengths: tokens per row.
        allowance: tokens of padding in all runs together.
    """
    joined: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda position: -lengths[position]):
        if joined and lengths[joined[-1][0]] == lengths[position]:
            joined[-1].append(position)
        else:
            joined.append([position])

    def added(place: int) -> int:
        return len(joined[place + 1]) * (lengths[joined[place][0]] - lengths[joined[place + 1][0]])

    while len(joined) > 1:
        cheapest = min(range(len(joined) - 1), key=added)
        if (padding := added(cheapest)) > allowance:
            break
        allowance -= padding
        joined[cheapest] += joined.pop(cheapest + 1)
    return joined


def padding(lengths: Sequence[int], joined: Sequence[Sequence[int]]) -> int:
    """Tokens of padding where each run is one batch."""
    return sum(len(run) * max(lengths[position] for position in run) for run in joined) - sum(lengths)


def packed(lengths: Sequence[int], joined: Sequence[Sequence[int]], fits: Callable[[int, int], bool]
           ) -> Iterator[list[int]]:
    """The runs cut into batches that fit.

    Args:
        lengths: tokens per row.
        joined: as `runs` gives them; the first batch is the one most likely to fail.
        fits: whether a batch of so many rows, padded to so many tokens, may be made; asked while the batches are
            taken, so that what one teaches counts for the next. A row that does not fit is a batch by itself.
    """
    for run in joined:
        batch: list[int] = []
        for position in run:
            if batch and not fits(len(batch) + 1, lengths[batch[0]]):
                yield batch
                batch = []
            batch.append(position)
        yield batch


def halving(run: Callable[[list[Item]], list[Result]], items: list[Item], what: str,
            learn: Callable[[list[Item]], None] | None = None, shed: Callable[[], bool] | None = None) -> list[Result]:
    """`run(items)`, or the same in parts of half the size, for as long as the memory does not suffice.

    Args:
        run: gives one result an item, in order.
        items: at least one.
        what: names one item, for the error's sake.
        learn: told of a part that fitted after a larger one had not.
        shed: gives memory back that can be had again, and says whether there was any.

    Raises:
        MemoryShortage: a single item does not fit.
    """
    results: list[Result] = []
    size, short = len(items), False
    while len(results) < len(items):
        part = items[len(results) : len(results) + size]
        failure: BaseException | None = None
        try:
            results += run(part)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # Its traceback would keep the failed batch's tensors alive.
            failure = error.with_traceback(None)
        if failure is None:
            if short and learn is not None and len(part) == size:
                learn(part)
            continue
        gave = release(shed)
        if len(part) > 1:
            size, short = (len(part) + 1) // 2, True
        elif not gave:
            raise shortage(what) from failure
    return results


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out, on the device or on the host."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError, MemoryShortage)):
        return True
    text = str(error).lower()
    return any(sign in text for sign in _SHORTAGES)


def shortage(what: str) -> MemoryShortage:
    """What to raise where one item does not fit; `what` names it."""
    return MemoryShortage(f"The memory does not suffice for {what}; choose a smaller model, a lower pixel limit "
                          "(max_pixels) or fewer images in one prompt.")


def release(shed: Callable[[], bool] | None = None) -> bool:
    """Gives back what nobody holds any more; returns whether `shed` gave something up too."""
    import torch

    gave = shed is not None and shed()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return gave
