"""What the tabs share, without a server: forms from options, the dial, errors, the lane and the offered models."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from types import MappingProxyType

import gradio as gr
import pytest

from methods.base import METHODS, Assessment, Evidence, Options, option
from methods.images import ImageError
from methods.lmm.base import LMMError
from ui.components import cost_line, dial, image_notes, options_form, plain_errors, short_model, word_probabilities
from ui.errors import UNEXPECTED
from ui.serving import models
from ui.serving.fair_queue import BusyError, FairQueue


@dataclasses.dataclass(frozen=True)
class Settings(Options):
    words: str = option("two", "Which words.", choices=("two", "five"))
    parts: tuple[str, ...] = option(("fog",), "Which parts.", choices=("fog", "blur"))
    strength: float = option(0.5, "How strong.", low=0.0, high=1.0, step=0.1)
    exact: bool = option(True, "Exactly or nearly.", advanced=True)
    count: int = option(3, "How many.", low=1, high=9)
    limit: float | None = option(None, "No limit if empty.", low=0.0, advanced=True)


@pytest.fixture(scope="module")
def form():
    with gr.Blocks():
        return options_form(Settings())


def test_every_option_becomes_the_fitting_component(form):
    kinds = {name: type(component).__name__ for name, component in zip(form.names, form.components)}
    assert kinds == {"words": "Radio", "parts": "CheckboxGroup", "strength": "Slider", "count": "Slider",
                     "seed": "Number", "exact": "Checkbox", "limit": "Number"}


def test_the_form_s_start_values_are_the_defaults(form):
    held = [component.value for component in form.components]
    assert Settings().updated(**form.kwargs(held)) == Settings()


def test_changed_values_come_back_with_their_types(form):
    values = MappingProxyType({"words": "five", "parts": ["blur", "fog"], "strength": 1, "count": 4.0, "seed": 7,
                               "exact": False, "limit": 2.5})
    options = Settings().updated(**form.kwargs([values[name] for name in form.names]))
    assert options.parts == ("blur", "fog")
    assert isinstance(options.count, int)
    assert isinstance(options.strength, float)
    assert options.limit == 2.5
    assert not options.exact


@pytest.mark.parametrize("name", METHODS)
def test_every_method_s_options_survive_the_form(name):
    if name not in models.available_methods():
        pytest.skip(f"{name} is not part of this installation")
    from methods.base import method_class

    defaults = method_class(name).options
    with gr.Blocks():
        form = options_form(defaults)
    assert defaults.updated(**form.kwargs([component.value for component in form.components])) == defaults


@pytest.mark.parametrize(("score", "word", "opinion"), [(0.0, "bad", "1.00"), (0.5, "fair", "3.00"),
                                                         (0.79, "good", "4.16"), (1.0, "excellent", "5.00")])
def test_the_dial_says_the_score_in_words_and_on_both_scales(score, word, opinion):
    drawn = dial(score)
    assert f"{score:.3f}" in drawn
    assert f'level-{word}">{word}<' in drawn
    assert f"<strong>{opinion}</strong>" in drawn
    assert re.search(rf'role="img" aria-label="Quality [^"]*{word}"', drawn)


def test_the_dial_s_hand_stands_where_the_score_is():
    ends = [re.search(r'class="hand" d="M\S+ \S+ L(\S+) (\S+)"', dial(score)).groups() for score in (0.0, 0.5, 1.0)]
    assert [float(x) for x, _ in ends] == [12.0, 120.0, 228.0]
    assert float(ends[1][1]) == 4.0


def test_the_caption_cannot_bring_markup_in():
    assert "<script>" not in dial(0.5, caption="<script>alert(1)</script>")


def _assessment(**changes):
    return Assessment(**{"score": 0.5, "native_score": 3.0, "native_range": (1.0, 5.0), "explanation": "", "seed": 4,
                         "evidence": Evidence(), "seconds": 1.234, "lmm": "/models/tiny@abcdef0123456789", **changes})


def test_the_cost_line_names_time_passes_model_and_seed_but_no_folder():
    line = cost_line(_assessment(), passes=8)
    assert line == "1.23 s · 8 LMM passes · `tiny@abcdef01` · native score 3.000 on 1 to 5 · seed 4"


@pytest.mark.parametrize(("lmm", "shown"), [
    ("embedded@0123456789", "embedded@01234567"), ("leaf-student", "leaf-student"),
    ("Qwen/Qwen3-VL-2B-Instruct@abc", "Qwen/Qwen3-VL-2B-Instruct@abc"),
])  # fmt: skip
def test_models_are_shown_short(lmm, shown):
    assert short_model(lmm) == shown


def test_notes_become_sentences():
    assert image_notes(()) == ""
    assert image_notes(("Rotated by 90 degrees.", "Alpha laid on white")).endswith(
        "Rotated by 90 degrees. Alpha laid on white.")


def test_figures_have_no_background_of_their_own():
    figure = word_probabilities(("good", "poor"), {"probability": (0.7, 0.3)})
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert list(figure.data[0].x) == [0.7, 0.3]


@pytest.mark.parametrize("error", [ImageError("No picture."), LMMError("No model."), BusyError("Later.")])
def test_errors_for_people_keep_their_sentence(error):
    def handler():
        raise error

    with pytest.raises(gr.Error) as caught:
        plain_errors(handler)()
    assert caught.value.message == str(error)


def test_our_own_value_errors_are_sentences_and_a_library_s_are_not(caplog):
    with pytest.raises(gr.Error, match="There is no option"):
        plain_errors(lambda: Options().updated(sed=1))()

    def from_a_library():
        import numpy

        return numpy.zeros(3) @ numpy.zeros(4)

    with pytest.raises(gr.Error) as caught:
        plain_errors(from_a_library)()
    assert caught.value.message == UNEXPECTED
    assert "matmul" in caplog.text


def test_generators_are_guarded_too():
    @plain_errors
    def handler():
        yield 1
        raise LMMError("The model stopped.")

    values = handler()
    assert next(values) == 1
    with pytest.raises(gr.Error, match=r"The model stopped\."):
        next(values)


def test_the_lane_serves_in_order_of_arrival():
    lane, served, threads = FairQueue(), [], []

    def visitor(name):
        with lane.turn(120):
            served.append(name)

    with lane.turn(1):
        for name in range(5):
            threads.append(threading.Thread(target=visitor, args=(name,)))
            threads[-1].start()
            while len(lane._waiting) <= name:
                time.sleep(0.001)
    for thread in threads:
        thread.join(120)
    assert served == [0, 1, 2, 3, 4]


def test_a_folder_lets_a_photo_in_between_two_of_its_pictures():
    lane, order = FairQueue(), []

    def folder():
        for number in range(6):
            with lane.turn(120):
                order.append(number)
                while not lane._waiting and "photo" not in order:
                    time.sleep(0.001)

    thread = threading.Thread(target=folder)
    thread.start()
    while not order:
        time.sleep(0.001)
    with lane.turn(120):
        order.append("photo")
    thread.join(120)
    assert order == [0, "photo", 1, 2, 3, 4, 5]


def test_the_lane_gives_up_with_a_sentence_and_frees_its_place():
    lane, told = FairQueue(), []
    with lane.turn(1):
        with pytest.raises(BusyError, match="try again"), lane.turn(0.05, on_wait=told.append):
            pass
        assert told[0] == 1
    with lane.turn(0.05):
        pass


def test_only_offered_models_are_loaded(monkeypatch):
    monkeypatch.setattr(models, "_catalogue", lambda: {"tiny": ("Tiny", "/models/tiny")})
    with pytest.raises(ValueError, match="does not offer"):
        models.lmm("someone/any-model")
    with pytest.raises(ValueError, match="does not offer"):
        models.lmm("/models/tiny")


@pytest.mark.parametrize(("name", "shown"), [("/secret/place/tiny", "tiny"), ("embedded", "embedded"),
                                             ("server:http://10.0.0.1:8000/v1#acme/vlm", "vlm"),
                                             ("qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct")])
def test_visitors_see_no_folder_and_no_server_address(name, shown):
    assert models._public_name(name) == shown
