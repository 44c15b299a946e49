"""Answers that everybody gets alike, made and compressed once: the page, its description and the files it loads.

Gradio makes the page anew for everybody who opens it, which takes a tenth of a second of the processor, sends three
quarters of a megabyte as they are, and compresses each of a hundred files for each of its readers, on the thread that
answers all of them.
"""

from __future__ import annotations

import gzip
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import brotli
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 24 * 2**20
"""Of all answers that are kept; what was asked for least recently goes first."""

FILES = re.compile(r"/(assets|static)/|/theme\.css$")
"""Of Gradio's front end: the same for everybody, whatever the address is followed by."""

DESCRIPTIONS = ("/", "/config", "/gradio_api/info")
"""These name the address under which they were asked for."""

_HASHED = re.compile(r"/assets/.*-[\w-]{8,9}\.(js|css|woff2?)$")
_ADDRESS = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
_TEXT = re.compile(r"text/|application/(javascript|json)|image/svg")
_SHORT = 400  # bytes that are not worth compressing
_QUALITY = 6  # of Brotli: nearly as small as its best, in a hundredth of the time

Answer = tuple[Message, Message]


class Ready:
    """ASGI middleware that keeps these answers. It forgets them when the page is launched anew."""

    def __init__(self, app: ASGIApp, first: Callable[[Mapping[str, Any]], str] = lambda config: "") -> None:
        """Args:
        first: HTML for the head of the page with this config: what it needs before Gradio's own script runs.
        """
        self.app = app
        self._first = first
        self._answers: OrderedDict[tuple[object, ...], Answer] = OrderedDict()
        self._page: object = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if key is None:
            await self.app(scope, receive, send)
            return
        page = getattr(scope["app"].get_blocks(), "config", None)
        if page is not self._page:
            self._page = page
            self._answers.clear()
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        else:
            answer = await self._made(scope, receive)
            if page is self._page and _may_be_kept(answer):
                self._keep(key, answer)
        start, body = answer
        await send({**start, "headers": list(start["headers"])})  # which those around this one add to
        await send(body)

    def _keep(self, key: tuple[object, ...], answer: Answer) -> None:
        self._answers[key] = answer
        while sum(len(body["body"]) for _, body in self._answers.values()) > MOST_BYTES:
            self._answers.popitem(last=False)

    async def _made(self, scope: Scope, receive: Receive) -> Answer:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        start, content = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
        if scope["path"] == "/":
            before, head, after = content.rpartition(b"</head>")
            first = self._first(scope["app"].get_blocks().config).encode()
            content = (before + first + head if head else b"") + after
        return await run_sync(_compressed, start, content, _encoding(scope), scope["path"])


def _key(scope: Scope) -> tuple[object, ...] | None:
    """What an answer depends on; None for one that is not kept."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path, headers = scope["path"], Headers(scope=scope)
    if "range" in headers:
        return None
    if FILES.match(path):
        return path, _encoding(scope)
    query = scope["query_string"].decode("latin1")
    # The page's own links are read by its events; Gradio's deep links and pages change what is sent.
    if path not in DESCRIPTIONS or (query and (path != "/" or {"deep_link", "page"} & {*parse_qs(query)})):
        return None
    return (path, _encoding(scope), scope["scheme"], scope.get("root_path"), str(scope.get("server")),
            *map(headers.get, _ADDRESS))


def _encoding(scope: Scope) -> str:
    accepted = Headers(scope=scope).get("accept-encoding", "")
    return "br" if "br" in accepted else "gzip" if "gzip" in accepted else ""


def _may_be_kept(answer: Answer) -> bool:
    return answer[0]["status"] == 200 and "set-cookie" not in Headers(raw=answer[0]["headers"])


def _compressed(start: Message, body: bytes, encoding: str, path: str) -> Answer:
    headers = MutableHeaders(raw=list(start["headers"]))
    if encoding and len(body) >= _SHORT and _TEXT.match(headers.get("content-type", "")):
        body = brotli.compress(body, quality=_QUALITY) if encoding == "br" else gzip.compress(body)
        headers["Content-Encoding"] = encoding
        headers.add_vary_header("Accept-Encoding")
    headers["Content-Length"] = str(len(body))
    # Its name says what is in it, but for a script of Gradio's that is served with corrections.
    if start["status"] == 200 and _HASHED.match(path) and "cache-control" not in headers:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return {**start, "headers": headers.raw}, {"type": "http.response.body", "body": body}
