"""How a command runs: it is looked up by name, imported only when asked for, and fails in one sentence.

A command is a module with `add_arguments(parser)` and `run(arguments) -> exit status`. Exit statuses are the same
everywhere:

    0    done
    1    some images failed, a check found problems, or a model was lost on the way; run the same command to go on
    2    the command line, a file or a model cannot be used; nothing was done
    130  interrupted by Ctrl-C

A `UserError` is printed in one line. Any other exception is a defect and keeps its traceback.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

from methods.errors import UserError, suggestion

DONE, SOME_FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Command:
    """A command, or a group of them.

    Attributes:
        module: the module that implements it; "" for a group.
        summary: what it does, in one line.
        commands: of a group, by name.
    """

    module: str
    summary: str
    commands: Mapping[str, Command] = field(default_factory=dict)


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the flag which a misspelt one is nearest to."""

    def __init__(self, *arguments: object, **settings: object) -> None:
        settings.setdefault("allow_abbrev", False)
        super().__init__(*arguments, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> None:  # type: ignore[override]
        if unknown := re.match(r"unrecognized arguments: (--[^\s=]+)", message):
            flags = [flag for action in self._actions if action.help != argparse.SUPPRESS
                     for flag in action.option_strings if flag.startswith("--")]
            message = f"There is no flag {unknown[1]}{suggestion(unknown[1], flags)}"
        self.print_usage(sys.stderr)
        self.exit(REFUSED, f"{self.prog}: {message}\n")


def run(program: str, commands: Mapping[str, Command], words: Sequence[str] | None = None, description: str = ""
        ) -> int:
    """Runs one command and returns its exit status, also after help and usage errors.

    Args:
        program: what precedes the command on the command line.
        commands: by name.
        words: the command and its arguments; None takes the process's.
        description: of the program, for its help.
    """
    words = sys.argv[1:] if words is None else words
    if not words or words[0] in ("-h", "--help"):
        print(_overview(program, commands, description), file=sys.stdout if words else sys.stderr)
        return DONE if words else REFUSED
    name, *rest = words
    if name not in commands:
        print(f"{program}: There is no command {name!r}{suggestion(name, commands)}", file=sys.stderr)
        return REFUSED
    command = commands[name]
    if command.commands:
        return run(f"{program} {name}", command.commands, rest, command.summary)
    return run_one(f"{program} {name}", command, rest)


def run_one(program: str, command: Command, words: Sequence[str]) -> int:
    """Runs a command that stands alone and returns its exit status."""
    return guarded(program, lambda: _run(program, command, words))


def parser_of(program: str, command: Command, words: Sequence[str] = ()) -> tuple[Parser, ModuleType]:
    """The parser of a command and its module.

    Args:
        words: its arguments; a command whose flags depend on them (those of a method) has `add_more_arguments`.
    """
    module = importlib.import_module(command.module)
    parser = Parser(program, description=f"{command.summary[:1].upper()}{command.summary[1:]}.",
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    module.add_arguments(parser)
    if hasattr(module, "add_more_arguments"):
        module.add_more_arguments(parser, words)
    return parser, module


def _run(program: str, command: Command, words: Sequence[str]) -> int:
    parser, module = parser_of(program, command, words)
    try:
        arguments = parser.parse_args(words)
    except SystemExit as left:  # argparse has printed its help or what is wrong
        return left.code if isinstance(left.code, int) else DONE
    status: int = module.run(arguments)
    return status


def guarded(program: str, work: Callable[[], int]) -> int:
    """The exit status of `work`, with what a user can act on said in one line on stderr."""
    from methods.lmm.errors import ModelUnavailable

    try:
        return work()
    except BrokenPipeError:
        reader_gone()
        return SOME_FAILED
    except KeyboardInterrupt:
        print("\nStopped. What is written so far is complete; the same command goes on where it can.", file=sys.stderr)
        return INTERRUPTED
    except ModelUnavailable as error:
        print(f"{program}: {error}", file=sys.stderr)
        return SOME_FAILED
    except UserError as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return REFUSED
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"{program}: This needs {error.name}; install it with: pip install 'mean-opinion[{extra}]'.",
              file=sys.stderr)
        return REFUSED
    except OSError as error:
        sentence = system_sentence(error)
        if sentence is None:
            raise
        print(f"{program}: {sentence}", file=sys.stderr)
        return REFUSED


_EXTRAS = {"gradio": "ui", "matplotlib": "ui", "mcp": "ui", "plotly": "ui", "spaces": "ui", "sam2": "sam2",
           "trl": "train", "ray": "ray"}
"""Packages that an extra of this project brings, by the name that is imported."""

_REASONS = {
    errno.ENOENT: "There is no {name}; check the path.",
    errno.EACCES: "{name} may not be read or written; change its permissions or name another place.",
    errno.EPERM: "{name} may not be changed; change its permissions or name another place.",
    errno.EISDIR: "{name} is a folder; name a file.",
    errno.ENOTDIR: "{name} is not inside a folder; check the path.",
    errno.EEXIST: "{name} exists already; name another place.",
    errno.EROFS: "{name} is on a disk that cannot be written; name another place.",
    errno.ENOSPC: "The disk is full; make room and run the same command again.",
    errno.ENAMETOOLONG: "The name {name} is too long; choose a shorter one.",
}


def system_sentence(error: OSError) -> str | None:
    """What a failure of the file system means to a user; None where no user can mend it."""
    reason = _REASONS.get(error.errno or 0)
    if reason is None or (error.filename is None and "{name}" in reason):
        return None
    return reason.format(name=os.fsdecode(error.filename)) if error.filename is not None else reason


def reader_gone() -> None:
    """Ends quietly when the reader of a pipe has left, as `head` does: nothing more is written to it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _overview(program: str, commands: Mapping[str, Command], description: str) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    about = f"{description[:1].upper()}{description[1:]}.\n\n" if description else ""
    return (f"usage: {program} COMMAND ...\n\n{about}" + "\n".join(lines)
            + f"\n\n`{program} COMMAND --help` explains one.")
