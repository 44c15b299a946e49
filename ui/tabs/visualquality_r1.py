"""The VisualQuality-R1 tab: the reasoning as it is written, the K scores as dots, and two to eight photos ranked."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from methods.base import Assessment
from methods.lmm.defaults import EMBEDDED
from methods.visualquality_r1.answer import HIGHEST, LOWEST, reasoning
from methods.visualquality_r1.comparison import Ranking, describe, percent, rank
from methods.visualquality_r1.method import ReasoningEvidence, VisualQualityR1
from methods.visualquality_r1.thurstone import Preference
from ui.components import (
    ACCENT,
    INK,
    SECOND,
    SERIES,
    dial,
    follow,
    lmm_picker,
    options_form,
    picture_input,
    pictures_input,
    pixel_picker,
    plain_errors,
    require,
    result_panel,
    themed,
)
from ui.components.choices import in_address
from ui.components.photo import ends_with, examples, result_of
from ui.components.texts import distinct_names
from ui.components.where import where_part
from ui.serving import gpu, models
from ui.serving.stopping import StoppableProgress, Stopped, Stops

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE = VisualQualityR1.title
MOST_PICTURES = 8

INTRO = (
    "The model looks, reasons aloud and gives a score from 1 to 5, several times over. The mean is the score; how far "
    "its answers spread says how firmly it answers, not how right it is. [Paper](https://arxiv.org/abs/2505.14460)"
)


def build(page: gr.Blocks) -> None:
    """Draws the tab; called inside its `gr.Tab`."""
    gr.Markdown(INTRO, elem_classes="tab-intro")
    with gr.Tabs():
        with gr.Tab("One photo", id="one"):
            _one_photo(page)
        with gr.Tab("Compare photos", id="several"):
            _compare()


def _one_photo(page: gr.Blocks) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = picture_input(elem_id="visualquality-r1-picture")
            example = examples(page, picture)
            with gr.Row():
                button = gr.Button("Score", variant="primary", elem_id="visualquality-r1-run")
                stop = gr.Button("Stop", variant="stop", elem_id="visualquality-r1-stop")
            lmm = lmm_picker(method=VisualQualityR1.name)
            form = options_form(VisualQualityR1.options)
            pixels = pixel_picker(VisualQualityR1.name)
        with gr.Column(scale=3, min_width=300, elem_classes="result-column"):
            panel = result_panel()
            stream = gr.HTML(elem_classes="reasoning-stream", elem_id="visualquality-r1-stream")
            dots = gr.Plot(visible=False, show_label=False, container=False, elem_id="visualquality-r1-dots")
            with gr.Accordion("Every answer", open=False, visible=False) as fold:
                answers = gr.Markdown(elem_id="visualquality-r1-answers")
            where = where_part("visualquality-r1")
    outputs = [*panel.outputs, stream, dots, fold, answers]
    stops = Stops()

    @plain_errors
    def score(request: gr.Request, path: str | None, name: str, *values: object, progress: gr.Progress = gr.Progress()
              ) -> Iterator[list[object]]:
        require(path)
        *chosen, limit = values
        options = form.kwargs(chosen)
        hidden = [gr.Plot(visible=False), gr.Accordion(visible=False), ""]
        waiting = [dial(None, empty="No score yet"), *panel.empty()[1:]]
        text = ""
        with stops.run(request.session_hash) as flag, gpu.decoded_images([path]) as photos:
            seconds = gpu.seconds(VisualQualityR1.name, photos, options,
                                  limit=models.most_pixels(name, limit or None))
            parts = gpu.stream("methods.visualquality_r1.method:stream_with", seconds=seconds,
                               progress=StoppableProgress(progress, flag),
                               method=gpu.MethodOf(VisualQualityR1.name, name, limit or None), image=photos[0],
                               options=options)
            try:
                for part in parts:
                    if flag.is_set():
                        # Gives the model back to those who wait; a generator left alone may live on.
                        parts.close()
                        raise Stopped
                    if isinstance(part, Assessment):
                        evidence = part.evidence
                        yield [*panel.show(part, 1), "", gr.Plot(score_dots(evidence), visible=True),
                               gr.Accordion(visible=True), answers_markdown(evidence)]
                    else:
                        text += part
                        yield [*waiting, writing(text) + filled_in(name), *hidden]
            except Stopped:
                yield [*waiting, stopped(writing(text)), *hidden]

    def stop_run(request: gr.Request, answer: str | None) -> str:
        """Says so at once: while the further answers are drawn, the run hears of it only when they are there."""
        stops.stop(request.session_hash)
        return stopped(answer)

    inputs = [picture, lmm, *form.components, pixels]
    scored = button.click(score, inputs, outputs, api_name="visualquality_r1", show_progress="minimal",
                          **gpu.PHOTO_LANE)
    emptied = result_of(picture, example, where.clearing(lambda: [
        *panel.empty(), "", gr.Plot(visible=False), gr.Accordion(visible=False), ""]), [*outputs, *where.outputs])
    tried = emptied.then(score, inputs, outputs, api_visibility="private", show_progress="minimal", **gpu.PHOTO_LANE)
    follow(pixels, lmm, picture, scored, tried)
    ends_with(picture, scored, tried, where.wire(picture, VisualQualityR1.name, lmm, scored, tried))
    stop.click(stop_run, stream, stream, queue=False, show_progress="hidden", api_visibility="private")


def _compare() -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            pictures = pictures_input(f"Two to {MOST_PICTURES} photos", elem_id="visualquality-r1-pictures")
            lmm = lmm_picker(method=VisualQualityR1.name, named="pair-model")
            samples = in_address(gr.Slider(2, 32, value=VisualQualityR1.options.samples, step=1, label="Samples",
                                           info="How many times each photo is scored."), "pair-samples")
            button = gr.Button("Compare", variant="primary", elem_id="visualquality-r1-compare")
        with gr.Column(scale=3, min_width=300, elem_classes="result-column"):
            verdict = gr.Markdown(elem_classes="result-explanation", elem_id="visualquality-r1-verdict")
            curves = gr.Plot(visible=False, show_label=False, container=False)
            difference = gr.Plot(visible=False, show_label=False, container=False,
                                 elem_id="visualquality-r1-difference")
            # Shares of the width, so that a phone shows all columns.
            table = gr.Dataframe(visible=False, interactive=False, show_label=False, wrap=True,
                                 column_widths=["32%", "20%", "28%", "20%"],
                                 elem_id="visualquality-r1-ranking")
            matrix = gr.Plot(visible=False, show_label=False, container=False)

    @plain_errors
    def compare(paths: list[str] | None, name: str, samples: int,
                progress: gr.Progress = gr.Progress()) -> list[object]:
        require(paths, "two photos")
        if not 2 <= len(paths) <= MOST_PICTURES:
            raise gr.Error(f"Add two to {MOST_PICTURES} photos; there are {len(paths)}.", print_exception=False)
        results = gpu.assess(VisualQualityR1.name, paths, name, {"samples": int(samples)}, progress=progress)
        names = distinct_names(paths, length=28)
        evidences = [result.evidence for result in results]
        ranking = rank([evidence.scores for evidence in evidences])
        pair = len(names) == 2
        return [verdict_markdown(names, ranking), gr.Plot(opinion_curves(names, evidences), visible=True),
                gr.Plot(difference_curve(names, ranking.preferences[0][1]) if pair else None, visible=pair),
                gr.Dataframe(ranking_rows(names, ranking), headers=RANKING_COLUMNS, visible=True),
                gr.Plot(None if pair else preference_matrix(names, ranking), visible=not pair)]

    button.click(compare, [pictures, lmm, samples], [verdict, curves, difference, table, matrix],
                 api_name="visualquality_r1_rank", **gpu.LANE)


CARET = '<span class="caret"></span>'

RANKING_COLUMNS = ["Photo", "Mean", "95 % interval", "Rank"]


def writing(text: str) -> str:
    """The first answer while it is being written; HTML."""
    # A tag of which a part is there would show as text.
    thought = reasoning(re.sub(r"</?[a-z]*$", "", text)) or "…"
    return f'<blockquote class="writing" aria-live="off">{html.escape(thought)}{CARET}</blockquote>'


def filled_in(model: str) -> str:
    """Where a model's sentences are no thought, a line that says so; HTML."""
    if model != EMBEDDED:
        return ""
    return f'<p class="sums">{html.escape(VisualQualityR1.embedded_note, quote=False)}</p>'


