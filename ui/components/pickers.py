"""Choosing a method and a model; only what this installation has, and only by name."""

from __future__ import annotations

from typing import Any

import gradio as gr

from methods.base import method_class
from ui.serving import models


def method_picker(label: str = "Method", value: str | None = None, **settings: Any) -> gr.Dropdown:
    """The handler gets a registry name."""
    names = models.available_methods()
    choices = [(method_class(name).title, name) for name in names]
    return gr.Dropdown(choices, value=value or names[0], label=label, **settings)


def lmm_picker(label: str = "Model", method: str | None = None, **settings: Any) -> gr.Dropdown:
    """The handler gets a name for `ui.serving.gpu`; it starts at the method's default on this machine."""
    value = models.default_for(method or models.available_methods()[0])
    return gr.Dropdown(models.offered(), value=value, label=label, **settings)
