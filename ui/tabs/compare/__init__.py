"""The Compare tab: `TITLE` and `build(page)`."""

from ui.tabs.compare.tab import TITLE, build

__all__ = ["TITLE", "build"]
