"""`python -m methods.leaf COMMAND`: as `mean-opinion leaf COMMAND`."""

from __future__ import annotations

import sys
from functools import partial

from methods.cli.running import Command, run

COMMANDS = {
    "label": Command("methods.leaf.label", "have a teacher judge a folder of images"),
    "train": Command("methods.leaf.train", "distil a student from a teacher and a few opinions"),
    "calibrate": Command("methods.leaf.calibrate", "fit a student to opinions"),
    "predict": Command("methods.leaf.predict", "score images with a student: path,score,mos,error as CSV"),
    "budget": Command("methods.leaf.held_out", "what held-out teachers save in labels"),
}

main = partial(run, "python -m methods.leaf", COMMANDS)

if __name__ == "__main__":
    sys.exit(main())
