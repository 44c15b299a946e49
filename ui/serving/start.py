"""The first thing the app does: every variable is checked, and the process is bounded, before a model is loaded."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

from methods.errors import InputError, UserError
from ui.serving import memory
from ui.serving.settings import check
from ui.serving.workers import SECONDS_OF_PYTHON


def checked() -> None:
    """Checks the environment and bounds the process; whatever cannot be used ends it with one sentence and status 2."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mean_opinion.calls").setLevel(logging.INFO)
    try:
        chosen = check()
        _check_temporary_folder()
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    memory.bound()
    sys.setswitchinterval(SECONDS_OF_PYTHON)
    # uvicorn believes X-Forwarded-For from these alone; from this very machine it would without being told to.
    os.environ["FORWARDED_ALLOW_IPS"] = chosen.proxies


def _check_temporary_folder() -> None:
    folder = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"Uploads cannot be written to {folder} ({error.strerror}); name a folder that can be written "
                         "by GRADIO_TEMP_DIR.") from None
