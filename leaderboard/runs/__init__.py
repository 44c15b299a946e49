"""Runs: score images with opinions, keep what was measured, compare two of them, add one to the leaderboard."""
