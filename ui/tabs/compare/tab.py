"""The Compare tab: images and methods side by side, whole folders, and links that open the same comparison later.

What is compared and what the numbers say is `ui.comparison`'s, what is stored is `ui.share`'s; here and in the two
modules beside this one they are wired to components. Everything that is drawn follows from one `Held` state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from methods.base import method_class
from ui.comparison.records import MOST_PICTURES
from ui.comparison.running import plan, run
from ui.components import EXAMPLES, options_form, pictures_input, plain_errors, upload_path
from ui.components.choices import in_address
from ui.components.options import Forms, changed_options, components_of, free_text
from ui.components.page import enclosing, ended_before, ends_before
from ui.serving import gpu, models
from ui.share.entry import copy_for_sharing
from ui.tabs.compare import folder as compare_folder
from ui.tabs.compare import share as compare_share
from ui.tabs.compare.results import Held, Results, hold, results

TITLE = "Compare"

INTRO = ("One photo by several methods and models, or several photos by one: opinions as they come in, with "
         "how far off each may be, who prefers which, and where and why they differ.")
START_WITH = ("q-bench", "visualquality-r1", "leaf")
EXAMPLE_NAMES = ("coffee.jpg", "coffee-dark-and-noisy.jpg", "rocket.jpg")


def build(page: gr.Blocks) -> None:
    """Draws the tab and restores the comparison that the page's address names."""
    tabs = enclosing(gr.Tabs)
    style = Path(__file__).with_name("compare.css").read_text("utf-8")
    gr.HTML(f'<style>{style}</style><p class="compare-intro">{INTRO}</p>', padding=False)
    with gr.Tabs(selected="side-by-side") as modes:
        with gr.Tab("Side by side", id="side-by-side"):
            parts, outcome, forms = _side_by_side()
        with gr.Tab("A folder", id="folder"):
            folder = compare_folder.build()
    page.folder = (modes, folder.files)
    _wire(parts, outcome, forms)
    compare_folder.wire(folder, forms)
    compare_share.wire(page, tabs, modes, outcome, parts["methods"])


def _side_by_side() -> tuple[dict[str, Any], Results, Forms]:
    names = models.available_methods()
    offered = models.offered()
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=290):
            pictures = pictures_input(f"Up to {MOST_PICTURES} photos", elem_id="compare-pictures")
            example = gr.Button("Take three examples", size="sm", elem_id="compare-examples")
            methods = in_address(gr.CheckboxGroup(
                [(method_class(name).title, name) for name in names], label="Methods", elem_id="compare-methods",
                value=[name for name in START_WITH if name in names] or [names[0]],
            ), "methods")
            lmms = in_address(gr.Dropdown(offered, value=[], multiselect=True, label="Models", visible=len(offered) > 1,
                                          info="None chosen: each method's default", elem_id="compare-models"),
                              "models")
            with gr.Row():
                button = gr.Button("Compare", variant="primary", elem_id="compare-run")
                stop = gr.Button("Stop", variant="stop", elem_id="compare-stop")
            forms = _options()
        with gr.Column(scale=7, min_width=320, elem_classes="result-column"):
            outcome = results()
    return {"pictures": pictures, "methods": methods, "lmms": lmms, "button": button, "stop": stop,
            "example": example}, outcome, forms


def _options() -> Forms:
    """One form per method; they hold for both modes."""
    forms = {}
    with gr.Accordion("Options of the methods, also for a folder", open=False, elem_id="compare-options"), gr.Tabs():
        for name in models.available_methods():
            kind = method_class(name)
            with gr.Tab(kind.title):
                forms[name] = options_form(kind.options, leave_out=free_text(kind.options),
                                           too_late=models.late_choices(name), named=f"{name}.")
    return forms


def _wire(parts: dict[str, Any], outcome: Results, forms: Forms) -> None:
    every_option = components_of(forms)

    @plain_errors
    def side_by_side(paths: list[str] | None, methods: list[str], lmms: list[str], *values: object,
                     progress: gr.Progress = gr.Progress()) -> Iterator[list[object]]:
        options = {name: changes for name, changes in changed_options(forms, values).items() if name in methods}
        files = [upload_path(path) for path in paths or []]
        planned = plan(files, methods, lmms or [], options)
        held = hold(planned, copies(files))
        for comparison, running in run(planned, files, progress):
            yield outcome.show(replace(held, comparison=comparison), running, pictures_too=not comparison.cells)

    def stopped(held: Held | None) -> list[object]:
        """What was scored until then can be read, exported and shared."""
        return outcome.cleared() if held is None else outcome.show(held, pictures_too=False)

    inputs = [parts["pictures"], parts["methods"], parts["lmms"], *every_option]
    # The comparison that a link brought is over once a new one starts, so its notice is cleared first.
    running = parts["button"].click(outcome.cleared, None, outcome.outputs, js=ends_before("compare"),
                                    show_progress="hidden", queue=False, api_visibility="private").then(
        side_by_side, inputs, outcome.outputs, show_progress="minimal", api_visibility="private",
        trigger_mode="always_last", **gpu.LONG_LANE)
    ended_before("compare", running)
    parts["stop"].click(stopped, outcome.state, outcome.outputs, cancels=[running], show_progress="hidden",
                        api_visibility="private")
    parts["example"].click(lambda: [str(EXAMPLES / name) for name in EXAMPLE_NAMES], None, parts["pictures"],
                           show_progress="hidden", api_visibility="private")


def copies(paths: list[str]) -> tuple[bytes, ...]:
    """What the page shows and a link would store of each image: its pixels, encoded anew, without metadata."""
    from methods.images import decode

    return tuple(copy_for_sharing(decode(path).image) for path in paths)
