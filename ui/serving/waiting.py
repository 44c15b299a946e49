"""Who may wait, and who no longer does: Gradio's queue, fair among sessions and addresses.

Calls for models and calls that only read have separate places, so that a page full of waiting photos still opens. One
session and one address have a few places each. A job begins once its caller listens for the answer, and leaves within
seconds once nobody does, wherever it stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Literal

from anyio.to_thread import run_sync
from fastapi import Request
from gradio import route_utils
from gradio.block_function import BlockFunction
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from gradio.server_messages import EventMessage, ProcessCompletedMessage
from gradio.utils import run_coro_in_background

from ui.serving import memory
from ui.serving.health import REQUESTS
from ui.serving.presence import PRESENCE, is_there, listens
from ui.serving.sessions import Sessions
from ui.serving.settings import settings

log = logging.getLogger(__name__)

MODELS, MANY_PHOTOS = "models", "many photos"
"""`concurrency_id` of the events that use models."""

READERS_PER_PLACE = 4
"""Calls that only read may be this many times as many as those for models."""

SECONDS_BETWEEN = 1.0
SECONDS_BETWEEN_LOOKS = 0.01
SECONDS_OF_ANSWERS = 60.0
"""That an answer is kept for a caller who does not ask for it."""

Answer = tuple[bool, str | list[dict[str, object]], Literal["success", "error", "queue_full", "validator_error"]]


class FairEvents(Queue):
    """Gradio's queue, with limits per session and per address."""

    async def push(self, body: PredictBodyInternal, request: Request, username: str | None) -> Answer:
        if refusal := self._refusal(body, request):
            REQUESTS.refused(refusal)
            return False, refusal, "queue_full"
        pushed = await super().push(body, request, username)
        if pushed[0] and body.session_hash is not None:
            PRESENCE.begin(body.session_hash)
        return pushed

    def start(self) -> None:
        # Gradio looks for work a thousand times per second, each time on the thread that answers everybody.
        self.sleep_when_free = SECONDS_BETWEEN_LOOKS
        super().start()
        run_coro_in_background(self._sweep)

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """As Gradio's, but only for jobs whose visitor is listening. Other jobs move to the end."""
        unheard = {}
        for name, lane in self.event_queue_per_concurrency_id.items():
            unheard[name] = [event for event in lane.queue if not listens(event)]
            if unheard[name]:
                lane.queue = [event for event in lane.queue if event not in unheard[name]]
        try:
            return super().get_events()
        finally:
            for name, events in unheard.items():
                self.event_queue_per_concurrency_id[name].queue += events

    async def process_events(self, events: list[Event], batch: bool, begin_time: float, fn: BlockFunction) -> None:
        """As Gradio's; a session that was made for one call goes with it, and the call leaves a line in the log."""
        waited = begin_time - time.time() + time.monotonic() - events[0].enqueue_time
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            await run_sync(memory.trim)
            for event in events:
                REQUESTS.ended(event, fn.api_name or "", waited, time.time() - begin_time)
                if event.session_hash == event._id and isinstance(holder := self._holder(), Sessions):
                    holder.forget(event.session_hash)

    def compute_analytics_summary(self, records: object) -> object:
        """Nothing: Gradio's makes a table of all calls at the end of each, for a page that is not served here."""
        return self.cached_event_analytics_summary

    def send_message(self, event: Event, event_message: EventMessage) -> None:
        if isinstance(event_message, ProcessCompletedMessage) and not event_message.success:
            REQUESTS.failed(event)
        super().send_message(event, event_message)

    def queue_jobs(self, of_models: bool = True) -> list[Event]:
        """Jobs that were taken and are not finished."""
        return [event for event in self._jobs() if _uses_models(event.fn) == of_models]

    def _jobs(self) -> Iterator[Event]:
        for lane in self.event_queue_per_concurrency_id.values():
            yield from list(lane.queue)
        for job in self.active_jobs:
            yield from job or ()

    def _refusal(self, body: PredictBodyInternal, request: Request) -> str:
        """Why a job is not taken, in one sentence; "" if it is."""
        fn = route_utils.get_fn(self.blocks, None, body)
        uses_models = _uses_models(fn)
        share = 1 if uses_models else READERS_PER_PLACE
        limits, jobs = settings(), self.queue_jobs(uses_models)
        if len(jobs) >= limits.waiting * share:
            return f"{len(jobs)} calls are waiting, and no more are taken; try again in a minute."
        own = sum(event.session_hash == body.session_hash for event in jobs)
        if own >= limits.waiting_per_session * share:
            return f"{own} of your calls are waiting; wait for one of them, or stop it."
        address = _address(request)
        own = sum(_address(event.request) == address for event in jobs)
        if own >= limits.waiting_per_address * share:
            return f"{own} calls from your address are waiting; wait for one of them."
        return ""

    async def _sweep(self) -> None:
        last = time.monotonic()
        while not self.stopped:
            await asyncio.sleep(SECONDS_BETWEEN)
            for event in list(self._jobs()):
                if event.alive and not is_there(event):
                    await self.clean_events(event_id=event._id)
            if time.monotonic() - last > 10 * SECONDS_BETWEEN:
                last = time.monotonic()
                self._forget_answers()
                if isinstance(holder := self._holder(), Sessions):
                    holder.forget_old()

    def _forget_answers(self) -> None:
        """Drops the answers that nobody has asked for."""
        busy = {event.session_hash for event in self._jobs()}
        for session in list(self.pending_messages_per_session):
            if session not in busy and PRESENCE.absence(session) > SECONDS_OF_ANSWERS:
                self.pending_messages_per_session.pop(session, None)
                self.pending_event_ids_session.pop(session, None)

    def _holder(self) -> object:
        return getattr(self.server_app, "state_holder", None)


def _uses_models(fn: BlockFunction) -> bool:
    return fn.concurrency_id in (MODELS, MANY_PHOTOS)


def _address(request: Request | None) -> str | None:
    return request.client.host if request is not None and request.client is not None else None
