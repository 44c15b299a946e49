"""The scale of a visitor's opinions and its direction: two inputs, and what a handler makes of their values."""

from __future__ import annotations

import re

import gradio as gr

from methods.errors import InputError

GUESS = "guess from the opinions"


def scale_inputs(label: str) -> tuple[gr.Dropdown, gr.Radio]:
    """The inputs whose values `scale_of` and `lower_is_better` read."""
    scale = gr.Dropdown([GUESS, "0 to 1", "1 to 5", "0 to 5", "1 to 10", "0 to 100"], value=GUESS, label=label,
                        info="Or type your own, such as 1 to 9", allow_custom_value=True)
    direction = gr.Radio([("guess", "guess"), ("higher is better", "higher"), ("lower is better (DMOS)", "lower")],
                         value="guess", label="Direction")
    return scale, direction


def scale_of(text: str) -> tuple[float, float] | None:
    """The ends of a scale such as "1 to 5"; None where it is to be guessed.

    Raises:
        InputError: it is not two numbers.
    """
    if text == GUESS:
        return None
    ends = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*(?:to|-|–|\.\.)\s*(-?\d+(?:\.\d+)?)\s*", text or "")
    if ends is None:
        raise InputError(f"Write the scale as two numbers, such as 1 to 5; got {text!r}.")
    return float(ends[1]), float(ends[2])


def lower_is_better(direction: str) -> bool | None:
    """None where the direction is to be guessed."""
    return {"higher": False, "lower": True}.get(direction)
