"""The Leaderboard tab: `TITLE` and `build(page)`."""

from ui.tabs.leaderboard.tab import TITLE, build

__all__ = ["TITLE", "build"]
