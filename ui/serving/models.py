"""Which models the page offers, and the loaded ones it keeps.

Visitors choose by name from a list that this module makes, and nothing outside that list is ever loaded for them;
whoever runs the app decides what is on it. The defaults are the largest models that the GPU's free memory holds
(`methods.lmm.defaults`). On CUDA they are loaded before the first visitor comes, elsewhere on first use. ZeroGPU takes
models from the main thread alone, while the app starts; what was not loaded then is not offered. How many are kept is
one of `ui.serving.settings`.

    MEAN_OPINION_LMM, MEAN_OPINION_LMM_<METHOD>  the defaults, instead of what fits
    MEAN_OPINION_OFFER    comma-separated names to offer instead of the catalogue entries that fit this machine
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from methods.base import Method, Options, method_class, method_names
from methods.errors import InputError, UserError
from methods.lmm.base import LMMError
from methods.lmm.defaults import EMBEDDED, Defaults
from methods.lmm.loading import lmm_by_environment
from methods.lmm.pixels import DEFAULT_PIXELS
from methods.locks import ForkSafeLock
from ui.serving.settings import settings
from ui.serving.workers import give_way

if TYPE_CHECKING:
    from methods.lmm.base import LMM

ON_ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
ON_SPACE = bool(os.environ.get("SPACE_ID"))

ROOM_TO_WORK = 1.25
"""A model needs this many times the memory of its weights: images and the KV cache come on top."""

PIXEL_CHOICES = (2**19, 2**18, 2**17, 2**16)
"""What a visitor may lower a model's pixel limit to; it is never raised."""

log = logging.getLogger(__name__)

_lmms: OrderedDict[str, LMM] = OrderedDict()
_methods: dict[tuple[str, str, int | None], Method] = {}
_limited: dict[tuple[str, int], LMM] = {}
_alive: weakref.WeakValueDictionary[str, LMM] = weakref.WeakValueDictionary()
_loading: dict[str, _Loading] = {}
_lock = ForkSafeLock()
_failed: dict[str, str] = {}
"""Defaults that could not be loaded when the app started -> the sentence that says why."""

_started = False
"""Whether `preload` is over, after which ZeroGPU takes no model."""


@functools.cache
def available_methods() -> tuple[str, ...]:
    """Names of the methods that can be used here; one of another package that cannot be loaded is left out."""
    return tuple(name for name in method_names() if _usable(name))


def _usable(name: str) -> bool:
    try:
        method_class(name)
    except UserError as error:
        log.warning("%s", error)
        return False
    return True


@functools.cache
def _catalogue() -> dict[str, tuple[str, str]]:
    """What is offered: name on the page -> (label, name for `load_lmm`), the defaults first."""
    from methods.lmm.catalogue import CATALOGUE

    names = [*(_default_of(method) for method in available_methods()), EMBEDDED]
    named = os.environ.get("MEAN_OPINION_OFFER")
    if named is not None:
        names += [name.strip() for name in named.split(",") if name.strip()]
    elif not ON_ZERO_GPU:
        memory = _memory_gib()
        names += [entry.hub_id for entry in CATALOGUE
                  if entry.reached == "transformers" and entry.memory_gib * ROOM_TO_WORK <= memory]
    offers: dict[str, tuple[str, str]] = {}
    for name in names:
        offers.setdefault(_public_name(name), (_label(name), name))
    return offers


def _public_name(name: str) -> str:
    """The name that visitors see and send: never a folder of this machine or a server's address."""
    from methods.lmm.catalogue import find

    if entry := find(name):
        return entry.hub_id
    return name.rpartition("#")[2].replace("\\", "/").rstrip("/").rpartition("/")[2]


def _label(name: str) -> str:
    from methods.lmm.catalogue import find

    if name == "embedded":
        return "Embedded"
    entry = find(name)
    return entry.title if entry else _public_name(name)


