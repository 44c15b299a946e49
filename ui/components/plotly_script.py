"""Fetches the script that draws plotly figures before the first figure is asked for.

Gradio loads it, 1.3 MB compressed, when a figure appears, and starting it takes a browser the better part of a second:
the visitor who opens a tab waits for both. Here the page does that work while its visitor reads: not before the first
screen has come to rest, which the script's start would hold up for half a second.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import gradio as gr

AFTER = 3000  # milliseconds after the page's load event


@cache
def script_path() -> str:
    """The script's address below the page's, "" where this version of Gradio keeps it under another name."""
    folder = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    scripts = sorted(folder.glob("PlotlyPlot-*.js"))
    return f"assets/{scripts[0].name}" if len(scripts) == 1 else ""


def warm_up(tab: str) -> str:
    """A JavaScript statement for a page's load event.

    The script is started some seconds later, when the page is idle; where the page's address opens `tab`, which draws a
    figure at once, it is fetched immediately. Visitors who asked their browser to save data get it when a figure
    appears.
    """
    if not script_path():
        return ""
    # A script that cannot be had is reported by the figure that needs it.
    return f"""if (!navigator.connection?.saveData) {{
    const address = new URL({json.dumps(script_path())}, document.baseURI).href;
    if (new URLSearchParams(location.search).get('tab') === {json.dumps(tab)}) {{
      document.head.append(Object.assign(document.createElement('link'), {{rel: 'modulepreload', href: address}}));
    }} else {{
      const start = () => import(address).catch(() => undefined);
      setTimeout(() => window.requestIdleCallback ? requestIdleCallback(start) : start(), {AFTER});
    }}
  }}"""
