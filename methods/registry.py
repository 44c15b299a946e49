"""From a name to a method: those that ship, and those that other packages register.

Another package registers a method in its pyproject.toml, under the entry-point group of this module:

    [project.entry-points."mean_opinion.methods"]
    my-method = "my_package.method:MyMethod"

Listing names imports no method. A package whose method cannot be loaded is named when that method is asked for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from methods.errors import InputError, UserError, suggestion

if TYPE_CHECKING:
    import torch

    from methods.base import Method
    from methods.lmm.base import LMM

METHODS: dict[str, str] = {
    "q-bench": "methods.q_bench.method:QBench",
    "iqarag": "methods.iqarag.method:IQARAG",
    "llm-iqa": "methods.llm_iqa.method:LLMIQA",
    "visualquality-r1": "methods.visualquality_r1.method:VisualQualityR1",
    "leaf": "methods.leaf.method:LEAF",
    "q-debias": "methods.q_debias.method:QDebias",
}
"""Methods that ship: name -> "module:class". Imported on first use, so listing the methods stays cheap."""

GROUP = "mean_opinion.methods"
"""Entry points of this group are methods of other packages: name = "module:class"."""


def method_names() -> tuple[str, ...]:
    """The names of every method that is installed: those that ship, then those of other packages by name.

    Raises:
        InputError: two packages give a method the same name; the sentence names them.
    """
    others = _entry_points()
    for name in others:
        _only(name)
    return (*METHODS, *(name for name in sorted(others) if name not in METHODS))


def method_class(name: str) -> type[Method]:
    """The class behind a name; upper case, spaces and underscores are forgiven.

    Raises:
        InputError: no such method (the sentence suggests the nearest name), or two of that name.
        UserError: another package registers it and cannot be loaded; the sentence names the package.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    entry = _only(key)
    if entry is not None:
        return _loaded(key, entry)
    if key not in METHODS:
        raise InputError(f"There is no method {name!r}{suggestion(key, [*METHODS, *_entry_points()])}")
    module, _, attribute = METHODS[key].partition(":")
    own: type[Method] = getattr(importlib.import_module(module), attribute)
    return own


def load_method(name: str, lmm: LMM | str | None = None, device: str | None = None,
                dtype: str | torch.dtype | None = None, max_pixels: int | None = None,
                options: Mapping[str, object] | None = None, **more: Any) -> Method:
    """A ready method.

    Args:
        name: one of `method_names`.
        lmm: a loaded model, a name for `methods.lmm.load_lmm`, or None for the default on this machine.
        device, dtype: where and in which precision a model that is named is loaded, as `methods.lmm.load_lmm`.
        max_pixels: larger images are scaled down to so many pixels before they are scored, and a model that is named
            is shown no more of any image; it is recorded with every result. None leaves it at
            `methods.images.MAX_PIXELS`, and at what the model takes by default. A limit on what the model is shown
            alone, so that LLM-IQA still cuts its regions from the whole photo, is the model's: "NAME?max_pixels=N".
        options: changes to the method's default options, by name.
        more: options too; and what the constructor of that class takes, such as `student` of LEAF.

    Raises:
        InputError: an unknown method or option, or a bad value; the sentence suggests the nearest name.
        UserError: the method belongs to another package, which cannot be loaded.
        methods.lmm.LMMError: the model cannot be loaded.

    Example:
        >>> method = load_method("llm-iqa", "embedded", segmenter="felzenszwalb", options={"k": 5})
        >>> method.options.segmenter, method.options.k
        ('felzenszwalb', 5)
    """
    named: dict[str, Any] = {"device": device, "dtype": dtype, "max_pixels": max_pixels, "options": options}
    # Only what was given, so that a constructor need not name what it hands on.
    return method_class(name)(lmm, **{key: value for key, value in named.items() if value is not None}, **more)


@functools.cache
def _entry_points() -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points of the group by name. A package that is found on two places of the path counts once."""
    by_name: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        by_name.setdefault(entry.name, {}).setdefault((_package(entry), entry.value), entry)
    return {name: tuple(entries.values()) for name, entries in by_name.items()}


def _only(name: str) -> EntryPoint | None:
    """The one entry point of that name, None where no other package has it; two claims are an error."""
    entries = _entry_points().get(name, ())
    packages = " and ".join(f"the package {_package(entry)}" for entry in entries)
    if entries and name in METHODS:
        raise InputError(f"The method {name!r} ships with Mean Opinion, and {packages} registers another of that "
                         "name; uninstall that package or have its method renamed.")
    if len(entries) > 1:
        raise InputError(f"Two methods are named {name!r}, of {packages}; uninstall one of the packages.")
    return entries[0] if entries else None


def _loaded(name: str, entry: EntryPoint) -> type[Method]:
    try:
        kind = entry.load()
    except Exception as error:  # whatever importing another's code leads to
        raise UserError(f"The method {name!r} cannot be loaded from the package {_package(entry)} ({entry.value}: "
                        f"{type(error).__name__}: {error}); update or uninstall that package.") from error
    if not (isinstance(kind, type) and hasattr(kind, "assess_batch") and getattr(kind, "name", None) == name):
        raise UserError(f"The package {_package(entry)} registers {entry.value} as the method {name!r}, but that is no "
                        "subclass of methods.base.Method with this name; update or uninstall that package.")
    return kind


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(".")[0]
