"""Builds the page out of the tabs in ui/ and serves it; also the entry point of the Space."""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from ui.serving import gpu, models  # isort: skip  (first: on ZeroGPU, spaces has to be imported before torch)

import importlib
import warnings

import gradio as gr

from methods.errors import UserError
from ui.components import EXAMPLES, Page
from ui.errors import API_ERRORS
from ui.header import header
from ui.tabs.api.tab import keep_tools
from ui.theme import STYLE, theme

TABS = ("score", "iqarag", "llm_iqa", "visualquality_r1", "leaf", "q_debias", "compare", "leaderboard", "api", "about")
"""Modules of ui/tabs in the order of their tabs."""

KEEP_UPLOADS = 3600  # seconds after which uploaded and generated files are deleted


def build() -> gr.Blocks:
    """The page, ready to be launched."""
    with Page(title="Mean Opinion", analytics_enabled=False, delete_cache=(600, KEEP_UPLOADS)) as page:
        gr.HTML(header(), elem_classes="masthead-block")
        with gr.Tabs(elem_classes="rooms"):
            for name in TABS:
                tab = importlib.import_module(f"ui.tabs.{name}")
                with gr.Tab(tab.TITLE, id=name):
                    tab.build(page)
    return page.queue(max_size=64, default_concurrency_limit=8)


def launch_settings() -> dict:
    """What `launch` is given, here and in the tests. MEAN_OPINION_MCP=0 leaves the MCP server out."""
    # Tools with a state get a fresh one at every call, which is what the page's tools are made for.
    warnings.filterwarnings("ignore", message="This MCP server includes a tool that has a gr.State input")
    return {"theme": theme(), "css_paths": [STYLE], "allowed_paths": [str(EXAMPLES)], "max_file_size": "256mb",
            "footer_links": ["api"], "ssr_mode": False, "show_error": False,
            "app_kwargs": {"exception_handlers": API_ERRORS},
            "mcp_server": os.environ.get("MEAN_OPINION_MCP", "1") != "0"}


if __name__ == "__main__":
    gpu.preload()
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if models.ON_SPACE else "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", os.environ.get("PORT", 7860)))
    try:
        page = build()
        page.launch(server_name=host, server_port=port, prevent_thread_lock=True, **launch_settings())
    except (OSError, UserError) as error:  # the port is taken, say; the sentence says what to do
        raise SystemExit(str(error)) from None
    keep_tools(page)
    if not models.ON_ZERO_GPU:  # there it would warm a worker, which is gone before the first visitor
        gpu.warm_up()
    page.block_thread()
