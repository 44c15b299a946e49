"""The About tab: each method in one paragraph with its citation, what a score can and cannot say, privacy, versions."""

from __future__ import annotations

import importlib.metadata
import inspect
import platform

import gradio as gr

from methods.base import method_class
from ui import models

TITLE = "About"

LIMITS = """
- **A score is an estimate of the mean opinion of many viewers**, not a fact about a photo. On authentic camera photos
  the best models here agree with people at a rank correlation of roughly 0.7 to 0.9; single photos can be far off.
- **Scores of different methods are not on one scale.** Rank photos within a method and a model; compare methods by
  their correlation with opinions, in the leaderboard.
- **Content leaks in.** A blurred portrait and a blurred wall do not get the same score. Screenshots, drawings, text,
  underwater and medical pictures are outside of what most models have seen rated.
- **The embedded model is small.** It ships so that everything runs offline and at once; the models of the papers are
  thousands of times larger, and better.
- **Not a judgement of people.** Low quality means blur, noise, compression and the like, never who or what is shown.
"""

PRIVACY = """
A photo you add goes to the machine that runs this page and nowhere else, unless its operator has configured a model
server. It is used for the score you asked for and deleted after about an hour. No analytics, no fonts or scripts from
other sites. Run the page on your own computer and nothing leaves it.
"""

PACKAGES = ("torch", "transformers", "gradio", "numpy", "pillow", "faiss-cpu", "sam2", "plotly", "pandas")


def build(page: gr.Blocks) -> None:
    """Draws the tab; nothing in it needs a model."""
    with gr.Column(elem_classes="about"):
        gr.Markdown(
            "## What this is\n\nNo-reference image quality assessment asks how good a picture looks without having "
            "the original to compare with. Large multimodal models answer well if they are asked well, and these "
            "papers differ in how they ask. Each method runs here on any of the models, shows its evidence, and is "
            "scored against human opinions in one leaderboard."
        )
        gr.Markdown("## The methods")
        for name in models.available_methods():
            _method(name)
        gr.Markdown("## What a score can and cannot say\n" + LIMITS)
        gr.Markdown("## Privacy\n" + PRIVACY)
        gr.Markdown("## Versions\n\n" + versions())


def _method(name: str) -> None:
    kind = method_class(name)
    gr.Markdown(f"### {kind.title}\n\n{kind.summary} {described(kind)}")
    with gr.Accordion(f"Cite {kind.title}", open=False):
        gr.Code(kind.citation, language=None, show_label=False, interactive=False)


def described(kind: type) -> str:
    """The first paragraph of the method's docstring."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def versions() -> str:
    """One Markdown line: Python and the packages that a score depends on."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return " · ".join(found)
