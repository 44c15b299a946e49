"""A stand-in for ZeroGPU's scheduler: grants every request a device at once, and remembers what was asked for."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


class Scheduler:
    """Listens on a port of its own while it is entered.

    Attributes:
        durations: seconds asked for, one a scheduled call.
        failures: how many calls were given back as failed.
        workers: process ids that were let in.
    """

    def __init__(self) -> None:
        self.durations: list[int] = []
        self.failures = 0
        self.workers: set[int] = set()

    def __enter__(self) -> Scheduler:
        handler = type("Bound", (_Handler,), {"scheduler": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, query: dict[str, str]) -> dict[str, object]:
        if path == "/schedule":
            self.durations.append(int(query["durationSeconds"]))
            # A worker that has done its work may be used again: that is what "idle" says.
            return {"idle": True, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": str(len(self.durations))}
        if path == "/allow":
            self.workers.add(int(query["pid"]))
        if path == "/release":
            self.failures += query["fail"] == "true"
        return {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scheduler: Scheduler

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = urlsplit(self.path)
        body = json.dumps(self.scheduler.answer(place.path, dict(parse_qsl(place.query)))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
