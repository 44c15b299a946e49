"""The one place where models run: the only ZeroGPU function, the queue lane, its fair order and its time limits.

Tabs never call a model. They name what they want (a method, a model, images by path) and call `assess`, `call` or
`stream`; everything they pass and get back can be pickled, because on ZeroGPU the work happens in another process.
On any other machine the same function runs in this process, one visitor after the other in order of arrival.
"""

from __future__ import annotations

import spaces  # isort: skip  (first: on ZeroGPU it has to be imported before torch)

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

from assets import FOLDER
from methods.base import method_class
from methods.images import Decoded, decode
from methods.lmm.pixels import DEFAULT_PIXELS
from methods.work import Work
from ui.errors import as_gradio_error, plain_errors
from ui.serving import models
from ui.serving.fair_queue import FairQueue

if TYPE_CHECKING:
    from methods.base import Assessment, Method

log = logging.getLogger(__name__)

LANE = {"concurrency_id": "models", "concurrency_limit": 16}
"""Pass to every event that uses a model: `button.click(..., **gpu.LANE)`. The limit bounds how many visitors wait in
this process; which one runs is decided by `FairQueue`, image by image, so that a folder never blocks a photo."""

LONG_LANE = {"concurrency_id": "many photos", "concurrency_limit": 8}
"""For events that score many photos one by one, each with `assess(..., one_of_many=True)`: with places of their own
in this process, any number of them leaves the places of `LANE` free."""

LONGEST_WAIT = float(os.environ.get("MEAN_OPINION_LONGEST_WAIT", 300))
LONGEST_RUN = float(os.environ.get("MEAN_OPINION_LONGEST_RUN", 600))
"""Seconds that a visitor may wait for a turn, and that one streamed call may take."""

ZERO_GPU_SECONDS = 120
"""ZeroGPU refuses longer calls from visitors who are not signed in."""

SECONDS_TO_START = 15.0
"""Until a worker of ZeroGPU has the weights on its device."""

SECONDS_PER_PROMPT, SECONDS_PER_MEGAPIXEL, SECONDS_PER_TOKEN = 0.1, 0.25, 0.03
"""What an 8B model takes on ZeroGPU's H200 slice, generously; they only size the time that is asked for."""

_queue = FairQueue(slots=4 if models.ON_ZERO_GPU else 1)


@dataclass(frozen=True)
class Model:
    """Stands for a loaded LMM among the arguments of `call` and `stream`; the name is one that the page offers, the
    limit one of `models.PIXEL_CHOICES`."""

    lmm: str
    max_pixels: int | None = None


@dataclass(frozen=True)
class MethodOf:
    """Stands for a ready `Method` among the arguments of `call` and `stream`."""

    method: str
    lmm: str | None = None
    max_pixels: int | None = None


@dataclass(frozen=True)
class _Job:
    target: str | Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    seconds: float = 60.0
    streams: bool = False
    yields: bool = False


def preload() -> None:
    """Loads the default models before the first visitor comes, where there is a GPU."""
    models.preload()


def warm_up() -> None:
    """Scores one example in the background, so that the first visitor's photo finds everything loaded."""
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def _warm_up() -> None:
    try:
        assess(models.available_methods()[0], [str(FOLDER / "examples" / "coffee.jpg")])
    except gr.Error as error:
        log.warning("The default model cannot be used: %s", error.message)


def assess(
    method: str,
    images: Sequence[str | bytes | Decoded],
    lmm: str | None = None,
    options: dict[str, object] | None = None,
    *,
    max_pixels: int | None = None,
    progress: gr.Progress | None = None,
    one_of_many: bool = False,
) -> list[Assessment]:
    """Scores images with a method; the order is kept.

    Args:
        method: registry name.
        images: paths that came through the page's upload check, a file's bytes, or images that are decoded already.
        lmm: a name from `models.offered`, None for the default.
        options: changes to the method's defaults.
        max_pixels: a lower pixel limit for the model, one of `models.PIXEL_CHOICES`.
        progress: the handler's `gr.Progress()`, told about loading and waiting.
        one_of_many: lets visitors go first who wait for a single result.

    Raises:
        gr.Error: one plain sentence.
    """
    ready = MethodOf(method, lmm, max_pixels)
    loaded = _prepare(ready, progress)
    photos = [decoded(image) for image in images]
    arguments = {"method": ready, "images": photos, "options": dict(options or {})}
    limit = max((limit for limit in loaded.lmm_limits if limit is not None), default=DEFAULT_PIXELS)
    asked = seconds(method, photos, options, limit=limit) + _first_seconds(loaded, options)
    job = _Job(_assess, arguments, seconds=asked, yields=one_of_many)
    return _finish(job, progress)


def prepare(method: str, lmm: str | None, options: dict[str, object]) -> Callable[[Decoded], Decoded] | None:
    """`Method.prepare` with these options, for images that `assess` will be given as it returns them; None on ZeroGPU,
    where they are scored in another process."""
    if models.ON_ZERO_GPU:
        return None
    return lambda image: _prepare(MethodOf(method, lmm), None).prepare(image, **options)


@plain_errors
def decoded(image: str | bytes | Decoded) -> Decoded:
    """An image that is ready to be scored, read in this process: one that cannot be read takes nobody's GPU time.

    Raises:
        gr.Error: one plain sentence.
    """
    return decode(image)


