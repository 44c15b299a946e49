"""Shared comparisons: what is stored, where, for how long, and how it is deleted again. No Gradio in here."""