def stopped(answer: str | None) -> str:
    """The text with its caret replaced by: Stopped; no score. A finished text has no caret."""
    return (answer or "").replace(CARET, '<span class="stopped">Stopped; no score.</span>')


def answers_markdown(evidence: ReasoningEvidence) -> str:
    """Every sample's score and reasoning."""
    return "\n\n".join(f"**{sample.score:.2f}** {html.escape(sample.reasoning) or '(no reasoning)'}"
                       for sample in evidence.samples)


def score_dots(evidence: ReasoningEvidence) -> go.Figure:
    """The K scores as dots on the 1 to 5 scale, with their mean and one standard deviation to each side."""
    import plotly.graph_objects as go

    scores = evidence.scores
    figure = go.Figure()
    if evidence.deviation is not None:
        figure.add_scatter(x=[evidence.mean], y=[0], mode="markers", name="mean and standard deviation",
                           marker={"symbol": "line-ns-open", "size": 26, "color": SECOND, "line": {"width": 3}},
                           error_x={"type": "data", "array": [evidence.deviation], "color": SECOND, "thickness": 2},
                           hovertemplate="mean %{x:.2f}<extra></extra>")
    figure.add_scatter(x=scores, y=stacked(scores), mode="markers", name="one answer each",
                       marker={"size": 12, "color": ACCENT, "opacity": 0.85},
                       hovertemplate="%{x:.2f}<extra></extra>")
    _legend_above(themed(figure, height=190))
    figure.update_xaxes(range=[LOWEST - 0.1, HIGHEST + 0.1], dtick=1)
    figure.update_yaxes(visible=False, range=[-0.8, max(2.0, max(stacked(scores)) + 0.8)])
    return figure


