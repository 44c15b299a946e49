"""The Score tab without a browser: all methods in turn, and the map of where a photo loses quality."""

from __future__ import annotations

import gradio as gr
import pytest

from ui.components import EXAMPLES
from ui.components.uploads import PictureInput
from ui.components.where import map_of
from ui.serving import gpu
from ui.tabs import iqarag, leaf, llm_iqa, q_debias, score, visualquality_r1
from ui.tabs.score import in_turn

COFFEE = str(EXAMPLES / "coffee.jpg")


def test_methods_come_one_after_the_other_and_one_that_fails_is_a_line(monkeypatch):
    assess = gpu.assess

    def failing(name, images, *arguments, **settings):
        if name == "iqarag":
            raise gr.Error("No model.", print_exception=False)
        return assess(name, images, *arguments, **settings)

    monkeypatch.setattr(gpu, "assess", failing)
    states = list(in_turn(COFFEE, ("iqarag", "q-bench", "leaf")))
    assert [line.method for line in states[0]] == ["leaf", "q-bench", "iqarag"]
    assert [sum(line.assessment is not None for line in lines) for lines in states] == [0, 1, 2, 2]
    assert states[-1][2].error == "No model."


def test_the_map_is_the_student_s_own_or_the_model_s():
    student, said = map_of(COFFEE, "leaf", None, None)
    assert "student" in said
    model, said = map_of(COFFEE, "q-bench", None, None)
    assert "part" in said
    assert min(*student.size, *model.size) > 100


@pytest.mark.parametrize("tab", [score, iqarag, llm_iqa, visualquality_r1, leaf, q_debias])
def test_what_is_asked_of_a_photo_ends_when_another_comes(tab):
    with gr.Blocks() as page:
        tab.build(page)
    (photo,) = [block for block in page.blocks.values() if isinstance(block, PictureInput)]
    drawn = {block._id for block in photo.result[1]}
    asks = {number for number, function in page.fns.items() if function.api_name != "score"
            and photo._id in [block._id for block in function.inputs]
            and drawn & {block._id for block in function.outputs}}
    runs = {run["id"] for run in photo.runs}
    assert asks <= runs
    assert len(asks) >= 2
    (drop,) = [block for block in page.blocks.values() if str(block.elem_id).endswith("-drop")]
    ends = [(photo._id, "input"), (photo._id, "clear"), (photo.examples._id, "click"), (drop._id, "click")]
    for number in runs:
        for end in ends:
            assert any(end in function.targets and number in function.cancels for function in page.fns.values())
    # A page takes the events of one act in turn. What is asked of a photo that a visitor has just put there may not be
    # ended by an event that waits for the answer of another one. An example is there when its event is answered.
    for act in ("input", "clear"):
        assert runs <= set(before_the_first_answer(page, photo._id, act))
    assert not runs & set(before_the_first_answer(page, photo.examples._id, "click"))


def before_the_first_answer(page, block, act):
    """The events that this act ends before the server is asked for anything."""
    for function in page.fns.values():
        if (block, act) in function.targets:
            if function.fn is not None:
                return
            yield from function.cancels


@pytest.mark.parametrize("tab", [score, iqarag, llm_iqa, visualquality_r1, leaf, q_debias])
def test_no_result_goes_when_a_browser_has_drawn_its_photo(tab):
    # A slow browser tells of the change after the score has come, so only what a visitor does may empty a result.
    with gr.Blocks() as page:
        tab.build(page)
    (photo,) = [block for block in page.blocks.values() if isinstance(block, PictureInput)]
    answers = {event: [function for function in page.fns.values() if (photo._id, event) in function.targets]
               for event in ("change", "input", "clear")}
    assert all(block.elem_classes == ["pixels"] for function in answers["change"] for block in function.outputs)
    emptied = {block._id for block in photo.result[1]}
    assert len(emptied) > 3
    for event in ("input", "clear"):
        assert any({block._id for block in function.outputs} == emptied for function in answers[event])
