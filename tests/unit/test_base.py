"""The contract of a method: options, assessments, batches, the registry and its suggestions."""

from __future__ import annotations

import dataclasses
import enum
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods import base
from methods.base import (
    METHODS,
    Assessment,
    Evidence,
    Method,
    Options,
    Verdict,
    json_safe,
    load_method,
    method_class,
    option,
)
from methods.images import Decoded, ImageError, decode
from methods.lmm.base import LMM

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class MeanOptions(Options):
    power: float = option(1.0, "Exponent.", low=0.1, high=10.0)
    repeats: int = option(3, "Whole repeats.", low=1, high=9)
    channels: tuple[str, ...] = option(("red", "blue"), "Channels.", choices=("red", "green", "blue"))
    style: str = option("plain", "Style.", choices=("plain", "rich"))
    strict: bool = option(False, "Strict.")
    limit: int | None = option(None, "Limit.", low=1)


@dataclass(frozen=True)
class MeanEvidence(Evidence):
    size: tuple[int, int]


class FakeLMM(LMM):
    name, revision, image_budget = "fake", "r1", 2

    def word_logits(self, prompts, words):
        raise AssertionError("not asked in these tests")

    generate = stream = embed = word_logits


class Mean(Method):
    name, title, summary, citation = "mean", "Mean", "Brightness.", ""
    options = MeanOptions()
    calls: list[int]

    def __init__(self, lmm=None, **options):
        super().__init__(lmm, **options)
        self.calls = []

    def _assess(self, images, options):
        self.calls.append(len(images))
        assert all(image.mode == "RGB" for image in images)
        scores = [float(np.asarray(image).mean() / 255) ** options.power for image in images]
        return [Verdict(score, 5 * score, "Seen.", MeanEvidence(image.size), (0.0, 5.0))
                for image, score in zip(images, scores)]  # fmt: skip


def grey(level: int, size: tuple[int, int] = (4, 3)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"power": 11}, "power must be a number between 0.1 and 10"),
        ({"power": float("nan")}, "power"),
        ({"power": "2"}, "power"),
        ({"power": True}, "power"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"repeats": 2.5}, "repeats must be a whole number"),
        ({"limit": 0}, "limit must be a number at least 1"),
        ({"style": "loud"}, "plain, rich"),
        ({"channels": ("red", "mauve")}, "red, green, blue"),
        ({"strict": "no"}, "strict must be true or false"),
        ({"powr": 2}, "did you mean 'power'"),
        ({"zzz": 2}, "choose from"),
    ],
)
def test_bad_options_are_refused_by_name(changes: dict, words: str):
    with pytest.raises(ValueError, match=words):
        MeanOptions().updated(**changes)


def test_values_take_the_type_of_their_option():
    # Sliders give whole numbers as floats, JSON gives tuples as lists.
    options = MeanOptions().updated(repeats=4.0, power=2, channels=["green"], seed=np.int64(7))
    assert options.repeats == 4
    assert type(options.repeats) is int
    assert type(options.power) is float
    assert options.channels == ("green",)
    assert type(options.seed) is int
    assert MeanOptions().updated(channels="green").channels == ("green",)
    assert MeanOptions().updated(limit=None).limit is None


def test_options_are_frozen_and_defaults_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MeanOptions().power = 2.0
    with pytest.raises(TypeError, match="tuple"):
        option([1], "A list.")


# --- assessing --------------------------------------------------------------------------------------------------------


