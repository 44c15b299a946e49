"""Runs what the documents print, each in a fork of a process that has loaded what takes seconds to load.

A line of JSON on stdin is a job: {"command": "mean-opinion ...", "log": FILE}, or with "python": true a snippet of
Python; its exit status is a line on stdout.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import sys
import traceback
from pathlib import Path


def load() -> None:
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import faiss  # noqa: F401
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401
    from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: F401

    import mean_opinion.cli  # noqa: F401
    from methods.lmm import transformers_lmm  # noqa: F401


def perform(command: str, log: str, python: bool) -> int:
    """In a child: what the shell, or Python, would do with the command, its output going to the log."""
    with open(log, "w") as file:
        os.dup2(file.fileno(), 2)
        os.dup2(file.fileno(), 1)
    if python:
        exec(compile(command, "<snippet>", "exec"), {"__name__": "__main__"})
        return 0
    words = shlex.split(command, comments=True)
    if ">" in words:
        place = words.index(">")
        with open(words[place + 1], "w") as file:
            os.dup2(file.fileno(), 1)
        del words[place:place + 2]
    if Path(words[0]).name != "mean-opinion" or {"|", "&&", ";", "<"} & set(words):
        raise ValueError(f"not one command of this project: {command}")
    from mean_opinion.cli import main

    return main(words[1:])


def serve() -> None:
    gc.disable()
    load()
    # No child's search for garbage walks through what was loaded.
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 70
            try:
                status = perform(**json.loads(line))
            except SystemExit as leaving:
                status = leaving.code if isinstance(leaving.code, int) else 70
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
