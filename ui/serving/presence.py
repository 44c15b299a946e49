"""Who is still there: which sessions hold a line open, and so wait for an answer.

Gradio tells the end of a line to the events that stand in its queue, and nobody to a handler that runs. And a job whose
caller never opened a line is never ended at all. Here every open line is counted by its session, so that both can ask.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import OrderedDict
from urllib.parse import parse_qs

from gradio.context import LocalContext
from gradio.queueing import Event
from starlette.types import ASGIApp, Receive, Scope, Send

from methods.errors import UserError

SECONDS_TO_LISTEN = 30.0
"""In which a caller has to open a line for the answer, once its job is taken."""

SECONDS_TO_RETURN = 3.0
"""In which a caller whose line broke may open another one."""

_REMEMBERED = 10_000
_LINE = re.compile(r"/(?:queue/data|heartbeat/(?P<page>[^/]+)|call/(?:v2/)?[^/]+/(?P<event>[^/]+))$")


class LeftError(UserError):
    """The visitor has left, so no message is needed."""


class Presence:
    """The sessions that hold lines open, and when those that do not were last seen.

    Attributes:
        watched: whether `Lines` tells of them; until then everybody counts as there, listening.
    """

    def __init__(self) -> None:
        self.watched = False
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._last: OrderedDict[str, float] = OrderedDict()

    def begin(self, session: str) -> None:
        """A job of this session is taken: from now on somebody has to ask for its answer."""
        with self._lock:
            self._see(session, time.monotonic() + SECONDS_TO_LISTEN - SECONDS_TO_RETURN)

    def on_open(self, session: str) -> None:
        """A line is open."""
        with self._lock:
            self._open[session] = self._open.get(session, 0) + 1

    def on_close(self, session: str) -> None:
        """A line has ended."""
        with self._lock:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
                self._see(session, time.monotonic())

    def is_there(self, session: str) -> bool:
        """Whether somebody waits for this session's answers; one that was never seen counts as there."""
        with self._lock:
            last = self._last.get(session)
            return (not self.watched or session in self._open or last is None
                    or time.monotonic() - last < SECONDS_TO_RETURN)

    def listens(self, session: str) -> bool:
        """Whether a line of this session is open now."""
        with self._lock:
            return not self.watched or session in self._open

    def absence(self, session: str) -> float:
        """Seconds since this session had a line open; infinity for one that was never seen."""
        with self._lock:
            last = self._last.get(session)
            return 0.0 if session in self._open else math.inf if last is None else time.monotonic() - last

    def count(self) -> int:
        """Sessions with an open line."""
        with self._lock:
            return len(self._open)

    def _see(self, session: str, when: float) -> None:
        self._last[session] = when
        self._last.move_to_end(session)
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)


PRESENCE = Presence()
"""Of this process."""


class Lines:
    """ASGI middleware that tells `PRESENCE` of every line that opens and ends."""

    def __init__(self, app: ASGIApp, presence: Presence = PRESENCE) -> None:
        self.app, self.presence = app, presence
        presence.watched = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = _session(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if session is None:
            await self.app(scope, receive, send)
            return
        self.presence.on_open(session)
        try:
            await self.app(scope, receive, send)
        finally:
            self.presence.on_close(session)


def _session(scope: Scope) -> str | None:
    match = _LINE.search(scope["path"])
    if match is None:
        return None
    # A caller without a page has a session for each job, by the job's own name.
    return match["page"] or match["event"] or parse_qs(scope["query_string"].decode("latin1")).get(
        "session_hash", [None])[0]


def is_waited_for() -> bool:
    """Whether somebody still waits for what the running handler makes; True outside of a handler."""
    event = running_event()
    return event is None or (event.alive and is_there(event))


def is_there(event: Event) -> bool:
    """Whether somebody holds, or may still open, a line for a job's answer."""
    return PRESENCE.is_there(event.session_hash) or PRESENCE.listens(event._id)


def listens(event: Event) -> bool:
    """Whether somebody holds a line for a job's answer now."""
    return PRESENCE.listens(event.session_hash) or PRESENCE.listens(event._id)


def running_event() -> Event | None:
    """The event of Gradio's queue in whose handler this is called, None outside of one."""
    blocks, name = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    queue = getattr(blocks, "_queue", None)
    return None if queue is None or name is None else queue.event_ids_to_events.get(name)
