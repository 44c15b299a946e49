"""The one door to the models: what passes through it can cross a process boundary, and every failure is a sentence."""

from __future__ import annotations

import inspect
import pickle
import threading

import gradio as gr
import numpy as np
import pytest

from tests.ui.fakes import Mute
from ui.components import EXAMPLES
from ui.errors import UNEXPECTED
from ui.serving import gpu, models

PHOTO = str(EXAMPLES / "coffee.jpg")


class Steady(Mute):
    """Answers every prompt with the same logits."""

    name = "steady"

    def word_logits(self, prompts, words):
        return np.tile(np.linspace(1, 0, len(words), dtype=np.float32), (len(prompts), 1))


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(models, "_catalogue", lambda: {"steady": ("Steady", "steady")})
    monkeypatch.setattr(models, "default_for", lambda method: "steady")
    monkeypatch.setattr(models, "_lmms", models.OrderedDict(steady=Steady()))
    monkeypatch.setattr(models, "_methods", {})


# Targets of `call` and `stream`: found by name, as a tab's are.
def double(value, model):
    return value * 2, model.name


def countdown(start):
    yield from range(start, 0, -1)


def speak(model):
    yield from model.stream(None)


def fail():
    raise KeyError("inner detail")


HERE = __name__


def test_several_photos_come_back_in_order():
    results = gpu.assess("q-bench", [PHOTO, str(EXAMPLES / "rocket.jpg")], options={"question": "five-level"})
    assert [len(result.evidence.words) for result in results] == [5, 5]
    assert results[0].lmm == "steady@1"


def test_jobs_and_results_can_be_pickled():
    result = gpu.assess("q-bench", [PHOTO])
    job = gpu._Job(gpu._assess, {"method": gpu.MethodOf("q-bench", "steady"), "images": [PHOTO], "options": {}})
    assert pickle.loads(pickle.dumps(result)) == result
    assert pickle.loads(pickle.dumps(job)) == job


def test_the_gpu_function_is_a_generator_whose_time_follows_from_the_job():
    assert inspect.isgeneratorfunction(gpu._on_gpu)
    seconds = [gpu._seconds(gpu._Job("m:f", {}, wanted)) for wanted in (0.1, 42.0, 9999.0)]
    assert seconds == [10, 42, gpu.ZERO_GPU_SECONDS]


def test_calls_receive_loaded_models():
    assert gpu.call(f"{HERE}:double", value=21, model=gpu.Model("steady")) == (42, "steady")


def test_streams_arrive_piece_by_piece():
    values = gpu.stream(f"{HERE}:countdown", start=3)
    assert next(values) == 3
    assert list(values) == [2, 1]


def test_a_stream_that_is_left_gives_its_turn_back():
    values = gpu.stream(f"{HERE}:countdown", start=3)
    next(values)
    values.close()
    answers = []
    visitor = threading.Thread(target=lambda: answers.extend(gpu.stream(f"{HERE}:countdown", start=1)))
    visitor.start()
    visitor.join(120)
    assert answers == [1]


def test_failures_inside_are_sentences():
    with pytest.raises(gr.Error, match=r"This model cannot speak\."):
        list(gpu.stream(f"{HERE}:speak", model=gpu.Model("steady")))
    with pytest.raises(gr.Error) as caught:
        gpu.call(f"{HERE}:fail")
    assert caught.value.message == UNEXPECTED


def test_a_model_that_is_not_offered_is_never_loaded():
    with pytest.raises(gr.Error, match="does not offer"):
        gpu.assess("q-bench", [PHOTO], lmm="someone/any-model")


def test_a_stream_past_its_time_is_stopped(monkeypatch):
    monkeypatch.setattr(gpu, "LONGEST_RUN", -1.0)
    values = gpu.stream(f"{HERE}:countdown", start=3)
    assert next(values) == 3
    with pytest.raises(gr.Error, match="was stopped"):
        next(values)


def test_the_cost_follows_the_options():
    assert gpu._cost("q-debias", {}) == 9
    assert gpu._cost("q-debias", {"distortions": ("fog",)}) == 3
    with pytest.raises(gr.Error, match="There is no option"):
        gpu._cost("q-debias", {"distortion": ("fog",)})


def test_older_models_make_room(monkeypatch):
    loaded = []
    monkeypatch.setattr("methods.lmm.loading.load_lmm", lambda name: loaded.append(name) or Steady())
    names = ("steady", "one", "two", "three")
    monkeypatch.setattr(models, "_catalogue", lambda: {name: (name, name) for name in names})
    monkeypatch.setenv("MEAN_OPINION_KEEP", "1")
    for name in ("one", "two", "three", "one"):
        models.method("q-bench", name)
    assert loaded == ["one", "two", "three", "one"]
    assert list(models._lmms) == ["steady", "one"]
    assert set(models._methods) == {("q-bench", "one")}
