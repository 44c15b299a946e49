"""The app as a program without Gradio's client talks to it."""

from __future__ import annotations

import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any

SECONDS = 60
"""To wait for an answer; a busy machine takes many times its usual time."""


def post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def call(app_url: str, endpoint: str, data: list[Any]) -> tuple[str, Any]:
    """How an endpoint's answer ended, "complete" or "error", and what came: its outputs, or the error's message."""
    event = post(f"{app_url}/gradio_api/call/{endpoint}", {"data": data})["event_id"]
    with urllib.request.urlopen(f"{app_url}/gradio_api/call/{endpoint}/{event}", timeout=SECONDS) as answer:
        lines = answer.read().decode().strip().splitlines()
    ending, content = lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))
    return ending, content if ending == "complete" else (content or {}).get("error")


def through_queue(app_url: str, index: int, data: list[Any], event_data: Any = None) -> dict[str, Any]:
    """The final message of one event, as the page's own front end would get it."""
    session = uuid.uuid4().hex
    post(f"{app_url}/gradio_api/queue/join",
         {"data": data, "fn_index": index, "session_hash": session, "event_data": event_data})
    address = f"{app_url}/gradio_api/queue/data?session_hash={session}"
    with urllib.request.urlopen(address, timeout=SECONDS) as stream:
        for line in stream:
            if line.startswith(b"data:"):
                message = json.loads(line[5:])
                if message["msg"] in ("process_completed", "unexpected_error"):
                    return message
    raise AssertionError("the event ended without an answer")


def upload(app_url: str, path: Path) -> str:
    """The server's path of an uploaded file."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
    request = urllib.request.Request(f"{app_url}/gradio_api/upload", head + path.read_bytes() + b"\r\n--x--\r\n",
                                     {"Content-Type": "multipart/form-data; boundary=x"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)[0]


def file(path: str) -> dict[str, Any]:
    """A path of the server as a payload."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
