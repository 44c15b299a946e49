"""Requests to an OpenAI-compatible server that may be busy or gone: which failures to sit out, and which not.

A busy server (429), one that stumbles (5xx) or drops the connection is asked again, with pauses that double or as long
as it asks for, for as long as `patience` says; it is the same whether the status says so or the body of a 200. What
will not get better by waiting is raised at once, in the server's own words: a prompt that it refuses, a model that it
does not have, a key that it does not take, an answer in a form that nobody reads.
"""

from __future__ import annotations

import math
import os
import random
import re
import threading
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx2 as httpx

from methods.lmm.base import LMMError
from methods.lmm.errors import ModelUnavailable
from methods.lmm.server.answers import Chat, ChatEvent, Fault, Kind, read, refusal

KEY_VARIABLES = ("MEAN_OPINION_SERVER_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's API key, the first that is set counts."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0


class Refused(LMMError):
    """The server answered and declined; `status` (None where it names none) and `message` are the server's."""

    def __init__(self, sentence: str, status: int | None, message: str) -> None:
        super().__init__(sentence)
        self.status, self.message = status, message


class Connection:
    """One server, any number of threads.

    Args:
        url: http(s)://HOST:PORT, with or without /v1.
        api_key: sent as a bearer token; by default from the environment.
        timeout: seconds without a byte after which a request counts as lost.
        patience: seconds over which a failing request is tried again; 0 tries once.
        transport: how requests travel, for example `httpx2.HTTPTransport(uds=PATH)` through a socket file.

    Raises:
        LMMError: the address is none, or the key cannot be sent.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 300.0, patience: float = 120.0,
                 connections: int = 64, transport: httpx.BaseTransport | None = None) -> None:
        host = _host(url)
        self.root = url.strip().rstrip("/").removesuffix("/v1").rstrip("/")
        self.patience = patience
        key = api_key or next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
        self._key = (key or "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise LMMError("The server's API key holds letters that no key has; copy it again.")
        self._make_client = lambda: httpx.Client(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # A proxy for the outside world does not know this machine's own ports.
            trust_env=host not in ("localhost", "127.0.0.1", "::1"),
            transport=transport,
        )
        self._own, self._process = self._make_client(), os.getpid()
        self._rng = random.Random()
        self._closed = threading.Event()

    @property
    def _client(self) -> httpx.Client:
        """This process's own: a forked one would read the answers to its parent's requests."""
        if self._process != os.getpid():
            self._own, self._process = self._make_client(), os.getpid()
        return self._own

    def get(self, path: str, kind: type[Kind], patience: float | None = None) -> Kind:
        """The answer at a path. Errors as `post`."""
        return self._ask("GET", path, None, kind, patience)

    def post(self, path: str, body: dict[str, object], kind: type[Kind]) -> Kind:
        """The answer to a JSON body.

        Raises:
            Refused: declined, or answered in another form than `kind`; in the server's words.
            ModelUnavailable: it failed or did not answer for `patience` seconds.
        """
        return self._ask("POST", path, body, kind, None)

    def stream(self, path: str, body: dict[str, object]) -> Generator[ChatEvent]:
        """The events of a streamed answer. Tried again only while nothing has been received; errors as `post`.

        A server that does not stream gives its whole answer as one event.
        """
        waits = self._waits(self.patience)
        while True:
            begun, hint = False, None
            try:
                with self._client.stream("POST", self.root + path, json=body) as answer:
                    if not answer.is_success:
                        answer.read()
                    hint = _retry_after(answer)
                    for event in self._events(answer):
                        begun = True
                        yield event
                    return
            except httpx.RequestError as error:
                failure = _cause(error)
            except _Passing as passing:
                failure = str(passing)
            if begun:
                raise ModelUnavailable(f"The server at {self.root} ended an answer in the middle ({failure}); ask "
                                       "again.")
            self._wait(waits, failure, hint)

    def close(self) -> None:
        """Ends waiting and closes the connections."""
        self._closed.set()
        self._client.close()

    def _ask(self, method: str, path: str, body: dict[str, object] | None, kind: type[Kind], patience: float | None
             ) -> Kind:
        waits = self._waits(self.patience if patience is None else patience)
        while True:
            hint = None
            try:
                answer = self._client.request(method, self.root + path, json=body)
                hint = _retry_after(answer)
                return self._checked(self._read(kind, answer))
            except httpx.RequestError as error:
                failure = _cause(error)
            except _Passing as passing:
                failure = str(passing)
            self._wait(waits, failure, hint)

    def _read(self, kind: type[Kind], answer: httpx.Response) -> Kind | Fault:
        if answer.is_success:
            return read(kind, answer.content)
        if answer.is_redirect:
            place = answer.headers.get("Location", "an address that it does not name")
            return Fault(f"it has moved to {place}", answer.status_code, passing=False)
        return refusal(answer.content, answer.status_code, answer.reason_phrase)

    def _events(self, answer: httpx.Response) -> Iterator[ChatEvent]:
        form = answer.headers.get("Content-Type", "").lower()
        if answer.status_code != 200 or "json" in form or "html" in form:
            answer.read()
            whole = self._checked(self._read(Chat, answer))
            yield ChatEvent(choices=whole.choices)
            return
        answer.headers["Content-Type"] = "text/event-stream"  # Some servers forget to say so.
        finished = False
        for event in httpx.EventSource(answer):
            if event.data.strip() == "[DONE]":
                return
            # Keep-alives carry no data.
            if event.data.strip():
                piece = self._checked(read(ChatEvent, event.data, is_error=event.event == "error"))
                finished = finished or any(choice.finish_reason for choice in piece.choices or ())
                yield piece
        if not finished:
            raise _Passing("without [DONE]")

    def _checked(self, answer: Kind | Fault) -> Kind:
        """The answer itself; raises where it is none.

        Raises:
            _Passing: waiting may help.
            Refused: it will not.
        """
        if not isinstance(answer, Fault):
            return answer
        sentence = answer.words.replace(self._key, "***") if self._key else answer.words
        if answer.passing:
            raise _Passing(f"{answer.status or ''} {sentence}".strip())
        if answer.status in (401, 403):
            raise Refused(f"The server at {self.root} wants an API key ({answer.status}: {sentence}); set "
                          f"{KEY_VARIABLES[0]}.", answer.status, sentence)
        number = f" ({answer.status})" if answer.status else ""
        does = f"refuses the request{number}" if answer.stated else "does not answer as an OpenAI-compatible one does"
        raise Refused(f"The server at {self.root} {does}: {sentence}", answer.status, sentence)

    def _waits(self, patience: float) -> Iterator[float]:
        """Pauses that double, shortened at random so that many clients do not return at once, until time is up.

        Who has any patience asks at least twice, however long the first answer took.
        """
        end, pause = time.monotonic() + patience, _FIRST_PAUSE
        left = patience
        while left > 0:
            yield min(pause * self._rng.uniform(0.5, 1.0), left)
            pause, left = min(pause * 2, _LONGEST_PAUSE), end - time.monotonic()

    def _wait(self, waits: Iterator[float], failure: str, hint: float | None) -> None:
        pause = next(waits, None)
        if pause is None or self._closed.is_set():
            raise ModelUnavailable(f"The server at {self.root} does not answer ({failure}); check that it runs, then "
                                   "start again: what is done stays done.")
        if self._closed.wait(max(pause, hint or 0.0)):
            raise ModelUnavailable(f"The connection to {self.root} was closed while an answer was waited for.")


class _Passing(Exception):
    """A failure that may be gone the next time."""


def _host(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        usable = (parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
                  and not re.search(r"\s", url.strip()))
        httpx.URL(url.strip())
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise LMMError(f"{url!r} is no server address; write it as server:http://HOST:PORT/v1#MODEL.")
    return str(parts.hostname)


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _retry_after(answer: httpx.Response) -> float | None:
    """The pause that a busy server asks for in seconds or as a date, at most a minute; None where it asks for none."""
    stated = answer.headers.get("Retry-After", "").strip()
    try:
        seconds = float(stated)
    except ValueError:
        try:
            moment = parsedate_to_datetime(stated)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), 60.0) if math.isfinite(seconds) else None
