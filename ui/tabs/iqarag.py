"""The IQARAG tab: the references that the model saw, its words without and with them, and a visitor's own set."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from methods.iqarag.effect import effect
from methods.iqarag.evidence import IQARAGEvidence
from methods.iqarag.method import IQARAG
from methods.levels import FIVE_LEVELS
from ui.components import (
    follow,
    lmm_picker,
    options_form,
    picture_input,
    pixel_picker,
    plain_errors,
    require,
    result_panel,
    upload_path,
    word_probabilities,
)
from ui.components.inline_images import data_url
from ui.components.opinion_scale import lower_is_better, scale_inputs, scale_of
from ui.components.photo import ends_with, examples, result_of
from ui.components.where import where_part
from ui.serving import gpu, models, visitors
from ui.serving.zips import Limits

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from methods.base import Assessment

TITLE = IQARAG.title

INTRO = (
    "People judge a photo more surely beside others of known quality. IQARAG finds similar photos that people have "
    "rated, at most one from each fifth of the quality range, shows them to the model with their level, and then asks "
    "about yours. [Paper](https://arxiv.org/abs/2601.08311)"
)
SHIPS, OWN = "150 photos of LIVE Challenge", "My own"
SECONDS_TO_BUILD = 100.0


def build(page: gr.Blocks) -> None:
    """Draws the tab; called inside its `gr.Tab`."""
    gr.Markdown(INTRO, elem_classes="tab-intro")
    # The visitor's folder lives as long as this state: Gradio calls back when the visit ends or its time is over.
    own = gr.State(None, time_to_live=visitors.LIFETIME_SECONDS, delete_callback=visitors.discard)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = picture_input(elem_id="iqarag-picture")
            example = examples(page, picture)
            button = gr.Button("Score", variant="primary", elem_id="iqarag-run")
            lmm = lmm_picker(method=IQARAG.name)
            which = gr.Radio([SHIPS, OWN], value=SHIPS, label="Reference set")
            with gr.Column(visible=False) as bring:
                archive, scores, scale, direction, make, status = _own_set_inputs()
            form = options_form(IQARAG.options, leave_out=("reference_set",), too_late=models.late_choices(IQARAG.name))
            pixels = pixel_picker(IQARAG.name)
        with gr.Column(scale=3, min_width=300, elem_classes="result-column"):
            panel = result_panel()
            both = gr.HTML(elem_classes="iqarag-scores", padding=False)
            words = gr.Plot(visible=False, show_label=False, container=False, elem_classes="evidence")
            empty = gr.Markdown(visible=False, elem_id="iqarag-empty")
            where = where_part("iqarag")
    gallery = gr.HTML(elem_id="iqarag-references", padding=False)
    with gr.Accordion("What was asked", open=False, visible=False) as question:
        prompts = gr.Markdown(elem_classes="result-prompts")
    with gr.Accordion("All numbers", open=False, visible=False) as everything:
        numbers = gr.JSON(show_label=False)
    outputs = [*panel.outputs, both, words, empty, gallery, question, prompts, everything, numbers]

    @plain_errors
    def score(photo: str | None, model: str | None, references: str, folder: str | None, *values: object,
              progress: gr.Progress = gr.Progress()) -> list[object]:
        require(photo)
        *chosen, limit = values
        options = form.kwargs(chosen)
        if references == OWN:
            options["reference_set"] = _alive(folder)
        (result,) = gpu.assess(IQARAG.name, [photo], model, options, max_pixels=limit or None, progress=progress)
        evidence = result.evidence
        passes = 2 if evidence.references else 1
        missing = empty_markdown(evidence)
        return [
            *panel.show(result, passes if not options.get("interval") else None),
            both_scores(evidence) + effect_html(result),
            gr.Plot(render_evidence(evidence), visible=True), gr.Markdown(missing, visible=bool(missing)),
            gallery_html(evidence), gr.Accordion(visible=True), asked_markdown(evidence), gr.Accordion(visible=True),
            result.to_dict(),
        ]

    def clear() -> list[object]:
        hidden = gr.Accordion(visible=False)
        return [*panel.empty(), "", gr.Plot(visible=False), gr.Markdown(visible=False),
                "", hidden, "", hidden, None]

    @plain_errors
    def receive(packed: str | None, table: str | None, ends: str, way: str, name: str | None, previous: str | None,
                progress: gr.Progress = gr.Progress()) -> tuple[str, str, str]:
        low_high = scale_of(ends)
        archive_path = upload_path(require(packed, "a zip of photos"))
        if Path(archive_path).stat().st_size > Limits.bytes:
            raise gr.Error(f"The zip is larger than {Limits.bytes >> 20} MB; choose fewer or smaller photos.",
                           print_exception=False)
        received = gpu.call(
            "ui.serving.visitors:build_reference_set", seconds=SECONDS_TO_BUILD, progress=progress, lmm=gpu.Model(name),
            archive=archive_path, scores=upload_path(table) if table else None, scale=low_high,
            lower_is_better=lower_is_better(way),
        )
        visitors.discard(previous)
        return received.folder, received_markdown(received), OWN

    which.change(lambda chosen: gr.Column(visible=chosen == OWN), which, bring, queue=False, api_visibility="private",
                 show_progress="hidden")
    make.click(receive, [archive, scores, scale, direction, lmm, own], [own, status, which],
               api_visibility="private", **gpu.LANE)
    inputs = [picture, lmm, which, own, *form.components, pixels]
    scored = button.click(score, inputs, outputs, api_name="iqarag", show_progress_on=panel.dial, **gpu.PHOTO_LANE)
    tried = result_of(picture, example, where.clearing(clear), [*outputs, *where.outputs]).then(
        score, inputs, outputs, api_visibility="private", show_progress_on=panel.dial, **gpu.PHOTO_LANE)
    follow(pixels, lmm, picture, scored, tried)
    ends_with(picture, scored, tried, where.wire(picture, IQARAG.name, lmm, scored, tried))


def _own_set_inputs() -> tuple[object, ...]:
    gr.Markdown(f"A zip of up to {visitors.MOST_PICTURES} photos and a CSV with the columns `image` and `mos`. They "
                f"are deleted when you leave, after {visitors.LIFETIME_SECONDS // 60} minutes at the latest.")
    archive = gr.File(label="Photos (zip)", file_types=[".zip"], height=110)
    scores = gr.File(label="Opinions (CSV); may also lie in the zip", file_types=[".csv", ".tsv", ".txt"], height=110)
    scale, direction = scale_inputs("Scale of the opinions")
    make = gr.Button("Build my reference set")
    status = gr.Markdown()
    return archive, scores, scale, direction, make, status


def _alive(folder: str | None) -> str:
    if not folder or not Path(folder).is_dir():
        raise gr.Error("Build your reference set first; one that was built earlier has been deleted.",
                       print_exception=False)
    return folder


def received_markdown(received: visitors.Received) -> str:
    """What became of an upload: how many references of which quality, what was assumed, what was left out."""
    bins = ", ".join(f"{count} {word}" for word, count in zip(FIVE_LEVELS.words, reversed(received.by_bin)))
    lines = [f"**{received.count} references:** {bins}."]
    lines += [f"- {html.escape(note)}" for note in received.notes]
    lines += [f"- Left out: {html.escape(problem)}" for problem in received.problems[:10]]
    if len(received.problems) > 10:
        lines.append(f"- ... and {len(received.problems) - 10} more.")
    return "\n".join([lines[0], "", *lines[1:]])


def both_scores(evidence: IQARAGEvidence) -> str:
    """The two scores side by side; HTML."""
    def tile(title: str, score: float) -> str:
        return (f'<div class="iqarag-score"><span>{title}</span> <strong>{score:.3f}</strong> '
                f'<em>{FIVE_LEVELS.word_for(min(max(score, 0.0), 1.0))}</em></div>')

    interval = ""
    if evidence.interval:
        low, high = evidence.interval
        interval = f"<p>95 % interval over resampled reference sets: {low:.3f} to {high:.3f}</p>"
    return (f'<div style="display:flex;gap:1.5rem;flex-wrap:wrap">{tile("Without references", evidence.score_without)}'
            f'{tile("With references", evidence.score_with)}</div>{interval}')


def effect_html(result: Assessment) -> str:
    """What references were measured to change, and whether they did so here; HTML."""
    if not result.evidence.references:
        return ""
    result_effect = effect(result)
    if result_effect is None:
        return '<p class="measured-effect">Nobody has measured what these references change with this model.</p>'
    *general, here = (html.escape(sentence) for sentence in result_effect.sentences())
    mark = f"<strong>{here}</strong>" if result_effect.against else here
    return f'<p class="measured-effect">{" ".join(general)} {mark}</p>'


def gallery_html(evidence: IQARAGEvidence) -> str:
    """The references in the order in which they were shown, each with level, MOS, distance and name; HTML."""
    if not evidence.references:
        return ""
    cards = "".join(
        f'<figure style="margin:0;max-width:320px">'
        f'<img src="{data_url(one.thumbnail, lossless=True)}" alt="{html.escape(one.name)}" '
        f'width="{one.thumbnail.width}" height="{one.thumbnail.height}" '
        f'style="width:100%;height:auto;border-radius:8px">'
        f'<figcaption><strong class="level-{one.level.lower()}">{html.escape(one.level)}</strong> · '
        f'people: {100 * one.mos:.0f} of 100{_spread(one.std)}<br>'
        f'distance {one.distance:.3g}, nearest no. {one.rank}<br>'
        f'<small>{html.escape(one.name)}</small></figcaption></figure>'
        for one in evidence.references
    )
    return (f'<section><h2 class="part-title">What the model saw first, with {html.escape(evidence.opinions)}</h2>'
            '<div style="display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:1rem">'
            f"{cards}</div></section>")


def _spread(std: float | None) -> str:
    return "" if std is None else f", its raters' standard deviation {100 * std:.0f}"


def empty_markdown(evidence: IQARAGEvidence) -> str:
    """Which quality bins stayed empty, and why; empty text if none did."""
    if not evidence.empty_bins:
        return ""
    lines = []
    for one in reversed(evidence.empty_bins):
        why = (f"the set holds {one.in_set}, further away" if one.in_set else "the set holds none")
        lines.append(f"- **{' or '.join(one.levels)}** (MOS {one.low:.1f} to {one.high:.1f}): {why}")
    return f"Empty bins among the {evidence.considered} nearest references:\n" + "\n".join(lines)


def asked_markdown(evidence: IQARAGEvidence) -> str:
    """Both prompts as text; `<image>` stands for an image."""
    return (f"**Without references**\n```text\n{evidence.transcript_without}\n```\n\n"
            f"**With references**\n```text\n{evidence.transcript_with}\n```")


def render_evidence(evidence: IQARAGEvidence) -> go.Figure:
    """Level probabilities without and with references side by side."""
    groups = {"without references": evidence.probabilities_without}
    if evidence.references:
        groups["with references"] = evidence.probabilities_with
    return word_probabilities(evidence.words, groups, height=90 + 52 * len(evidence.words))
