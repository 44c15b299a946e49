"""The LEAF tab: an instant score, where in the photo quality drops, and a student calibrated to a visitor's ratings."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import gradio as gr

from methods.images import Decoded, decode
from methods.leaf import maps
from methods.leaf.method import LEAF, LEAFEvidence
from methods.leaf.ratings import FEWEST_LABELS
from ui.components import (
    ACCENT,
    MUTED,
    options_form,
    picture_input,
    pictures_input,
    plain_errors,
    require,
    result_panel,
    themed,
    upload_path,
)
from ui.components.inline_images import data_url
from ui.components.opinion_scale import lower_is_better, scale_inputs, scale_of
from ui.components.photo import ends_with, examples, result_of
from ui.serving import gpu, visitors

if TYPE_CHECKING:
    import plotly.graph_objects as go

TITLE = LEAF.title

INTRO = (
    "A small student network scores in an instant and needs no large model. It ships calibrated to camera photos; give "
    "it your own ratings and it learns your scale and taste. [Paper](https://arxiv.org/abs/2601.20689)"
)
SHIPS, OWN = "The one that ships", "Mine"
SECONDS_TO_CALIBRATE = 100.0


def build(page: gr.Blocks) -> None:
    """Draws the tab; called inside its `gr.Tab`."""
    gr.Markdown(INTRO, elem_classes="tab-intro")
    # The visitor's student lives as long as this state: Gradio calls back when the visit ends or its time is over.
    own = gr.State(None, time_to_live=visitors.LIFETIME_SECONDS, delete_callback=visitors.discard)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            picture = picture_input(elem_id="leaf-picture")
            example = examples(page, picture)
            button = gr.Button("Score", variant="primary", elem_id="leaf-run")
            which = gr.Radio([SHIPS, OWN], value=SHIPS, label="Student", elem_id="leaf-student")
            form = options_form(LEAF.options)
        with gr.Column(scale=3, min_width=300, elem_classes="result-column"):
            panel = result_panel()
            standing = gr.HTML(elem_id="leaf-standing", padding=False)
            where = gr.HTML(elem_id="leaf-map", padding=False)
    with gr.Accordion("Calibrate to your ratings", open=False, elem_id="leaf-calibrate"):
        gr.Markdown(f"{FEWEST_LABELS} to {visitors.MOST_PICTURES} photos and a CSV with the columns `image` and "
                    "`mos`; 30 or more make it worth while. The photos are not kept; the student is deleted when you "
                    f"leave, after {visitors.LIFETIME_SECONDS // 60} minutes at the latest.")
        with gr.Row():
            with gr.Column(min_width=280):
                photos = pictures_input("Rated photos", elem_id="leaf-photos")
                table = gr.File(label="Ratings (CSV)", file_types=[".csv", ".tsv", ".txt"], height=110,
                                elem_id="leaf-table")
            with gr.Column(min_width=280):
                scale, direction = scale_inputs("Scale of the ratings")
                make = gr.Button("Calibrate", elem_id="leaf-make")
                # Progress and failure show here, so that neither covers what the visitor has.
                working = gr.HTML(elem_id="leaf-working", min_height=80)
        status = gr.Markdown(elem_id="leaf-status")
        fit = gr.Plot(visible=False, show_label=False, container=False, elem_classes="evidence", elem_id="leaf-fit")
        keep = gr.DownloadButton("Download your student", visible=False, elem_id="leaf-keep")
    outputs = [*panel.outputs, standing, where]

    @plain_errors
    def score(photo: str | None, student: str, folder: str | None, *values: object,
              progress: gr.Progress = gr.Progress()) -> list[object]:
        path = require(photo)
        if student == OWN and not folder:
            raise gr.Error("Calibrate your student first.", print_exception=False)
        with gpu.decoded_images([path]) as photos:
            result = gpu.call("ui.serving.visitors:assess_with_student", seconds=20, progress=progress,
                              image=photos[0], student=folder if student == OWN else None, **form.kwargs(values))
            return [*panel.show(result, 0), standing_html(result.evidence), map_html(photos[0], result.evidence)]

    def score_again(photo: str | None, student: str, folder: str | None, *values: object,
                    progress: gr.Progress = gr.Progress()) -> list[object]:
        # What stands on the page was said by another student.
        return score(photo, student, folder, *values, progress=progress) if photo else [*panel.empty(), "", ""]

    @plain_errors
    def calibrate(files: list[str] | None, ratings: str | None, ends: str, way: str, previous: str | None,
                  progress: gr.Progress = gr.Progress()) -> list[object]:
        low_high = scale_of(ends)
        pictures = [upload_path(path) for path in require(files, "rated photos")]
        result = gpu.call(
            "ui.serving.visitors:calibrate_student", seconds=SECONDS_TO_CALIBRATE, progress=progress, pictures=pictures,
            table=upload_path(require(ratings, "a CSV of ratings")),
            scale=low_high,
            lower_is_better=lower_is_better(way),
        )
        visitors.discard(previous)
        figure = gr.Plot(agreement(result), visible=True) if result.predicted else gr.Plot(visible=False)
        download = gr.DownloadButton(value=result.archive, visible=True)
        return [result.folder, calibrated_markdown(result), figure, download, OWN]

    event = make.click(calibrate, [photos, table, scale, direction, own], [own, status, fit, keep, which],
                       show_progress_on=working, api_visibility="private", **gpu.LANE)
    inputs = [picture, which, own, *form.components]
    quiet = {"show_progress_on": panel.dial, "api_visibility": "private", **gpu.PHOTO_LANE}
    ends_with(picture, event.success(score_again, inputs, outputs, **quiet),
              button.click(score, inputs, outputs, **{**quiet, "api_name": "leaf", "api_visibility": "public"}),
              result_of(picture, example, lambda: [*panel.empty(), "", ""], outputs).then(
                  score, inputs, outputs, **quiet))


def standing_html(evidence: LEAFEvidence) -> str:
    """Where the score stands in the reference population, as a bar with its number; HTML, empty without one."""
    if evidence.percentile is None:
        return ""
    share = evidence.percentile
    return (f'<figure class="standing"><p>Better than <strong>{share:.0f} %</strong> of '
            f'{html.escape(evidence.population or "")}</p>'
            f'<div class="scale-bar" role="img" aria-label="Percentile {share:.0f}">'
            f'<span class="scale-hand" style="left:{share:.1f}%"></span></div>'
            '<figcaption><span>worst of them</span><span>median</span><span>best of them</span></figcaption></figure>')


def map_html(photo: str | Decoded, evidence: LEAFEvidence) -> str:
    """The photo in grey, its worse parts tinted orange and its better parts blue, its worst and best part marked, and
    a legend in the units of the student's MOS; HTML, empty where no map was asked."""
    if evidence.local is None:
        return ""
    tinted = maps.overlay(decode(photo).image, evidence.local)
    width, height = tinted.size
    low, high = evidence.mos_scale
    mos = low + (high - low) * evidence.local
    worst, mean, best = float(mos.min()), float(mos.mean()), float(mos.max())
    heat = maps.relative(evidence.local)
    ends = [maps.colour(value) for value in (float(heat.min()), 0.0, float(heat.max()))]
    at = 50.0 if best == worst else 100 * (mean - worst) / (best - worst)
    stops = ", ".join(f"rgb{colour} {place:.1f}%" for colour, place in zip(ends, (0, at, 100)))
    marks = "" if best == worst else "".join(
        _mark(word, where, f"{value:.3g}", evidence.local.shape, tinted.size)
        for word, where, value in (("worst", evidence.local.argmin(), worst), ("best", evidence.local.argmax(), best)))
    spoken = f"Map of where quality drops: neighbourhoods score from {worst:.3g} to {best:.3g}, {mean:.3g} on average"
    drawing = data_url(tinted)
    return (
        f'<figure class="quality-map"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{spoken}">'
        f'<title>{spoken}</title><image href="{drawing}" width="{width}" height="{height}"/>{marks}</svg>'
        f'<div class="scale-bar" style="background:linear-gradient(90deg, {stops})">'
        f'<span class="scale-tick" style="left:{at:.1f}%"></span></div>'
        f'<div class="scale-words"><span><strong>{worst:.3g}</strong> worst part</span>'
        f'<span><strong>{mean:.3g}</strong> their mean</span><span><strong>{best:.3g}</strong> best part</span></div>'
        f'<figcaption>Opinion score, on {low:g} to {high:g}, that the student expects for each neighbourhood alone, '
        'the photo in grey below it. It explains this student; a plain sky has little to judge wherever it '
        'is. <a download="where-it-loses-quality.webp" href="{drawing}">Keep the picture</a></figcaption></figure>'
    )


