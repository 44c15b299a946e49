"""The result panel that every scoring tab shows: dial, neighbours and model, explanation, what was changed in the
image, and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from ui.components.results import cost_line, dial, image_notes
from ui.components.verdict import verdict_html

if TYPE_CHECKING:
    from methods.base import Assessment


@dataclass(frozen=True)
class ResultPanel:
    """The panel's components; a handler returns `[*panel.show(assessment), ...]` for `[*panel.outputs, ...]`."""

    dial: gr.HTML
    notes: gr.Markdown
    explanation: gr.Markdown
    cost: gr.Markdown

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [self.dial, self.notes, self.explanation, self.cost]

    def show(self, assessment: Assessment, passes: float | None = None) -> list[object]:
        """Values for `outputs`.

        Args:
            passes: LMM passes that it took, usually the method's `cost`.
        """
        notes = image_notes(assessment.image_notes)
        return [
            verdict_html(assessment),
            gr.Markdown(notes, visible=bool(notes)),
            assessment.explanation,
            cost_line(assessment, passes),
        ]

    def notes_alone(self, notes: tuple[str, ...]) -> list[object]:
        """Values for `outputs` behind the dial, where several methods score one image: its changes."""
        text = image_notes(notes)
        return [gr.Markdown(text, visible=bool(text)), "", ""]

    def empty(self) -> list[object]:
        """Values for `outputs` before there is a result, or when the image has changed since."""
        return [dial(None), gr.Markdown("", visible=False), "", ""]


def result_panel() -> ResultPanel:
    """Draws an empty panel at the place where it is called."""
    return ResultPanel(
        dial=gr.HTML(dial(None), elem_classes="result-dial"),
        notes=gr.Markdown(visible=False, elem_classes="result-notes"),
        explanation=gr.Markdown(elem_classes="result-explanation"),
        cost=gr.Markdown(elem_classes="result-cost"),
    )
