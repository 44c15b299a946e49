"""One photo for all tabs, with the examples below each input."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.events import Dependency
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from methods import images
from ui.components.page import ended_before
from ui.components.uploads import EXAMPLES, PictureInput
from ui.serving import models

EXAMPLE_PICTURES = ("coffee.jpg", "coffee-dark-and-noisy.jpg", "rocket.jpg", "cat-blurred.jpg", "astronaut.jpg",
                    "astronaut-compressed.jpg")

THUMBNAIL = 256  # pixels of its longer side; twice what the page gives it

QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

LIES = "(file) => { window.meanOpinion?.lies(file); return file; }"
"""An uploaded photo cannot stand in the address: see assets/address.js."""


def examples(page: gr.Blocks, picture: PictureInput) -> Dependency:
    """Draws the examples at the place where it is called; a click puts one into `picture`.

    Returns:
        the event, for `.then(score, ...)`.
    """
    row = gr.Dataset(components=[gr.Image(visible=False, type="filepath", format="png")], type="index",
                     label="Or try one of these", elem_classes="examples",
                     samples=[[save_bytes_to_cache(_thumbnail(name), name, get_upload_folder())]
                              for name in EXAMPLE_PICTURES])
    picture.examples = row
    photo = getattr(page, "photo", None)

    def chosen(index: int) -> str | list[str]:
        path = str(EXAMPLES / EXAMPLE_PICTURES[index])
        return path if photo is None else [path, path]

    # In turn, and of several clicks the last: two answers at once may come in the other order.
    return row.click(chosen, row, [picture] if photo is None else [picture, photo], concurrency_limit=None,
                     trigger_mode="always_last", **{**QUIET, "queue": True})


@functools.cache
def _thumbnail(name: str) -> bytes:
    """A small copy of an example, JPEG: a tenth of its bytes."""
    small = images.decode(EXAMPLES / name).image
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    small.save(file := io.BytesIO(), "JPEG", quality=85)
    return file.getvalue()


def inputs_of(block: gr.blocks.Block) -> list[PictureInput]:
    """The photo inputs inside a block, however deep."""
    if isinstance(block, PictureInput):
        return [block]
    return [one for child in getattr(block, "children", ()) for one in inputs_of(child)]


def result_of(picture: PictureInput, example: Dependency, empty: Callable[[], list[object]], outputs: Sequence[Block]
              ) -> Dependency:
    """Clears a tab's result when its photo changes. Call `ends_with` afterwards; it connects the events.

    Never by `picture.change`: a browser tells of a change when it has drawn the photo, which on a busy machine is after
    the score of an example has come; the result of the very photo in sight would go.

    Args:
        example: the event that `examples` returned.
        empty: the values of `outputs` without a result.

    Returns:
        the event after which an example lies there alone, for `.then(score, ...)`.
    """
    picture.result = (empty, outputs)
    emptied: Dependency = example.then(empty, None, outputs, **QUIET)
    return emptied


def ends_with(picture: PictureInput, *runs: Dependency) -> None:
    """Cancels runs when their photo is replaced or removed, so that no result appears beside another photo.

    Args:
        runs: the events that ask, of `gpu.PHOTO_LANE`, so that the next photo is asked about if the end comes late.
    """
    picture.runs = runs
    ended_before(str(picture.elem_id).removesuffix("-picture"), *runs)
    # The page takes the events of one act in turn. A visitor's photo is there at once: what is asked of it before the
    # server has answered the next event is not to be ended. An example is there when the first event of its click has
    # been answered. (`then` would end nothing.)
    gr.on([picture.input, picture.clear, picture.examples.click], None, None, None, cancels=list(runs), **QUIET)
    empty, outputs = picture.result
    gr.on([picture.input, picture.clear], empty, None, outputs, **QUIET)


def follow(photo: gr.State, places: Sequence[tuple[gr.Tab, PictureInput]]) -> None:
    """Keeps one photo in all tabs. A tab that opens takes the photo over and scores it at once. Not on ZeroGPU, where
    looking round would spend a visitor's quota.

    Args:
        photo: holds the path.
        places: each input with the tab of the page that it lies in.
    """
    came = gr.Checkbox(visible=False)
    for tab, picture in places:
        gr.on([picture.input, picture.clear], lambda path: path, picture, photo, js=LIES, **QUIET)
        event = tab.select(_take_over(*picture.result), [photo, picture], [came, picture, *picture.result[1]], **QUIET)
        if not models.ON_ZERO_GPU:
            # The button itself, so that whatever follows a visitor's click follows this one.
            prefix = str(picture.elem_id).removesuffix("-picture")
            event.then(None, came, None, api_visibility="private",
                       js=f"(came) => {{ if (came) window.meanOpinion?.press({prefix!r}); }}")


def _take_over(empty: Callable[[], list[object]], outputs: Sequence[Block]
               ) -> Callable[[str | None, str | None], list[object]]:
    def take_over(photo: str | None, own: str | None) -> list[object]:
        # What lies there already stays, with its result.
        if photo == own:
            return [False, *[gr.skip()] * (1 + len(outputs))]
        return [photo is not None, photo, *empty()]

    return take_over
