"""The one photo of a visit: what is put into one tab lies in all of them, and each has the examples below its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from ui.components.uploads import EXAMPLES, PictureInput

EXAMPLE_PICTURES = ("coffee.jpg", "coffee-dark-and-noisy.jpg", "rocket.jpg", "cat-blurred.jpg", "astronaut.jpg",
                    "astronaut-compressed.jpg")

QUIET: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}


def examples(page: gr.Blocks, picture: PictureInput) -> Any:
    """Draws the examples at the place where it is called; a click puts one into `picture`.

    Returns:
        the event, for `.then(score, ...)`.
    """
    row = gr.Dataset(components=[gr.Image(visible=False, type="filepath", format="png")], type="index",
                     label="Or try one of these", samples=[[str(EXAMPLES / name)] for name in EXAMPLE_PICTURES],
                     elem_classes="examples")
    photo = getattr(page, "photo", None)
    outputs = [picture] if photo is None else [picture, photo]
    return row.click(lambda index: [str(EXAMPLES / EXAMPLE_PICTURES[index])] * len(outputs) if len(outputs) > 1
                     else str(EXAMPLES / EXAMPLE_PICTURES[index]), row, outputs, **QUIET)


def inputs_of(block: gr.blocks.Block) -> list[PictureInput]:
    """The photo inputs inside a block, however deep."""
    if isinstance(block, PictureInput):
        return [block]
    return [one for child in getattr(block, "children", ()) for one in inputs_of(child)]


def follow(photo: gr.State, places: Sequence[tuple[gr.Tab, PictureInput]]) -> None:
    """Wires the inputs of all tabs to one photo: each tells of its own, and takes over another when its tab opens.

    Args:
        photo: holds the path.
        places: each input with the tab of the page that it lies in.
    """
    for tab, picture in places:
        gr.on([picture.input, picture.clear], lambda path: path, picture, photo, **QUIET)
        tab.select(_taken_over, [photo, picture], picture, **QUIET)


def _taken_over(photo: str | None, own: str | None) -> Any:
    # What lies there already stays, with its result.
    return gr.skip() if photo == own else photo
