"""The About tab: each method in one paragraph with its pipeline and citation, what a score can and cannot say, privacy,
versions."""

from __future__ import annotations

import html
import importlib.resources
import inspect
import sys

import gradio as gr

from methods.base import Method, method_class
from ui.comparison.running import versions as computed_by
from ui.serving import models
from ui.share.settings import Settings, from_environment

TITLE = "About"

LIMITS = """
- **A score is an estimate of the mean opinion of many viewers**, not a fact about a photo. On authentic camera photos
  the best models here agree with people at a rank correlation of roughly 0.7 to 0.9; single photos can be far off.
- **Scores of different methods are not on one scale.** Rank photos within a method and a model; compare methods by
  their correlation with opinions, in the leaderboard.
- **A spread is not an error bar.** It shows how far a method's own evidence scatters. A model can be sure and wrong.
- **The embedded model is small.** It ships so that everything runs offline and at once; the models of the papers are
  thousands of times larger, and better.
- **Size matters.** Each model scales photos to what it can take in; fine noise and compression can vanish on the way.
"""

BIASES = """
- **Content leaks in.** A blurred portrait and a blurred wall do not get the same score. Pretty subjects, warm light and
  shallow depth of field are rewarded; screenshots, drawings, text, underwater and medical pictures are outside of what
  most models have seen rated.
- **Opinions come from somewhere.** The ratings behind models and reference sets were collected from crowds that are
  not the world, mostly online workers and students in front of unknown screens. Their taste is inherited.
- **Words carry weight.** Another wording, another order of the choices or another temperature moves scores; that is why
  prompts and options are part of every result.
- **Trained on the test.** A model that has seen a dataset's ratings looks better on it than it is; the leaderboard
  marks such cells.
- **Not a judgement of people.** Low quality means blur, noise, compression and the like, never who or what is shown.
"""


def build(page: gr.Blocks) -> None:
    """Draws the tab; nothing in it needs a model."""
    with gr.Column(elem_classes="about"):
        gr.Markdown(
            "## What this is\n\nNo-reference image quality assessment asks how good a photo looks without having "
            "the original to compare with. Large multimodal models answer well if they are asked well, and these "
            "papers differ in how they ask. Each method runs here on any of the models, shows its evidence, and is "
            "scored against human opinions in one leaderboard."
        )
        gr.Markdown("## The methods")
        for name in models.available_methods():
            _method(name)
        gr.Markdown("## What a score can and cannot say\n" + LIMITS)
        gr.Markdown("## Known biases\n" + BIASES)
        gr.Markdown("## Privacy\n\n" + privacy(from_environment()))
        gr.Markdown("## Versions\n\n" + versions())


def _method(name: str) -> None:
    kind = method_class(name)
    idea, _, limits = about(kind).partition("\n\n")
    gr.Markdown(f"### {kind.title}\n\n{idea}")
    if drawing := pipeline(kind):
        gr.HTML(f'<div class="pipeline">{drawing}</div>', padding=False)
    if limits:
        gr.Markdown(limits)
    with gr.Accordion(f"Cite {kind.title}", open=False):
        gr.Code(kind.citation, language=None, show_label=False, interactive=False)


def about(kind: type[Method]) -> str:
    """What is said of a method, Markdown: a paragraph, then what to keep in mind. `about.md` of its folder.

    A method without that file is described by its own summary and docstring.
    """
    first = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return _beside(kind, "about.md") or f"{kind.summary} {first}".strip()


def pipeline(kind: type[Method]) -> str:
    """The drawing of a method's pipeline as SVG, `pipeline.svg` of its folder; "" where there is none."""
    return _beside(kind, "pipeline.svg")


def _beside(kind: type[Method], name: str) -> str:
    package = sys.modules[kind.__module__].__package__
    path = importlib.resources.files(package) / name if package else None
    return path.read_text("utf-8").strip() if path is not None and path.is_file() else ""


def privacy(sharing: Settings) -> str:
    """What happens to a visitor's images here, Markdown."""
    text = ("A photo you add goes to the machine that runs this page and nowhere else, unless its operator has "
            "configured a model server. It is used for the score you asked for and deleted after about an hour. No "
            "analytics, no fonts or scripts from other sites. Run the page on your own computer and nothing leaves it.")
    if not sharing.enabled:
        return f"{text}\n\nSharing comparisons is switched off on this page."
    where = f"on this machine and in the Hub dataset {html.escape(sharing.repo)}" if sharing.repo else "on this machine"
    return (f"{text}\n\nThe one exception is a comparison that you share with the button in the Compare tab: copies of "
            f"its photos, without metadata, and its results are then kept {where} for {sharing.days} days, or less if "
            "space runs out, for everybody who has the link. You are given a second link that deletes them at once; of "
            "that link only a hash is kept.")


def versions() -> str:
    """One Markdown line: this app, Python and the packages that a score depends on."""
    numbers = dict(computed_by())
    named = [f"Mean Opinion {numbers.pop('mean-opinion')}", f"Python {numbers.pop('python')}"]
    return " · ".join([*named, *(f"{name} {version}" for name, version in numbers.items())])
