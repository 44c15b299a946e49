"""How the page is doing, for whoever runs it: a line in the log for every call, /healthz, and /metrics if it is on.

A line says which call, how long it waited and ran, the megapixels it brought, and how it ended. It never says what was
in it: no file name, no address, no result.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from gradio.queueing import Event
from gradio.utils import get_upload_folder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ui.serving import models
from ui.serving.presence import PRESENCE, running_event
from ui.serving.settings import settings
from ui.share.store import Store

log = logging.getLogger("mean_opinion.calls")

DONE, FAILED, LEFT, REFUSED = "done", "failed", "left", "refused"


class Requests:
    """Counts every call by name and outcome, and writes its line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: dict[str, str] = {}
        self._notes: dict[str, dict[str, Any]] = {}
        self.outcomes: Counter[str] = Counter()
        self._metrics: _Metrics | None = None

    def note(self, **about: Any) -> None:
        """Adds to the line of the call in whose handler this is said; numbers are summed."""
        event = running_event()
        if event is None:
            return
        with self._lock:
            notes = self._notes.setdefault(event._id, {})
            for name, value in about.items():
                notes[name] = notes.get(name, 0) + value if isinstance(value, (int, float)) else value

    def failed(self, event: Event) -> None:
        """A call ends with an error; `ended` follows."""
        with self._lock:
            self._outcomes[event._id] = FAILED

    def ended(self, event: Event, name: str, waited: float, ran: float) -> None:
        with self._lock:
            outcome = self._outcomes.pop(event._id, DONE)
            notes = self._notes.pop(event._id, {})
            if not event.alive:
                outcome = LEFT
            self.outcomes[outcome] += 1
        more = "".join(f" {key}={value:.3g}" if isinstance(value, float) else f" {key}={value}"
                       for key, value in sorted(notes.items()))
        log.info("call=%s outcome=%s waited=%.2f ran=%.2f%s", name, outcome, max(waited, 0.0), ran, more)
        if self._metrics is not None:
            self._metrics.calls.labels(name, outcome).inc()
            self._metrics.seconds.labels(name).observe(ran)

    def refused(self, sentence: str) -> None:
        """A call that was not taken."""
        with self._lock:
            self.outcomes[REFUSED] += 1
        log.info("call refused: %s", sentence)

    def measure(self) -> None:
        """Counts for /metrics from now on."""
        self._metrics = _Metrics()


class _Metrics:
    """What prometheus-client counts; an import of its own, because it is optional."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Histogram

        self.calls = Counter("mean_opinion_calls", "Calls that ended.", ["call", "outcome"])
        self.seconds = Histogram("mean_opinion_call_seconds", "Seconds that a call ran.", ["call"],
                                 buckets=(0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600))


REQUESTS = Requests()
"""Of this process."""


def state(page: Any) -> dict[str, Any]:
    """What /healthz answers.

    Returns:
        status: "ok", or "full" where uploads find no room on the disk.
        models: names of those that are loaded.
        waiting: jobs for models that are taken and not finished; readers: those that only read.
        visitors: sessions with an open line.
        memory_mb: resident.
        disk_free_mb: where uploads go.
        calls: outcome -> how many since the start.
        damaged_shares: entries of the share store that were moved aside since the start.
    """
    folder = Path(get_upload_folder())
    free = shutil.disk_usage(folder if folder.is_dir() else tempfile.gettempdir()).free
    queue = page._queue
    return {
        "status": "ok" if free >= settings().free_disk_mb * 10**6 else "full", "models": models.loaded(),
        "waiting": len(queue.queue_jobs()), "readers": len(queue.queue_jobs(of_models=False)),
        "visitors": PRESENCE.count(), "memory_mb": psutil.Process().memory_info().rss // 10**6,
        "disk_free_mb": free // 10**6, "calls": dict(REQUESTS.outcomes), "damaged_shares": Store.damaged,
    }


def routes() -> list[Route]:
    """/healthz, and /metrics where the settings turn it on, for Gradio's own application."""
    answers = [Route("/healthz", healthz)]
    if settings().metrics:
        REQUESTS.measure()
        answers.append(Route("/metrics", _metrics()))
    return answers


async def healthz(request: Request) -> Response:
    return JSONResponse(state(request.app.get_blocks()), headers={"Cache-Control": "no-store"})


def _metrics() -> Callable[[Request], Awaitable[Response]]:
    from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

    gauges = {name: Gauge(f"mean_opinion_{name}", text) for name, text in {
        "waiting": "Jobs for models that are taken and not finished.", "readers": "Jobs that only read.",
        "visitors": "Sessions with an open line.", "memory_mb": "Resident memory.",
        "disk_free_mb": "Room for uploads."}.items()}

    async def metrics(request: Request) -> Response:
        now = state(request.app.get_blocks())
        for name, gauge in gauges.items():
            gauge.set(now[name])
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return metrics
