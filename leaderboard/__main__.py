"""`python -m leaderboard COMMAND`: evaluate, compare, reproduce, add, table, export, cite, check.

Each command lives in its own module with `add_arguments(parser)` and `run(args) -> exit status`; only the one that is
asked for is imported, so that `table` does not wait for torch. Exit status: 0 done, 1 something is wrong with the data
or a run, 2 usage.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from methods.cli.pipes import drop_the_rest

COMMANDS = {
    "evaluate": ("leaderboard.runs.evaluate", "score a folder of pictures with opinions and measure the agreement"),
    "compare": ("leaderboard.runs.compare", "the difference of two runs on the same pictures, with its interval"),
    "reproduce": ("leaderboard.reproduce", "re-run a table of a paper and print ours beside the paper's"),
    "add": ("leaderboard.runs.add", "append a finished run to the measured results, after validation"),
    "table": ("leaderboard.commands.table", "print a table of methods and datasets"),
    "export": ("leaderboard.commands.export", "write a view: table, figure and citations as files"),
    "cite": ("leaderboard.commands.cite", "print the BibTeX of a view's sources"),
    "check": ("leaderboard.check", "validate the data and recompute every measured result"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the words after `python -m leaderboard`; None takes the process's.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    name = words[0]
    if name not in COMMANDS:
        from methods.errors import suggestion

        print(f"There is no command {name!r}{suggestion(name, COMMANDS)}", file=sys.stderr)
        return 2
    module_name, summary = COMMANDS[name]
    module = importlib.import_module(module_name)
    description = summary[0].upper() + summary[1:] + "."
    parser = argparse.ArgumentParser(f"python -m leaderboard {name}", description=description)
    module.add_arguments(parser)
    args = parser.parse_args(words[1:])
    try:
        return module.run(args)
    except BrokenPipeError:
        drop_the_rest()
        return 0
    except (ValueError, OSError) as error:
        print(f"leaderboard {name}: {error}", file=sys.stderr)
        return 1


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return ("usage: python -m leaderboard COMMAND ...\n\n" + "\n".join(lines)
            + "\n\n`python -m leaderboard COMMAND --help` explains one.")


if __name__ == "__main__":
    sys.exit(main())
