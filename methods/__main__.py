"""`python -m methods score PATH... --method NAME` and `python -m methods list`.

Only argparse is imported until it is known what to do, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from methods.cli.pipes import drop_the_rest

SCORED_ALL, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; argparse itself exits with 2 on a wrong command line."""
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    try:
        if argv and argv[0] == "score":
            return _score(parser, argv)
        parser.parse_args(argv)
        from methods.cli.listing import listing

        print(listing(), flush=True)
        return SCORED_ALL
    except BrokenPipeError:
        drop_the_rest()
        return SOME_FAILED
    except KeyboardInterrupt:
        print("Stopped; the rows printed so far are complete.", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m methods", description="Scores the perceptual quality of pictures.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="score | list")
    score = commands.add_parser(
        "score", allow_abbrev=False, help="score picture files and folders",
        description="Scores picture files, and folders with all their subfolders, one row a picture on stdout. "
                    "Progress goes to stderr.",
        epilog="Each method has options of its own: add --method NAME --help to see them. Exit status: 0 when every "
               "picture was scored, 1 when some failed (their rows say why), 2 for a wrong command line or a model "
               "that cannot be loaded.",
    )  # fmt: skip
    score.add_argument("paths", nargs="+", metavar="PATH", help="a picture file or a folder")
    score.add_argument("--method", required=True, metavar="NAME", help="see `python -m methods list`")
    score.add_argument("--lmm", metavar="NAME", help="embedded, a catalogue name, a Hub id, a folder, or "
                                                     "server:URL#model; by default what suits this machine")
    score.add_argument("--format", choices=("csv", "json"), default="csv",
                       help="csv: path,score,native_score,seconds,error; json: an array with the evidence too")
    score.add_argument("--batch-size", type=int, default=8, metavar="N",
                       help="pictures handed to the model at once (default 8)")
    score.set_defaults(flags=score)
    commands.add_parser("list", help="list the methods with their options and cost, and the LMMs")
    return parser


def _score(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    named = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    named.add_argument("--method")
    method_name = named.parse_known_args(argv)[0].method
    if method_name is None:
        parser.parse_args(argv)  # Prints the help, or says that --method is missing, and exits.
        return USAGE
    from methods.base import load_method, method_class
    from methods.cli.options import add_flags, chosen
    from methods.cli.score import find_pictures, score_paths
    from methods.errors import UserError

    # Flags of the chosen method are added before the command line is parsed in full.
    score = parser.parse_args(["score", "x", "--method", method_name]).flags
    try:
        kind = method_class(method_name)
    except UserError as error:
        score.error(str(error))
    add_flags(score, kind)
    arguments = parser.parse_args(argv)
    if arguments.batch_size < 1:
        score.error("argument --batch-size: must be at least 1")
    try:
        options = chosen(arguments, kind)
        kind.options.updated(**options)
        found = find_pictures(arguments.paths)
        method = _quietly(load_method, method_name, arguments.lmm, options=options)
    except (ValueError, UserError) as error:
        score.error(str(error))
    failed = score_paths(method, found, arguments.format, arguments.batch_size)
    return SOME_FAILED if failed else SCORED_ALL


def _quietly(function, *positional, **named):
    """What libraries print while loading belongs to stderr: stdout carries the rows alone."""
    import contextlib

    with contextlib.redirect_stdout(sys.stderr):
        return function(*positional, **named)


if __name__ == "__main__":
    sys.exit(main())
