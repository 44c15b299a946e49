"""How the page looks: a Gradio theme with the fonts a computer already has, and the style sheet beside it.

Nothing is fetched from elsewhere, so the page looks the same without a network.
"""

from __future__ import annotations

import json

import gradio as gr

from assets import FOLDER

STYLE = FOLDER / "style.css"
FIRST = f"<style>{STYLE.read_text('utf-8')}</style>"
"""The same for the page as it is sent: Gradio's script adds its own after the first paint, and all would move."""


def head(opening: str) -> str:
    """Scripts for the page's head: the state in the address; names, text alternatives and keys that the framework
    leaves out.

    Args:
        opening: the query of the view that the leaderboard opens with.
    """
    scripts = [f"window.meanOpinion = {{opening: {json.dumps(opening)}}};".replace("<", "\\u003c"),
               *((FOLDER / name).read_text("utf-8") for name in ("address.js", "access.js"))]
    return "".join(f"<script>{script}</script>" for script in scripts)


SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

TEAL = gr.themes.Color("#eef8f7", "#d3eeeb", "#a9ddd8", "#77c6bf", "#46a9a2", "#268c86", "#17716d", "#135a58",
                       "#114847", "#0f3c3c", "#062424")
SLATE = gr.themes.Color("#f8f9fa", "#f0f2f4", "#e2e6ea", "#cbd2d9", "#9aa5b1", "#6b7785", "#4d5864", "#3a434d",
                        "#242b33", "#171c22", "#0f1317")


def theme() -> gr.themes.Base:
    """The page's theme, light and dark."""
    # Gradio quotes font names itself; generic families must stay strings.
    return gr.themes.Base(
        primary_hue=TEAL, secondary_hue=TEAL, neutral_hue=SLATE, font=SANS, font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md, text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="#f6f7f8", body_background_fill_dark="#101418",
        background_fill_primary="#ffffff", background_fill_primary_dark="#171c22",
        background_fill_secondary="#f0f2f4", background_fill_secondary_dark="#1e252c",
        body_text_color="#1b2229", body_text_color_dark="#e6eaee",
        body_text_color_subdued="#55606c", body_text_color_subdued_dark="#a3aeb9",
        block_background_fill="#ffffff", block_background_fill_dark="#171c22",
        block_border_color="#dfe3e8", block_border_color_dark="#2b333c",
        border_color_primary="#dfe3e8", border_color_primary_dark="#2b333c",
        block_shadow="none", block_shadow_dark="none",
        block_label_background_fill="transparent", block_label_background_fill_dark="transparent",
        block_label_border_width="0px", block_label_border_width_dark="0px",
        block_label_text_color="#55606c", block_label_text_color_dark="#a3aeb9",
        block_title_text_color="#2b333c", block_title_text_color_dark="#d5dbe1",
        block_title_text_weight="600", block_info_text_color="#66717d", block_info_text_color_dark="#98a3ae",
        input_background_fill="#ffffff", input_background_fill_dark="#12171c",
        input_border_width="1px", input_border_color="#cbd2d9", input_border_color_dark="#39434d",
        button_primary_background_fill="#17716d", button_primary_background_fill_dark="#1d807b",
        button_primary_background_fill_hover="#135a58", button_primary_background_fill_hover_dark="#186f6a",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#ffffff", button_secondary_background_fill_dark="#1e252c",
        button_secondary_border_color="#cbd2d9", button_secondary_border_color_dark="#39434d",
        button_border_width="1px", button_large_text_weight="600",
        slider_color="#268c86", slider_color_dark="#46a9a2",
        link_text_color="#17716d", link_text_color_dark="#77c6bf",
        checkbox_label_background_fill="#ffffff", checkbox_label_background_fill_dark="#12171c",
        checkbox_label_background_fill_selected="#eef8f7", checkbox_label_background_fill_selected_dark="#114847",
        checkbox_label_text_color_selected="#0f3c3c", checkbox_label_text_color_selected_dark="#d3eeeb",
        table_odd_background_fill="#f8f9fa", table_odd_background_fill_dark="#1a2027",
    )
