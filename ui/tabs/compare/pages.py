"""A shared comparison's link opens a report, which a crawler without JavaScript reads as well as a person on a phone.

`/?share=ID` is answered here before the app is, `/?share=ID&tab=compare` opens it in the app, and `/shared/ID/...`
are its files. Everything is made from the stored content at the time of the request, so that what was deleted is gone.
"""

from __future__ import annotations

import datetime
import functools
import json
import threading
from collections.abc import Callable
from urllib.parse import parse_qs

from gradio.route_utils import get_root_url
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ui.comparison.card import draw, preview
from ui.comparison.exports import record
from ui.comparison.report import Place, missing_page, report
from ui.share.entry import GoneError
from ui.tabs.compare import share
from ui.tabs.compare.results import Held

PRIVATE = {"Cache-Control": "no-cache", "X-Robots-Tag": "noindex"}
"""A copy that somebody keeps is theirs; one that a proxy keeps would outlive its deletion."""

_pen = threading.Lock()
"""Cards are drawn one after the other: each holds a hundred megabytes while it is drawn."""


class Reports:
    """ASGI middleware that answers the links of shared comparisons."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and _own_path(scope) in ("", "/"):
            query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if "share" in query and "tab" not in query:
                request = Request(scope)
                answer = await run_in_threadpool(_page, query["share"][0], _root(request),
                                                 query.get("__theme", [""])[0])
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _own_path(scope: Scope) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _root(request: Request) -> str:
    path = _own_path(request.scope)
    return get_root_url(request, path if path.startswith("/") else "/", request.scope.get("root_path") or None)


def _page(name: str, root: str, theme: str) -> Response:
    theme = theme if theme in ("light", "dark") else ""
    try:
        held, entry = share.load(name)
    except GoneError as error:
        return HTMLResponse(missing_page(str(error), root, theme), 404, PRIVATE)
    place = Place(root, name, share.last_day(entry))
    return HTMLResponse(report(held.comparison, held.pictures, place, theme), headers=PRIVATE)


def routes() -> list[Route]:
    """The files of shared comparisons, for Gradio's own application."""
    return [Route("/shared/{id}/{file}", _file)]


async def _file(request: Request) -> Response:
    return await run_in_threadpool(_made, request.path_params["id"], request.path_params["file"], _root(request))


def _made(name: str, file: str, root: str) -> Response:
    try:
        held, _ = share.load(name)
    except GoneError as error:
        return HTMLResponse(missing_page(str(error), root), 404, PRIVATE)
    place = Place(root, name)
    makers: dict[str, tuple[str, Callable[[], bytes]]] = {
        "preview.png": ("image/png", lambda: _preview(name)),
        "card.png": ("image/png", lambda: _card(held, place.link, "png")),
        "card.pdf": ("application/pdf", lambda: _card(held, place.link, "pdf")),
        "record.json": ("application/json", lambda: json.dumps(
            {**record(held.comparison), "share": name}, ensure_ascii=False, allow_nan=False, indent=1).encode()),
        "frozen.html": ("text/html", lambda: report(
            held.comparison, held.pictures,
            Place(root, name, frozen=datetime.datetime.now(datetime.UTC).date().isoformat())).encode()),
        **{f"photo-{index}.webp": ("image/webp", functools.partial(bytes, content))
           for index, content in enumerate(held.pictures)},
    }
    if file not in makers:
        return HTMLResponse(missing_page("A shared comparison has no file of this name.", root), 404, PRIVATE)
    kind, make = makers[file]
    headers = dict(PRIVATE)
    if file.startswith(("card", "record", "frozen")):
        ending = file.rpartition(".")[2]
        headers["Content-Disposition"] = f'attachment; filename="mean-opinion-{name[:8]}.{ending}"'
    return Response(make(), media_type=kind, headers=headers)


@functools.lru_cache(maxsize=64)  # of a content id, which names one content for ever
def _preview(name: str) -> bytes:
    held, _ = share.load(name)
    with _pen:
        return preview(held.comparison, held.pictures)


def _card(held: Held, link: str, kind: str) -> bytes:
    with _pen:
        return draw(held.comparison, held.pictures, link=link).encoded(kind)
