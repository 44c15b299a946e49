"""`mean-opinion list`: every method with its cost and options, and every LMM. Loads no model."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap

from methods.base import method_class, method_names
from methods.cli.options import describe
from methods.cli.running import DONE
from methods.errors import UserError

_WIDTH = 110


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(arguments: argparse.Namespace) -> int:
    print(listing(), flush=True)
    return DONE


def listing() -> str:
    """The list as text."""
    methods = [_method(name) for name in method_names()]
    return "\n".join(["METHODS (--method)", "", *methods, "LMMS (--lmm)", "", *_lmms()])


def _method(name: str) -> str:
    try:
        kind = method_class(name)
    except UserError as error:  # of another package; the others are listed all the same
        return f"  {name}: {error}\n"
    passes = f"{kind.cost():g} LMM passes per image" if kind.needs_lmm else "brings its own network, no LMM"
    low, high = kind.native_range
    lines = [f"  {name}: {kind.title}", *_wrapped(kind.summary, 6), f"      {passes}; native scale {low:g} to {high:g}"]
    for spec in dataclasses.fields(kind.options):
        flag = "--" + spec.name.replace("_", "-")
        lines += _wrapped(f"{flag}  {describe(spec, getattr(kind.options, spec.name))}", 6, hanging=4)
    return "\n".join(lines) + "\n"


def _lmms() -> list[str]:
    from methods.lmm.catalogue import CATALOGUE

    lines = ["  embedded: ships with the project and runs without a GPU"]
    for entry in CATALOGUE:
        through = {"transformers": "", "server": "; through a server only",
                   "no way": f"; cannot be run here, {entry.stand_in} is the nearest that can"}[entry.reached]
        if entry.trained_on is None:
            trained = "which IQA data it was trained on is not stated"
        else:
            trained = f"trained on {', '.join(entry.trained_on) or 'no IQA data that is known'}"
        lines.append(f"  {entry.nickname}: {entry.hub_id}")
        lines.append(
            f"      {entry.memory_gib:g} GiB, up to {entry.image_budget} images per prompt, {entry.licence}; "
            f"{trained}{through}"
        )
        lines += _wrapped(entry.note, 6)
    return [*lines, "  any other Hub id, a local checkpoint folder, or server:URL#model"]


def _wrapped(text: str, indent: int, hanging: int = 0) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + hanging))
