"""The About tab: `TITLE` and `build(page)`."""

from ui.tabs.about.tab import TITLE, build

__all__ = ["TITLE", "build"]
