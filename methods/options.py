"""A method's settings: a frozen dataclass whose fields say what a form, a command line and a checker need of them."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from methods.errors import InputError, suggestion


def option(default: object, help: str, *, choices: Sequence[object] | None = None, low: float | None = None,
           high: float | None = None, step: float | None = None, advanced: bool = False, explains: bool = False) -> Any:
    """A dataclass field of an `Options` class with what a form, a command line and a checker need to know of it.

    Args:
        default: used when the caller says nothing; the paper's setting unless the help says otherwise.
        help: one sentence that a visitor understands.
        choices: the allowed values, where they are few.
        low, high: inclusive bounds of a number.
        step: a sensible step for a slider.
        advanced: shown folded away.
        explains: a switch that adds to the evidence and never changes the score.
    """
    metadata = {"help": help, "choices": tuple(choices) if choices is not None else None,
                "low": low, "high": high, "step": step, "advanced": advanced, "explains": explains}
    if isinstance(default, (list, dict, set)):
        raise TypeError("Option defaults are immutable; use a tuple.")
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """Settings of one assessment; each method extends it. Every field is declared with `option(...)`.

    A new field comes last: the page's API takes them by position.

    Raises:
        InputError: a value is outside its field's choices or bounds; the sentence names the option.
    """

    seed: int = option(0, "Seeds everything random; the same image, options and seed give the same score.",
                       low=0, high=2**31 - 1, advanced=True)

    def __post_init__(self) -> None:
        hints = _option_types(type(self))  # type: ignore[arg-type]  # mypy takes a dataclass for unhashable
        for spec in dataclasses.fields(self):
            value = _typed(spec.name, hints[spec.name], getattr(self, spec.name))
            object.__setattr__(self, spec.name, value)
            _check_option(spec, value)

    def updated(self, **changes: Any) -> Self:
        """A copy with some options changed.

        Raises:
            InputError: an option that does not exist (the sentence suggests the nearest) or a bad value.
        """
        names = [spec.name for spec in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                raise InputError(f"There is no option {name!r}{suggestion(name, names)}")
        return dataclasses.replace(self, **changes)

    def score_alone(self) -> dict[str, bool]:
        """Changes after which nothing is computed that only explains a score: for rows of numbers."""
        return {spec.name: False for spec in dataclasses.fields(self) if spec.metadata.get("explains")}


def all_options(options: Mapping[str, object] | None, more: Mapping[str, object]) -> dict[str, object]:
    """Options given as a mapping and as keywords, in one.

    Raises:
        InputError: one is given in both ways.
    """
    twice = sorted(set(options or ()) & set(more))
    if twice:
        raise InputError(f"The option {twice[0]} is given twice, in the mapping and by its name; leave one out.")
    return {**(options or {}), **more}


@functools.cache
def _option_types(options: type[Options]) -> dict[str, object]:
    return typing.get_type_hints(options)


def _typed(name: str, hint: object, value: object) -> object:
    """`value` as the option declares it: a slider gives 4.0 for 4, JSON a list for a tuple, numpy its own numbers."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or hint is str:
        return value
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if bool in kinds and not isinstance(value, bool):
        raise InputError(f"Option {name} must be true or false; got {value}.")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(f"Option {name} is too large a number.")
    if int in kinds and float not in kinds and isinstance(value, float):
        if not value.is_integer():
            raise InputError(f"Option {name} must be a whole number; got {value}.")
        return int(value)
    return float(value) if float in kinds and int not in kinds else value


def _check_option(spec: dataclasses.Field, value: object) -> None:
    if value is None and spec.default is None:
        return
    choices, low, high = (spec.metadata.get(key) for key in ("choices", "low", "high"))
    # A tuple option (a subset of the distortions, say) is checked item by item.
    values = value if isinstance(value, tuple) else (value,)
    if choices is not None and any(item not in choices for item in values):
        raise InputError(f"Option {spec.name} must be one of {', '.join(map(str, choices))}; got {value}.")
    if low is None and high is None:
        return
    for item in values:
        number = isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item)
        if not number or (low is not None and item < low) or (high is not None and item > high):
            bounds = (f"at least {low}" if high is None else f"at most {high}" if low is None
                      else f"between {low} and {high}")
            raise InputError(f"Option {spec.name} must be a number {bounds}; got {item}.")
