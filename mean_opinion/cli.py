"""The command `mean-opinion`: everything that this project does, by one name.

    mean-opinion score photos/ --method leaf --format csv
    mean-opinion evaluate --method q-bench --lmm embedded --images DIR --scores CSV --out RUN
    mean-opinion leaf calibrate --images DIR --scores CSV --out STUDENT
    mean-opinion --print-completion bash

Exit statuses are those of `methods.cli.running`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from leaderboard.__main__ import COMMANDS as LEADERBOARD
from methods.__main__ import COMMANDS as METHODS
from methods.cli.running import DONE, REFUSED, Command, guarded, parser_of
from methods.cli.running import run as run_command
from methods.errors import suggestion
from methods.iqarag.__main__ import COMMANDS as REFSET
from methods.leaf.__main__ import COMMANDS as LEAF
from methods.version import VERSION

PROGRAM = "mean-opinion"
DESCRIPTION = "no-reference image quality assessment with large multimodal models"
SHELLS = ("bash", "zsh", "tcsh")

COMMANDS: dict[str, Command] = {
    **METHODS,
    **LEADERBOARD,
    "refset": Command("", "build and inspect reference sets for IQARAG", REFSET),
    "leaf": Command("", "teach, calibrate and use LEAF's students", LEAF),
    "train": Command("methods.visualquality_r1.train", "train an LMM to rank images by quality (RL2R)"),
    "serve": Command("mean_opinion.serve", "serve the page"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    Args:
        argv: the words after `mean-opinion`; None takes the process's.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        print(VERSION)
        return DONE
    if words[:1] == ["--print-completion"]:
        return guarded(PROGRAM, lambda: _print_completion(words[1:]))
    return run_command(PROGRAM, COMMANDS, words, DESCRIPTION)


def _print_completion(words: Sequence[str]) -> int:
    import shtab

    shell = words[0] if words else ""
    if shell not in SHELLS:
        print(f"{PROGRAM}: There is no completion for {shell!r}{suggestion(shell, SHELLS)}", file=sys.stderr)
        return REFUSED
    print(shtab.complete(whole_parser(), shell))
    return DONE


def whole_parser() -> argparse.ArgumentParser:
    """All commands in one parser, for completion; it imports each command's module."""
    parser = argparse.ArgumentParser(PROGRAM, description=DESCRIPTION)
    parser.add_argument("--version", action="store_true", help="print the version")
    _fill(parser, PROGRAM, COMMANDS)
    return parser


def _fill(parser: argparse.ArgumentParser, program: str, commands: Mapping[str, Command]) -> None:
    below = parser.add_subparsers(metavar="COMMAND")
    for name, command in commands.items():
        prefix = f"{program} {name}"
        if command.commands:
            _fill(below.add_parser(name, help=command.summary), prefix, command.commands)
            continue
        command_parser, _ = parser_of(prefix, command)
        below.add_parser(name, help=command.summary, parents=[command_parser], add_help=False)
