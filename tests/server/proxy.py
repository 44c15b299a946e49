"""A proxy in front of a server that spoils some requests: 429, 500, a cut connection, a slow answer, a dead server."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx


class FaultProxy:
    """Forwards to `target` while the context is open.

    `faults` are consumed one per chat request: "429", "500", "cut" or "slow"; None lets a request through; a function
    is called before its request is passed on, for example to kill the server.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.faults: deque[str | Callable[[], None] | None] = deque()
        self.met: Counter[str] = Counter()
        self.client = httpx.Client(timeout=60, trust_env=False)

    def __enter__(self) -> FaultProxy:
        handler = type("Bound", (_Handler,), {"proxy": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # Joined at the end: a slow answer may still be under way when its client has long given up.
        self._http.daemon_threads = False
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self.client.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    proxy: FaultProxy

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._forward("GET", b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = None
        if self.path.endswith("/chat/completions") and self.proxy.faults:
            fault = self.proxy.faults.popleft()
            if isinstance(fault, str):
                self.proxy.met[fault] += 1
        if callable(fault):
            fault()
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
        elif fault in ("429", "500"):
            self._answer(int(fault), json.dumps({"error": {"message": f"made up {fault}"}}).encode())
        else:
            if fault == "slow":
                time.sleep(3)
            self._forward("POST", body)

    def _forward(self, method: str, body: bytes) -> None:
        try:
            answer = self.proxy.client.request(method, self.proxy.target + self.path, content=body,
                                               headers={"Content-Type": "application/json"})
        except httpx.TransportError:
            # The server is gone: the client sees what it would see without a proxy.
            self.close_connection = True
            self.connection.close()
            return
        self._answer(answer.status_code, answer.content)

    def _answer(self, status: int, body: bytes) -> None:
        # A client that has lost patience is no longer there to read its answer.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
