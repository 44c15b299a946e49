"""What a visitor reads when something fails: one plain sentence, and nothing about the inside of the server.

A `UserError` (a bad image, an unknown option, a model that cannot be had) is such a sentence and passes through.
Anything else is a defect: it is logged with its traceback and shown as one sentence that says so.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, cast

import gradio as gr
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from gradio.route_utils import FnIndexInferError

from methods.errors import UserError

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side and was written to the log; try again or try another photo."


def as_gradio_error(error: BaseException) -> gr.Error:
    """`error` as a `gr.Error` that shows one sentence."""
    if isinstance(error, gr.Error):
        return error
    if isinstance(error, UserError):
        return gr.Error(str(error), print_exception=False)
    log.error("An unexpected error reached the page.", exc_info=error)
    return gr.Error(UNEXPECTED, print_exception=False)


def plain_errors(handler: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Decorates an event handler, plain or generator, so that every failure reaches the page as one sentence."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def guarded_generator(*args: Given.args, **kwargs: Given.kwargs) -> Iterator[object]:
            try:
                yield from handler(*args, **kwargs)
            except gr.Error:
                raise
            except Exception as error:
                raise as_gradio_error(error) from error

        return cast("Callable[Given, Answer]", guarded_generator)

    @functools.wraps(handler)
    def guarded(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        try:
            return handler(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise as_gradio_error(error) from error

    return guarded


async def _unknown_endpoint(request: Request, error: Exception) -> JSONResponse:
    name = request.path_params.get("api_name", "")
    return JSONResponse({"detail": f"There is no endpoint {name!r}; the API tab lists those there are."}, 404)


async def _unreadable_body(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": 'The request cannot be read; send JSON such as {"data": [...]} with the values that '
                                   "the API tab lists."}, 422)


API_ERRORS: dict[type[Exception], Callable[..., object]] = {
    FnIndexInferError: _unknown_endpoint, RequestValidationError: _unreadable_body}
"""Answers to requests that Gradio itself refuses without a sentence, for `FastAPI(exception_handlers=...)`."""
