"""A form for a method's options, generated from its `Options` dataclass, and the way back to keyword arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from methods.base import Options

SLIDER_STEPS = 1000
"""A bounded number with at most this many steps is a slider, else a number field."""


@dataclass(frozen=True)
class OptionsForm:
    """Attributes:
    names: option names, in the order of `components`.
    components: pass them as inputs of an event.
    defaults: the option values the form started with.
    """

    names: tuple[str, ...]
    components: tuple[gr.components.Component, ...]
    defaults: Options

    def kwargs(self, values: Sequence[Any]) -> dict[str, Any]:
        """What the components held, as keyword arguments for `Method.assess`."""
        return {name: _from_form(value, getattr(self.defaults, name)) for name, value in zip(self.names, values)}


def options_form(
    options: Options, *, leave_out: Sequence[str] = (), advanced_label: str = "More options"
) -> OptionsForm:
    """Draws one component an option, at the place where it is called; advanced ones are folded away.

    Args:
        options: a method's defaults, `Method.options`.
        leave_out: options that the tab shows in its own way.
    """
    specs = [spec for spec in dataclasses.fields(options) if spec.name not in leave_out]
    simple = [spec for spec in specs if not spec.metadata.get("advanced")]
    advanced = [spec for spec in specs if spec.metadata.get("advanced")]
    drawn = {spec.name: _component(spec, getattr(options, spec.name)) for spec in simple}
    if advanced:
        with gr.Accordion(advanced_label, open=False, elem_classes="options-more"):
            for spec in advanced:
                drawn[spec.name] = _component(spec, getattr(options, spec.name))
    return OptionsForm(tuple(drawn), tuple(drawn.values()), options)


def _component(spec: dataclasses.Field, default: Any) -> gr.components.Component:
    meta = spec.metadata
    choices, low, high, step = (meta.get(key) for key in ("choices", "low", "high", "step"))
    common = {"label": spec.name.replace("_", " ").capitalize(), "info": meta.get("help"), "value": default}
    if choices is not None and isinstance(default, tuple):
        return gr.CheckboxGroup(choices=_named(choices), **{**common, "value": list(default)})
    if choices is not None:
        kind = gr.Radio if len(choices) <= 4 and sum(len(str(choice)) for choice in choices) <= 40 else gr.Dropdown
        return kind(choices=_named(choices), **common)
    if isinstance(default, bool):
        return gr.Checkbox(**common)
    if isinstance(default, (int, float)) or low is not None or high is not None:
        step = step or (1 if isinstance(default, int) else None)
        if low is not None and high is not None and step and (high - low) / step <= SLIDER_STEPS:
            return gr.Slider(minimum=low, maximum=high, step=step, **common)
        precision = 0 if isinstance(default, int) else None
        return gr.Number(minimum=low, maximum=high, step=step or 0.01, precision=precision, **common)
    return gr.Textbox(**{**common, "value": default or ""})


def _named(choices: Sequence[Any]) -> list[tuple[str, Any]]:
    return [("none" if choice is None else str(choice), choice) for choice in choices]


def _from_form(value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(value or ())
    if isinstance(default, bool) or value is None:
        return value
    if isinstance(default, int):
        return int(value)
    if isinstance(default, float):
        return float(value)
    return None if value == "" and default is None else value
