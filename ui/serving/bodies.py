"""What a request may bring: its body is measured before anything parses it, and read under a deadline.

Gradio parses JSON on the thread that answers everybody, so whatever takes long there freezes the page for all. A body
is let in if it is short, and if it is shallow and of few parts: a megabyte of brackets costs a hundred times what a
megabyte of text does. Photos may stand in JSON as data: URLs, which are text to the parser; they have a limit of their
own. Uploads go to disk as they come; each file is measured by Gradio, and the disk's room is looked at here.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.serving.settings import settings

MEGABYTE = 2**20
MOST_WITH_PHOTOS = 16 * MEGABYTE
"""Of JSON together with the data: URLs in it: some photos of a phone."""

MOST_AT_ONCE = 64 * MEGABYTE
"""Of all bodies that are being read as JSON; others wait."""

DEEPEST, MOST_PARTS = 32, 20_000
"""Lists and mappings inside each other, and values in all: many times what any call of the page holds."""

SECONDS_TO_SEND = 60.0
"""For a body that is read as a whole."""

UPLOADS_AT_ONCE = 3
"""An upload's request may hold this many times what one file may have."""

_DATA_URL = re.compile(rb'"data:[^"\\]*"')
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_TEXT_AND_NUMBERS = bytes(set(range(256)) - set(b"[]{},"))


class RefusedError(Exception):
    """A body that is not let in: the status, and one plain sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class BodyLimits:
    """ASGI middleware that refuses a body before it is parsed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._free = MOST_AT_ONCE
        self._freed = asyncio.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            length = _length(headers)
            if headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data"):
                _check_upload(length)
                await self.app(scope, _counted(receive, most_uploaded()), send)
                return
            claim = min(length if length is not None else MOST_WITH_PHOTOS, MOST_WITH_PHOTOS)
            async with self._freed:
                await self._freed.wait_for(lambda: self._free >= claim)
                self._free -= claim
            try:
                body = await _whole(receive, length)
                check_json(body)
                await self.app(scope, _replayed(body, receive), send)
            finally:
                async with self._freed:
                    self._free += claim
                    self._freed.notify_all()
        except RefusedError as error:
            await _refuse(send, error)


def check_json(body: bytes) -> None:
    """Raises `RefusedError` for JSON that is too large, too deep or of too many parts."""
    most = settings().json_mb * MEGABYTE
    if len(body) > most:
        rest = _DATA_URL.sub(b"", body)
        if len(rest) > most:
            raise _too_large()
        body = rest
    refusal = RefusedError(413, f"A request's JSON holds up to {MOST_PARTS} values, in lists and mappings up to "
                                f"{DEEPEST} inside each other; the API tab says what each call takes.")
    if b"\0" in body:  # JSON in UTF-16, which the patterns here do not read
        raise RefusedError(400, "A request's JSON is text in UTF-8; send it so.")
    if body.count(b'"') > 4 * MOST_PARTS:
        raise refusal
    structure = np.frombuffer(_TEXT.sub(b"", body).translate(None, _TEXT_AND_NUMBERS), np.uint8)
    opening = (structure == ord("[")) | (structure == ord("{"))
    depth = np.where(opening, 1, np.where(structure == ord(","), 0, -1)).cumsum()
    if len(structure) > 2 * MOST_PARTS or depth.max(initial=0) > DEEPEST:
        raise refusal


def most_uploaded() -> int:
    """Bytes that one request may upload."""
    return UPLOADS_AT_ONCE * settings().upload_mb * MEGABYTE


def _length(headers: dict[bytes, bytes]) -> int | None:
    text = headers.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit():
        raise RefusedError(400, "The length of the request is not a number; send it again.")
    return int(text)


def _check_upload(length: int | None) -> None:
    if length is not None and length > most_uploaded():
        raise RefusedError(413, f"One request uploads up to {most_uploaded() // MEGABYTE} MB; send fewer files at a "
                                "time.")
    folder = Path(get_upload_folder())
    free = shutil.disk_usage(folder if folder.is_dir() else tempfile.gettempdir()).free
    if free - (length or 0) < settings().free_disk_mb * MEGABYTE:
        raise RefusedError(507, "There is no room for uploads just now; try again in an hour, when old ones are "
                                "deleted.")


def _counted(receive: Receive, most: int) -> Receive:
    """`receive` that ends a body without a length where it grows too large."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise RefusedError(413, f"One request uploads up to {most // MEGABYTE} MB; send fewer files at a time.")
        return message

    return counted


async def _whole(receive: Receive, length: int | None) -> bytes:
    if length is not None and length > MOST_WITH_PHOTOS:
        raise _too_large()
    parts: list[bytes] = []
    size, more, most = 0, True, settings().json_mb * MEGABYTE
    try:
        async with asyncio.timeout(SECONDS_TO_SEND):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "The request ended before all of it came; send it again.")
                parts.append(message.get("body", b""))
                before, size = size, size + len(parts[-1])
                if size > MOST_WITH_PHOTOS:
                    raise _too_large()
                if before <= most < size and not any(b"data:" in part for part in parts):
                    raise _too_large()  # without a photo at its start, it can only be refused at its end
                more = message.get("more_body", False)
    except TimeoutError:
        raise RefusedError(408, f"The request did not come within {SECONDS_TO_SEND:.0f} s; send it again.") from None
    return b"".join(parts)


def _too_large() -> RefusedError:
    return RefusedError(413, f"A request takes up to {settings().json_mb} MB of JSON, and "
                             f"{MOST_WITH_PHOTOS // MEGABYTE} MB with photos as data: URLs; upload files first and "
                             "send their paths.")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, and then what comes after it: that the client has left."""
    left: list[bytes] = [body]

    async def replayed() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replayed


async def _refuse(send: Send, error: RefusedError) -> None:
    content = json.dumps({"detail": error.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode()),
               (b"connection", b"close")]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
