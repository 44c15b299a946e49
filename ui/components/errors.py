"""What a visitor reads when something fails: one plain sentence, and nothing about the inside of the server.

Errors that our own code raises for people (a bad picture, an unknown option, a model that cannot be had) already are
such sentences and pass through. Anything else is a defect: it is logged with its traceback and shown as one sentence
that says so.
"""

from __future__ import annotations

import functools
import inspect
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

log = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side and was written to the log; try again or try another picture."


_OUR_CODE = Path(__file__).resolve().parents[2]
_OUR_PACKAGES = tuple(str(_OUR_CODE / package) for package in ("methods", "leaderboard", "ui"))


def _said_to_people(error: BaseException) -> bool:
    from methods.images import ImageError
    from methods.lmm.base import LMMError
    from ui.serving.queue import BusyError

    if isinstance(error, (ImageError, LMMError, BusyError)):
        return True
    # A ValueError is a sentence for people only where our own code raised it; a library's speaks of array shapes.
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ValueError) and bool(frames) and frames[-1].filename.startswith(_OUR_PACKAGES)


def as_gradio_error(error: BaseException) -> gr.Error:
    """`error` as a `gr.Error` that shows one sentence."""
    if isinstance(error, gr.Error):
        return error
    if _said_to_people(error):
        return gr.Error(str(error), print_exception=False)
    log.error("An unexpected error reached the page.", exc_info=error)
    return gr.Error(UNEXPECTED, print_exception=False)


def plain_errors(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates an event handler, plain or generator, so that every failure reaches the page as one sentence."""
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def guarded_generator(*args: Any, **kwargs: Any) -> Any:
            try:
                yield from handler(*args, **kwargs)
            except gr.Error:
                raise
            except Exception as error:
                raise as_gradio_error(error) from error

        return guarded_generator

    @functools.wraps(handler)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            raise as_gradio_error(error) from error

    return guarded
