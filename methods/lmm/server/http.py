"""Requests to an OpenAI-compatible server that may be busy or gone: which failures to sit out, and which not.

A busy server (429), one that stumbles (500, 502, 503, 504) or drops the connection is asked again, with pauses that
double, for as long as `patience` says. What will not get better by waiting is raised at once, in the server's own
words: a prompt that it refuses, a model that it does not have, a key that it does not take.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx

from methods.lmm.base import LMMError
from methods.lmm.errors import ModelUnavailable

KEY_VARIABLES = ("MEAN_OPINION_SERVER_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's API key, the first that is set counts."""

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0

# A 500 that says that the server could not fetch what a prompt points at: the same request will fail again.
_FETCH = re.compile(r"cannot connect to host|name or service not known|failed to (fetch|download|load) (image|media)"
                    r"|invalid ?url|nodename nor servname", re.IGNORECASE)


class Refused(LMMError):
    """The server understood the request and declined it (4xx); `status` and `message` are the server's."""

    def __init__(self, sentence: str, status: int, message: str) -> None:
        super().__init__(sentence)
        self.status, self.message = status, message


class Connection:
    """One server, any number of threads.

    Args:
        url: http(s)://HOST:PORT, with or without /v1.
        api_key: sent as a bearer token; by default from the environment.
        timeout: seconds without a byte after which a request counts as lost.
        patience: seconds over which a failing request is tried again; 0 tries once.

    Raises:
        LMMError: the address is none.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 300.0, patience: float = 120.0,
                 connections: int = 64) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LMMError(f"{url!r} is no server address; write it as server:http://HOST:PORT/v1#MODEL.")
        self.root = url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
        self.patience = patience
        key = api_key or next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # A proxy for the outside world does not know this machine's own ports.
            trust_env=parts.hostname not in ("localhost", "127.0.0.1", "::1"),
        )
        self._rng = random.Random()
        self._closed = threading.Event()

    def get(self, path: str, patience: float | None = None) -> Any:
        """The JSON at a path. Errors as `post`."""
        return self._json("GET", path, None, patience)

    def post(self, path: str, body: dict[str, Any], patience: float | None = None) -> Any:
        """The JSON answer to a JSON body.

        Raises:
            Refused: 4xx, in the server's words.
            ModelUnavailable: it failed or did not answer for `patience` seconds.
        """
        return self._json("POST", path, body, patience)

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of a streamed answer. Tried again only while nothing has been received; errors as `post`."""
        waits = self._waits(self.patience)
        while True:
            begun = False
            try:
                with self._client.stream("POST", self.root + path, json=body) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        self._raise_refusal(answer)
                        failure = _status(answer)
                        hint = _retry_after(answer)
                    else:
                        for event in _events(answer.iter_lines()):
                            begun = True
                            yield event
                        return
            except httpx.TransportError as error:
                if begun:
                    raise ModelUnavailable(f"The server at {self.root} dropped the connection in the middle of an "
                                           f"answer ({type(error).__name__}); ask again.") from error
                failure, hint = _cause(error), None
            except _Cut as cut:
                if begun:
                    raise ModelUnavailable(f"The server at {self.root} ended an answer in the middle ({cut}); ask "
                                           "again.") from cut
                failure, hint = str(cut), None
            self._wait(waits, failure, hint)

    def _json(self, method: str, path: str, body: dict[str, Any] | None, patience: float | None) -> Any:
        waits = self._waits(self.patience if patience is None else patience)
        while True:
            hint = None
            try:
                answer = self._client.request(method, self.root + path, json=body)
                if answer.status_code == 200:
                    return answer.json()
                self._raise_refusal(answer)
                failure, hint = _status(answer), _retry_after(answer)
            except httpx.TransportError as error:
                failure = _cause(error)
            except ValueError:
                failure = "its answer is no JSON"
            self._wait(waits, failure, hint)

    def _raise_refusal(self, answer: httpx.Response) -> None:
        """Raises where waiting will not help."""
        message = _message(answer)
        if answer.status_code in _AGAIN and not (answer.status_code == 500 and _FETCH.search(message)):
            return
        if answer.status_code in (401, 403):
            raise Refused(f"The server at {self.root} wants an API key ({answer.status_code}); set "
                          f"{KEY_VARIABLES[0]}.", answer.status_code, message)
        raise Refused(f"The server at {self.root} refuses the request ({answer.status_code}): {message}",
                      answer.status_code, message)

    def _waits(self, patience: float) -> Iterator[float | None]:
        """Pauses that double, shortened at random so that many clients do not return at once; None: no longer."""
        end, pause = time.monotonic() + patience, _FIRST_PAUSE
        while time.monotonic() < end:
            yield min(pause * self._rng.uniform(0.5, 1.0), max(end - time.monotonic(), 0.01))
            pause = min(pause * 2, _LONGEST_PAUSE)
        yield None

    def _wait(self, waits: Iterator[float | None], failure: str, hint: float | None) -> None:
        pause = next(waits, None)
        if pause is None or self._closed.is_set():
            raise ModelUnavailable(f"The server at {self.root} does not answer ({failure}); check that it runs, then "
                                   "start again: what is done stays done.")
        self._closed.wait(max(pause, hint or 0.0))

    def close(self) -> None:
        """Ends waiting and closes the connections."""
        self._closed.set()
        self._client.close()


class _Cut(Exception):
    """A stream that ended before it said that it was done."""


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Server-sent events: lines "data: {...}" up to "data: [DONE]"."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        text = line[5:].strip()
        if text == "[DONE]":
            return
        try:
            event = json.loads(text)
        except ValueError:
            raise _Cut("half an event") from None
        if "error" in event:
            raise _Cut(str(event["error"].get("message", event["error"])))
        yield event
    raise _Cut("without [DONE]")


def _message(answer: httpx.Response) -> str:
    """What the server says: {"error": {"message"}}, {"message"} or {"detail"}, else the text's beginning."""
    try:
        body = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:300] or answer.reason_phrase
    for key in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(key):
            found = body[key]
            return str(found.get("message", found) if isinstance(found, dict) else found)[:600]
    return json.dumps(body)[:300]


def _status(answer: httpx.Response) -> str:
    return f"{answer.status_code} {_message(answer)}".strip()


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _retry_after(answer: httpx.Response) -> float | None:
    """The pause that a busy server asks for, at most a minute."""
    try:
        return min(max(float(answer.headers.get("Retry-After", "")), 0.0), 60.0)
    except ValueError:
        return None
