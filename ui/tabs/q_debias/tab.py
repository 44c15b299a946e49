"""The Q-Debias tab: the photo beside its degraded copies, each condition's score and weight, vanilla and debiased."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import gradio as gr

from methods.q_debias.evidence import DebiasEvidence
from methods.q_debias.explanation import NAMES
from methods.q_debias.method import QDebias
from ui.components import (
    follow,
    lmm_picker,
    options_form,
    picture_input,
    pixel_picker,
    plain_errors,
    require,
    result_panel,
)
from ui.components.photo import ends_with, examples, result_of
from ui.components.where import where_part
from ui.serving import gpu
from ui.tabs.q_debias.conditions import conditions_figure, conditions_plot

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from PIL import Image

TITLE = QDebias.title

LONGEST_SIDE = 2400
"""Of the pictures on the page: five of them in full would be 250 MB of PNG for a photo of 24 megapixels."""

INTRO = (
    "A model that looks at what a photo shows misjudges how good it looks. Q-Debias ruins the photo in four ways that "
    "leave its content recognisable, tells the model that those copies are poor, and asks about the photo again. "
    "[Paper](https://arxiv.org/abs/2411.12791)"
)


def build(page: gr.Blocks) -> None:
    """Draws the tab; called inside its `gr.Tab`."""
    gr.Markdown(INTRO, elem_classes="tab-intro")
    evidence = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = picture_input(elem_id="q-debias-picture")
            example = examples(page, picture)
            button = gr.Button("Score", variant="primary", elem_id="q-debias-run")
            lmm = lmm_picker(method=QDebias.name)
            form = options_form(QDebias.options)
            pixels = pixel_picker(QDebias.name)
        with gr.Column(scale=3, min_width=300, elem_classes="result-column"):
            panel = result_panel()
            figure = gr.HTML(elem_classes="result-conditions")
            where = where_part("q-debias")
    with gr.Row(visible=False) as strip:
        slots = [_slot() for _ in range(1 + len(QDebias.options.distortions))]
    pictures = [strip, *(part for slot in slots for part in slot)]
    with gr.Accordion("What was asked", open=False, visible=False) as question:
        prompts = gr.Markdown(elem_classes="result-prompts")
    with gr.Accordion("All numbers", open=False, visible=False) as everything:
        numbers = gr.JSON(show_label=False)
    outputs = [evidence, *panel.outputs, figure, question, prompts, everything, numbers]

    @plain_errors
    def score(path: str | None, name: str | None, *values: object,
              progress: gr.Progress = gr.Progress()) -> list[object]:
        *chosen, limit = values
        options = form.kwargs(chosen)
        (result,) = gpu.assess(QDebias.name, [require(path)], name, options, max_pixels=limit or None,
                               progress=progress)
        verdict = result.evidence
        record = {name: value for name, value in result.to_dict().items() if name != "explanation"}
        passes = 2 * len(verdict.conditions) + 1
        visible = gr.Accordion(visible=True)
        return [verdict, *panel.show(result, passes), conditions_figure(verdict), visible, asked_markdown(verdict),
                visible, record]

    def show_pictures(verdict: DebiasEvidence | None) -> list[object]:
        # After the result: writing five photos as PNG takes longer than scoring some of them.
        cells = [] if verdict is None else [(reduced(image), caption) for image, caption in gallery(verdict)]
        filled = [part for image, caption in cells for part in (gr.Image(image, visible=True), caption)]
        empty = [gr.Image(None, visible=False), ""] * (len(slots) - len(cells))
        return [gr.Row(visible=bool(cells)), *filled, *empty]

    def clear() -> list[object]:
        hidden = gr.Accordion(visible=False)
        return [None, *panel.empty(), "", hidden, "", hidden, None, *show_pictures(None)]

    inputs = [picture, lmm, *form.components, pixels]
    scored = (button.click(score, inputs, outputs, api_name="q_debias", **gpu.PHOTO_LANE),
              result_of(picture, example, where.clearing(clear), [*outputs, *pictures, *where.outputs]).then(
                  score, inputs, outputs, api_visibility="private", **gpu.PHOTO_LANE))
    follow(pixels, lmm, picture, *scored)
    # One at a time: a degraded copy of a large photo takes a gigabyte for a moment.
    drawn = [event.success(show_pictures, evidence, pictures, show_progress="hidden", api_visibility="private",
                           trigger_mode="always_last", concurrency_limit=1, concurrency_id="degraded copies")
             for event in scored]
    ends_with(picture, *scored, *drawn, where.wire(picture, QDebias.name, lmm, *scored))


def _slot() -> tuple[gr.Image, gr.HTML]:
    with gr.Column(min_width=130):
        image = gr.Image(format="png", show_label=False, interactive=False, height=170, visible=False,
                         buttons=["download", "fullscreen"])
        return image, gr.HTML()


def gallery(evidence: DebiasEvidence) -> Iterator[tuple[Image.Image, str]]:
    """The query and its degraded copies at full size, each with a caption in HTML."""
    yield evidence.query, _caption("your photo", f"{evidence.score:.3f} debiased, {evidence.vanilla:.3f} alone")
    for condition in evidence.conditions:
        text = f"your photo beside it: {condition.quality:.3f}"
        yield evidence.degraded(condition.distortion), _caption(NAMES[condition.distortion], text)


def reduced(image: Image.Image) -> Image.Image:
    """The image as the page shows it, at most `LONGEST_SIDE` pixels per side."""
    small = image.copy()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return small


def _caption(name: str, text: str) -> str:
    return f'<div style="font-size:.88em;line-height:1.4"><strong>{name}</strong><br>{text}</div>'


def asked_markdown(evidence: DebiasEvidence) -> str:
    """The three prompts as text; `<image>` stands for an image."""
    times = len(evidence.conditions)
    titles = {
        "vanilla": "Once, the photo alone",
        "condition": f"{times} times, a degraded copy first, then the photo",
        "similarity": f"{times} times, the same two photos",
    }
    return "\n\n".join(f"**{title}**\n```text\n{evidence.transcripts[name]}\n```" for name, title in titles.items())


def render_evidence(evidence: DebiasEvidence) -> go.Figure:
    """For the Score tab: every condition's score and weight on one scale."""
    return conditions_plot(evidence)
