"""A method's options on the page: a form made from its `Options` dataclass, and what a visitor's values stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr

from methods.base import Options, method_class
from methods.errors import InputError
from ui.components.choices import in_address

SLIDER_STEPS = 1000
"""A bounded number with at most this many steps is a slider, else a number field."""

Forms = dict[str, "OptionsForm"]
"""Method -> its form, where one event takes the options of several methods."""


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

    def kwargs(self, values: Sequence[object]) -> dict[str, object]:
        """What the components held, as keyword arguments for `Method.assess`."""
        return {name: _from_form(value, getattr(self.defaults, name)) for name, value in zip(self.names, values)}


def options_form(
    options: Options, *, leave_out: Sequence[str] = (), advanced_label: str = "More options",
    too_late: Mapping[str, Sequence[str]] = MappingProxyType({}), named: str = "",
) -> OptionsForm:
    """Draws one component per option, at the place where it is called; advanced ones are folded away.

    Args:
        options: a method's defaults, `Method.options`.
        leave_out: options that the tab shows in its own way.
        too_late: by option, choices that are left out, `models.late_choices`.
        named: what stands before an option's name in the address, where a tab has the options of several methods.
    """
    specs = [spec for spec in dataclasses.fields(options) if spec.name not in leave_out]
    simple = [spec for spec in specs if not spec.metadata.get("advanced")]
    advanced = [spec for spec in specs if spec.metadata.get("advanced")]
    def component(spec: dataclasses.Field) -> gr.components.Component:
        control = _component(spec, getattr(options, spec.name), too_late.get(spec.name, ()))
        # Text is a folder of this machine, which no link may name.
        return control if isinstance(control, gr.Textbox) else in_address(control, f"{named}{spec.name}")

    controls = {spec.name: component(spec) for spec in simple}
    if advanced:
        with gr.Accordion(advanced_label, open=False, elem_classes="options-more"):
            for spec in advanced:
                controls[spec.name] = component(spec)
    return OptionsForm(tuple(controls), tuple(controls.values()), options)


def _component(spec: dataclasses.Field, default: Any, too_late: Sequence[str] = ()) -> gr.components.Component:
    meta = spec.metadata
    choices, low, high, step = (meta.get(key) for key in ("choices", "low", "high", "step"))
    choices = choices and tuple(choice for choice in choices if choice not in too_late)
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


def _from_form(value: Any, default: object) -> object:
    if isinstance(default, tuple):
        return tuple(value or ())
    if isinstance(default, bool) or value is None:
        return value
    if isinstance(default, int):
        return int(value)
    if isinstance(default, float):
        return float(value)
    return None if value == "" and default is None else value


def components_of(forms: Forms) -> list[gr.components.Component]:
    """All inputs of several forms, in order."""
    return [component for form in forms.values() for component in form.components]


def options_of(forms: Forms, values: Sequence[object]) -> dict[str, dict[str, object]]:
    """Method -> its options, out of the values of `components_of`."""
    options, start = {}, 0
    for name, form in forms.items():
        options[name] = form.kwargs(values[start : start + len(form.names)])
        start += len(form.names)
    return options


def changed_options(forms: Forms, values: Sequence[object]) -> dict[str, dict[str, object]]:
    """As `options_of`, but only the options that differ from their method's defaults."""
    return {name: {key: value for key, value in chosen.items() if value != getattr(forms[name].defaults, key)}
            for name, chosen in options_of(forms, values).items()}


def as_options(method: str, values: Mapping[str, object]) -> dict[str, object]:
    """Options out of JSON, with lists as the tuples that the dataclass holds.

    Raises:
        InputError: they are not a mapping, or name a folder of this machine.
    """
    if not isinstance(values, dict):
        raise InputError('Options are a mapping of names to values, such as {"seed": 1}.')
    defaults: Options = method_class(method).options
    for name in free_text(defaults):
        if values.get(name, getattr(defaults, name)) != getattr(defaults, name):
            raise InputError(f"The option {name} names a folder of this machine and cannot be set from the page.")
    tuples = {spec.name for spec in dataclasses.fields(defaults) if isinstance(getattr(defaults, spec.name), tuple)}
    return {name: tuple(value) if name in tuples and isinstance(value, list) else value
            for name, value in values.items()}


def free_text(options: Options) -> tuple[str, ...]:
    """Names of the options that take any text: paths and names that only whoever runs the app may choose."""
    return tuple(spec.name for spec in dataclasses.fields(options)
                 if isinstance(getattr(options, spec.name), str) and spec.metadata.get("choices") is None)
