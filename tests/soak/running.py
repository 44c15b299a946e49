"""The app of any checkout as its own process, what it takes of the machine, and a plain client that can be rude."""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

SECONDS_TO_START = 120
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class App:
    """One process of the app.

    Args:
        folder: for its uploads, shares and log; kept between starts.
        checkout: the folder that holds app.py.
        variables: further ones of its environment.
    """

    folder: Path
    checkout: Path = REPOSITORY
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "app.log").read_text(errors="replace")

    @property
    def shares(self) -> Path:
        return self.folder / "shares"

    def launch(self) -> subprocess.Popen:
        """Starts the process and returns at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        environment = {
            **os.environ, "GRADIO_SERVER_PORT": str(self.port), "GRADIO_SERVER_NAME": "127.0.0.1",
            "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", "GRADIO_TEMP_DIR": str(self.folder / "uploads"),
            "MEAN_OPINION_LMM": "embedded", "MEAN_OPINION_SHARE_DIR": str(self.shares), "MEAN_OPINION_OFFER": "",
            "MEAN_OPINION_SHARE_REPO": "", "TMPDIR": str(self.folder), **self.variables,
        }
        with (self.folder / "app.log").open("ab") as output:
            self.process = subprocess.Popen([sys.executable, "app.py"], cwd=self.checkout, env=environment,
                                            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            start_new_session=True)
        return self.process

    def start(self) -> App:
        """Starts the process and waits until it answers and has scored its first image."""
        process = self.launch()
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"The app ended with status {process.returncode}:\n{self.log[-4000:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/config", timeout=5):
                self.wait_until_idle()
                return self
            time.sleep(0.2)
        raise RuntimeError(f"The app did not answer within {SECONDS_TO_START} s:\n{self.log[-4000:]}")

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Until the process takes next to no processor time for a second."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            before = self.cpu()
            time.sleep(1)
            if self.cpu() - before < 0.15:
                return

    def memory(self) -> float:
        """Resident gigabytes (10**9 bytes)."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e9

    def peak(self) -> float:
        """The most resident gigabytes since `forget_peak`, where the system counts them (Linux)."""
        line = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(line[1]) * 1024 / 1e9 if line else 0.0  # it has just ended

    def forget_peak(self) -> None:
        """Begins to count anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu(self) -> float:
        """Processor seconds so far."""
        return sum(psutil.Process(self.process.pid).cpu_times()[:2])

    def kill(self) -> None:
        """Ends the process without warning."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """What the page is told about itself."""
        return json.load(urllib.request.urlopen(f"{self.address}/config", timeout=30))

    @functools.cached_property
    def endpoints(self) -> dict[str, Any]:
        """Name -> its parameters, from the API's own description."""
        return json.load(urllib.request.urlopen(f"{self.address}/gradio_api/info", timeout=30))["named_endpoints"]

    def data(self, endpoint: str, **values: Any) -> list[Any]:
        """An endpoint's arguments: its defaults, and these values by name."""
        parameters = self.endpoints[endpoint]["parameters"]
        names = [one["parameter_name"] for one in parameters]
        assert not (unknown := set(values) - set(names)), f"{endpoint} takes {names}, not {sorted(unknown)}"
        return [values.get(one["parameter_name"], one.get("parameter_default")) for one in parameters]

    def event(self, name: str) -> int:
        """The index of the first event of the page whose handler has this name."""
        return next(one["id"] for one in self.config["dependencies"] if one["api_name"] == name)

    def defaults(self, name: str, **by_place: Any) -> list[Any]:
        """A private event's inputs: every component's value, but those of `by_place` ("p0" is the first)."""
        event = next(one for one in self.config["dependencies"] if one["api_name"] == name)
        values = {one["id"]: one["props"].get("value") for one in self.config["components"]}
        return [by_place.get(f"p{place}", values[number]) for place, number in enumerate(event["inputs"])]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """One visitor without a browser; every call has a connection of its own, so that any can be left."""

    def __init__(self, app: App, timeout: float = 300, headers: dict[str, str] | None = None) -> None:
        self.app, self.timeout, self.headers = app, timeout, headers or {}
        self.session = uuid.uuid4().hex

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json",
                headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """(status, body). A server that refuses early may close the connection: then its status alone counts."""
        connection = http.client.HTTPConnection("127.0.0.1", self.app.port, timeout=self.timeout)
        try:
            sent = {**self.headers, **({} if body is None else {"Content-Type": kind}), **(headers or {})}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """An uploaded file as a payload."""
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        status, answer = self.request("POST", "/gradio_api/upload", head + content + b"\r\n--x--\r\n",
                                      "multipart/form-data; boundary=x")
        if status != 200:
            raise Refused(status, answer.decode(errors="replace"))
        return {"path": json.loads(answer)[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def begin(self, endpoint: str, data: list[Any]) -> str:
        """Asks for an endpoint; the event's id."""
        status, answer = self.request("POST", f"/gradio_api/call/{endpoint.lstrip('/')}",
                                      json.dumps({"data": data}).encode())
        if status != 200:
            raise Refused(status, answer.decode(errors="replace"))
        return json.loads(answer)["event_id"]

    def call(self, endpoint: str, data: list[Any]) -> Any:
        """An endpoint's outputs.

        Raises:
            Failed: it answered with an error.
            Refused: it was not let in.
        """
        event = self.begin(endpoint, data)
        status, answer = self.request("GET", f"/gradio_api/call/{endpoint.lstrip('/')}/{event}")
        lines = answer.decode().strip().splitlines()
        if status != 200 or len(lines) < 2:
            raise Refused(status, answer.decode(errors="replace"))
        if not lines[-2].endswith("complete"):
            raise Failed((json.loads(lines[-1].removeprefix("data: ")) or {}).get("error"))
        return json.loads(lines[-1].removeprefix("data: "))

    def listen(self, endpoint: str, event: str, seconds: float) -> None:
        """Listens to an event for a while and leaves."""
        with socket.create_connection(("127.0.0.1", self.app.port)) as line:
            line.sendall(f"GET /gradio_api/call/{endpoint.lstrip('/')}/{event} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                         "\r\n".encode())
            time.sleep(seconds)

    def event(self, index: int, data: list[Any]) -> Any:
        """The outputs of an event of the page, as its front end gets them."""
        status, answer = self.request("POST", "/gradio_api/queue/join", json.dumps(
            {"data": data, "fn_index": index, "session_hash": self.session}).encode())
        if status != 200:
            raise Refused(status, answer.decode(errors="replace"))
        _, answer = self.request("GET", f"/gradio_api/queue/data?session_hash={self.session}")
        for line in answer.splitlines():
            message = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if message.get("msg") == "process_completed":
                if not message["success"]:
                    raise Failed((message.get("output") or {}).get("error"))
                return message["output"]["data"]
        raise Failed("the event ended without an answer")


class Refused(Exception):
    """The app did not take a request: its status, and what it said."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:300]}")
        self.status, self.text = status, text


class Failed(Exception):
    """The app answered with an error: the sentence that a visitor reads."""


class Watch:
    """Asks for a page that costs nothing, many times per second, and samples memory: who is frozen, for how long."""

    def __init__(self, app: App, path: str = "/gradio_api/app_id") -> None:
        self.app, self.path = app, path
        self.seconds: list[float] = []
        self.memory: list[tuple[float, float]] = []
        self._ended = threading.Event()

    def __enter__(self) -> Watch:
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._ask, self._weigh)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def longest(self) -> float:
        """Seconds that somebody who only opens a page waited at most."""
        return max(self.seconds, default=0.0)

    @property
    def peak(self) -> float:
        """Gigabytes."""
        return max((size for _, size in self.memory), default=0.0)

    def _ask(self) -> None:
        client = Client(self.app, timeout=120)
        while not self._ended.wait(0.05):
            start = time.monotonic()
            with contextlib.suppress(OSError, http.client.HTTPException):
                client.request("GET", self.path)
            self.seconds.append(time.monotonic() - start)

    def _weigh(self) -> None:
        start = time.monotonic()
        while not self._ended.wait(0.1):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.memory.append((time.monotonic() - start, self.app.memory()))


def together(work: Sequence[Any]) -> list[Any]:
    """What functions return that run at the same time, a thread each; an exception in its place."""
    results: list[Any] = [None] * len(work)

    def run(place: int) -> None:
        try:
            results[place] = work[place]()
        except (Refused, Failed, OSError, http.client.HTTPException) as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- files ------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=100)  # the app is measured, not whoever makes its photos
def photo(width: int, height: int, kind: str = "JPEG", seed: int = 0, mode: str = "RGB") -> bytes:
    """A file with a smooth picture and some grain."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (24, 32, len(mode)), dtype=np.uint8), mode)
    buffer = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@contextlib.contextmanager
def running(folder: Path, checkout: Path = REPOSITORY, **variables: str) -> Iterator[App]:
    """A started app, killed at the end."""
    app = App(folder, checkout, variables)
    try:
        yield app.start()
    finally:
        if app.process is not None:
            app.kill()
