"""The Q-Debias tab: `TITLE` and `build(page)`; and its drawing for other tabs, `render_evidence`."""

from ui.tabs.q_debias.tab import TITLE, build, render_evidence

__all__ = ["TITLE", "build", "render_evidence"]
