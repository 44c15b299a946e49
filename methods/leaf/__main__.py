"""`python -m methods.leaf COMMAND`: as `mean-opinion leaf COMMAND`.

    label      have a teacher judge a folder of images
    train      distil a student from a teacher and a few opinions
    calibrate  fit a student to opinions
    predict    score images with a student
    budget     what held-out teachers save in labels
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from methods.cli.running import Command, run

COMMANDS = {
    "label": Command("methods.leaf.label", "have a teacher judge a folder of images"),
    "train": Command("methods.leaf.train", "distil a student from a teacher and a few opinions"),
    "calibrate": Command("methods.leaf.calibrate", "fit a student to opinions"),
    "predict": Command("methods.leaf.predict", "score images with a student: path,score,mos,error as CSV"),
    "budget": Command("methods.leaf.held_out", "what held-out teachers save in labels"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    return run("python -m methods.leaf", COMMANDS, list(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
