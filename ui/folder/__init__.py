"""A folder of photos scored by one or several methods: the record, its agreement with opinions, and how it is drawn.

Plain data and pure functions of it, without Gradio; `ui.tabs.compare.folder` scores the photos and wires the page.
"""
