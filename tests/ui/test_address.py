"""Choices in the page's address without a browser: what a link may say of every tab, and what is said of the rest."""

from __future__ import annotations

import importlib

import gradio as gr
import pytest

from ui.components.choices import TYPED, choices_of, in_address, modes_of, text_of, value_of
from ui.tabs import score
from ui.visit.address import component_values, open_tabs


@pytest.mark.parametrize("name", ["score", "iqarag", "llm_iqa", "visualquality_r1", "leaf", "q_debias"])
def test_every_choice_of_a_method_s_tab_can_be_in_a_link(name):
    tab = importlib.import_module(f"ui.tabs.{name}")
    with gr.Blocks(), gr.Tabs(), gr.Tab("Tab") as room:
        tab.build(gr.context.Context.root_block)
    named = choices_of(room)
    assert len(named) >= 2
    for choice, component in named.items():
        others = [component.value] if not hasattr(component, "choices") else [
            [value] if isinstance(component.value, list) else value for _, value in component.choices]
        for value in others:
            back, note = value_of(choice, component, text_of(value))
            assert (back, note) == (value, ""), choice
            assert type(back) is type(value), choice
        back, note = value_of(choice, component, "no-such-thing")
        assert back == component.value
        assert note.startswith(f"'no-such-thing' is no {'value' if isinstance(component, TYPED) else 'choice'} for")


@pytest.mark.parametrize(("component", "text", "value", "note"), [
    (gr.Slider(0, 5, value=1.5, step=0.1), "3", 3.0, ""),
    (gr.Slider(0, 5, value=1.5, step=0.1), "9", 1.5,
     "'9' is no value for 'x', which is a number from 0 to 5; it was ignored."),
    (gr.Slider(1, 8, value=2, step=1), "2.5", 2,
     "'2.5' is no value for 'x', which is a whole number from 1 to 8; it was ignored."),
    (gr.Number(1, precision=0), "nan", 1, "'nan' is no value for 'x', which is a whole number; it was ignored."),
    (gr.Checkbox(True), "0", False, ""),
    (gr.Checkbox(True), "yes", True, "'yes' is no choice for 'x' here; it was ignored."),
    (gr.Radio([("none", None), ("a", "a")], value="a"), "none", None, ""),
    (gr.Radio(["alpha", "beta"], value="beta"), "alhpa", "beta",
     "'alhpa' is no choice for 'x' here; it was ignored (did you mean 'alpha'?)."),
    (gr.CheckboxGroup(["a", "b", "c"], value=["a"]), "c,b,z", ["c", "b"],
     "'z' is no choice for 'x' here; it was ignored."),
    (gr.CheckboxGroup(["a", "b", "c"], value=["a"]), "", [], ""),
    (gr.Dropdown(["a", "b"], value=[], multiselect=True), "b", ["b"], ""),
])
def test_a_value_is_understood_or_named(component, text, value, note):
    back = value_of("x", component, text)
    assert back == (value, note)
    assert type(back[0]) is type(value)


def test_a_link_names_no_more_models_than_the_control_takes():
    component = gr.Dropdown(["a", "b", "c"], value=["a"], multiselect=True, max_choices=2)
    assert value_of("model", component, "b,c") == (["b", "c"], "")
    assert value_of("model", component, "a,b,c") == (["a"], "'model' takes at most 2 choices; the link's were ignored.")


def test_two_choices_of_one_name_are_a_fault():
    with gr.Blocks(), gr.Tab("Tab") as room:
        in_address(gr.Number(), "x")
        with gr.Row():
            in_address(gr.Number(), "x")
    with pytest.raises(ValueError, match="two components go by 'x'".capitalize()):
        choices_of(room)


def test_a_link_to_a_method_brings_its_model_and_its_options():
    with gr.Blocks(), gr.Tabs(), gr.Tab("Tab") as room:
        score.build(gr.context.Context.root_block)
    named, notes = choices_of(room), []
    method = named["method"]
    words = {"method": "q-debias", "q-debias.aggregation": "average", "colour": "red", "__theme": "dark"}
    answer = component_values(named, words, notes)
    assert notes == ["'colour' is not part of a link to this tab; it was ignored."]
    assert answer[method]["value"] == "q-debias"
    assert answer[named["q-debias.aggregation"]]["value"] == "average"
    groups = method.brings[1][3:]
    assert [bool(answer[group].visible) for group in groups] == [value == "q-debias" for _, value in method.choices]
    assert answer[named["model"]]["visible"]




def test_a_link_opens_a_tab_inside_a_tab():
    with gr.Blocks(), gr.Tabs(), gr.Tab("Tab", id="tab") as room:
        with gr.Tabs() as modes:
            for name in ("one", "several"):
                with gr.Tab(name, id=name), gr.Row(), gr.Tabs(), gr.Tab("without a name"):
                    pass
        with gr.Tabs() as languages, gr.Tab("curl", id="curl"):
            pass
    sets = modes_of(room)
    assert sets == [(modes, ["one", "several"]), (languages, ["curl"])]
    notes: list[str] = []
    assert {tabs: update.selected for tabs, update in open_tabs(sets, "several", notes).items()} == {
        modes: "several", languages: "curl"}
    assert {update.selected for update in open_tabs(sets, "", notes).values()} == {"one", "curl"}
    assert notes == []
    assert open_tabs(sets, "severla", notes)[modes].selected == "one"
    assert notes == ["There is no 'severla' in this tab; it was ignored."]
