"""Builds the page out of the tabs in ui/ and serves it; also the entry point of the Space."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Else Gradio's first call looks for a screen to draw on, which imports pyplot on the thread that answers everybody.
os.environ.setdefault("MPLBACKEND", "agg")

from ui.serving.start import check_environment  # isort: skip  (before anything reads what it checks)

if __name__ == "__main__":
    check_environment()

from ui.serving import gpu, models  # isort: skip  (first: on ZeroGPU, spaces has to be imported before torch)

import importlib.util
import warnings
from collections.abc import Iterable

import gradio as gr
import matplotlib  # noqa: F401  (which Gradio else imports at its first call, on the thread that answers everybody)
from starlette.middleware import Middleware

from leaderboard.links import OPENING, encode
from methods.base import METHODS
from methods.errors import UserError
from ui import visit
from ui.components import EXAMPLES, Page
from ui.components.photo import follow, inputs_of
from ui.errors import API_ERRORS
from ui.header import header
from ui.serving import corrections, front_end
from ui.serving.bodies import BodyLimits
from ui.serving.headers import Headers
from ui.serving.health import routes
from ui.serving.presence import Lines
from ui.serving.ready import Ready
from ui.serving.sessions import launched
from ui.serving.settings import host, port, settings
from ui.tabs.api.tab import keep_tools
from ui.tabs.compare import pages
from ui.theme import FIRST, STYLE, head, theme


def tabs_of(methods: Iterable[str]) -> tuple[str, ...]:
    """Modules of ui/tabs in the order of their tabs; a method without a module has no tab of its own."""
    modules = (name.replace("-", "_") for name in methods)
    own = (module for module in modules if importlib.util.find_spec(f"ui.tabs.{module}"))
    return ("score", *own, "compare", "leaderboard", "api", "about")


TABS = tabs_of(METHODS)

MIDDLEWARE = [Middleware(Headers), Middleware(pages.Reports),
              Middleware(Ready, first=lambda config: front_end.links(config) + FIRST), Middleware(Lines),
              Middleware(BodyLimits)]

KEEP_UPLOADS = 3600  # seconds after which uploaded and generated files are deleted


def build() -> gr.Blocks:
    """The page, ready to be launched."""
    with Page(title="Mean Opinion", analytics_enabled=False, delete_cache=(600, KEEP_UPLOADS)) as page:
        gr.HTML(header(), elem_classes="masthead-block")
        page.photo, rooms, places = gr.State(None), [], []
        with gr.Tabs(elem_classes="rooms", overflow_behavior="wrap") as tabs:
            for name in TABS:
                tab = importlib.import_module(f"ui.tabs.{name}")
                with gr.Tab(tab.TITLE, id=name) as room:
                    tab.build(page)
                rooms.append(room)
                places += [(room, picture) for picture in inputs_of(room)]
        follow(page.photo, places)
        visit.build(page.photo, rooms, places, visit.Several(tabs, *page.folder), page.address)
    return page.queue(default_concurrency_limit=8)


def launch_settings() -> dict:
    """What `launch` is given, here and in the tests."""
    # Tools with a state get a fresh one at every call, which is what the page's tools are made for.
    warnings.filterwarnings("ignore", message="This MCP server includes a tool that has a gr.State input")
    return {"theme": theme(), "css_paths": [STYLE], "head": head(encode(OPENING)),
            "allowed_paths": [str(EXAMPLES)], "ssr_mode": False,
            "max_file_size": f"{settings().upload_mb}mb", "footer_links": ["api"], "show_error": False,
            "app_kwargs": {"exception_handlers": API_ERRORS, "middleware": MIDDLEWARE,
                           "routes": [*routes(), *front_end.routes(), *corrections.routes(), *pages.routes()]},
            "mcp_server": settings().mcp}


if __name__ == "__main__":
    gpu.preload()
    try:
        page = build()
    except UserError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    try:
        page.launch(server_name=host(), server_port=port(), prevent_thread_lock=True, **launch_settings())
    except (OSError, UserError) as error:  # the port was taken meanwhile, say; the sentence says what to do
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    keep_tools(page)
    launched(page)
    if not models.ON_ZERO_GPU:  # there it would warm a worker, which is gone before the first visitor
        gpu.warm_up()
    page.block_thread()