def _memory_gib() -> float:
    """Memory for a catalogue model's bfloat16 weights; 0 on a Space without a GPU, where none would answer in time."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory / 2**30
    if ON_SPACE:
        return 0.0
    # On the CPU the weights are float32, twice the size, and at most half of the memory may go into them.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 / 4 if hasattr(os, "sysconf") else 0.0


def offered() -> list[tuple[str, str]]:
    """(label, name) of every model a visitor may choose here, the defaults first."""
    return [(label, name) for name, (label, _) in _catalogue().items() if not _comes_too_late(name)]


def _comes_too_late(name: str) -> bool:
    return ON_ZERO_GPU and _started and name not in _lmms


def late_choices(method: str) -> Mapping[str, Sequence[str]]:
    """By option of a method, choices that are not offered: on ZeroGPU, what loads a network when it is asked for."""
    return method_class(method).networks if ON_ZERO_GPU else {}


def refuse_too_late(method: str, options: Options) -> None:
    """
    Raises:
        InputError: an option has a value of `late_choices`.
    """
    for name, values in late_choices(method).items():
        if (value := getattr(options, name)) in values:
            raise InputError(f"The {name} {value} was not loaded when this page started, and ZeroGPU takes none "
                             f"afterwards; leave the option {name} as it is.")


def default_for(method_name: str) -> str:
    """The name of the model that a method takes on this machine unless the visitor chooses another."""
    return _public_name(_default_of(method_name))


def reasons() -> tuple[str, ...]:
    """Why the defaults are what they are, in plain sentences."""
    named = {method: lmm_by_environment(method) for method in available_methods()}
    kept = {name for name in named.values() if name and name not in _failed}
    sentences = [f"{_label(name)} is a default by the environment." for name in sorted(kept)]
    sentences += [_failed[name] for name in sorted({*named.values()} & {*_failed})]
    return (*sentences, *(_choice().reasons if not all(named.values()) else ()))


def _default_of(method: str) -> str:
    """As `load_lmm` takes it: what the environment names, else what fits and can be had."""
    named = lmm_by_environment(method)
    if named:
        return EMBEDDED if named in _failed else named
    return _choice().of(method)


@functools.cache
def _choice() -> Defaults:
    from methods.lmm import defaults

    free = defaults.ZERO_GPU_BYTES if ON_ZERO_GPU else defaults.free_bytes()
    if free is None:
        return defaults.choose_defaults(None, ())
    own = _own_lmms()
    wanted = (*defaults.GENERAL, *own.values())
    obtainable = {name for name in wanted if defaults.on_disk(name)}
    missing = [name for name in wanted if name not in obtainable]
    hub = not missing or defaults.hub_answers(missing[0])
    return defaults.choose_defaults(free, wanted if hub else obtainable, hub=hub, failed=_failed, own=own)


def _own_lmms() -> dict[str, str]:
    """Method -> the model that was trained for it, if the catalogue has it: else nobody knows what memory it takes."""
    from methods.lmm.catalogue import find

    own = {name: method_class(name).own_lmm for name in available_methods()}
    return {name: model for name, model in own.items() if model and find(model)}


def lmm(name: str) -> LMM:
    """A loaded model by its name in `offered`; kept until newer ones push it out.

    Raises:
        InputError: the name is not on offer here.
        methods.lmm.LMMError: it cannot be loaded.
    """
    from methods.lmm.loading import load_lmm

    if name not in _catalogue():
        raise InputError(f"This page does not offer the model {name}; choose one from its list.")
    if _comes_too_late(name):
        raise InputError(f"The model {name} was not loaded when this page started, and ZeroGPU takes none afterwards; "
                         f"choose {' or '.join(_lmms)}.")
    with _lock:
        if model := _kept_lmm(name):
            return model
    if ON_ZERO_GPU:  # which takes models from the main thread alone; what it lets go of could not be loaded again
        with _lock:
            _lmms[name] = load_lmm(_catalogue()[name][1])
            return _lmms[name]
    wait_for(None, name)
    with _lock:
        return _kept_lmm(name) or _alive[name]


def _kept_lmm(name: str) -> LMM | None:
    if name in _lmms:
        _lmms.move_to_end(name)
        return _lmms[name]
    # One that was pushed out lives as long as somebody has it ready.
    return _alive.get(name)


def wait_for(method_name: str | None, lmm_name: str | None, most: float = math.inf,
             on_wait: Callable[[float], None] | None = None) -> None:
    """Returns once `lmm(lmm_name)`, or `method(method_name, lmm_name)` where a method is named, would return at once.

    The model is loaded on a thread of its own, so that neither a slow download nor a Hub that hangs holds anything
    that another visitor needs; whoever waits for it may leave, and it goes on for those who come after.

    Args:
        most: seconds since the loading began, of whoever asked first.
        on_wait: told about once per second how long that is; what it raises ends the waiting.

    Raises:
        UserError: it takes longer than `most`.
        InputError, methods.lmm.LMMError: as `lmm`.
    """
    if method_name is not None:
        kind = method_class(method_name)
        if not kind.needs_lmm:
            return
        lmm_name = lmm_name or default_for(kind.name)
    assert lmm_name is not None
    if lmm_name in _lmms or lmm_name not in _catalogue() or ON_ZERO_GPU:
        return
    with _lock:
        if _kept_lmm(lmm_name):
            return
        if lmm_name not in _loading:
            _loading[lmm_name] = _Loading(lmm_name)
        loading = _loading[lmm_name]
    while True:
        spent = time.monotonic() - loading.start_time
        with contextlib.suppress(TimeoutError):
            loading.done.result(0 if spent > most else 1.0)
            return
        if spent > most:
            raise UserError(f"The model {lmm_name} is still being loaded after {spent:.0f} s; try again later, or "
                            "choose another one.")
        if on_wait is not None:
            on_wait(spent)


class _Loading:
    """A model on its way; `done` gives it, or raises why not."""

    def __init__(self, name: str) -> None:
        self.name, self.start_time = name, time.monotonic()
        self.done: Future[LMM] = Future()
        threading.Thread(target=self._load, name=f"loading {name}", daemon=True).start()

    def _load(self) -> None:
        from methods.lmm.loading import load_lmm

        give_way()
        try:
            with _lock:
                _make_room(self.name)
            model = load_lmm(_catalogue()[self.name][1])
        except BaseException as error:  # whoever waits raises it
            with _lock:
                _loading.pop(self.name, None)
            self.done.set_exception(error)
            return
        with _lock:
            _lmms[self.name] = _alive[self.name] = model
            _loading.pop(self.name, None)
        self.done.set_result(model)


def loaded() -> list[str]:
    """Names of the models in memory."""
    return list(_lmms)


def model_within(name: str, max_pixels: int | None) -> LMM:
    """The model of `lmm` as one that is shown no more than so many pixels of a photo; as it is for None.

    Raises:
        InputError: the number is not among `PIXEL_CHOICES`, or as `lmm`.
        methods.lmm.LMMError: the model's limit cannot be changed, or as `lmm`.
    """
    if max_pixels is None:
        return lmm(name)
    if type(max_pixels) is not int or max_pixels not in PIXEL_CHOICES:
        choices = ", ".join(map(str, PIXEL_CHOICES))
        raise InputError(f"This page shows a model {choices} pixels of a photo or as many as it takes by itself; got "
                         f"{max_pixels}.")
    model = lmm(name)
    with _lock:
        if (name, max_pixels) not in _limited:
            if not hasattr(model, "limited_to"):
                raise LMMError(f"{name} has no pixel limit that could be changed here; leave max_pixels out.")
            _limited[name, max_pixels] = model.limited_to(max_pixels)
        return _limited[name, max_pixels]


def pixel_limit(name: str | None) -> int | None:
    """The most pixels of a photo that a loaded model is shown, where the page can lower it; None for any other."""
    model = _lmms.get(name or "")
    limit = getattr(model, "limit", None)
    return limit.pixels if limit is not None and limit.varies else None


def most_pixels(name: str, max_pixels: int | None = None) -> int:
    """Pixels of a photo that a model is shown at most, for an estimate: of one that is not loaded, the usual limit."""
    own = getattr(_lmms.get(name), "max_pixels", None) or DEFAULT_PIXELS
    return min(own, max_pixels or own)


def method(name: str, lmm_name: str | None = None, max_pixels: int | None = None) -> Method:
    """A loaded method; `lmm_name` None takes its default model. Both stay in memory. Errors as `model_within`."""
    kind = method_class(name)
    if not kind.needs_lmm:
        if max_pixels is not None:
            raise InputError(f"{kind.title} brings its own network; leave max_pixels out.")
        return _kept((kind.name, "", None), kind)
    chosen = lmm_name or default_for(kind.name)
    model = model_within(chosen, max_pixels)
    return _kept((kind.name, chosen, max_pixels), lambda: kind(lmm=model))


def _kept(key: tuple[str, str, int | None], make: Callable[[], Method]) -> Method:
    with _lock:
        if key not in _methods:
            _methods[key] = make()
        return _methods[key]


def _make_room(coming: str) -> None:
    from methods.lmm.loading import unload

    keep = settings().keep
    defaults = {default_for(name) for name in available_methods()}
    extra = [name for name in _lmms if name not in defaults]
    while coming not in defaults and len(extra) >= keep:
        oldest = extra.pop(0)
        del _lmms[oldest]
        unload(_catalogue()[oldest][1])
        for key in [key for key in _methods if key[1] == oldest]:
            del _methods[key]
        for pair in [pair for pair in _limited if pair[0] == oldest]:
            del _limited[pair]


def preload() -> None:
    """Loads the defaults of all methods where there is a GPU, and on ZeroGPU all that is offered, with what methods
    need besides (SAM 2, say); called once, in the main thread, before the page is built. A default that cannot be
    loaded gives way to the next one."""
    global _started
    import torch

    if torch.cuda.is_available() and (ON_ZERO_GPU or settings().preload):
        for name in available_methods():
            _load_default(name)
        if ON_ZERO_GPU:
            for name in _catalogue():
                try:
                    lmm(name)
                except LMMError as error:
                    log.warning("%s is not offered: %s", name, error)
        for name in available_methods():
            method_class(name).preload()
    _started = True


def _load_default(method_name: str) -> None:
    while True:
        name = _default_of(method_name)
        try:
            method(method_name)
            return
        except LMMError as error:
            if name == EMBEDDED:
                raise
            log.warning("%s", error)
            _failed[name] = str(error)
            _choice.cache_clear()
            _catalogue.cache_clear()
        except UserError as error:  # the model cannot be used with this method, say; whoever chooses it reads why
            log.warning("%s", error)
            return
