"""The one door to the models: what passes through it can cross a process boundary, and every failure is a sentence."""

from __future__ import annotations

import inspect
import itertools
import pickle
import threading

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from methods.base import method_class
from methods.images import Decoded
from methods.patience import step
from tests.ui.fakes import Mute
from ui.components import EXAMPLES, options_form
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
    return value * 2, getattr(model, "name", model)


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


def endless(done):
    for number in itertools.count():
        step()
        done.add(number)


def test_a_plain_call_past_its_time_is_stopped_between_its_steps(monkeypatch):
    monkeypatch.setattr(gpu, "LONGEST_RUN", 0.2)
    done = set()
    with pytest.raises(gr.Error, match="was stopped"):
        gpu.call(f"{HERE}:endless", done=done)
    assert done


def test_a_call_that_nobody_waits_for_is_stopped(monkeypatch):
    asked = iter([True] * 5)
    monkeypatch.setattr(gpu, "is_waited_for", lambda: next(asked, False))
    done = set()
    with pytest.raises(gr.Error, match="nobody waited"):
        gpu.call(f"{HERE}:endless", done=done)
    assert 0 < len(done) <= 5
    with pytest.raises(gr.Error, match="nobody waited"):
        gpu.assess("q-bench", [PHOTO])
    # The lane is free again.
    monkeypatch.undo()
    assert gpu.call(f"{HERE}:double", value=1, model=None) == (2, None)


def test_options_that_would_take_too_long_are_refused_before_they_start(monkeypatch):
    monkeypatch.setattr(gpu, "LONGEST_RUN", 60)
    with pytest.raises(gr.Error, match=r"would take about .* choose fewer"):
        gpu.seconds("visualquality-r1", [photo()], {"max_new_tokens": 4000})
    monkeypatch.setattr(gpu, "LONGEST_RUN", 0.01)
    assert gpu.seconds("visualquality-r1", [photo()]) > gpu.SECONDS_TO_START
    monkeypatch.setattr(gpu, "LONGEST_RUN", 60)
    with pytest.raises(gr.Error, match="this page gives a call 60 s"):
        gpu.assess("iqarag", [photo()] * 60)


def test_decoded_images_wait_for_room_and_give_it_back(monkeypatch):
    monkeypatch.setattr(gpu, "_held", gpu.Budget(1))
    with gpu.decoded_images([PHOTO]) as photos:
        assert photos[0].image.size[0] > 0
        assert 0 < gpu._held.amount <= 1
    assert gpu._held.amount == 0
    with pytest.raises(gr.Error), gpu.decoded_images([b"not an image"]):
        pass
    assert gpu._held.amount == 0


def photo(width: int = 1000, height: int = 1000) -> Decoded:
    return Decoded(Image.new("RGB", (width, height)))


def test_the_time_that_is_asked_for_follows_prompts_pixels_and_tokens():
    base = gpu.seconds("q-debias", [photo()])
    assert base == pytest.approx(gpu.SECONDS_TO_START + 9 * 0.1 + 9 * 2 * 0.25)
    assert gpu.seconds("q-debias", [photo()], {"distortions": ("fog",)}) < base
    assert gpu.seconds("q-debias", [photo(100, 100)]) < base
    # The model is shown no more than its limit.
    assert gpu.seconds("q-debias", [photo(4000, 3000)], limit=1_000_000) == pytest.approx(base)
    one, two = (gpu.seconds("visualquality-r1", [photo()], {"max_new_tokens": count}) for count in (1000, 2000))
    assert two - one == pytest.approx(1000 * gpu.SECONDS_PER_TOKEN)
    assert gpu.seconds("llm-iqa", [photo()], {"scored": "whole"}) < gpu.seconds("llm-iqa", [photo()])
    assert gpu.seconds("llm-iqa", [photo()], lmms=2) > gpu.seconds("llm-iqa", [photo()])
    assert gpu.seconds("leaf", [photo()] * 3) == gpu.SECONDS_TO_START + 3
    for name in models.available_methods():
        assert gpu.SECONDS_TO_START < gpu.seconds(name, [photo()]) < 2 * gpu.ZERO_GPU_SECONDS
    with pytest.raises(gr.Error, match="There is no option"):
        gpu.seconds("q-debias", [photo()], {"distortion": ("fog",)})


def test_what_may_take_longer_than_zero_gpu_grants_is_said(monkeypatch):
    warnings = []
    monkeypatch.setattr(models, "ON_ZERO_GPU", True)
    gpu.call(f"{HERE}:double", seconds=300, progress=lambda *given, desc: warnings.append(desc), value=1, model="m")
    assert warnings == ["This may take up to 300 s and ZeroGPU grants 120 s; if it is cut off, choose fewer photos, "
                    "samples or tokens"]


def test_a_picture_that_cannot_be_read_takes_no_turn(monkeypatch):
    monkeypatch.setattr(gpu, "_on_gpu", lambda job: pytest.fail("a turn was taken"))
    with pytest.raises(gr.Error, match=r"image|picture"):
        gpu.assess("q-bench", [b"text"])


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
    assert set(models._methods) == {("q-bench", "one", None)}


def test_what_a_call_does_once_is_asked_for(monkeypatch):
    jobs = []
    monkeypatch.setattr(gpu, "_finish", lambda job, progress: jobs.append(job))
    method = models.method("iqarag")
    gpu.assess("iqarag", [photo()])
    monkeypatch.setattr("methods.iqarag.opened_sets.has_features", lambda *given: True)
    gpu.assess("iqarag", [photo()])
    references = method._chosen_set(method.options)
    pixels = references.image(0).width * references.image(0).height
    assert jobs[0].seconds - jobs[1].seconds == pytest.approx(
        len(references) * pixels / 1e6 * gpu.SECONDS_PER_MEGAPIXEL)


def test_zero_gpu_takes_no_network_that_an_option_would_load(monkeypatch):
    assert models.late_choices("iqarag") == {}
    assert gpu.seconds("iqarag", [photo()], {"encoder": "CLIP"}) > 0
    monkeypatch.setattr(models, "ON_ZERO_GPU", True)
    with pytest.raises(gr.Error, match="The encoder CLIP was not loaded when this page started"):
        gpu.seconds("iqarag", [photo()], {"encoder": "CLIP"})
    with pytest.raises(gr.Error, match=r"The segmenter facebook/sam2-hiera-tiny was not loaded"):
        gpu.seconds("llm-iqa", [photo()], {"segmenter": "facebook/sam2-hiera-tiny"})
    for name, options in (("iqarag", {"encoder": "LEAF"}), ("llm-iqa", {"segmenter": "felzenszwalb"})):
        assert gpu.seconds(name, [photo()], options) > 0
    with gr.Blocks():
        form = options_form(method_class("iqarag").options, too_late=models.late_choices("iqarag"))
    (encoder,) = [component for name, component in zip(form.names, form.components) if name == "encoder"]
    assert [value for _, value in encoder.choices] == ["VE", "LEAF"]
