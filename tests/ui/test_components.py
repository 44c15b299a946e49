"""What the tabs share, without a server: forms from options, the dial, errors, the lane and the offered models."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import threading
import time
from types import MappingProxyType

import gradio as gr
import pytest

from methods.base import METHODS, Assessment, Evidence, Options, option
from methods.images import ImageError
from methods.lmm.base import LMMError
from methods.meaning import Estimate, Meaning, RatedImage
from ui.components import (
    cost_line,
    dial,
    image_notes,
    options_form,
    plain_errors,
    short_model,
    verdict_html,
    word_probabilities,
)
from ui.components.together import Line, consensus_html, lines_html
from ui.components.verdict import neighbours_html
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


def known(mos=50.0, low=30.0, high=70.0):
    return Meaning(mos, low, high, 40.0, RatedImage("a.webp", mos - 1), RatedImage("b.webp", mos + 1), 399,
                   "399 photos", "some-set", Estimate(0.8, 0.7, 0.9), 0.9)


@pytest.mark.parametrize(("mos", "word"), [(3.0, "bad"), (50.0, "fair"), (72.0, "good"), (96.0, "excellent")])
def test_the_dial_says_the_opinion_with_its_interval_and_in_a_word(mos, word):
    drawn = dial(0.25, known=known(mos, max(mos - 20, 0), min(mos + 20, 100)))
    assert f"<strong>{mos:.0f}</strong><span>of 100" in drawn
    assert f'level-{word}">{word}<' in drawn
    assert f"<strong>{max(mos - 20, 0):.0f}</strong> and <strong>{min(mos + 20, 100):.0f}</strong>" in drawn
    assert re.search(rf'role="img" aria-label="People would rate it {mos:.0f} of 100, {word};', drawn)
    assert 'data-score="0.250000"' in drawn


def test_a_score_that_nobody_has_measured_has_no_word_and_no_interval():
    drawn = dial(0.658)
    assert "not calibrated yet" in drawn
    assert "0.66" in drawn
    assert "raw score" in drawn
    assert 'class="interval"' not in drawn
    assert "level-" not in drawn


def test_the_dial_s_hand_stands_where_the_opinion_is_and_the_arc_from_end_to_end():
    ends = [re.search(r'class="hand" d="M\S+ \S+ L(\S+) (\S+)"', dial(0.9, known=known(mos))).groups()
            for mos in (0.0, 50.0, 100.0)]
    assert [float(x) for x, _ in ends] == [12.0, 120.0, 228.0]
    assert float(ends[1][1]) == 4.0
    arc = re.search(r'class="interval" d="M(\S+) \S+ A80 80 0 0 1 (\S+) (\S+)"', dial(0.9, known=known(50, 0, 50)))
    assert [float(value) for value in arc.groups()] == pytest.approx([40.0, 120.0, 32.0])


def test_the_verdict_names_the_model_its_accuracy_and_what_is_templated():
    raw = verdict_html(_assessment(method="visualquality-r1", lmm="embedded@0", native_range=(0.0, 1.0)))
    assert "demonstration model" in raw
    assert re.search(r"\d M weights", raw)
    assert "filled in from measured evidence" in raw
    assert "mean-opinion evaluate --method visualquality-r1 --lmm embedded" in raw
    assert "demonstration model" not in verdict_html(_assessment(method="q-bench", lmm="Qwen/Qwen3-VL-8B-Instruct@1"))


def test_the_browser_keeps_one_result_of_a_photo_for_what_scored_it():
    def system(**changes):
        kept = re.search(r'data-result="(.*?)"', verdict_html(_assessment(method="q-bench", **changes)))
        return json.loads(html.unescape(kept[1]))["system"]

    assert system() == system(seconds=9.0, score=0.1)
    others = [system(options={"question": "five-level"}), system(lmm="another@1"), system(seed=7), system(max_pixels=9),
              system(basis={"references": "mine"})]
    assert len({system(), *others}) == 6


def test_neighbours_are_photos_that_ship_and_none_where_the_licence_does_not_let_them():
    page = neighbours_html(dataclasses.replace(known(43.0), dataset="live-challenge-dev"))
    rated = [int(number) for number in re.findall(r"people: <strong>(\d+)</strong>", page)]
    assert len(rated) == 2
    assert rated[0] <= 43 <= rated[1]
    assert page.count("data:image/webp") == 2
    assert neighbours_html(known()) == ""


def test_several_methods_have_a_line_each_and_the_ones_to_come_are_waited_for():
    raw = _assessment(method="q-bench", lmm="tiny@1")
    lines = [Line("leaf"), Line("q-bench", raw), Line("iqarag", error="The model is <gone>.")]
    drawn = lines_html(lines)
    assert re.findall(r'data-method="([^"]+)"', drawn) == ["leaf", "q-bench", "iqarag"]
    assert "raw 0.50" in drawn
    assert "&lt;gone&gt;" in drawn
    assert "none of these methods is calibrated yet" in consensus_html(lines)
    assert "1 more to come" in consensus_html(lines)
    assert "on its way" in consensus_html([Line("leaf")])


def test_the_caption_cannot_bring_markup_in():
    assert "<script>" not in dial(0.5, caption="<script>alert(1)</script>")


def _assessment(**changes):
    return Assessment(**{"score": 0.5, "native_score": 3.0, "native_range": (1.0, 5.0), "explanation": "", "seed": 4,
                         "evidence": Evidence(), "seconds": 1.234, "lmm": "/models/tiny@abcdef0123456789", **changes})


def test_the_cost_line_names_time_passes_model_and_seed_but_no_folder():
    line = cost_line(_assessment(), passes=8)
    assert line == "1.23 s · raw score 0.500 · 8 LMM passes · `tiny@abcdef01` · native score 3.000 on 1 to 5 · seed 4"


@pytest.mark.parametrize(("lmm", "label"), [
    ("embedded@0123456789", "embedded@01234567"), ("leaf-student", "leaf-student"),
    ("Qwen/Qwen3-VL-2B-Instruct@abc", "Qwen/Qwen3-VL-2B-Instruct@abc"),
])  # fmt: skip
def test_models_are_shown_short(lmm, label):
    assert short_model(lmm) == label


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
    lane, places = FairQueue(), []
    with lane.turn(1):
        with pytest.raises(BusyError, match="try again"), lane.turn(0.05, on_wait=places.append):
            pass
        assert places[0] == 1
    with lane.turn(0.05):
        pass


def test_only_offered_models_are_loaded(monkeypatch):
    monkeypatch.setattr(models, "_catalogue", lambda: {"tiny": ("Tiny", "/models/tiny")})
    with pytest.raises(ValueError, match="does not offer"):
        models.lmm("someone/any-model")
    with pytest.raises(ValueError, match="does not offer"):
        models.lmm("/models/tiny")


@pytest.mark.parametrize(("name", "label"), [("/secret/place/tiny", "tiny"), ("embedded", "embedded"),
                                             ("server:http://10.0.0.1:8000/v1#acme/vlm", "vlm"),
                                             ("qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct")])
def test_visitors_see_no_folder_and_no_server_address(name, label):
    assert models._public_name(name) == label
