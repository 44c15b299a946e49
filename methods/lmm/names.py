"""Names of LMMs that carry a revision and settings: "Qwen/Qwen3-VL-8B-Instruct@main?dtype=float16&max_pixels=500000".

A name travels where an object cannot: into an environment variable, a command, or a process on another machine. So
everything that decides how a model is loaded can be part of it, as of a server's address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from methods.errors import InputError, suggestion


def at_least_one(name: str, text: str) -> int:
    """A whole number of at least 1.

    Raises:
        InputError: anything else; the sentence names the setting.
    """
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise InputError(f"{name} is a whole number of at least 1; got {text!r}.")
    return number


def _text(name: str, text: str) -> str:
    if not text:
        raise InputError(f"{name} is empty; give it a value or leave it out.")
    return text


SETTINGS: Mapping[str, Callable[[str, str], str | int]] = {
    "device": _text, "dtype": _text, "revision": _text, "attn_implementation": _text, "device_map": _text,
    "max_pixels": at_least_one,
}
"""What a name may carry, each with what reads its value."""


def name_and_settings(name: str) -> tuple[str, dict[str, Any]]:
    """The bare name, and what it carries; a server's address keeps its own settings.

    A folder that is there is taken by its whole name, whatever characters that holds.

    Raises:
        InputError: an unknown setting, a bad value, or a setting twice.
    """
    name = name.strip()
    if name.startswith("server:") or Path(name).expanduser().exists():
        return name, {}
    bare, _, query = name.partition("?")
    pairs = [(key, unquote(text)) for key, _, text in (part.partition("=") for part in query.split("&") if query)]
    if not bare.startswith((".", "/", "~")) and "@" in bare:
        bare, _, revision = bare.partition("@")
        pairs = [("revision", revision), *pairs]
    settings: dict[str, str | int] = {}
    for key, text in pairs:
        if key not in SETTINGS:
            raise InputError(f"A model has no setting {key!r}{suggestion(key, SETTINGS)}")
        if key in settings:
            raise InputError(f"{key} is given twice in {name!r}.")
        settings[key] = SETTINGS[key](key, text)
    return bare, settings


def name_with(name: str, settings: Mapping[str, object]) -> str:
    """A name that carries these settings too; None values are left out.

    Raises:
        InputError: the name carries one of them already.
    """
    explicit = {key: value for key, value in settings.items() if value is not None}
    if not explicit:
        return name
    if twice := sorted(set(name_and_settings(name)[1]) & set(explicit)):
        raise InputError(f"{twice[0]} is given twice, in the name {name!r} and beside it; leave one of them out.")
    address, hash_sign, model = name.partition("#")
    query = "&".join(f"{key}={quote(str(value), safe=':/')}" for key, value in explicit.items())
    return f"{address}{'&' if '?' in address else '?'}{query}{hash_sign}{model}"
