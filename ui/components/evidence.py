"""The drawing of an assessment's evidence, for pages that show several methods.

A method that has more to show than word probabilities draws it in its own tab,
`ui/tabs/<method>: render_evidence(evidence) -> plotly Figure | None`, with the registry name spelled with
underscores.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from ui.components.figures import word_probabilities

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from methods.base import Assessment, Evidence


def render_evidence(assessment: Assessment) -> go.Figure | None:
    """The method's own drawing of its evidence, else its word probabilities, else None."""
    module = f"ui.tabs.{assessment.method.replace('-', '_')}"
    if importlib.util.find_spec(module) is not None:
        draw = getattr(importlib.import_module(module), "render_evidence", None)
        if draw is not None:
            return draw(assessment.evidence)
    return _words(assessment.evidence)


def _words(evidence: Evidence) -> go.Figure | None:
    words, probabilities = (getattr(evidence, name, None) for name in ("words", "probabilities"))
    if not words or probabilities is None or len(words) != len(probabilities):
        return None
    return word_probabilities(words, {"probability": probabilities}, height=80 + 38 * len(words))
