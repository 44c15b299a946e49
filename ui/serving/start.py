"""The first thing the app does: every variable is checked, and the process is bounded, before a model is loaded."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from pathlib import Path

from methods.errors import InputError, UserError
from ui.serving import memory
from ui.serving.settings import check, host, port
from ui.serving.workers import SECONDS_OF_PYTHON
from ui.share.settings import from_environment


def check_environment() -> None:
    """Checks the environment and bounds the process; whatever cannot be used ends it with one sentence and status 2."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mean_opinion.calls").setLevel(logging.INFO)
    try:
        limits = check()
        _check_folder(Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()), "Uploads",
                      "name a folder that can be written by GRADIO_TEMP_DIR")
        if (shares := from_environment()).enabled:
            _check_folder(shares.folder, "Shared comparisons", "name a folder that can be written by "
                          "MEAN_OPINION_SHARE_DIR, or turn sharing off with MEAN_OPINION_SHARE_DAYS=0")
        _check_port()
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    memory.bound()
    sys.setswitchinterval(SECONDS_OF_PYTHON)
    # uvicorn believes X-Forwarded-For from these alone; from this very machine it would without being told to.
    os.environ["FORWARDED_ALLOW_IPS"] = limits.proxies


def _check_folder(folder: Path, what: str, do: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{what} cannot be written to {folder} ({error.strerror}); {do}.") from None


def _check_port() -> None:
    name, number = host(), port()
    try:
        socket.create_server((name, number), family=socket.AF_INET6 if ":" in name else socket.AF_INET).close()
    except OSError as error:
        raise InputError(f"Port {number} of {name} cannot be used ({error.strerror}); name another one by "
                         "GRADIO_SERVER_PORT.") from None
