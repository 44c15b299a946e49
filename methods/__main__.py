"""`python -m methods score PATH... --method NAME` and `python -m methods list`: as `mean-opinion score | list`.

Only argparse is imported until it is known what to do, so that help and usage errors come at once.
"""

from __future__ import annotations

import sys
from functools import partial

from methods.cli.running import Command, run

COMMANDS = {
    "score": Command("methods.cli.score", "score image files and folders, one row per image"),
    "list": Command("methods.cli.listing", "list the methods with their options and cost, and the LMMs"),
}

main = partial(run, "python -m methods", COMMANDS, description="scores the perceptual quality of images")

if __name__ == "__main__":
    sys.exit(main())