def stacked(scores: tuple[float, ...], nearby: float = 0.08) -> list[float]:
    """Heights that keep dots of nearly equal scores apart: the first at 0, the next one above it."""
    heights: list[float] = []
    for index, score in enumerate(scores):
        occupied = {height for other, height in zip(scores[:index], heights) if abs(other - score) < nearby}
        height = 0.0
        while height in occupied:
            height += 0.6
        heights.append(height)
    return heights


def opinion_curves(names: list[str], evidences: list[ReasoningEvidence]) -> go.Figure:
    """Each photo's quality as Thurstone sees it: a normal curve of its samples' mean and deviation, with the dots."""
    import plotly.graph_objects as go

    grid = np.linspace(LOWEST, HIGHEST, 241)
    figure = go.Figure()
    for index, (name, opinion) in enumerate(zip(names, evidences)):
        colour = SERIES[index % len(SERIES)]
        # A photo whose samples all agree is a spike; a floor keeps it visible.
        deviation = max(opinion.deviation or 0.0, 0.05)
        density = np.exp(-0.5 * ((grid - opinion.mean) / deviation) ** 2) / deviation
        figure.add_scatter(x=grid, y=density / np.sqrt(2 * np.pi), mode="lines", name=name,
                           line={"color": colour, "width": 2}, hovertemplate=f"{html.escape(name)}<extra></extra>")
        figure.add_scatter(x=opinion.scores, y=[-0.06 * (index + 1)] * len(opinion.scores), mode="markers",
                           showlegend=False,
                           marker={"color": colour, "symbol": "line-ns-open", "size": 9, "line": {"width": 2}},
                           hovertemplate=f"{html.escape(name)} %{{x:.2f}}<extra></extra>")
    _legend_above(themed(figure, height=250 + 15 * len(names)))
    figure.update_xaxes(range=[LOWEST, HIGHEST], dtick=1, title={"text": "sampled score", "font": {"color": INK}})
    figure.update_yaxes(visible=False)
    return figure


