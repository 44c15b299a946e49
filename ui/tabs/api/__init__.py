"""The API tab: `TITLE` and `build(page)`."""

from ui.tabs.api.tab import TITLE, build

__all__ = ["TITLE", "build"]
