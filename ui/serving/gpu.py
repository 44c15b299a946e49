"""The one place where models run: the only ZeroGPU function, the queue lane, its fair order and its time limits.

Tabs never call a model. They name what they want (a method, a model, images by path) and call `assess`, `call` or
`stream`; everything they pass and get back can be pickled, because on ZeroGPU the work happens in another process.
On any other machine the same function runs in this process, one visitor after the other in order of arrival.
"""

from __future__ import annotations

import spaces  # isort: skip  (first: on ZeroGPU it has to be imported before torch)

import contextlib
import importlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from assets import FOLDER
from methods.base import method_class
from methods.budget import Budget
from methods.errors import InputError, UserError
from methods.images import MAX_PIXELS, Decoded, decode, size_of
from methods.lmm.pixels import DEFAULT_PIXELS
from methods.patience import questions_by, streamed
from methods.work import Work
from ui.errors import as_gradio_error, plain_errors
from ui.serving import models
from ui.serving.fair_queue import FairQueue
from ui.serving.health import REQUESTS
from ui.serving.presence import LeftError, is_waited_for
from ui.serving.settings import settings
from ui.serving.waiting import MANY_PHOTOS, MODELS
from ui.serving.workers import PHOTOS, Workers

if TYPE_CHECKING:
    from PIL import Image

    from methods.base import Assessment, Method

log = logging.getLogger(__name__)

LANE = {"concurrency_id": MODELS, "concurrency_limit": 16}
"""Pass to every event that uses a model: `button.click(..., **gpu.LANE)`. The limit bounds how many visitors wait in
this process; which one runs is decided by `FairQueue`, image by image, so that a folder never blocks a photo."""

PHOTO_LANE = {**LANE, "trigger_mode": "always_last"}
"""For what is asked of the one photo in sight: a click while an earlier one is answered counts and is answered next."""

LONG_LANE = {"concurrency_id": MANY_PHOTOS, "concurrency_limit": 4}
"""For events that score many photos one by one, each with `assess(..., one_of_many=True)`: with places of their own
in this process, any number of them leaves the places of `LANE` free."""

LONGEST_WAIT = settings().longest_wait
LONGEST_RUN = settings().longest_run
"""Seconds that a visitor may wait for a turn, and that one call may take or be estimated at."""

ZERO_GPU_SECONDS = 120
"""ZeroGPU refuses longer calls from visitors who are not signed in."""

SECONDS_TO_START = 15.0
"""Until a worker of ZeroGPU has the weights on its device."""

SECONDS_PER_PROMPT, SECONDS_PER_MEGAPIXEL, SECONDS_PER_TOKEN = 0.1, 0.25, 0.03
"""What an 8B model takes on ZeroGPU's H200 slice, generously; they only size the time that is asked for."""

_queue = FairQueue(slots=4 if models.ON_ZERO_GPU else 1)
_workers = Workers("models", 1)
"""Where models run, but on ZeroGPU, which brings processes of its own."""

_held = Budget(settings().held_megapixels)
"""Megapixels of decoded images that wait for their turn or have it."""


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
    arguments: dict[str, object] = field(default_factory=dict)
    seconds: float = 60.0
    streams: bool = False
    yields: bool = False
    deadline: float = math.inf


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


def assess(method: str, images: Sequence[str | bytes | Decoded], lmm: str | None = None,
           options: dict[str, object] | None = None, *, max_pixels: int | None = None,
           progress: gr.Progress | None = None, one_of_many: bool = False) -> list[Assessment]:
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
    prepared = _prepare(ready, progress)  # held until the end, so that no other model pushes it out before its turn
    limit = max((limit for limit in prepared.lmm_limits if limit is not None), default=DEFAULT_PIXELS)
    with decoded_images(images) as photos:
        arguments = {"method": ready, "images": photos, "options": dict(options or {})}
        estimate = seconds(method, photos, options, limit=limit) + _first_seconds(prepared, options)
        return _finish(_Job(_assess, arguments, seconds=estimate, yields=one_of_many), progress)


@contextlib.contextmanager
def decoded_images(images: Sequence[str | bytes | Decoded]) -> Iterator[list[Decoded]]:
    """Images that are ready to be scored, while the body runs; where the page holds many already, it waits.

    Raises:
        gr.Error: one cannot be read, or nobody waits for the result any more; one plain sentence.
    """
    with contextlib.ExitStack() as stack:
        try:
            with questions_by(_is_wanted):
                stack.enter_context(_held.taken(_megapixels(images)))
                photos = PHOTOS.run(lambda: [decode(image) for image in images])
        except UserError as error:
            raise as_gradio_error(error) from error
        REQUESTS.note(megapixels=sum(photo.image.width * photo.image.height for photo in photos) / 1e6)
        yield photos


def _megapixels(images: Sequence[str | bytes | Decoded]) -> float:
    """Megapixels that the images will have after decoding. Images that are already decoded count as 0 here."""
    sizes = [size_of(image) for image in images if not isinstance(image, Decoded)]
    return sum(min(width * height, MAX_PIXELS) for width, height in sizes) / 1e6


def prepare(method: str, lmm: str | None, options: dict[str, object]) -> Callable[[Decoded], Decoded] | None:
    """`Method.prepare` with these options: prepares images ahead of `assess`. None on ZeroGPU, where another process
    scores them."""
    if models.ON_ZERO_GPU:
        return None
    return lambda image: _prepare(MethodOf(method, lmm), None).prepare(image, **options)


