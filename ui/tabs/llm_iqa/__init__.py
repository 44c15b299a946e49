"""The LLM-IQA tab: `TITLE` and `build(page)`; and its drawing for other tabs, `render_evidence`."""

from ui.tabs.llm_iqa.tab import TITLE, build, render_evidence

__all__ = ["TITLE", "build", "render_evidence"]
