"""The Score tab: one photo, and what all methods say of it together, or one of them with one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from methods import meaning
from methods.base import method_class
from methods.errors import InputError
from ui.components import (
    follow,
    lmm_picker,
    method_picker,
    options_form,
    picture_input,
    pixel_picker,
    plain_errors,
    require,
    result_panel,
)
from ui.components.evidence import render_evidence
from ui.components.options import Forms, as_options, components_of, free_text, options_of
from ui.components.page import type_check
from ui.components.photo import QUIET, ends_with, examples, result_of
from ui.components.pickers import default_method
from ui.components.together import Line, consensus_html, lines_html
from ui.components.where import where_part
from ui.serving import gpu, models

if TYPE_CHECKING:
    from methods.base import Assessment

TITLE = "Score"

TO_RESULT = """() => {
  if (window.innerWidth < 700) document.querySelector(".result-column .result-dial").scrollIntoView({
    block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth"});
}"""
"""On a phone the dial may lie outside the screen; bring it into view, and leave a page that shows it where it is."""

def build(page: gr.Blocks) -> None:
    """Draws the tab and wires it."""
    names, first = models.available_methods(), default_method()
    with gr.Row(elem_classes="score-room", equal_height=False):
        with gr.Column(scale=5, min_width=320):
            picture = picture_input(elem_id="score-picture")
            page.address = gr.Textbox(
                label="Web address of a photo", show_label=False, container=False, max_lines=1,
                placeholder="or the web address of a photo; paste or drop one anywhere", elem_id="score-address")
            example = examples(page, picture)
            everything = gr.Button("Score with all methods", variant="primary", size="lg", elem_id="score-all")
            with gr.Row(equal_height=True):
                method = method_picker(elem_id="score-method", value=first)
                lmm = lmm_picker(elem_id="score-model", method=first, visible=method_class(first).needs_lmm)
            run = gr.Button("Score with this method alone", elem_id="score-run")
            summary = gr.Markdown(method_class(first).summary, elem_classes="summary")
            groups, forms = _forms(names, first)
            pixels = pixel_picker(first, elem_id="score-pixels")
        with gr.Column(scale=6, min_width=320, elem_classes="result-column"):
            panel = result_panel()
            together = gr.HTML(elem_id="score-together", padding=False)
            plot = gr.Plot(visible=False, show_label=False, container=False, elem_classes="evidence")
            where = where_part("score")
            details = _details()
    outputs: list[Block] = [*panel.outputs, together, *where.outputs, plot, *details]
    options = components_of(forms)

    def nothing_yet() -> list[object]:
        return [*panel.empty(), "", *where.ready(False), gr.Plot(visible=False), gr.Accordion(visible=False), None]

    @plain_errors
    def score_photo(path: str | None, name: str, model: str, progress=gr.Progress(), *values: object) -> list[object]:
        require(path)
        *held, limit = values
        needs_lmm = method_class(name).needs_lmm
        assessment, passes = _score(path, name, model, options_of(forms, held)[name], progress,
                                    limit or None if needs_lmm else None)
        figure = render_evidence(assessment)
        return [*panel.show(assessment, passes), "", *where.ready(), gr.Plot(figure, visible=figure is not None),
                gr.Accordion(visible=True), _record(assessment)]

    @plain_errors
    def score_with_all(path: str | None) -> Iterator[list[object]]:
        for lines in in_turn(require(path), names):
            notes = next((line.assessment.image_notes for line in lines if line.assessment is not None), ())
            yield [consensus_html(lines), *panel.notes_alone(notes), lines_html(lines), *where.ready(),
                   gr.Plot(visible=False), gr.Accordion(visible=False), None]

    event = {"show_progress_on": panel.dial, "api_visibility": "private", **gpu.PHOTO_LANE}
    inputs = [picture, method, lmm, *options, pixels]
    by_all = everything.click(score_with_all, picture, outputs, api_visibility="private", show_progress="hidden",
                              **gpu.LONG_LANE)
    # Before the score: by the next method's line its result would be gone.
    run.click(None, None, None, cancels=[by_all], **QUIET)
    scored = run.click(score_photo, inputs, outputs, **event)
    gr.on([run.click, everything.click], None, None, None, js=TO_RESULT, api_visibility="private")
    mapped = where.wire(picture, method, lmm)
    example.then(None, None, None, js=TO_RESULT, api_visibility="private")
    tried = result_of(picture, example, nothing_yet, outputs).then(score_photo, inputs, outputs, **event)
    ends_with(picture, scored, tried, by_all, mapped)
    follow(pixels, lmm, picture, scored, tried, method=method)
    # Of a link's choices the model and its pixels stay, so the method's own are not taken after it.
    switch, parts = _switch(names), [summary, lmm, pixels, *groups]
    method.brings = (lambda values: switch(values["method"], values["model"], values["pixels"]), parts)
    method.input(switch, method, parts, queue=False, api_visibility="private", show_progress="hidden")
    _endpoint(picture, method, lmm)


def in_turn(path: str, names: Sequence[str]) -> Iterator[list[Line]]:
    """One photo by several methods with their defaults, the cheapest first: the lines so far, after each of them."""
    lines = {name: Line(name) for name in sorted(names, key=lambda name: method_class(name).cost())}
    yield list(lines.values())
    for name in lines:
        try:
            lines[name] = Line(name, gpu.assess(name, [path], one_of_many=True)[0])
        except gr.Error as error:
            lines[name] = Line(name, error=str(error.message))
        yield list(lines.values())


def _forms(names: tuple[str, ...], first: str) -> tuple[list[gr.Group], Forms]:
    """One options form per method; only the chosen method's is visible."""
    groups, forms = [], {}
    for name in names:
        with gr.Column(visible=name == first, elem_classes="options") as group:
            options = method_class(name).options
            forms[name] = options_form(options, leave_out=free_text(options), too_late=models.late_choices(name),
                                       named=f"{name}.")
        groups.append(group)
    return groups, forms


def _switch(names: tuple[str, ...]):
    def switch(name: str, model: str | None = None, limit: int = 0) -> list[object]:
        kind = method_class(name)
        model = model or models.default_for(name)
        limited = kind.needs_lmm and models.pixel_limit(model) is not None
        return [kind.summary, gr.update(value=model, visible=kind.needs_lmm),
                gr.update(value=limit if limited else 0, visible=limited),
                *(gr.Column(visible=name == other) for other in names)]

    return switch


def _details() -> list[Block]:
    with gr.Accordion("The whole record", open=False, visible=False, elem_classes="record") as fold:
        record = gr.JSON(show_label=False, container=False)
    return [fold, record]


def _record(assessment: Assessment) -> dict[str, Any]:
    record = assessment.to_dict()
    record.pop("explanation")
    opinion = meaning.explain(assessment)
    return {"meaning": None if opinion is None else opinion.to_dict(), **record}


def _score(
    path: str, name: str, model: str | None, options: dict[str, Any], progress: gr.Progress | None,
    max_pixels: int | None = None,
) -> tuple[Assessment, float]:
    assessment = gpu.assess(name, [path], model, options, max_pixels=max_pixels, progress=progress)[0]
    # Where an image decides how many passes it takes, its evidence has counted them.
    return assessment, getattr(assessment.evidence, "passes", None) or method_class(name).cost(options)


def _endpoint(picture: gr.Image, method: gr.Dropdown, lmm: gr.Dropdown) -> None:
    """The named endpoint `/score`, with the page's own pickers and the options as one mapping."""
    options = OptionsMapping({}, label="Options", visible=False)
    answer = gr.JSON(label="Assessment", visible=False)
    trigger = gr.Button(visible=False)

    @plain_errors
    @type_check
    def score(picture: str | None, method: str | None, lmm: str | None = None,
              options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Scores the quality of one photo, from 0 (bad) to 1 (excellent), and says why. Its "meaning" is the opinion
        that people would have on 0 to 100, with its interval, percentile and rated neighbours; null where nobody has
        measured that.

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
        assessment = _score(require(picture), method, lmm or None, changes, None, limit)[0]
        known = meaning.explain(assessment)
        return {**assessment.to_dict(), "meaning": None if known is None else known.to_dict()}

    trigger.click(score, [picture, method, lmm, options], answer, api_name="score", **gpu.LANE)


class OptionsMapping(gr.JSON):
    """JSON whose type in the API's description is an object; `gr.JSON` leaves it open in a way that tools refuse."""

    is_template = True  # drawn by gr.JSON's own front end

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {}}