@plain_errors
def seconds(method: str, photos: Sequence[Decoded], options: dict[str, object] | None = None, *, lmms: int = 1,
            limit: int = DEFAULT_PIXELS) -> float:
    """The time to ask ZeroGPU for: counted prompts, pixels that the LMM is shown, and tokens that are written.

    Args:
        method: registry name.
        photos: all that are scored in one call.
        options: changes to the method's defaults.
        lmms: of an ensemble.
        limit: the most pixels of an image that the LMM is shown.
    """
    kind = method_class(method)
    chosen = kind.options.updated(**(options or {}))
    models.refuse_too_late(method, chosen)
    work = sum((kind.work(chosen, photo.image.width * photo.image.height, limit) for photo in photos), Work())
    return SECONDS_TO_START + lmms * _on_lmm(work) + work.seconds


def _on_lmm(work: Work) -> float:
    return (SECONDS_PER_PROMPT * work.prompts + SECONDS_PER_MEGAPIXEL * work.pixels / 1e6
            + SECONDS_PER_TOKEN * work.tokens)


@plain_errors
def _first_seconds(method: Method, options: dict[str, object] | None) -> float:
    """For what a call does once, such as encoding a reference set."""
    work = method.first_work(method.options.updated(**(options or {})))
    return _on_lmm(work) + work.seconds


def call(target: str, *, seconds: float = 60.0, progress: gr.Progress | None = None, **arguments: Any) -> Any:
    """Runs any function of ours in the lane and returns its result.

    Args:
        target: "module:function". Always a constant of our code, never something a visitor sent.
        seconds: how long it takes on ZeroGPU, at most.
        progress: as in `assess`.
        arguments: passed by name; a `Model` or `MethodOf` among them, also in a list, arrives loaded.

    Raises:
        gr.Error: one plain sentence.
    """
    _prepare_all(arguments, progress)
    return _finish(_Job(target, arguments, seconds), progress)


def stream(
    target: str, *, seconds: float = 90.0, progress: gr.Progress | None = None, **arguments: Any
) -> Iterator[Any]:
    """As `call`, for a generator function: yields what it yields, as it comes."""
    _prepare_all(arguments, progress)
    yield from _run(_Job(target, arguments, seconds, streams=True), progress)


def _assess(method: Any, images: list[Decoded], options: dict[str, object]) -> list[Assessment]:
    return method.assess_batch(images, **options)


def _finish(job: _Job, progress: gr.Progress | None) -> Any:
    result = None
    for result in _run(job, progress):  # noqa: B007  the last value is the result
        pass
    return result


@plain_errors
def _run(job: _Job, progress: gr.Progress | None) -> Iterator[Any]:
    def on_wait(ahead: int) -> None:
        _tell(progress, f"Waiting for {ahead} before you")

    with _queue.turn(LONGEST_WAIT, on_wait=on_wait, yields=job.yields):
        _tell(progress, _granted(job))
        deadline = time.monotonic() + LONGEST_RUN
        for value in _on_gpu(job):
            yield value
            if time.monotonic() > deadline:
                raise gr.Error(f"This took longer than {LONGEST_RUN:.0f} seconds and was stopped; try a smaller model.",
                               print_exception=False)


def _granted(job: _Job) -> str:
    """What a visitor is told while the job runs; also where it may need longer than ZeroGPU grants."""
    if models.ON_ZERO_GPU and job.seconds > ZERO_GPU_SECONDS:
        return (f"This may take up to {job.seconds:.0f} s and ZeroGPU grants {ZERO_GPU_SECONDS} s; if it is cut off, "
                "choose fewer photos, samples or tokens")
    return "Looking at the photo"


def _seconds(job: _Job) -> int:
    return int(min(max(job.seconds, 10), ZERO_GPU_SECONDS))


@spaces.GPU(duration=_seconds)
def _on_gpu(job: _Job) -> Iterator[Any]:
    # A generator serves plain calls too: the last value is the result. ZeroGPU lets only gr.Error through with its
    # message, so every failure becomes one before it leaves this function.
    try:
        arguments = {name: _loaded(value) for name, value in job.arguments.items()}
        function = _function(job.target)
        if job.streams:
            yield from function(**arguments)
        else:
            yield function(**arguments)
    except gr.Error:
        raise
    except Exception as error:
        raise as_gradio_error(error) from error


def _function(target: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(target):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _loaded(value: Any) -> Any:
    if isinstance(value, Model):
        return models.limited(value.lmm, value.max_pixels)
    if isinstance(value, MethodOf):
        return models.method(value.method, value.lmm, value.max_pixels)
    if isinstance(value, (list, tuple)):
        return type(value)(_loaded(item) for item in value)
    return value


def _prepare_all(arguments: dict[str, Any], progress: gr.Progress | None) -> None:
    for value in arguments.values():
        for wanted in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(wanted, (Model, MethodOf)):
                _prepare(wanted, progress)


@plain_errors
def _prepare(wanted: Model | MethodOf, progress: gr.Progress | None) -> Any:
    # In the main process, so that ZeroGPU's workers inherit the weights; a model loaded inside one is lost with it.
    method = wanted.method if isinstance(wanted, MethodOf) else None
    if not models.is_loaded(method, wanted.lmm):
        _tell(progress, "Loading the model; the first time takes a while")
    return _loaded(wanted)


def _tell(progress: gr.Progress | None, sentence: str) -> None:
    if progress is not None:
        progress(None, desc=sentence)
