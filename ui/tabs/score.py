"""The Score tab: one photo, one method, one model; the score, why, and what it cost.

Evidence differs from method to method. A method that has more to show than word probabilities gives its own drawing
as `ui/tabs/<method>.py: render_evidence(evidence) -> plotly Figure | None`, with the method's registry name spelled
with underscores; this tab and any other that lists several methods calls it through `render_evidence` here.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

import gradio as gr

from methods.base import Evidence, Options, method_class
from ui.components import (
    EXAMPLES,
    OptionsForm,
    lmm_picker,
    method_picker,
    options_form,
    picture_input,
    plain_errors,
    required,
    result_panel,
    word_probabilities,
)
from ui.serving import gpu, models

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
        with gr.Column(scale=6, min_width=320, elem_classes="result-column"):
            panel = result_panel()
            plot = gr.Plot(visible=False, show_label=False, container=False, elem_classes="evidence")
            details = _details()
    outputs = [*panel.outputs, plot, *details]
    options = [component for form in forms.values() for component in form.components]

    def nothing_yet() -> list[Any]:
        return [*panel.empty(), gr.Plot(visible=False), gr.Accordion(visible=False), None]

    @plain_errors
    def score_photo(path: str | None, name: str, model: str, progress=gr.Progress(), *values: Any) -> list[Any]:
        required(path)
        assessment, passes = _score(path, name, model, _chosen(forms, name, values), progress)
        figure = render_evidence(assessment)
        return [*panel.show(assessment, passes), gr.Plot(figure, visible=figure is not None),
                gr.Accordion(visible=True), _record(assessment)]

    event = {"show_progress_on": panel.dial, "api_visibility": "private", **gpu.LANE}
    run.click(score_photo, [picture, method, lmm, *options], outputs, **event)
    gr.on([run.click, example.click], None, None, None, js=TO_RESULT, api_visibility="private")
    example.click(lambda index: str(EXAMPLES / EXAMPLE_PICTURES[index][0]), example, picture, api_visibility="private",
                  show_progress="hidden").then(score_photo, [picture, method, lmm, *options], outputs, **event)
    gr.on([picture.input, picture.clear], nothing_yet, None, outputs, queue=False, api_visibility="private",
          show_progress="hidden")
    method.change(_switch(names), method, [summary, lmm, *groups], queue=False, api_visibility="private",
                  show_progress="hidden")
    _endpoint(picture, method, lmm)


def _forms(names: tuple[str, ...]) -> tuple[list[gr.Group], dict[str, OptionsForm]]:
    """One options form a method; only the chosen method's is visible."""
    groups, forms = [], {}
    for name in names:
        with gr.Column(visible=name == names[0], elem_classes="options") as group:
            options = method_class(name).options
            forms[name] = options_form(options, leave_out=free_text(options))
        groups.append(group)
    return groups, forms


def _switch(names: tuple[str, ...]):
    def switch(name: str) -> list[Any]:
        kind = method_class(name)
        model = gr.Dropdown(value=models.default_for(name), visible=kind.needs_lmm)
        return [kind.summary, model, *(gr.Column(visible=name == other) for other in names)]

    return switch


def _chosen(forms: dict[str, OptionsForm], name: str, values: tuple[Any, ...]) -> dict[str, Any]:
    start = 0
    for other, form in forms.items():
        if other == name:
            return form.kwargs(values[start : start + len(form.names)])
        start += len(form.names)
    raise ValueError(f"There is no method {name}; reload the page.")


def _details() -> list[Any]:
    with gr.Accordion("The whole record", open=False, visible=False, elem_classes="record") as fold:
        record = gr.JSON(show_label=False, container=False)
    return [fold, record]


def _record(assessment: Assessment) -> dict[str, Any]:
    record = assessment.to_dict()
    record.pop("explanation")
    return record


def _score(
    path: str, name: str, model: str | None, options: dict[str, Any], progress: gr.Progress | None
) -> tuple[Assessment, float]:
    assessment = gpu.assess(name, [path], model, options, progress=progress)[0]
    return assessment, method_class(name).cost(options)


def _endpoint(picture: gr.Image, method: gr.Dropdown, lmm: gr.Dropdown) -> None:
    """The named endpoint `/score`, with the page's own pickers and the options as one mapping."""
    options = OptionsMapping({}, label="Options", visible=False)
    answer = gr.JSON(label="Assessment", visible=False)
    trigger = gr.Button(visible=False)

    @plain_errors
    def score(picture: str, method: str, lmm: str | None = None, options: dict | None = None) -> dict[str, Any]:
        """Scores the quality of one photo, from 0 (bad) to 1 (excellent), and says why.

        Args:
            picture: the photo.
            method: name of the method, for example "q-bench".
            lmm: name of the model; the method's default if left out.
            options: changes to the method's default options, by name.
        """
        wanted = as_options(method, options or {})
        return _score(required(picture), method, lmm or None, wanted, None)[0].to_dict()

    trigger.click(score, [picture, method, lmm, options], answer, api_name="score", **gpu.LANE)


class OptionsMapping(gr.JSON):
    """JSON whose type in the API's description is an object; `gr.JSON` leaves it open in a way that tools refuse."""

    is_template = True  # drawn by gr.JSON's own front end

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {}}


def as_options(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON carries them, with lists as the tuples that the dataclass holds.

    Raises:
        ValueError: they are not a mapping, or name a folder of this machine.
    """
    if not isinstance(given, dict):
        raise ValueError('Options are a mapping of names to values, such as {"seed": 1}.')
    defaults: Options = method_class(method).options
    for name in free_text(defaults):
        if given.get(name, getattr(defaults, name)) != getattr(defaults, name):
            raise ValueError(f"The option {name} names a folder of this machine and cannot be set from the page.")
    held = {spec.name for spec in dataclasses.fields(defaults) if isinstance(getattr(defaults, spec.name), tuple)}
    return {name: tuple(value) if name in held and isinstance(value, list) else value
            for name, value in given.items()}


def free_text(options: Options) -> tuple[str, ...]:
    """Names of the options that take any text: paths and names that only whoever runs the app may choose."""
    return tuple(spec.name for spec in dataclasses.fields(options)
                 if isinstance(getattr(options, spec.name), str) and spec.metadata.get("choices") is None)


def render_evidence(assessment: Assessment) -> go.Figure | None:
    """The method's own drawing of its evidence, else its word probabilities, else None."""
    module = f"ui.tabs.{assessment.method.replace('-', '_')}"
    if importlib.util.find_spec(module) is not None:
        draw = getattr(importlib.import_module(module), "render_evidence", None)
        if draw is not None:
            return draw(assessment.evidence)
    return _words(assessment.evidence)


def _words(evidence: Evidence) -> go.Figure | None:
    words, probabilities = (getattr(evidence, name, None) for name in ("words", "probabilities"))
    if not words or probabilities is None or len(words) != len(probabilities):
        return None
    return word_probabilities(words, {"probability": probabilities}, height=80 + 38 * len(words))
