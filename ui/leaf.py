"""The LEAF tab: an instant score, where in the photo quality drops, and a student calibrated to a visitor's ratings."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import gradio as gr

from methods.images import decode
from methods.leaf import visitors
from methods.leaf.maps import overlay
from methods.leaf.method import LEAF, LEAFEvidence
from ui import gpu
from ui.components import (
    MUTED,
    options_form,
    picture_input,
    pictures_input,
    plain_errors,
    required,
    result_panel,
    themed,
    uploaded,
)
from ui.components.regions import data_url
from ui.iqarag import GUESS, scale_of

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
            which = gr.Radio([SHIPS, OWN], value=SHIPS, label="Student", elem_id="leaf-student")
            form = options_form(LEAF.options)
            button = gr.Button("Score", variant="primary", elem_id="leaf-run")
        with gr.Column(scale=3, min_width=300):
            panel = result_panel()
            standing = gr.HTML(elem_id="leaf-standing", padding=False)
            where = gr.HTML(elem_id="leaf-map", padding=False)
    with gr.Accordion("Calibrate to your ratings", open=False, elem_id="leaf-calibrate"):
        gr.Markdown(f"Up to {visitors.MOST_PICTURES} pictures and a CSV with the columns `image` and `mos`; 30 or more "
                    "make it worth while. The pictures are not kept; the student is deleted when you leave, after "
                    f"{visitors.LIFETIME_SECONDS // 60} minutes at the latest.")
        with gr.Row():
            with gr.Column(min_width=280):
                photos = pictures_input("Rated pictures", elem_id="leaf-photos")
                table = gr.File(label="Ratings (CSV)", file_types=[".csv", ".tsv", ".txt"], height=110,
                                elem_id="leaf-table")
            with gr.Column(min_width=280):
                scale = gr.Dropdown([GUESS, "0 to 1", "1 to 5", "0 to 5", "1 to 10", "0 to 100"], value=GUESS,
                                    label="Scale of the ratings", info="Or type your own, such as 1 to 9",
                                    allow_custom_value=True)
                direction = gr.Radio([("guess", "guess"), ("higher is better", "higher"),
                                      ("lower is better (DMOS)", "lower")], value="guess", label="Direction")
                make = gr.Button("Calibrate", elem_id="leaf-make")
        status = gr.Markdown(elem_id="leaf-status")
        fit = gr.Plot(visible=False, show_label=False, container=False, elem_classes="evidence", elem_id="leaf-fit")
        keep = gr.DownloadButton("Download your student", visible=False, elem_id="leaf-keep")
    shown = [*panel.outputs, standing, where]

    @plain_errors
    def score(photo: str | None, student: str, folder: str | None, *values: Any,
              progress: gr.Progress = gr.Progress()) -> list[Any]:
        path = required(photo)
        if student == OWN and not folder:
            raise gr.Error("Calibrate your student first.", print_exception=False)
        result = gpu.call("methods.leaf.visitors:assess", seconds=20, progress=progress, image=path,
                          student=folder if student == OWN else None, **form.kwargs(values))
        return [*panel.show(result, 0), standing_html(result.evidence), map_html(path, result.evidence)]

    @plain_errors
    def calibrate(files: list[str] | None, ratings: str | None, ends: str, way: str, previous: str | None,
                  progress: gr.Progress = gr.Progress()) -> list[Any]:
        low, high = scale_of(ends)
        pictures = [uploaded(path) for path in required(files, "rated pictures")]
        made = gpu.call(
            "methods.leaf.visitors:calibrate", seconds=SECONDS_TO_CALIBRATE, progress=progress, pictures=pictures,
            table=uploaded(required(ratings, "a CSV of ratings")),
            scale=(low, high) if low is not None and high is not None else None,
            lower_is_better={"higher": False, "lower": True}.get(way),
        )
        visitors.discard(previous)
        figure = gr.Plot(agreement(made), visible=True) if made.predicted else gr.Plot(visible=False)
        return [made.folder, calibrated_markdown(made), figure, gr.DownloadButton(value=made.archive, visible=True),
                OWN]

    make.click(calibrate, [photos, table, scale, direction, own], [own, status, fit, keep, which],
               api_visibility="private", **gpu.LANE)
    button.click(score, [picture, which, own, *form.components], shown, api_name="leaf", show_progress_on=panel.dial,
                 **gpu.LANE)
    picture.change(lambda: [*panel.empty(), "", ""], None, shown, show_progress="hidden", api_visibility="private")


def standing_html(evidence: LEAFEvidence) -> str:
    """Where the score stands in the reference population, as a bar with its number; HTML, empty without one."""
    if evidence.percentile is None:
        return ""
    share = evidence.percentile
    return (f'<p>Better than <strong>{share:.0f} %</strong> of {html.escape(evidence.population or "")}</p>'
            f'<div role="img" aria-label="Percentile {share:.0f}" style="height:.6rem;border-radius:.3rem;'
            f'background:linear-gradient(90deg,#b9494b,#c4a23f,#2f8f83);position:relative">'
            f'<span style="position:absolute;left:calc({share:.1f}% - 2px);top:-.25rem;width:4px;height:1.1rem;'
            f'background:currentColor;border-radius:2px"></span></div>')


def map_html(path: str, evidence: LEAFEvidence) -> str:
    """The photo with its worse parts tinted orange and its better parts blue; HTML, empty where no map was asked."""
    if evidence.local is None:
        return ""
    tinted = overlay(decode(path).image, evidence.local)
    return (f'<figure style="margin:1rem 0"><img src="{data_url(tinted)}" alt="Map of where quality drops" '
            'style="max-width:100%;border-radius:8px"><figcaption>'
            f'<span style="color:#e66101">■</span> worse and <span style="color:#2166ac">■</span> better than this '
            f'photo\'s own mean; neighbourhoods score from {evidence.local.min():.2f} to {evidence.local.max():.2f}'
            '</figcaption></figure>')


def calibrated_markdown(made: visitors.Calibrated) -> str:
    """How good the calibrated student is, and what was assumed on the way."""
    lines = [f"**Calibrated to {made.count} ratings.**"]
    if made.srcc is not None and made.srcc_interval and made.plcc_interval:
        lines[0] += (f" On ratings it had not seen: SRCC **{made.srcc:.3f}** [{made.srcc_interval[0]:.3f}, "
                     f"{made.srcc_interval[1]:.3f}], PLCC **{made.plcc:.3f}** [{made.plcc_interval[0]:.3f}, "
                     f"{made.plcc_interval[1]:.3f}] (five-fold cross-validation, 95 % intervals).")
    else:
        lines[0] += " Too few to say how good it is: 8 or more are needed for that."
    if made.before_srcc is not None:
        lines.append(f"- The student as it ships has SRCC {made.before_srcc:.3f} with your ratings.")
    lines += [f"- {html.escape(note)}" for note in made.notes]
    return "\n".join([lines[0], "", *lines[1:]])


def agreement(made: visitors.Calibrated) -> go.Figure:
    """Ratings against what the student predicted without having seen them."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": MUTED, "dash": "dot"}, hoverinfo="skip",
                       showlegend=False)
    figure.add_scatter(x=list(made.predicted), y=list(made.rated), mode="markers", showlegend=False,
                       hovertemplate="predicted %{x:.2f}, rated %{y:.2f}<extra></extra>")
    themed(figure, height=320, title="Your ratings against left-out predictions")
    figure.update_xaxes(title="predicted", range=[-0.03, 1.03])
    figure.update_yaxes(title="rated", range=[-0.03, 1.03])
    return figure
