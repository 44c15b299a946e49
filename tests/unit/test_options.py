"""Every option of every method reaches the method by every way in, and no option can be hidden by another keyword."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import io
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mean_opinion
from leaderboard.runs.scoring import Scorer
from methods.base import (
    METHODS,
    RESERVED,
    Evidence,
    Method,
    Options,
    Verdict,
    json_safe,
    load_method,
    method_class,
    option,
)
from methods.cli.arguments import option_values
from methods.errors import InputError
from methods.lmm.base import LMM
from ui.serving import models
from ui.tabs.api.tab import _compared
from ui.tabs.score import as_options, free_text


class Patient(LMM):
    """Takes any number of images and is never asked."""

    name, revision, image_budget = "patient", "1", 1000

    def word_logits(self, prompts, words):
        raise AssertionError("the methods' own work is replaced in these tests")

    generate = stream = embed = word_logits


def another(spec: dataclasses.Field, default: Any) -> Any:
    """A valid value of an option that is not its default."""
    choices, low, high = (spec.metadata[key] for key in ("choices", "low", "high"))
    if isinstance(default, tuple):
        return default[:1] if len(default) > 1 else tuple(choice for choice in choices if choice not in default)[:1]
    if isinstance(default, bool):
        return not default
    if choices is not None:
        return next(choice for choice in choices if choice != default)
    if isinstance(default, int):
        return default + 1 if high is None or default < high else default - 1
    if isinstance(default, float):
        return (default + (high if high is not None and default < high else low)) / 2
    if isinstance(default, str):
        return "elsewhere"
    raise AssertionError(f"this test has no value for {spec.name}")


CASES = [(name, spec.name, another(spec, getattr(method_class(name).options, spec.name)))
         for name in METHODS for spec in dataclasses.fields(method_class(name).options)]
by_every_option = pytest.mark.parametrize(("name", "changed", "value"), CASES,
                                          ids=[f"{name}-{changed}" for name, changed, _ in CASES])


@pytest.fixture(autouse=True)
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods are made on an LMM that is never asked, and give every image the same verdict."""
    monkeypatch.setattr("methods.lmm.loading.load_lmm", lambda *_, **__: Patient())
    monkeypatch.setattr(models, "_catalogue", lambda: {"patient": ("Patient", "patient")})
    monkeypatch.setattr(models, "default_for", lambda _: "patient")
    monkeypatch.setattr(models, "_lmms", OrderedDict())
    monkeypatch.setattr(models, "_methods", {})
    monkeypatch.setattr("ui.comparison.running.render_evidence", lambda _: None)
    for name in METHODS:
        monkeypatch.setattr(method_class(name), "_assess",
                            lambda self, images, _: [Verdict(0.5, 0.5, "So.", Evidence()) for _ in images])
        monkeypatch.setattr(method_class(name), "basis", lambda self, options: {})


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path)
    return path


@by_every_option
def test_from_python(name, changed, value, photo):
    for ready in (load_method(name, **{changed: value}), load_method(name, options={changed: value})):
        assert getattr(ready.options, changed) == value
        assert ready.assess(photo).options[changed] == json_safe(value)
    assert load_method(name).assess(photo, **{changed: value}).options[changed] == json_safe(value)


