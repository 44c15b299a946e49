"""Which models the page offers, and the loaded ones it keeps.

Visitors choose from the catalogue by name; whoever runs the app decides through environment variables which names
those are. On CUDA and on ZeroGPU the defaults are loaded before the first visitor comes, elsewhere on first use.

    MEAN_OPINION_OFFER   comma-separated names that replace the catalogue entries this machine can hold
    MEAN_OPINION_PRELOAD "0" loads nothing before the first visitor
    MEAN_OPINION_KEEP    how many models besides the defaults stay in memory (1)
"""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from methods.base import METHODS, Method, method_class

if TYPE_CHECKING:
    from methods.lmm.base import LMM

ON_ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
ON_SPACE = bool(os.environ.get("SPACE_ID"))

_lmms: OrderedDict[str, LMM] = OrderedDict()
_methods: dict[tuple[str, str], Method] = {}
_lock = threading.RLock()


@functools.cache
def available_methods() -> tuple[str, ...]:
    """Registry names of the methods whose module is part of this installation, in registry order."""
    return tuple(name for name, target in METHODS.items() if _exists(target.partition(":")[0]))


def _exists(module: str) -> bool:
    package, _, _ = module.rpartition(".")
    return (not package or _exists(package)) and importlib.util.find_spec(module) is not None


def default_for(method: str | None = None) -> str:
    """The LMM that this machine uses for a method unless the visitor chooses another."""
    from methods.lmm.loading import default_lmm

    return default_lmm(method)


def offered() -> list[tuple[str, str]]:
    """(label, name) of every model a visitor may choose here, the defaults first."""
    named = os.environ.get("MEAN_OPINION_OFFER")
    defaults = [default_for(name) for name in available_methods()]
    others = [name.strip() for name in named.split(",") if name.strip()] if named else []
    return [(label_of(name), name) for name in dict.fromkeys([*defaults, *others])]


def label_of(name: str) -> str:
    """A name as the page shows it: the last part of a Hub id or of a local path, a server's model."""
    return name.rpartition("#")[2].replace("\\", "/").rstrip("/").rpartition("/")[2] or name


def is_loaded(wanted: str | tuple[str, str | None] | None) -> bool:
    """True if `lmm(name)` or `method(name, lmm)` would return at once."""
    if isinstance(wanted, tuple):
        name, lmm_name = wanted
        return (name, (lmm_name or default_for(name)) if method_class(name).needs_lmm else "") in _methods
    return (wanted or default_for()) in _lmms


def lmm(name: str | None = None) -> LMM:
    """A loaded model by name, `None` for the default; kept until newer ones push it out.

    Raises:
        methods.lmm.LMMError: it cannot be loaded.
    """
    from methods.lmm.loading import load_lmm

    name = name or default_for()
    with _lock:
        if name not in _lmms:
            _make_room(name)
            _lmms[name] = load_lmm(name)
        _lmms.move_to_end(name)
        return _lmms[name]


def method(name: str, lmm_name: str | None = None) -> Method:
    """A ready method on a model; both are kept. Errors as `methods.load_method`."""
    kind = method_class(name)
    with _lock:
        if not kind.needs_lmm:
            return _kept((kind.name, ""), lambda: kind())
        chosen = lmm_name or default_for(kind.name)
        model = lmm(chosen)
        return _kept((kind.name, chosen), lambda: kind(lmm=model))


def _kept(key: tuple[str, str], make) -> Method:
    if key not in _methods:
        _methods[key] = make()
    return _methods[key]


def _make_room(coming: str) -> None:
    keep = int(os.environ.get("MEAN_OPINION_KEEP", 1))
    defaults = {default_for(name) for name in available_methods()}
    extra = [name for name in _lmms if name not in defaults]
    while coming not in defaults and len(extra) >= max(keep, 1):
        gone = extra.pop(0)
        del _lmms[gone]
        for key in [key for key in _methods if key[1] == gone]:
            del _methods[key]


def preload() -> None:
    """Loads the defaults of all methods; called once, before the page is served, where there is a GPU."""
    if os.environ.get("MEAN_OPINION_PRELOAD", "1") == "0":
        return
    for name in available_methods():
        method(name)
