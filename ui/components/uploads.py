"""Photos that come in from visitors: where an upload, an address or a data: URL is checked, and the inputs that keep
their bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency
from gradio.processing_utils import save_bytes_to_cache, ssrf_protected_download
from gradio.utils import get_upload_folder

from assets import FOLDER
from methods.images import ImageError, from_data_url, resolve_inside
from ui.errors import plain_errors

log = logging.getLogger(__name__)

Given = TypeVar("Given")

EXAMPLES = FOLDER / "examples"

REFUSED = "That file is not one of your uploads; upload the photo and try again."
NO_PICTURE = "A photo is an uploaded file, an http(s) address or a data: URL."
UPLOAD_TYPES = ["image", ".heic", ".heif", ".avif", ".tif", ".tiff"]


def upload_path(path: str | Path) -> str:
    """The real path of an upload or of one of our examples, links followed.

    Raises:
        gr.Error: it lies anywhere else, or cannot be a path.
    """
    try:
        return str(resolve_inside(path, (get_upload_folder(), EXAMPLES)))
    except ImageError:
        raise gr.Error(REFUSED, print_exception=False) from None


def picture_file(payload: object) -> str:
    """The path of a photo that an API call names: an upload, a public address, which is fetched, or a data: URL.

    Args:
        given: the text itself, or a mapping with it as "path" or "url", as Gradio writes files.

    Raises:
        gr.Error: it is none of these, or cannot be had.
        methods.images.ImageError: the data: URL is damaged.
    """
    if isinstance(payload, dict):
        payload = payload.get("path") or payload.get("url")
    if not isinstance(payload, str) or not payload:
        raise gr.Error(NO_PICTURE, print_exception=False)
    if payload.startswith("data:"):
        # The file's own bytes: Gradio would write the image anew, which loses depth and fails on some kinds. The name
        # only needs an ending, so that Gradio does not look for that of a sound; it says nothing of the format.
        return save_bytes_to_cache(from_data_url(payload), "photo.img", get_upload_folder())
    if payload.startswith(("http://", "https://")):
        try:
            # Gradio fetches public addresses only, so that nobody reaches the machine's own network through us.
            return ssrf_protected_download(payload, get_upload_folder())
        except Exception as error:  # whatever the network leads to
            log.info("The address of a photo could not be fetched.", exc_info=True)
            raise gr.Error("The address of a photo could not be fetched; upload the photo instead.",
                           print_exception=False) from error
    return upload_path(payload)


class PictureInput(gr.Image):
    """A photo as the visitor's own file: its path, with its bytes untouched until `methods.images.decode` reads it.

    Gradio's own preprocessing opens the file, and fails without a sentence on what it cannot read.
    """

    is_template = True  # drawn by gr.Image's own front end

    result: tuple[Callable[[], list[object]], Sequence[Block]] = (list, [])
    """What empties the result of this photo, and where it stands; see `photo.result_of`."""

    examples: gr.Dataset
    """The examples below it; see `photo.examples`."""

    runs: Sequence[Dependency] = ()
    """The events that ask of this photo; see `photo.ends_with`."""

    @staticmethod
    def as_file(payload: object) -> object:
        """A payload as this input reads it: an address or data: URL may stand for the file, alone or as its path."""
        address = payload.get("path") or payload.get("url") if isinstance(payload, dict) else payload
        if isinstance(address, str) and address.startswith(("data:", "http://", "https://")):
            return {"url": address}
        return {"path": payload} if isinstance(payload, str) and payload else payload

    @plain_errors
    def preprocess(self, payload: object) -> str | None:
        if payload is None:
            return None
        return picture_file({"path": payload.path, "url": payload.url})


def picture_input(label: str = "Your photo", **settings: object) -> PictureInput:
    """A photo from a file, the clipboard or the camera; the handler gets a path for `ui.serving.gpu` or None."""
    arguments: dict[str, Any] = {
        "label": label, "type": "filepath", "image_mode": None, "sources": ["upload", "clipboard", "webcam"],
        "format": "png", "height": 280, "buttons": ["fullscreen"], "elem_classes": "picture-input", **settings,
    }
    return PictureInput(**arguments)


def pictures_input(label: str = "Your photos", **settings: object) -> gr.File:
    """Any number of photos; the handler gets a list of paths or None."""
    arguments = {"label": label, "file_count": "multiple", "file_types": UPLOAD_TYPES, "height": 160, **settings}
    return gr.File(**arguments)


def require(path: Given | None, what: str = "a photo") -> Given:
    """`path` if there is one.

    Raises:
        gr.Error: nothing was given.
    """
    if not path:
        raise gr.Error(f"Add {what} first.", print_exception=False)
    return path
