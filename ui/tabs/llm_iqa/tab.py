"""The LLM-IQA tab: the photo with its regions, each one's digit and weight, and a lambda that recomputes at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import gradio as gr

from methods.base import Assessment, Evidence
from methods.llm_iqa.aggregation import ensemble
from methods.llm_iqa.evidence import LLMIQAEvidence, Total
from methods.llm_iqa.method import LLMIQA, explain, in_words
from ui.components import (
    cost_line,
    dial,
    follow,
    image_notes,
    options_form,
    picture_input,
    pixel_picker,
    plain_errors,
    require,
    verdict_html,
    word_probabilities,
)
from ui.components.choices import in_address
from ui.components.figures import INK
from ui.components.photo import ends_with, examples, result_of
from ui.components.where import where_part
from ui.serving import gpu, models
from ui.tabs.llm_iqa.regions import DrawnRegion, region_figure, region_plot

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE = "LLM-IQA"
MOST_MODELS = 4
READINGS = [("likeliest digit (paper)", "argmax"), ("expectation over digits", "expectation")]


def build(page: gr.Blocks) -> None:
    """Draws the tab; called inside its `gr.Tab`."""
    gr.Markdown("The model reads a written standard, gives one digit to the whole photo and one to each region; "
                "regions count by area. [Paper](https://openreview.net/forum?id=raBRIPsdVb)",
                elem_classes="tab-intro")
    evidence, record = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = picture_input(elem_id="llm-iqa-picture")
            example = examples(page, picture)
            button = gr.Button("Score", variant="primary", elem_id="llm-iqa-run")
            chosen = in_address(gr.Dropdown(
                models.offered(), value=[models.default_for(LLMIQA.name)], multiselect=True, max_choices=MOST_MODELS,
                label="Models", info="Several models form an ensemble: their scores are averaged."), "model")
            form = options_form(LLMIQA.options, leave_out=("lam", "reading"), too_late=models.late_choices(LLMIQA.name))
            pixels = pixel_picker(LLMIQA.name)
        with gr.Column(scale=3, min_width=300, elem_classes="result-column"):
            gauge = gr.HTML(dial(None), elem_classes="result-dial")
            regions = gr.HTML(elem_classes="result-regions")
            with gr.Row(visible=False) as controls:
                lam = in_address(gr.Slider(0, 5, value=LLMIQA.options.lam, step=0.1, label="Lambda",
                                           info="What the regions count beside the whole photo.", min_width=220,
                                           elem_id="llm-iqa-lambda"), "lambda")
                reading = in_address(gr.Radio(READINGS, value=LLMIQA.options.reading, label="Reading", min_width=220),
                                     "reading")
            with gr.Row(visible=False) as weighting:
                weights = [in_address(gr.Slider(0, 1, value=1.0, step=0.05, visible=False, min_width=160),
                                      f"weight{number}") for number in range(1, MOST_MODELS + 1)]
            plot = gr.Plot(visible=False, show_label=False, container=False)
            notes = gr.Markdown(visible=False, elem_classes="result-notes")
            explanation = gr.Markdown(elem_classes="result-explanation")
            cost = gr.Markdown(elem_classes="result-cost")
            where = where_part("llm-iqa")
    outputs = [gauge, regions, plot, explanation]

    @plain_errors
    def score(path: str | None, names: list[str], lam: float, reading: str, *values: object,
              progress: gr.Progress = gr.Progress()) -> list[object]:
        require(path)
        if not names:
            raise gr.Error("Choose at least one model.", print_exception=False)
        held, limit, shares = values[:-1 - MOST_MODELS], values[-1 - MOST_MODELS] or None, values[-MOST_MODELS:]
        ensemble(shares[:len(names)], shares[:len(names)])  # refuses weights that are all 0 before any model is asked
        options = {**form.kwargs(held), "lam": lam, "reading": reading}
        with gpu.decoded_images([path]) as photos:
            result = gpu.call(
                "methods.llm_iqa.method:assess_with", progress=progress,
                seconds=gpu.seconds(LLMIQA.name, photos, options, lmms=len(names),
                                    limit=max(models.most_pixels(name, limit) for name in names)),
                lmms=[gpu.Model(name, limit) for name in names], image=photos[0], options=options,
            )
        members = result.evidence.lmms
        sliders = [gr.Slider(visible=len(members) > 1 and index < len(members),
                             label=f"Weight of {members[index].lmm.split('@')[0]}" if index < len(members) else None)
                   for index in range(MOST_MODELS)]
        changed = image_notes(result.image_notes)
        bare = replace(result, evidence=Evidence())
        return [
            bare, result.evidence, *weighted(bare, result.evidence, lam, reading, shares),
            gr.Row(visible=True), gr.Row(visible=len(members) > 1), *sliders,
            gr.Markdown(changed, visible=bool(changed)), cost_line(result, result.evidence.passes),
        ]

    def weighted(result: Assessment, verdict: LLMIQAEvidence, lam: float, reading: str,
                 shares: tuple[float, ...]) -> list[object]:
        """The outputs for a lambda, a reading and a weight for each model."""
        given = tuple(shares[: len(verdict.lmms)])
        total = verdict.rescored(lam=lam, reading=reading, lmm_weights=given)
        # Weights of one's own make an ensemble that nobody has measured.
        own = "" if len(set(given)) == 1 else " weighted"
        now = replace(result, score=total.score, lmm=result.lmm + own,
                      options={**result.options, "lam": lam, "reading": reading})
        return _show(verdict, total, reading, now)

    @plain_errors
    def rescore(result: Assessment | None, verdict: LLMIQAEvidence | None, lam: float, reading: str,
                *values: float) -> list[object]:
        if verdict is None or result is None:
            return [gr.skip()] * len(outputs)
        return weighted(result, verdict, lam, reading, values)

    inputs = [picture, chosen, lam, reading, *form.components, pixels, *weights]
    answer = [record, evidence, *outputs, controls, weighting, *weights, notes, cost]
    scored = button.click(score, inputs, answer, api_name="llm_iqa", **gpu.PHOTO_LANE)
    hidden = gr.Row(visible=False)
    emptied = result_of(
        picture, example,
        where.clearing(lambda: [None, None, dial(None), "", gr.Plot(visible=False), "", hidden, hidden,
                               gr.Markdown(visible=False), ""]),
        [record, evidence, *outputs, controls, weighting, notes, cost, *where.outputs])
    tried = emptied.then(score, inputs, answer, api_visibility="private", **gpu.PHOTO_LANE)
    follow(pixels, chosen, picture, scored, tried)
    ends_with(picture, scored, tried, where.wire(picture, LLMIQA.name, chosen, scored, tried))
    # Weights are those of the models that were chosen with them.
    chosen.input(lambda: [1.0] * MOST_MODELS, None, weights, show_progress="hidden", api_visibility="private")
    for control in (lam, reading, *weights):
        event = control.change if control is reading else control.release
        # By default, what is moved before the answer to the move before would be lost.
        event(rescore, [record, evidence, lam, reading, *weights], outputs, show_progress="hidden",
              trigger_mode="always_last", api_visibility="private")


def _show(evidence: LLMIQAEvidence, total: Total, reading: str, result: Assessment) -> list[object]:
    figure = digit_figure(evidence)
    return [
        verdict_html(result) + f'<p class="sums">{summary(evidence, total)}</p>',
        regions_html(evidence, reading),
        gr.Plot(figure, visible=figure is not None),
        explain(evidence, total, reading),
    ]


def summary(evidence: LLMIQAEvidence, total: Total) -> str:
    """Global, local and final score in one line."""
    parts = []
    if total.global_ is not None:
        parts.append(f"whole {total.global_:.2f} of {evidence.k}")
    if total.local is not None:
        parts.append(f"regions {total.local:.2f}")
    parts.append(f"final {total.final:.2f} on {total.bounds[0]:g} to {total.bounds[1]:g}")
    return " · ".join(parts)


def regions_html(evidence: LLMIQAEvidence, reading: str | None = None) -> str:
    """The photo with every region's score and weight on it; empty where only the whole image was scored."""
    if not evidence.regions:
        return ""
    areas = drawn_regions(evidence, reading or evidence.reading)
    return region_figure(evidence.picture, evidence.size, areas,
                         f"The photo with {len(areas)} scored regions, cut by {in_words(evidence.segmenter)}")