def has_learnt(method: str, image: Image.Image) -> bool:
    """`Method.has_learnt` of a method with a network of its own; LMMs keep no record of single images."""
    return not method_class(method).needs_lmm and models.method(method).has_learnt(image)


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
    spent = lmms * _on_lmm(work) + work.seconds
    if spent > LONGEST_RUN > 0:
        # What the method takes by itself may always be tried, however short the limit; it ends at its deadline.
        usual = max((kind.work(kind.options, photo.image.width * photo.image.height, limit) for photo in photos),
                    key=_on_lmm, default=Work())
        if spent > _on_lmm(usual) + usual.seconds:
            raise InputError(f"These options would take about {spent:.0f} s on a GPU, and this page gives a call "
                             f"{LONGEST_RUN:.0f} s; choose fewer samples, tokens, references, models or photos.")
    return SECONDS_TO_START + spent


def _on_lmm(work: Work) -> float:
    return (SECONDS_PER_PROMPT * work.prompts + SECONDS_PER_MEGAPIXEL * work.pixels / 1e6
            + SECONDS_PER_TOKEN * work.tokens)


@plain_errors
def _first_seconds(method: Method, options: dict[str, object] | None) -> float:
    """For what a call does once, such as encoding a reference set."""
    work = method.first_work(method.options.updated(**(options or {})))
    return _on_lmm(work) + work.seconds


def call(target: str, *, seconds: float = 60.0, progress: gr.Progress | None = None, **arguments: object) -> Any:
    """Runs any function of ours in the lane and returns its result.

    Args:
        target: "module:function". Always a constant of our code, never something a visitor sent.
        seconds: how long it takes on ZeroGPU, at most.
        progress: as in `assess`.
        arguments: passed by name; a `Model` or `MethodOf` among them, also in a list, arrives loaded.

    Raises:
        gr.Error: one plain sentence.
    """
    prepared = _prepare_all(arguments, progress)
    try:
        return _finish(_Job(target, arguments, seconds), progress)
    finally:
        del prepared  # held until here, so that no other model pushed it out before its turn


def stream(
    target: str, *, seconds: float = 90.0, progress: gr.Progress | None = None, **arguments: object
) -> Iterator[Any]:
    """As `call`, for a generator function: yields what it yields, as it comes."""
    prepared = _prepare_all(arguments, progress)
    try:
        yield from _run(_Job(target, arguments, seconds, streams=True), progress)
    finally:
        del prepared


def _assess(method: Method, images: list[Decoded], options: dict[str, object]) -> list[Assessment]:
    return method.assess_batch(images, **options)


def _finish(job: _Job, progress: gr.Progress | None) -> Any:
    result = None
    for result in _run(job, progress):  # noqa: B007  the last value is the result
        pass
    return result


@plain_errors
def _run(job: _Job, progress: gr.Progress | None) -> Iterator[Any]:
    def on_wait(ahead: int) -> None:
        _is_wanted()
        _tell(progress, f"Waiting for {ahead} before you")

    with _queue.turn(LONGEST_WAIT, on_wait=on_wait, yields=job.yields):
        _tell(progress, _granted(job))
        job = replace(job, deadline=time.monotonic() + LONGEST_RUN)
        values = _on_gpu(job) if models.ON_ZERO_GPU else _workers.each(_on_gpu(job))
        try:
            for value in values:
                yield value
                _go_on(job.deadline)
        finally:
            if (close := getattr(values, "close", None)) is not None:
                close()


def _go_on(deadline: float) -> None:
    """Between two steps of a call. ZeroGPU's workers see the deadline alone: who is there is known in this process."""
    _is_wanted()
    if time.monotonic() > deadline:
        raise UserError(f"This took longer than {LONGEST_RUN:.0f} seconds and was stopped; try a smaller model, a "
                        "smaller photo, or fewer samples and tokens.")


def _is_wanted() -> None:
    if not is_waited_for():
        raise LeftError("This call was stopped, because nobody waited for its answer.")


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
        def ask() -> None:
            _go_on(job.deadline)

        if job.streams:
            yield from streamed(function(**arguments), ask)
        else:
            with questions_by(ask):
                value = function(**arguments)
            yield value
    except gr.Error:
        raise
    except Exception as error:
        raise as_gradio_error(error) from error


def _function(target: str | Callable[..., Any]) -> Callable[..., Any]:
    if callable(target):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _loaded(value: object) -> Any:
    if isinstance(value, Model):
        return models.model_within(value.lmm, value.max_pixels)
    if isinstance(value, MethodOf):
        return models.method(value.method, value.lmm, value.max_pixels)
    if isinstance(value, (list, tuple)):
        return type(value)(_loaded(item) for item in value)
    return value


def _prepare_all(arguments: dict[str, object], progress: gr.Progress | None) -> list[object]:
    return [_prepare(wanted, progress) for value in arguments.values()
            for wanted in (value if isinstance(value, (list, tuple)) else (value,))
            if isinstance(wanted, (Model, MethodOf))]


@plain_errors
def _prepare(wanted: Model | MethodOf, progress: gr.Progress | None) -> Any:
    # In the main process, so that ZeroGPU's workers inherit the weights; a model loaded inside one is lost with it.
    method = wanted.method if isinstance(wanted, MethodOf) else None

    def on_wait(seconds: float) -> None:
        _is_wanted()
        _tell(progress, f"Loading the model; the first time takes a while ({seconds:.0f} s)")

    models.wait_for(method, wanted.lmm, settings().longest_load, on_wait)
    return _loaded(wanted)


def _tell(progress: gr.Progress | None, sentence: str) -> None:
    if progress is not None:
        progress(None, desc=sentence)
