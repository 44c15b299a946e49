"""What comes in from visitors: the page that refuses paths of the server, and the picture input that keeps the file.

An API payload can name any path; Gradio checks it only where the payload says that it is a file, so a payload that
keeps silent would make the server read any picture it can. `Page` looks at every payload of every component that
carries files, before Gradio does, and lets through only what lies in the upload folder or among our examples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from assets import FOLDER
from methods.images import ImageError, from_data_url, resolve_inside

EXAMPLES = FOLDER / "examples"

REFUSED = "That file is not one of your uploads; upload the picture and try again."
UPLOAD_TYPES = ["image", ".heic", ".heif", ".avif", ".tif", ".tiff"]


def uploaded(path: str | Path) -> str:
    """The real path of an upload or of one of our examples, links followed.

    Raises:
        gr.Error: it lies anywhere else, or cannot be a path.
    """
    try:
        return str(resolve_inside(path, (get_upload_folder(), EXAMPLES)))
    except ImageError:
        raise gr.Error(REFUSED, print_exception=False) from None


def saved(address: str) -> str:
    """The path of a copy, byte for byte, of the picture inside a data: address.

    Raises:
        gr.Error: the address is damaged or too large.
    """
    try:
        content = from_data_url(address)
    except ImageError as error:
        raise gr.Error(str(error), print_exception=False) from None
    # The name only needs an ending, so that Gradio does not look for that of a sound; it says nothing of the format.
    return save_bytes_to_cache(content, "picture.img", get_upload_folder())


def paths_in(payload: Any) -> Iterator[dict[str, Any]]:
    """Every mapping with a "path" inside a payload, however deep."""
    if isinstance(payload, dict):
        if isinstance(payload.get("path"), str):
            yield payload
        for value in payload.values():
            yield from paths_in(value)
    elif isinstance(payload, (list, tuple)):
        for value in payload:
            yield from paths_in(value)


class Page(gr.Blocks):
    """`gr.Blocks` that hands no path to a component unless it is an upload or an example of ours."""

    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        if not explicit_call:
            for component, payload in zip(block_fn.inputs, inputs):
                if getattr(component, "data_model", None) is not None:
                    _check(_parsed(payload))
        return await super().preprocess_data(block_fn, inputs, state, explicit_call)


def _parsed(payload: Any) -> Any:
    # A component that accepts JSON text would otherwise carry a path past this check inside a string.
    if isinstance(payload, str) and payload.lstrip().startswith(("{", "[")):
        try:
            return json.loads(payload)
        except ValueError:
            return payload
    return payload


def _check(payload: Any) -> None:
    for file in paths_in(payload):
        # Gradio itself fetches a public address into the upload folder, but only for a payload marked as a file.
        marked = isinstance(file.get("meta"), dict) and file["meta"].get("_type") == "gradio.FileData"
        if not (marked and file["path"].startswith(("http://", "https://"))):
            uploaded(file["path"])


class PictureInput(gr.Image):
    """A photo as the visitor's own file: its path, with its bytes untouched until `methods.images.decode` reads it.

    Gradio's own preprocessing opens the file, and fails without a sentence on what it cannot read.
    """

    is_template = True  # drawn by gr.Image's own front end

    def preprocess(self, payload: Any) -> str | None:
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            return saved(payload.url)
        return uploaded(payload.path or "")


def picture_input(label: str = "Your photo", **settings: Any) -> PictureInput:
    """A photo from a file, the clipboard or the camera; the handler gets a path for `ui.serving.gpu` or None."""
    chosen: dict[str, Any] = {
        "label": label, "type": "filepath", "image_mode": None, "sources": ["upload", "clipboard", "webcam"],
        "format": "png", "height": 340, "buttons": ["fullscreen"], **settings,
    }
    return PictureInput(**chosen)


def pictures_input(label: str = "Your photos", **settings: Any) -> gr.File:
    """Any number of photos; the handler gets a list of paths or None."""
    chosen = {"label": label, "file_count": "multiple", "file_types": UPLOAD_TYPES, "height": 160, **settings}
    return gr.File(**chosen)


def required(path: str | list | None, what: str = "a photo") -> Any:
    """`path` if there is one.

    Raises:
        gr.Error: nothing was given.
    """
    if not path:
        raise gr.Error(f"Add {what} first.", print_exception=False)
    return path
