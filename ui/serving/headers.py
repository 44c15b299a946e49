"""The headers of every answer: what they tell the browser, and that they name no server.

The policy names what the page really loads: everything from its own origin; inline script and style, and `eval`, which
Gradio's front end and plotly use; images and media also as data: and blob: addresses. A Space shows the page in a frame
of the Hub's.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.serving.models import ON_SPACE

POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:", "media-src 'self' data: blob:", "font-src 'self' data:",
    "connect-src 'self' data: blob:", "worker-src 'self' blob:", "object-src 'none'", "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'" + (" https://huggingface.co https://*.hf.space" if ON_SPACE else ""),
))
FILES = "/gradio_api/file="
"""Uploads and what was made of them: never a page of their own, whatever they hold."""


class Headers:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "same-origin"
                headers["Content-Security-Policy"] = POLICY
                if FILES in scope["path"] and message["status"] == 200:
                    headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
                    headers["Content-Disposition"] = "attachment"
            await send(message)

        await self.app(scope, receive, answered)