def test_every_kind_of_picture_gives_the_same_score(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(png(grey(51)))
    method = Mean(FakeLMM())
    sources = [grey(51), decode(path), path, str(path), png(grey(51)), io.BytesIO(png(grey(51)))]
    assert [one.score for one in method.assess_batch(sources)] == pytest.approx([0.2] * 6)
    assert method.calls == [6]


def test_pil_pictures_pass_the_same_checks_as_files():
    method = Mean(FakeLMM())
    transparent = Image.new("RGBA", (4, 3), (0, 0, 0, 0))
    result = method.assess(transparent)
    assert result.score == 1.0
    assert any("white" in note for note in result.image_notes)
    deep = Image.fromarray(np.full((3, 4), 100 * 257, np.uint16))
    assert method.assess(deep).score == pytest.approx(100 / 255)
    with pytest.raises(ImageError):
        method.assess(b"no picture")
    with pytest.raises(ImageError):
        method.assess(Image.new("RGB", (0, 3)))


def test_an_assessment_tells_what_it_was_made_with():
    result = Mean(FakeLMM(), power=2.0).assess(Decoded(grey(255), ("Rotated.",)), seed=5)
    assert (result.method, result.lmm, result.seed) == ("mean", "fake@r1", 5)
    assert result.options["power"] == 2.0
    assert result.image_notes == ("Rotated.",)
    assert result.native_range == (0.0, 5.0)
    assert result.native_score == 5.0
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["evidence"] == {"size": [4, 3]}


def test_a_batch_shares_its_time_equally(monkeypatch):
    times = iter([10.0, 13.0])
    monkeypatch.setattr("methods.base.time.perf_counter", lambda: next(times))
    assert [result.seconds for result in Mean(FakeLMM()).assess_batch([grey(1), grey(2)])] == [1.5, 1.5]


def test_options_of_a_call_do_not_stick():
    method = Mean(FakeLMM(), power=2.0)
    assert method.assess(grey(51), power=1.0).score == pytest.approx(0.2)
    assert method.assess(grey(51)).score == pytest.approx(0.04)
    assert Mean.options.power == 1.0


def test_a_batch_keeps_its_order_and_may_be_empty():
    method = Mean(FakeLMM())
    assert [round(one.score, 6) for one in method.assess_batch([grey(255), grey(0), grey(51)])] == [1.0, 0.0, 0.2]
    assert method.assess_batch([]) == []


def test_a_method_that_loses_a_picture_is_an_error(monkeypatch: pytest.MonkeyPatch):
    method = Mean(FakeLMM())
    whole = method._assess
    monkeypatch.setattr(method, "_assess", lambda images, options: whole(images, options)[:-1])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        method.assess_batch([grey(1), grey(2)])


@pytest.mark.parametrize("score", [1.01, -0.01, float("nan"), float("inf")])
def test_a_score_outside_its_range_is_an_error_not_clipped(score: float, monkeypatch: pytest.MonkeyPatch):
    method = Mean(FakeLMM())
    verdict = Verdict(score, 0.0, "", Evidence())
    monkeypatch.setattr(method, "_assess", lambda images, options: [verdict])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        method.assess(grey(1))


def test_a_rounding_error_is_not_an_error(monkeypatch: pytest.MonkeyPatch):
    method = Mean(FakeLMM())
    monkeypatch.setattr(method, "_assess", lambda images, options: [Verdict(1 + 1e-12, 5.0, "", Evidence())])
    assert method.assess(grey(1)).score == 1.0


def test_an_lmm_that_cannot_show_enough_pictures_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Mean, "min_images", 3)
    with pytest.raises(ValueError, match="3 images in one prompt"):
        Mean(FakeLMM())
    monkeypatch.setattr(Mean, "needs_lmm", False)
    with pytest.raises(ValueError, match="brings its own network"):
        Mean(FakeLMM())


# --- results as JSON --------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


def test_json_safe():
    value = {"array": np.arange(4).reshape(2, 2), "nan": float("nan"), "inf": np.float32("inf"), "image": grey(1),
             "enum": Colour.RED, "path": Path("a"), 3: (True, None), "evidence": MeanEvidence((1, 2)),
             "scalar": np.float64(0.5), "mask": np.array([True, False])}  # fmt: skip
    safe = json_safe(value)
    assert json.loads(json.dumps(safe, allow_nan=False)) == safe
    assert safe["array"] == [[0, 1], [2, 3]]
    assert safe["nan"] is None
    assert safe["inf"] is None
    assert safe["image"] == {"width": 4, "height": 3}
    assert safe["enum"] == "red"
    assert safe["3"] == [True, None]
    assert safe["evidence"] == {"size": [1, 2]}
    assert safe["mask"] == [True, False]


def test_an_assessment_refuses_a_score_that_is_none():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Assessment(float("nan"), 0.0, (0.0, 1.0), "", Evidence(), 0.0, "", 0)


# --- registry ---------------------------------------------------------------------------------------------------------


def test_methods_are_found_by_forgiving_names_with_a_suggestion(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(base.METHODS, "mean-fake", f"{__name__}:Mean")
    assert method_class("Mean_Fake") is Mean
    assert load_method(" mean fake ", FakeLMM(), power=2.0).options.power == 2.0
    with pytest.raises(ValueError, match="did you mean 'q-bench'"):
        method_class("q-bensh")
    with pytest.raises(ValueError, match="choose from q-bench"):
        method_class("zzzzzz")


def test_the_five_papers_and_the_baseline_are_registered():
    assert {"q-bench", "iqarag", "llm-iqa", "visualquality-r1", "leaf", "q-debias"} <= set(METHODS)


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, methods; print(sorted({'torch', 'transformers', 'gradio', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what a class says of itself --------------------------------------------------------------------------------------


def test_a_method_says_for_itself_what_sets_it_apart():
    kinds = {name: method_class(name) for name in METHODS}
    assert {name for name, kind in kinds.items() if not kind.training_free} == {"leaf", "visualquality-r1"}
    assert {name for name, kind in kinds.items() if kind.own_lmm} == {"visualquality-r1"}
    assert {name for name, kind in kinds.items() if kind.embedded_note} == {"visualquality-r1"}
    assert {name for name, kind in kinds.items() if kind.map_legend} == {"leaf"}
    assert {name for name, kind in kinds.items() if kind.images_in_use(kind.options)} == {"iqarag"}


def test_a_method_that_says_nothing_gets_the_usual():
    assert (Mean.training_free, Mean.own_lmm, Mean.embedded_note, Mean.map_legend) == (True, None, "", "")
    assert Mean.images_in_use(Mean.options) == frozenset()
    assert Mean.preload() is None


def test_images_that_are_shown_to_the_model_are_in_use():
    iqarag = method_class("iqarag")
    shown = iqarag.images_in_use(iqarag.options)
    assert len(shown) == 150
    assert not any("/" in name for name in shown)
    assert iqarag.images_in_use(iqarag.options.updated(P=0)) == frozenset()