def difference_curve(names: list[str], verdict: Preference) -> go.Figure:
    """Thurstone's difference of two photos' quality: the share of the curve on a photo's side is its probability."""
    import plotly.graph_objects as go

    # Where all samples agree the curve is a spike; a floor keeps it visible, and hardly moves the shares.
    spread = max(verdict.spread, 0.07)
    reach = abs(verdict.difference) + 3.5 * spread
    figure = go.Figure()
    sides = ((names[0], float(verdict), np.linspace(0, reach, 161), SERIES[0]),
             (names[1], 1 - float(verdict), np.linspace(-reach, 0, 161), SERIES[1]))
    for name, probability, grid, colour in sides:
        density = np.exp(-0.5 * ((grid - verdict.difference) / spread) ** 2)
        figure.add_scatter(x=grid, y=density, mode="lines", fill="tozeroy", line={"color": colour, "width": 2},
                           name=f"{name}: {percent(probability)}", hoverinfo="skip")
    _legend_above(themed(figure, height=240))
    figure.update_xaxes(range=[-reach, reach], zeroline=True,
                        title={"text": "a side's area is how likely it is better", "font": {"color": INK}})
    figure.update_yaxes(visible=False, range=[0, 1.08])
    return figure


def _legend_above(figure: go.Figure) -> go.Figure:
    """Where a narrow page breaks the legend into lines, they grow upwards and never over the curves."""
    return figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"})


def preference_matrix(names: list[str], ranking: Ranking) -> go.Figure:
    """How likely the photo of a row is better than that of a column; best first."""
    import plotly.graph_objects as go

    order = list(ranking.order)
    values = [[None if i == j else float(ranking.preferences[i][j]) for j in order] for i in order]
    # Columns are named by place alone and cells hold bare numbers, so that eight of them fit on a phone.
    places = [str(place) for place in range(1, len(order) + 1)]
    rows = [f"{place} {names[index] if len(names[index]) <= 16 else names[index][:15] + '…'}"
            for place, index in zip(places, order)]
    text = [["" if value is None else in_a_cell(value) for value in row] for row in values]
    figure = go.Figure(go.Heatmap(z=values, x=places, y=rows, text=text, texttemplate="%{text}", zmin=0, zmax=1,
                                  colorscale=[[0, "#e0a27d"], [0.5, "#dde1e6"], [1, "#6cbcb8"]],
                                  textfont={"color": "#12181f", "size": 12}, showscale=False, xgap=1, ygap=1,
                                  hovertemplate="%{y} better than %{x}: %{z:.1%}<extra></extra>"))
    themed(figure, height=90 + 44 * len(names), title="Row better than column, in percent")
    figure.update_xaxes(type="category", side="top", showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def in_a_cell(probability: float) -> str:
    """A probability in percent as briefly as can be; never 0 or 100."""
    return percent(probability).replace("under ", "<").replace("over ", ">").removesuffix("%")


def verdict_markdown(names: list[str], ranking: Ranking) -> str:
    """The comparison in words: the preference for two photos, the order for more."""
    if len(names) == 2:
        return f"**{describe(names[0], names[1], ranking.preferences[0][1])}**"
    best, second = ranking.order[:2]
    return (f"Best to worst: {', '.join(names[index] for index in ranking.order)}. "
            f"{describe(names[best], names[second], ranking.preferences[best][second])}")


def ranking_rows(names: list[str], ranking: Ranking) -> list[list[str]]:
    """One row per photo, best first; its rank is a range where other samples could have moved it."""
    rows = []
    for index in ranking.order:
        (low, high), (first, last) = ranking.intervals[index], ranking.rank_intervals[index]
        rows.append([names[index], f"{ranking.means[index]:.2f}", f"{low:.2f} to {high:.2f}",
                     str(first) if first == last else f"{first} to {last}"])
    return rows


def render_evidence(evidence: ReasoningEvidence) -> go.Figure:
    """For the Score tab: the K scores as dots."""
    return score_dots(evidence)
