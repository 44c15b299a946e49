"""The page: checks of API payloads, and the block around a place.

An API payload can name any path; Gradio checks it only where the payload says that it is a file, so a payload that
keeps silent would make the server read any image it can. It can also hold too few values, or values that no form
would send, on which Gradio fails without a sentence. `Page` looks at every payload before Gradio does.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr
import pydantic
from anyio.to_thread import run_sync
from gradio.block_function import BlockFunction
from gradio.events import Dependency

from methods.errors import InputError
from ui.components.uploads import PictureInput, upload_path
from ui.errors import as_gradio_error
from ui.serving.waiting import FairEvents

log = logging.getLogger(__name__)

Block = TypeVar("Block", bound=gr.blocks.BlockContext)


class Page(gr.Blocks):
    """`gr.Blocks` that answers an unusable payload in one sentence, and hands no path to a component unless it is an
    upload or an example of ours."""

    def queue(self, **settings: Any) -> Page:
        """As Gradio's, with the places of `ui.serving.waiting`."""
        super().queue(**settings)
        self._queue = FairEvents(live_updates=True, concurrency_count=self.max_threads, update_intervals=1,
                                 max_size=None, blocks=self,
                                 default_concurrency_limit=settings.get("default_concurrency_limit", "not_set"))
        for block in self.blocks.values():
            block.async_move_resource_to_block_cache = functools.partial(_kept_file, block)
        return self

    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        if explicit_call:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        try:
            inputs = await run_sync(_checked, block_fn, inputs)
        except InputError as error:
            raise as_gradio_error(error) from error
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except gr.Error as error:
            error.print_exception = False  # a value that a component refuses is the sender's fault, not the log's
            raise
        except Exception as error:  # whatever a foreign payload leads Gradio's components to
            log.warning("A payload of %s cannot be read.", _name(block_fn), exc_info=error)
            raise gr.Error(f"What was sent to {_name(block_fn)} cannot be read; the API tab says what it takes.",
                           print_exception=False) from error


async def _kept_file(block: gr.blocks.Block, path: str | None) -> str | None:
    """Replaces Gradio's method, which hashes and copies files on the event loop: 200 files would block it."""
    if path is None or path.startswith(("http://", "https://")):
        return await type(block).async_move_resource_to_block_cache(block, path)
    return await run_sync(block.move_resource_to_block_cache, path)


def _checked(block_fn: BlockFunction, inputs: list[object]) -> list[object]:
    public = block_fn.api_name and block_fn.api_visibility == "public"
    count = len(block_fn.inputs)
    if len(inputs) < count or (public and len(inputs) > count):
        names = _parameters(block_fn)
        takes = f" ({', '.join(names)})" if public and len(names) == count else ""
        raise InputError(f"{_name(block_fn)} takes {count} value{'s' if count != 1 else ''}{takes}; "
                         f"{len(inputs)} came.")
    checked = []
    for component, payload in zip(block_fn.inputs, inputs):
        if isinstance(component, PictureInput):
            payload = component.as_file(payload)
        if getattr(component, "data_model", None) is not None:
            _check_paths(_parsed(payload))
        checked.append(payload)
    return checked


def _name(block_fn: BlockFunction) -> str:
    return f"/{block_fn.api_name}" if block_fn.api_name else "the page"


def _parameters(block_fn: BlockFunction) -> list[str]:
    if block_fn.fn is None:  # an event of the browser alone
        return []
    return [name for name, one in inspect.signature(block_fn.fn).parameters.items()
            if one.kind is not inspect.Parameter.VAR_POSITIONAL and not isinstance(one.default, gr.Progress)]


def _parsed(payload: object) -> object:
    # A component that accepts JSON text would otherwise carry a path past this check inside a string.
    if isinstance(payload, str) and payload.lstrip().startswith(("{", "[")):
        try:
            return json.loads(payload)
        except ValueError:
            return payload
    return payload


def _check_paths(payload: object) -> None:
    for file in paths_in(payload):
        # Gradio itself fetches a public address into the upload folder, but only for a payload marked as a file.
        marked = isinstance(file.get("meta"), dict) and file["meta"].get("_type") == "gradio.FileData"
        if not (marked and file["path"].startswith(("http://", "https://"))):
            upload_path(file["path"])


def paths_in(payload: object) -> Iterator[dict[str, Any]]:
    """Every mapping with a "path" inside a payload, however deep."""
    if isinstance(payload, dict):
        if isinstance(payload.get("path"), str):
            yield payload
        for value in payload.values():
            yield from paths_in(value)
    elif isinstance(payload, (list, tuple)):
        for value in payload:
            yield from paths_in(value)


def type_check(endpoint: Callable[..., object]) -> Callable[..., object]:
    """Decorates a function of the API: an argument that is not of its annotated type is one sentence that names it."""
    kinds = {name: pydantic.TypeAdapter(hint, config={"strict": True})
             for name, hint in inspect.get_annotations(endpoint, eval_str=True).items() if name != "return"}
    signature = inspect.signature(endpoint)

    @functools.wraps(endpoint)
    def checked(*args: object, **kwargs: object) -> object:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            try:
                kinds[name].validate_python(value)
            except pydantic.ValidationError as error:
                raise InputError(_sentence(name, error)) from None
        return endpoint(*args, **kwargs)

    return checked


_KINDS = {"list_type": "a list", "dict_type": "a mapping", "string_type": "text"}


def _sentence(name: str, error: pydantic.ValidationError) -> str:
    """Which part of an argument is wrong, by its first fault, and what may stand there."""
    faults = error.errors(include_url=False, include_input=False)
    place = [part for part in faults[0]["loc"] if isinstance(part, int)]
    kinds = dict.fromkeys(_KINDS.get(fault["type"], fault["msg"]) for fault in faults
                          if [part for part in fault["loc"] if isinstance(part, int)] == place)
    where = name + "".join(f"[{index}]" for index in place)
    example = ', such as {"seed": 1}' if name == "options" and not place else ""
    return f"{where} must be {' or '.join(kinds)}{example}; the API tab says what it takes."


def enclosing(kind: type[Block]) -> Block:
    """The innermost block of a kind around the place where this is called, so that a link can bring its reader there.

    Args:
        kind: such as `gr.Tabs`.

    Raises:
        RuntimeError: there is none.
    """
    block = gr.context.Context.block
    while block is not None:
        if isinstance(block, kind):
            return block
        block = block.parent
    raise RuntimeError(f"This is drawn inside a gr.{kind.__name__}.")


def ends_before(place: str) -> str:
    """JavaScript that cancels the previous run of a long event before the new one starts, so that a click with other
    choices counts; see `ended_before`."""
    return f"() => {{ window.meanOpinion?.drop({place!r}); return []; }}"


def ended_before(place: str, *runs: Dependency) -> None:
    """Wires what ends `runs` when the page's script asks for it, as by `ends_before`.

    Args:
        place: the first part of the name of the button that is pressed for it, which nobody sees.
        runs: events that take one more click while the last one ends, such as those of `gpu.PHOTO_LANE`.
    """
    gr.Button(visible="hidden", elem_id=f"{place}-drop").click(None, None, None, cancels=list(runs), queue=False,
                                                               api_visibility="private")
