"""Figures of the leaderboard: pure functions from a view to a plotly figure, and the same figures as files."""

from leaderboard.figures.style import FigureError
from leaderboard.figures.view import draw

__all__ = ["FigureError", "draw"]
