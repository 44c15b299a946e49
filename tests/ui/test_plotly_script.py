"""The script of plotly figures is found in the installed Gradio, and pages do without where it is not."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from ui.components import plotly_script


def test_the_installed_gradio_keeps_the_script_where_it_is_looked_for():
    path = plotly_script.script_path()
    file = Path(gr.__file__).parent / "templates" / "frontend" / path
    assert path.startswith("assets/PlotlyPlot-")
    assert "plotly" in file.read_text("utf-8")
    assert path in plotly_script.warm_up("leaderboard")


def test_another_layout_of_gradio_leaves_the_page_without_the_statement(monkeypatch, tmp_path):
    monkeypatch.setattr(gr, "__file__", str(tmp_path / "gradio" / "__init__.py"))
    plotly_script.script_path.cache_clear()
    try:
        assert plotly_script.script_path() == ""
        assert plotly_script.warm_up("leaderboard") == ""
    finally:
        plotly_script.script_path.cache_clear()
