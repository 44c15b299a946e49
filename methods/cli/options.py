"""A method's Options dataclass as command-line flags, so that no method writes an argument parser."""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable

from methods.base import Method

_UNSET = "option_"  # prefix of the names under which flags are stored, apart from the command's own


def add_flags(parser: argparse.ArgumentParser, kind: type[Method]) -> None:
    """One flag per option: `--temperature 2`, `--x` and `--no-x` for a truth value, `--distortions fog,saturate`.

    A flag that is not given leaves the method's default alone. Bounds and choices are checked by the Options class.
    """
    group = parser.add_argument_group(f"options of {kind.title}")
    hints = typing.get_type_hints(type(kind.options))
    for spec in dataclasses.fields(kind.options):
        value_type, several = _value_type(hints[spec.name])
        flag, target = "--" + spec.name.replace("_", "-"), _UNSET + spec.name
        text = describe(spec, getattr(kind.options, spec.name)).replace("%", "%%")
        if value_type is bool and not several:
            group.add_argument(flag, dest=target, action=argparse.BooleanOptionalAction, help=text, default=None)
            continue
        convert = _several(value_type) if several else _one(value_type)
        group.add_argument(flag, dest=target, type=convert, help=text, metavar=_metavar(value_type, several))


def options_from(arguments: argparse.Namespace, kind: type[Method]) -> dict[str, object]:
    """The options that were given, by name."""
    values = {spec.name: getattr(arguments, _UNSET + spec.name) for spec in dataclasses.fields(kind.options)}
    return {name: value for name, value in values.items() if value is not None}


def describe(spec: dataclasses.Field, default: object) -> str:
    """The option's help with its choices or bounds and its default."""
    choices, low, high = (spec.metadata.get(key) for key in ("choices", "low", "high"))
    limits = ""
    if choices is not None:
        limits = f"one of {', '.join(map(str, choices))}; "
    elif low is not None and high is not None:
        limits = f"{low} to {high}; "
    text = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{spec.metadata.get('help', '')} ({limits}default {'none' if text in (None, '') else text})".strip()


def _value_type(hint: object) -> tuple[type, bool]:
    """The type of one value, and whether the option takes several: `tuple[str, ...] | None` gives (str, True)."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is tuple:
        return _value_type(typing.get_args(hint)[0])[0], True
    if typing.get_origin(hint) is typing.Literal:
        return type(typing.get_args(hint)[0]), False
    if hint not in (str, int, float, bool):
        raise TypeError(f"An option of type {hint} cannot become a flag; use text, numbers, truth values or a tuple.")
    return hint, False


def _one(value_type: type) -> Callable[[str], object]:
    def convert(text: str) -> object:
        if value_type is bool:
            if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
                raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
            return text.lower() in ("true", "yes", "1")
        try:
            return value_type(text)
        except ValueError as error:
            noun = {int: "a whole number", float: "a number"}[value_type]
            raise argparse.ArgumentTypeError(f"{text!r} is not {noun}") from error

    return convert


def _several(value_type: type) -> Callable[[str], tuple]:
    def convert(text: str) -> tuple:
        return tuple(_one(value_type)(part.strip()) for part in text.split(",") if part.strip())

    return convert


def _metavar(value_type: type, several: bool) -> str:
    name = {str: "TEXT", int: "N", float: "X", bool: "TRUE"}[value_type]
    return f"{name},..." if several else name
