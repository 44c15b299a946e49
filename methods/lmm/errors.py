"""The failures of a model that no prompt is to blame for: it cannot be reached now, or its GPU is lost.

Whoever scores many images has to tell the two apart. A prompt that a model refuses is that image's error; a server
that is gone would give every image that follows the same one.
"""

from __future__ import annotations

import re

from methods.lmm.base import LMMError


class ModelUnavailable(LMMError):
    """The model did not answer in spite of repeated tries; start it again and go on."""


class DeviceLost(ModelUnavailable):
    """The GPU failed in a way that this process cannot recover from; only a new one can use it."""


_STICKY = re.compile(r"CUDA error: .*(illegal (memory|address|instruction)|misaligned address|device-side assert"
                     r"|launch (failure|timed out)|program counter|hardware stack|uncorrectable ECC)")


def device_lost(error: BaseException) -> DeviceLost | None:
    """What to raise instead of an error after which every further call to the GPU fails; None for any other error.

    After an illegal address, a failed assertion or a launch that timed out, CUDA refuses all work of the process. Taken
    for the fault of the image that was being scored, it would be that of all that follow.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RuntimeError) and _STICKY.search(str(cause)):
            first = str(cause).strip().splitlines()[0]
            return DeviceLost(f"The GPU failed ({first}) and this process cannot use it any more; run the same command "
                              "again to go on.")
        cause = cause.__cause__
    return None