def drawn_regions(evidence: LLMIQAEvidence, reading: str) -> list[DrawnRegion]:
    """Each region with the mean of its scores over the models, ready to be drawn."""
    areas = []
    for index, region in enumerate(evidence.regions):
        score = sum(lmm.regions[index].read(reading) for lmm in evidence.lmms) / len(evidence.lmms)
        kind = "rest of the photo" if region.complement and len(evidence.regions) > 1 else f"region {index + 1}"
        areas.append(DrawnRegion(
            outline=region.outline, anchor=region.anchor, label=f"{score:.2f}".rstrip("0").rstrip("."),
            caption=f"{kind}, {region.weight:.0%} of the weight", quality=(score - 1) / (evidence.k - 1),
            crop=region.crop,
        ))
    return areas


def digit_figure(evidence: LLMIQAEvidence) -> go.Figure | None:
    """How likely each digit was for the whole image, a bar per level and a colour per model.

    None without a whole or a standard.
    """
    if evidence.lmms[0].whole is None or not evidence.standard:
        return None
    groups = {lmm.lmm.split("@")[0]: lmm.whole.probabilities for lmm in evidence.lmms}
    figure = word_probabilities(evidence.standard, groups, height=120 + 30 * evidence.k)
    # In lines that a phone has room for.
    return figure.update_xaxes(automargin=True, title={
        "text": "how likely each digit was<br>for the whole photo;<br>words as the paper orders them",
        "font": {"size": 12, "color": INK}})


def render_evidence(evidence: LLMIQAEvidence) -> go.Figure | None:
    """For the Score tab: the photo with its regions, or the digit probabilities where only the whole was scored."""
    if not evidence.regions:
        return digit_figure(evidence)
    return region_plot(evidence.picture, evidence.size, drawn_regions(evidence, evidence.reading))
