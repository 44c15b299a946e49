"""The Score tab: one photo, one method, one model; the score, why, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from methods.base import method_class
from methods.errors import InputError
from ui.components import (
    EXAMPLES,
    follow,
    lmm_picker,
    method_picker,
    options_form,
    picture_input,
    pixel_picker,
    plain_errors,
    required,
    result_panel,
)
from ui.components.evidence import render_evidence
from ui.components.options import Forms, as_options, components_of, free_text, options_of
from ui.components.page import typed
from ui.components.pickers import pixels_for
from ui.serving import gpu, models

if TYPE_CHECKING:
    from methods.base import Assessment

TITLE = "Score"

TO_RESULT = """() => {
  if (window.innerWidth < 700) document.querySelector(".result-column").scrollIntoView({behavior: "smooth"});
}"""
"""On a phone the result lies below the options; bring it into view."""

EXAMPLE_PICTURES = (
    ("coffee.jpg", "as taken"), ("coffee-dark-and-noisy.jpg", "dark, noisy"), ("rocket.jpg", "as taken"),
    ("cat-blurred.jpg", "blurred"), ("astronaut.jpg", "as taken"), ("astronaut-compressed.jpg", "compressed"),
)  # fmt: skip


def build(page: gr.Blocks) -> None:
    """Draws the tab and wires it."""
    names = models.available_methods()
    with gr.Row(elem_classes="score-room", equal_height=False):
        with gr.Column(scale=5, min_width=320):
            picture = picture_input(elem_id="score-picture")
            example = gr.Dataset(
                components=[gr.Image(visible=False, type="filepath", format="png")], label="Or try one of these",
                samples=[[str(EXAMPLES / name)] for name, _ in EXAMPLE_PICTURES],
                sample_labels=None, elem_classes="examples", type="index",
            )
            with gr.Row():
                method = method_picker(elem_id="score-method")
                lmm = lmm_picker(elem_id="score-model", visible=method_class(names[0]).needs_lmm)
            summary = gr.Markdown(method_class(names[0]).summary, elem_classes="summary")
            run = gr.Button("Score this photo", variant="primary", size="lg", elem_id="score-run")
            groups, forms = _forms(names)
            pixels = pixel_picker(names[0], elem_id="score-pixels")
        with gr.Column(scale=6, min_width=320, elem_classes="result-column"):
            panel = result_panel()
            plot = gr.Plot(visible=False, show_label=False, container=False, elem_classes="evidence")
            details = _details()
    outputs = [*panel.outputs, plot, *details]
    options = components_of(forms)

    def nothing_yet() -> list[object]:
        return [*panel.empty(), gr.Plot(visible=False), gr.Accordion(visible=False), None]

    @plain_errors
    def score_photo(path: str | None, name: str, model: str, progress=gr.Progress(), *values: object) -> list[object]:
        required(path)
        *held, limit = values
        needs_lmm = method_class(name).needs_lmm
        assessment, passes = _score(path, name, model, options_of(forms, held)[name], progress,
                                    limit or None if needs_lmm else None)
        figure = render_evidence(assessment)
        return [*panel.show(assessment, passes), gr.Plot(figure, visible=figure is not None),
                gr.Accordion(visible=True), _record(assessment)]

    event = {"show_progress_on": panel.dial, "api_visibility": "private", **gpu.LANE}
    scored = run.click(score_photo, [picture, method, lmm, *options, pixels], outputs, **event)
    gr.on([run.click, example.click], None, None, None, js=TO_RESULT, api_visibility="private")
    example.click(lambda index: str(EXAMPLES / EXAMPLE_PICTURES[index][0]), example, picture, api_visibility="private",
                  show_progress="hidden").then(score_photo, [picture, method, lmm, *options, pixels], outputs, **event)
    follow(pixels, lmm, picture, scored, method=method)
    gr.on([picture.input, picture.clear], nothing_yet, None, outputs, queue=False, api_visibility="private",
          show_progress="hidden")
    method.change(_switch(names), method, [summary, lmm, pixels, *groups], queue=False, api_visibility="private",
                  show_progress="hidden")
    _endpoint(picture, method, lmm)


def _forms(names: tuple[str, ...]) -> tuple[list[gr.Group], Forms]:
    """One options form a method; only the chosen method's is visible."""
    groups, forms = [], {}
    for name in names:
        with gr.Column(visible=name == names[0], elem_classes="options") as group:
            options = method_class(name).options
            forms[name] = options_form(options, leave_out=free_text(options), too_late=models.too_late(name))
        groups.append(group)
    return groups, forms


def _switch(names: tuple[str, ...]):
    def switch(name: str) -> list[object]:
        kind = method_class(name)
        model = gr.Dropdown(value=models.default_for(name), visible=kind.needs_lmm)
        pixels = pixels_for(models.default_for(name), None, 0, name)
        return [kind.summary, model, pixels, *(gr.Column(visible=name == other) for other in names)]

    return switch


def _details() -> list[object]:
    with gr.Accordion("The whole record", open=False, visible=False, elem_classes="record") as fold:
        record = gr.JSON(show_label=False, container=False)
    return [fold, record]


def _record(assessment: Assessment) -> dict[str, Any]:
    record = assessment.to_dict()
    record.pop("explanation")
    return record


def _score(
    path: str, name: str, model: str | None, options: dict[str, Any], progress: gr.Progress | None,
    max_pixels: int | None = None,
) -> tuple[Assessment, float]:
    assessment = gpu.assess(name, [path], model, options, max_pixels=max_pixels, progress=progress)[0]
    return assessment, method_class(name).cost(options)


def _endpoint(picture: gr.Image, method: gr.Dropdown, lmm: gr.Dropdown) -> None:
    """The named endpoint `/score`, with the page's own pickers and the options as one mapping."""
    options = OptionsMapping({}, label="Options", visible=False)
    answer = gr.JSON(label="Assessment", visible=False)
    trigger = gr.Button(visible=False)

    @plain_errors
    @typed
    def score(picture: str | None, method: str | None, lmm: str | None = None,
              options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Scores the quality of one photo, from 0 (bad) to 1 (excellent), and says why.

        Args:
            picture: the photo.
            method: name of the method, for example "q-bench".
            lmm: name of the model; the method's default if left out.
            options: changes to the method's default options, by name; max_pixels among them lowers the model's pixel
                limit.
        """
        if not method:
            raise InputError(f"Name a method: {', '.join(models.available_methods())}.")
        # No option of a method has this name.
        limit = options.get("max_pixels") if options else None
        changes = as_options(method, {key: value for key, value in (options or {}).items() if key != "max_pixels"})
        return _score(required(picture), method, lmm or None, changes, None, limit)[0].to_dict()

    trigger.click(score, [picture, method, lmm, options], answer, api_name="score", **gpu.LANE)


class OptionsMapping(gr.JSON):
    """JSON whose type in the API's description is an object; `gr.JSON` leaves it open in a way that tools refuse."""

    is_template = True  # drawn by gr.JSON's own front end

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {}}
