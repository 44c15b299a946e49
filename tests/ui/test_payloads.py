"""What a foreign payload does to the page's log."""

from __future__ import annotations

import asyncio

import gradio as gr
import pytest

from ui.components import Page


def test_a_value_that_a_component_refuses_leaves_no_traceback():
    with Page() as page:
        choice = gr.CheckboxGroup(["leaf", "iqarag"])
        gr.Button().click(lambda chosen: chosen, choice, choice, api_name="choose")
    with pytest.raises(gr.Error, match="not in the list") as error:
        asyncio.run(page.preprocess_data(page.fns[0], ["l"], None))
    assert not error.value.print_exception