def _mark(word: str, cell: int, label: str, grid: tuple[int, ...], size: tuple[int, int]) -> str:
    """A labelled dot on a cell of the map; SVG."""
    (rows, columns), (width, height) = grid, size
    row, column = divmod(int(cell), columns)
    unit = max(width, height) / 100
    half = 1.2 * unit * len(label) + 1.6 * unit
    x = min(max((column + 0.5) * width / columns, half), width - half)
    y = min(max((row + 0.5) * height / rows, 3 * unit), height - 3 * unit)
    return (f'<g class="map-mark map-{word}"><rect x="{x - half:.1f}" y="{y - 2.6 * unit:.1f}" '
            f'width="{2 * half:.1f}" height="{5.2 * unit:.1f}" rx="{2.6 * unit:.1f}"/>'
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{3.4 * unit:.1f}">{label}</text></g>')


def calibrated_markdown(student: visitors.Calibrated) -> str:
    """How good the calibrated student is, and what was assumed on the way."""
    lines = [f"**Calibrated to {student.count} ratings.**"]
    if student.srcc is not None and student.srcc_interval and student.plcc_interval:
        lines[0] += (f" On ratings it had not seen: SRCC **{student.srcc:.3f}** [{student.srcc_interval[0]:.3f}, "
                     f"{student.srcc_interval[1]:.3f}], PLCC **{student.plcc:.3f}** [{student.plcc_interval[0]:.3f}, "
                     f"{student.plcc_interval[1]:.3f}] (five-fold cross-validation, 95 % intervals).")
    if student.caveat:
        lines[0] += " " + html.escape(student.caveat)
    if student.before_srcc is not None:
        lines.append(f"- The student as it ships has SRCC {student.before_srcc:.3f} with your ratings.")
    lines += [f"- {html.escape(note)}" for note in student.notes]
    lines.append("- It is chosen above now. To keep it, download and unpack it, and score any folder with "
                 "`mean-opinion leaf predict PHOTOS --student FOLDER`.")
    return "\n".join([lines[0], "", *lines[1:]])


def agreement(student: visitors.Calibrated) -> go.Figure:
    """Ratings against what the student predicted without having seen them, on the scale of the ratings."""
    import plotly.graph_objects as go

    low, high = student.scale
    rated, predicted = ([low + (high - low) * value for value in values]
                        for values in (student.rated, student.predicted))
    figure = go.Figure()
    figure.add_scatter(x=[low, high], y=[low, high], mode="lines", line={"color": MUTED, "dash": "dot"},
                       hoverinfo="skip", showlegend=False)
    figure.add_scatter(x=predicted, y=rated, mode="markers", showlegend=False,
                       marker={"color": ACCENT, "size": 8, "opacity": 0.75},
                       hovertemplate="predicted %{x:.3g}, rated %{y:.3g}<extra></extra>")
    themed(figure, height=380, title="Your ratings against left-out predictions")
    margin = 0.03 * (high - low)
    ends = [low - margin, high + margin]
    figure.update_xaxes(title="predicted", range=ends, constrain="domain")
    figure.update_yaxes(title="rated", range=ends, scaleanchor="x", constrain="domain")
    return figure