@by_every_option
def test_from_the_command_line(name, changed, value, photo, capsys):
    from methods.__main__ import main

    flag = "--" + changed.replace("_", "-")
    if isinstance(value, bool):
        words = [flag if value else f"--no-{flag[2:]}"]
    else:
        words = [f"{flag}={','.join(value) if isinstance(value, tuple) else value}"]
    assert main(["score", str(photo), "--method", name, "--format", "json", *words]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["options"][changed] == json_safe(value)


@by_every_option
def test_from_evaluate(name, changed, value):
    written = ",".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value
    options = option_values(method_class(name), [f"{changed}={written}"])
    assert options[changed] == value
    assert Scorer(name, None, options).identity()["options"][changed] == json_safe(value)


@by_every_option
def test_from_the_api(name, changed, value, photo):
    payload = json.loads(json.dumps({name: {changed: value}}))
    address = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    if changed in free_text(method_class(name).options):
        with pytest.raises(ValueError, match="cannot be set from the page"):
            as_options(name, payload[name])
        return
    (cell,) = _compared([address], [name], [], payload).cells
    assert cell.error == ""
    assert cell.options[changed] == json_safe(value)


# --- what makes it so -------------------------------------------------------------------------------------------------


def test_the_keywords_of_every_way_in_are_reserved():
    for way in (load_method, Method.assess, Method.assess_batch, mean_opinion.score):
        own = {name for name, parameter in inspect.signature(way).parameters.items()
               if parameter.kind is not parameter.VAR_KEYWORD}
        assert own <= RESERVED, way.__qualname__


@pytest.mark.parametrize("name", ["lmm", "images", "own_model"])
def test_an_option_that_a_keyword_would_hide_is_refused_with_its_class(name):
    fields = {name: option("x", "Hidden."), "__annotations__": {name: str}}
    hidden = dataclass(frozen=True)(type("Hidden", (Options,), fields))

    with pytest.raises(TypeError, match=f"an option '{name}'"):
        class Hiding(Method):
            options = hidden()

            def __init__(self, lmm=None, own_model=None, **options):
                super().__init__(lmm, **options)


def test_an_option_given_twice_is_refused():
    with pytest.raises(InputError, match="given twice"):
        load_method("q-bench", options={"seed": 1}, seed=2)


def test_a_ready_object_has_a_keyword_of_its_own():
    class Whole:
        name = "whole"

        def masks(self, image):
            return np.ones((1, image.height, image.width), bool)

    ready = load_method("llm-iqa", own_segmenter=Whole(), segmenter="felzenszwalb")
    assert ready.options.segmenter == "felzenszwalb"
    assert ready._segmenter.name == "whole"


# --- limits, devices and costs ----------------------------------------------------------------------------------------


def test_a_limit_of_pixels_holds_for_every_source_and_is_recorded(photo):
    ready = load_method("q-bench", max_pixels=16)
    buffer = io.BytesIO(photo.read_bytes())
    for source in (photo, str(photo), buffer, Image.open(photo), mean_opinion.decode(photo)):
        result = ready.assess(source)
        assert result.max_pixels == 16
        assert any("8 x 8" in note and "4 x 4" in note for note in result.image_notes)
    assert load_method("q-bench").assess(photo).max_pixels is None
    with pytest.raises(InputError, match="max_pixels must be at least 1"):
        load_method("q-bench", max_pixels=0)


def test_device_and_dtype_reach_the_model_that_is_named(monkeypatch):
    asked = []
    monkeypatch.setattr("methods.lmm.loading.load_lmm", lambda *given: asked.append(given) or Patient())
    load_method("llm-iqa", "one,two", device="cpu", dtype="bfloat16")
    assert asked == [("one", "cpu", "bfloat16"), ("two", "cpu", "bfloat16")]
    with pytest.raises(InputError, match="loaded already"):
        load_method("q-bench", Patient(), device="cpu")
    with pytest.raises(InputError, match="brings its own network"):
        load_method("leaf", device="cpu")


def test_a_cost_needs_no_model():
    kind = method_class("q-debias")
    assert kind.cost() == kind.cost(kind.options) == 9
    assert kind.cost({"distortions": ["fog"]}) == kind.cost(kind.options.updated(distortions=("fog",))) == 3
    with pytest.raises(InputError, match="did you mean 'distortions'"):
        kind.cost({"distortion": ["fog"]})
    ready = load_method("q-debias", distortions=("fog", "spatter"))
    assert (ready.cost(), ready.cost({"distortions": ("fog",)}), kind.cost()) == (5, 3, 9)
    assert load_method("llm-iqa", "one,two", scored="whole").cost() == 2
    assert method_class("leaf").cost() == 0
