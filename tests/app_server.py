"""The app as its own process for the tests that talk to it: started once, on a free port, stopped at the end.

With the embedded model in assets/ the app runs as it ships; MEAN_OPINION_LMM in the environment names another one. It
also offers the model of `fake_lmm()`, whose answers a test can hold back.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.fake_server import MODEL, FakeServer

REPOSITORY = Path(__file__).resolve().parents[1]
SECONDS_TO_START = 300


@functools.cache
def running_app(python_path: str = "", script: str = "app.py", variables: tuple[tuple[str, str], ...] = ()) -> str:
    """The address of the app, started on first use.

    Args:
        python_path: a folder with further packages that the app finds.
        script: what starts it, by its path in the repository.
        variables: further ones of its environment.

    Raises:
        RuntimeError: it ended or did not answer in time; with what it printed.
    """
    port = _free_port()
    folder = Path(tempfile.mkdtemp(prefix="mean-opinion-test-"))
    log = folder / "app.log"
    environment = {
        **os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(folder / "uploads"), "PYTHONUNBUFFERED": "1",
        "MEAN_OPINION_OFFER": f"server:{fake_lmm().url}#{MODEL}",
        "MEAN_OPINION_SHARE_DIR": str(folder / "shares"), "MEAN_OPINION_SHARE_REPO": "",
        **dict(variables),
    }
    if python_path:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (python_path, os.environ.get("PYTHONPATH"))))
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, script], cwd=REPOSITORY, env=environment, stdout=output,
                                   stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    atexit.register(_stop, process)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The app ended with status {process.returncode}:\n{log.read_text()[-4000:]}")
        try:
            with urllib.request.urlopen(f"{address}/config", timeout=2) as answer:
                if answer.status == 200:
                    return address
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"The app did not answer within {SECONDS_TO_START} s:\n{log.read_text()[-4000:]}")


@functools.cache
def fake_lmm() -> FakeServer:
    """The server behind the second model on the page, in this process."""
    return FakeServer().__enter__()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _stop(process: subprocess.Popen) -> None:
    """Ends the app, and the workers that it may have forked, which outlive it."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
