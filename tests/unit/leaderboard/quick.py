"""A method without a network, so that evaluation is tested in milliseconds; run as a program, it is `evaluate` with it.

Its score is a hash of the pixels: any row that is lost, repeated or exchanged shows. Environment variables make a
process fit to be killed: with QUICK_TEAR=n it dies after n bytes of an append, in the middle of a line; QUICK_PAUSE=s
slows each picture; with QUICK_STALL=n it scores n pictures and then waits for its end, however fast the machine is.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass

from methods.base import METHODS, Evidence, Method, Options, Verdict, option

NAME = "quick"


@dataclass(frozen=True)
class QuickOptions(Options):
    gain: float = option(1.0, "Multiplies the score.", low=0.0, high=1.0)
    inverted: bool = option(False, "Turns the score round.")


class Quick(Method):
    name = NAME
    title = "Quick"
    summary = "Hashes the pixels."
    citation = ""
    needs_lmm = False
    options = QuickOptions()

    @property
    def lmm_id(self) -> str:
        return "quick@1"

    def _assess(self, images, options):
        time.sleep(float(os.environ.get("QUICK_PAUSE", "0")) * len(images))
        stall(len(images))
        if any(image.size == (13, 13) for image in images):
            raise RuntimeError("an unlucky size")
        scores = [share(image) * options.gain for image in images]
        if options.inverted:
            scores = [1 - score for score in scores]
        return [Verdict(score, score, "", Evidence()) for score in scores]


def stall(count: int) -> None:
    """Uses up `count` of the pictures that QUICK_STALL allows; where they do not suffice, waits to be killed."""
    if "QUICK_STALL" in os.environ:
        left = int(os.environ["QUICK_STALL"]) - count
        while left < 0:
            signal.pause()
        os.environ["QUICK_STALL"] = str(left)


def share(image) -> float:
    return int(hashlib.sha256(image.tobytes()).hexdigest()[:12], 16) / 16**12


def register() -> None:
    METHODS[NAME] = "tests.unit.leaderboard.quick:Quick"


def tear(after: int) -> None:
    """From now on, appends to predictions stop dead after so many bytes, as a kill in the middle of one would."""
    from leaderboard.runs import folder as runs

    class Torn:
        left = after

        def __getattr__(self, name):
            return getattr(os, name)

        def write(self, file, data):
            if os.readlink(f"/proc/self/fd/{file}").endswith(runs.PREDICTIONS):
                if len(data) > self.left:
                    os.write(file, bytes(data[: self.left]))
                    os.kill(os.getpid(), signal.SIGKILL)
                self.left -= len(data)
            return os.write(file, data)

    runs.os = Torn()


if __name__ == "__main__":
    from leaderboard.__main__ import main

    register()
    if "QUICK_TEAR" in os.environ:
        tear(int(os.environ["QUICK_TEAR"]))
    sys.exit(main(sys.argv[1:]))
