"""`python -m leaderboard COMMAND`: the old name of the leaderboard's commands, now of `mean-opinion`."""

from __future__ import annotations

import sys
from functools import partial

from methods.cli.running import Command, run

COMMANDS = {
    "evaluate": Command("leaderboard.commands.evaluate", "score rated images and measure the agreement with people"),
    "calibrate": Command("leaderboard.runs.calibrate", "make a finished run the measure of what a method's scores "
                                                       "mean"),
    "compare": Command("leaderboard.runs.compare", "the difference of two runs on the same images, with its interval"),
    "inspect": Command("leaderboard.commands.inspect", "a measured run from the inside: images, calibration, errors"),
    "reproduce": Command("leaderboard.reproduce", "re-run a table of a paper and print ours beside the paper's"),
    "table": Command("leaderboard.commands.table", "print a table of methods and datasets"),
    "export": Command("leaderboard.commands.export", "write a view: table, figure and citations as files"),
    "cite": Command("leaderboard.commands.cite", "print the BibTeX of a view's sources"),
    "add": Command("leaderboard.runs.add", "append a finished run to the measured results, after validation"),
    "check": Command("leaderboard.check", "validate the data and recompute every measured result"),
}

main = partial(run, "python -m leaderboard", COMMANDS,
               description="makes, compares and shows measured and published results")

if __name__ == "__main__":
    sys.exit(main())
