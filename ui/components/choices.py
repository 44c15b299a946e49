"""Choices that stand in the page's address: which component goes by which name, and what a link may
say of it; and which tabs lie inside a tab.

`text_of` and `chose` in assets/address.js write the same text.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import gradio as gr

from leaderboard.links import quotation
from methods.errors import InputError

Named = TypeVar("Named", bound=gr.components.Component)

TYPED = (gr.Slider, gr.Number)
"""What changes at every key or step of a hand, so that all of it is one step back."""


def in_address(component: Named, name: str) -> Named:
    """Lets a component's value stand in the address as `name`, in the tab that it lies in."""
    component.in_address = name  # type: ignore[attr-defined]
    return component


def choices_of(block: gr.blocks.Block) -> dict[str, Any]:
    """Name in the address -> component, of all inside a block, however deep.

    Raises:
        ValueError: two go by the same name.
    """
    named: dict[str, Any] = {}
    for child in getattr(block, "children", ()):
        more = {child.in_address: child} if hasattr(child, "in_address") else choices_of(child)
        if twice := named.keys() & more.keys():
            raise ValueError(f"Two components go by {sorted(twice)[0]!r} in the address of one tab.")
        named |= more
    return named


def modes_of(block: gr.blocks.Block) -> list[tuple[gr.Tabs, list[str]]]:
    """Every set of tabs inside a block whose tabs have names (an `id` of their own), with these; the first is open."""
    sets = []
    for child in getattr(block, "children", ()):
        if isinstance(child, gr.Tabs):
            names = [tab.id for tab in child.children if isinstance(tab, gr.Tab) and isinstance(tab.id, str)]
            sets += [(child, names)] if names else []
        sets += modes_of(child)
    return sets


def text_of(value: object) -> str:
    """A value as the address holds it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ",".join(sorted(map(text_of, value)))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def value_of(name: str, component: Any, text: str) -> tuple[object, str]:
    """A component's value from its text in an address, and a sentence ("" where nothing is wrong).

    What is not understood is left out of a list; a single value that is not understood gives the component's own.
    """
    try:
        if isinstance(component, TYPED):
            return _number(name, component, text), ""
        offered = {"1": True, "0": False} if isinstance(component, gr.Checkbox) else {
            text_of(value): value for _, value in component.choices}
        if not isinstance(component.value, list):
            return offered[text] if text in offered else _refuse(name, text, offered), ""
        parts = [part for part in text.split(",") if part]
        good = [offered[part] for part in parts if part in offered]
        unknown = [part for part in parts if part not in offered]
        if unknown and not good:
            _refuse(name, unknown[0], offered)
        if (most := getattr(component, "max_choices", None)) and len(good) > most:
            raise InputError(f"{name!r} takes at most {most} choices; the link's were ignored.")
        return good, "" if not unknown else _sentence(name, unknown[0], offered)
    except InputError as error:
        return component.value, str(error)


def _number(name: str, component: gr.Slider | gr.Number, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    low, high, step = component.minimum, component.maximum, component.step
    low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
    whole = isinstance(step, int) or getattr(component, "precision", None) == 0
    if not (math.isfinite(value) and low <= value <= high) or (whole and not value.is_integer()):
        kind = "a whole number" if whole else "a number"
        span = f" from {low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else ""
        raise InputError(f"{quotation(text)} is no value for {name!r}, which is {kind}{span}; it was ignored.")
    return int(value) if whole else value


def _refuse(name: str, text: str, offered: Mapping[str, object]) -> NoReturn:
    raise InputError(_sentence(name, text, offered))


def _sentence(name: str, text: str, offered: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(text, list(offered), n=1, cutoff=0.6)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{quotation(text)} is no choice for {name!r} here; it was ignored{meant}."
