"""Choosing a method, a model and what the model is shown; only what this installation has, and only by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.events import Dependency

from methods import meaning
from methods.base import method_class
from methods.errors import UserError
from methods.images import ImageError, decode
from ui.components.choices import in_address
from ui.components.uploads import upload_path
from ui.serving import models

PIXELS_INFO = "A lower limit costs less time and hides fine detail from the model."


def method_picker(label: str = "Method", value: str | None = None, **settings: Any) -> gr.Dropdown:
    """The handler gets a registry name."""
    names = models.available_methods()
    choices = [(method_class(name).title, name) for name in names]
    return in_address(gr.Dropdown(choices, value=value or default_method(), label=label, **settings), "method")


def lmm_picker(label: str = "Model", method: str | None = None, named: str = "model", **settings: Any) -> gr.Dropdown:
    """The handler gets a name for `ui.serving.gpu`; it starts at the method's default on this machine."""
    value = models.default_for(method or default_method())
    return in_address(gr.Dropdown(models.offered(), value=value, label=label, **settings), named)


def pixel_picker(method: str, **settings: Any) -> gr.Dropdown:
    """The handler gets one of `models.PIXEL_CHOICES`, or 0 for the model's own limit; hidden where the chosen model has
    no limit that can be lowered. `follow` keeps it true."""
    visible = method_class(method).needs_lmm and models.pixel_limit(models.default_for(method)) is not None
    return in_address(gr.Dropdown(_pixel_choices(), value=0, label="Pixels shown to the model", info=PIXELS_INFO,
                                  visible=visible, elem_classes="pixels", **settings), "pixels")


def follow(pixels: gr.Dropdown, lmm: gr.Dropdown, picture: gr.Image, *scored: Dependency,
           method: gr.Dropdown | None = None) -> None:
    """Keeps a `pixel_picker` in step with the model and the photo.

    Args:
        lmm: the tab's model picker; of several models the first is spoken of.
        picture: the tab's photo.
        scored: events after whose success the model is loaded.
        method: the tab's method picker, where it has one.
    """
    inputs = [lmm, picture, pixels, *([] if method is None else [method])]
    wired = {"fn": pixels_for, "inputs": inputs, "outputs": pixels, "show_progress": "hidden",
             "api_visibility": "private"}
    gr.on([lmm.change, picture.change, pixels.input], queue=False, **wired)
    for event in scored:
        event.success(queue=False, **wired)


def pixels_for(lmm: str | Sequence[str] | None, picture: str | None, chosen: int, method: str | None = None
               ) -> gr.Dropdown:
    """A `pixel_picker` for loaded models and a photo: hidden, or with the tokens that the photo takes."""
    names = [lmm] if isinstance(lmm, str) else list(lmm or ())
    if method is not None and not method_class(method).needs_lmm:
        names = []
    if not names or any(models.pixel_limit(name) is None for name in names):
        return gr.Dropdown(_pixel_choices(), value=0, visible=False)
    return gr.Dropdown(info=f"{PIXELS_INFO}{_tokens(names[0], picture, chosen)}", visible=True)


def _pixel_choices() -> list[tuple[str, int]]:
    return [("as many as the model takes", 0), *((f"{count:,}", count) for count in models.PIXEL_CHOICES)]


def _tokens(name: str, picture: str | None, chosen: int) -> str:
    if not picture:
        return ""
    try:
        size = decode(upload_path(picture)).image.size
        tokens = models.model_within(name, chosen or None).picture_tokens(*size)
    except ImageError:  # said when it is scored
        return ""
    except UserError as refused:  # of a photo that this model cannot be shown
        return f" {refused}"
    return f" This photo, {size[0]} x {size[1]}, takes {tokens:,} tokens each time it is shown."


def default_method() -> str:
    """The method that was measured to agree best with people, of those whose default model it was measured with; the
    first where nothing was measured."""
    names = models.available_methods()
    accuracy = {name: max((table.srcc.value for table in meaning.tables().values() if table.method == name
                           and table.weights.partition("@")[0] == _weights_of(name)), default=-1.0) for name in names}
    return max(names, key=lambda name: accuracy[name])


def _weights_of(name: str) -> str:
    """What computes a method's scores by default, as its results name it, without the revision."""
    return models.default_for(name) if method_class(name).needs_lmm else "embedded"
