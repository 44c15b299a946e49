"""What the page offers and loads when it starts: on a GPU that is faked, with a Hub or without, and on ZeroGPU."""

from __future__ import annotations

import functools
import threading

import gradio as gr
import pytest
import torch

from methods.errors import InputError, UserError
from methods.lmm import defaults
from methods.lmm.base import LMMError
from methods.lmm.defaults import GENERAL
from methods.visualquality_r1.method import VisualQualityR1
from tests.ui.fakes import Mute
from ui.header import header
from ui.serving import gpu, models

EIGHT, FOUR, TWO = GENERAL
R1 = VisualQualityR1.own_lmm


class Loaded(Mute):
    """A model that is only there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def word_logits(self, prompts, words):
        raise AssertionError("No photo is scored here.")


@pytest.fixture
def machine(monkeypatch):
    """A machine with so much free GPU memory, these checkpoints on disk, and a Hub or none; what is loaded there."""
    loaded: list[str] = []

    def of(free: float | None, disk: tuple[str, ...] = (), hub: bool = True, broken: tuple[str, ...] = (),
           zero_gpu: bool = False, **environment: str) -> list[str]:
        def load(name, *given, **settings):
            if name in broken or (name not in disk and not hub and "/" in name):
                raise LMMError(f"{name} cannot be loaded; choose another.")
            loaded.append(name)
            return Loaded(name)

        for name in ("MEAN_OPINION_LMM", "MEAN_OPINION_OFFER", "MEAN_OPINION_PRELOAD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: free is not None)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (int(free), int(free)))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A fake GPU")
        monkeypatch.setattr(torch.cuda, "get_device_properties",
                            lambda device: type("Properties", (), {"total_memory": int(free)}))
        monkeypatch.setattr(defaults, "on_disk", lambda name: name in disk)
        monkeypatch.setattr(defaults, "hub_answers", lambda name: hub)
        monkeypatch.setattr("methods.lmm.loading.load_lmm", load)
        monkeypatch.setattr("methods.llm_iqa.segmenters.load_segmenter", lambda *given: loaded.append("segmenter"))
        monkeypatch.setattr(models, "ON_ZERO_GPU", zero_gpu)
        monkeypatch.setattr(models, "_lmms", models.OrderedDict())
        monkeypatch.setattr(models, "_alive", models.weakref.WeakValueDictionary())
        models.settings.cache_clear()
        for name in ("_methods", "_failed", "_loading"):
            monkeypatch.setattr(models, name, {})
        monkeypatch.setattr(models, "_started", False)
        models._choice.cache_clear()
        models._catalogue.cache_clear()
        models.preload()
        return loaded

    yield of
    models._choice.cache_clear()
    models._catalogue.cache_clear()
    models.settings.cache_clear()


@pytest.mark.parametrize(("gigabytes", "general", "r1"), [
    (8, TWO, TWO), (16, FOUR, FOUR), (24, EIGHT, EIGHT), (40, EIGHT, R1), (80, EIGHT, R1)])
def test_the_start_loads_what_fits_and_says_so(machine, gigabytes, general, r1):
    loaded = machine(gigabytes * 2**30 - 5e8)
    assert sorted(set(loaded)) == sorted({general, r1, "segmenter"})
    assert (models.default_for("q-bench"), models.default_for("visualquality-r1")) == (general, r1)
    top = header()
    assert "A fake GPU" in top
    assert "is the default, the largest that fits" in top
    assert ("does not fit beside it" in top) == (r1 == general)


def test_cuda_without_a_hub_starts_on_what_is_on_disk(machine):
    loaded = machine(80e9, disk=(FOUR,), hub=False)
    assert sorted(set(loaded)) == sorted({FOUR, "segmenter"})
    assert "is not on disk, and the Hub cannot be reached" in header()


def test_cuda_without_a_hub_or_anything_on_disk_starts_on_the_embedded_model(machine):
    assert set(machine(80e9, hub=False)) == {"embedded", "segmenter"}
    assert models.default_for("iqarag") == models.default_for("visualquality-r1") == "embedded"
    assert "The embedded model is the default." in header()


def test_a_default_that_breaks_off_gives_way_to_the_next(machine):
    assert set(machine(80e9, broken=(EIGHT, R1))) == {FOUR, "segmenter"}
    assert f"{EIGHT} cannot be loaded; choose another." in header()


def test_one_variable_changes_the_default_and_a_bad_one_does_not_stop_the_start(machine):
    assert set(machine(80e9, MEAN_OPINION_LMM="qwen3-vl-2b")) == {"qwen3-vl-2b", "segmenter"}
    assert models.default_for("leaf") == models.default_for("iqarag") == TWO
    assert "by the environment" in header()


def test_a_variable_that_names_a_broken_model_starts_on_the_embedded_one(machine):
    assert set(machine(80e9, broken=("some/model",), MEAN_OPINION_LMM="some/model")) == {"embedded", "segmenter"}
    assert "some/model cannot be loaded; choose another." in header()


def test_on_the_cpu_nothing_is_loaded_beforehand(machine):
    assert machine(None) == []
    assert models.default_for("iqarag") == "embedded"
    assert "There is no CUDA device" in header()


def test_zero_gpu_offers_what_was_loaded_in_the_main_thread_and_no_more(machine, monkeypatch):
    machine(8e9, zero_gpu=True, MEAN_OPINION_OFFER="smolvlm2-2.2b,qwen3-vl-4b", broken=("qwen3-vl-4b",))
    # The emulated device says nothing of the real one: what counts is what a visitor's quota pays for.
    names = [name for _, name in models.offered()]
    assert names == [EIGHT, R1, "embedded", "HuggingFaceTB/SmolVLM2-2.2B-Instruct"]
    with pytest.raises(InputError, match=r"4B-Instruct was not loaded .* choose Qwen/Qwen3-VL-8B-Instruct or "):
        models.lmm(FOUR)
    with pytest.raises(gr.Error, match="ZeroGPU takes none afterwards"):
        gpu.assess("q-bench", [b""], lmm=FOUR)
    with pytest.raises(InputError, match="does not offer"):
        models.lmm("someone/else")


# --- a model that is slow to come -------------------------------------------------------------------------------------


@pytest.fixture
def slow(machine, monkeypatch):
    """A page that offers a quick model and one whose loading can be held back."""
    machine(None)
    go_on, begun = threading.Event(), threading.Event()

    def load(name, *given, **settings):
        if name != "quick":
            begun.set()
            go_on.wait(60)
        if name == "broken":
            raise LMMError("The model is not on the Hub.")
        return Loaded(name)

    monkeypatch.setattr("methods.lmm.loading.load_lmm", load)
    offers = {name: (name, name) for name in ("quick", "slow", "broken")}
    monkeypatch.setattr(models, "_catalogue", functools.cache(lambda: offers))
    yield begun, go_on
    go_on.set()


def test_a_model_that_is_loading_keeps_nobody_from_another(slow):
    begun, go_on = slow
    waiting = threading.Thread(target=lambda: models.wait_for(None, "slow"))
    waiting.start()
    assert begun.wait(30)
    assert models.lmm("quick").name == "quick"
    assert models.loaded() == ["quick"]
    go_on.set()
    waiting.join(30)
    assert models.lmm("slow").name == "slow"


def test_who_waits_for_a_model_may_leave_and_is_told_how_long_it_takes(slow):
    _begun, go_on = slow
    waits = []

    def leave(seconds):
        waits.append(seconds)
        raise InputError("I leave.")

    with pytest.raises(InputError, match="I leave"):
        models.wait_for(None, "slow", on_wait=leave)
    assert waits
    with pytest.raises(UserError, match="still being loaded"):
        models.wait_for(None, "slow", most=0.01)
    go_on.set()
    models.wait_for(None, "slow")
    assert models.lmm("slow").name == "slow"


def test_a_model_that_cannot_be_loaded_says_why_and_may_be_tried_again(slow):
    _begun, go_on = slow
    go_on.set()
    for _ in range(2):
        with pytest.raises(LMMError, match="not on the Hub"):
            models.wait_for(None, "broken")
    with pytest.raises(InputError, match="does not offer"):
        models.lmm("another")


def test_a_model_that_somebody_has_ready_outlives_those_that_push_it_out(slow, monkeypatch):
    _begun, go_on = slow
    go_on.set()
    monkeypatch.setattr(models, "_make_room", lambda coming: models._lmms.clear())
    ready = models.lmm("quick")
    models.lmm("slow")
    assert models.loaded() == ["slow"]
    assert models.lmm("quick") is ready
