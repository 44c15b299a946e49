"""`mean-opinion serve`: the page, on this machine."""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy

from methods.cli.running import DONE
from methods.errors import InputError, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, metavar="N", help="7860 unless PORT says otherwise")
    parser.add_argument("--host", metavar="NAME", help="127.0.0.1; 0.0.0.0 to be reachable from other machines")


def run(arguments: argparse.Namespace) -> int:
    if importlib.util.find_spec("gradio") is None:
        raise UserError("The page needs gradio; install it with: pip install 'mean-opinion[ui]'.")
    if arguments.port is not None:
        if not 1 <= arguments.port <= 65535:
            raise InputError(f"--port is a number from 1 to 65535; got {arguments.port}.")
        os.environ["GRADIO_SERVER_PORT"] = str(arguments.port)
    if arguments.host is not None:
        os.environ["GRADIO_SERVER_NAME"] = arguments.host
    # The page's module is also the Space's entry point, so it is run as a script is.
    runpy.run_module("app", run_name="__main__", alter_sys=True)
    return DONE
