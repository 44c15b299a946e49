"""Which model a machine gets, and the sentence that says why, for memory from 8 to 80 GB."""

from __future__ import annotations

import json
from functools import partial

import pytest

from methods.lmm import defaults
from methods.lmm.catalogue import find
from methods.lmm.defaults import GENERAL
from methods.visualquality_r1.method import VisualQualityR1

EIGHT, FOUR, TWO = GENERAL
R1 = VisualQualityR1.own_lmm
OWN = {VisualQualityR1.name: R1}
ALL = {*GENERAL, R1}

choose_defaults = partial(defaults.choose_defaults, own=OWN)


@pytest.mark.parametrize(("gigabytes", "general", "own"), [
    (8, TWO, {}), (16, FOUR, {}), (24, EIGHT, {}), (40, EIGHT, OWN), (80, EIGHT, OWN),
])
def test_the_largest_that_fits(gigabytes, general, own):
    # A card's own context takes some of what its name says.
    chosen = choose_defaults(int(gigabytes * 2**30 - 0.5e9), ALL)
    assert (chosen.general, dict(chosen.own)) == (general, dict(own))
    assert chosen.of("iqarag") == general
    assert chosen.of("visualquality-r1") == own.get("visualquality-r1", general)
    title = find(general).title
    assert chosen.reasons[0].startswith(f"{title} is the default, the largest that fits: with its work it takes ")
    assert list(chosen.reasons[1:]) == ([] if own else [
        f"VisualQuality-R1 7B does not fit beside it (16.5 GB). Its tab asks {title}."])


def test_weights_work_and_what_stays_beside_are_counted():
    needed = defaults._needed(find(EIGHT))
    assert needed == pytest.approx(16.3 * 2**30 * 17 / 16 + 1.5 * 2**30 + 1e9)
    assert choose_defaults(needed, ALL).general == EIGHT
    assert choose_defaults(needed - 1, ALL).general == FOUR
    both = needed + defaults._weights(find(R1))
    assert choose_defaults(both, ALL).own
    assert not choose_defaults(both - 1, ALL).own


def test_too_little_memory_and_no_device_leave_the_embedded_model():
    small = choose_defaults(4 * 10**9, ALL)
    assert (small.general, small.own) == ("embedded", {})
    assert small.reasons[:2] == ("The embedded model is the default.", "No general model fits into the 4.0 GB of GPU "
                                 "memory that are free (Qwen3-VL 2B Instruct takes 7.2 GB with its work).")
    assert choose_defaults(None, ALL).reasons == ("There is no CUDA device, so the embedded model is the default.",)


def test_without_the_hub_what_is_on_disk_is_taken():
    chosen = choose_defaults(24 * 10**9, {TWO}, hub=False)
    assert chosen.general == TWO
    assert "the largest that can be had" in chosen.reasons[0]
    assert chosen.reasons[1] == "Qwen3-VL 8B Instruct would fit but is not on disk, and the Hub cannot be reached."
    nothing = choose_defaults(80 * 10**9, set(), hub=False)
    assert (nothing.general, nothing.own) == ("embedded", {})
    assert len(nothing.reasons) == 5
    alone = choose_defaults(80 * 10**9, {R1}, hub=False)
    assert (alone.general, alone.of("visualquality-r1")) == ("embedded", R1)


def test_a_model_that_failed_gives_way_and_its_sentence_is_told():
    chosen = choose_defaults(24 * 10**9, ALL, failed={EIGHT: "It is broken; get it again."})
    assert chosen.general == FOUR
    assert "It is broken; get it again." in chosen.reasons


def test_only_a_complete_checkpoint_is_on_disk(tmp_path, monkeypatch):
    files = {"config.json": "{}", "model.safetensors.index.json":
             json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}), "one.safetensors": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def look(repository, file):
        path = tmp_path / file
        return str(path) if path.exists() else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", look)
    assert not defaults.on_disk("some/model")
    (tmp_path / "two.safetensors").touch()
    assert defaults.on_disk("some/model")
    (tmp_path / "model.safetensors.index.json").unlink()
    assert not defaults.on_disk("some/model")
    (tmp_path / "model.safetensors").touch()
    assert defaults.on_disk("some/model")
    (tmp_path / "config.json").unlink()
    assert not defaults.on_disk("some/model")


def test_a_hub_that_is_offline_or_away_does_not_answer(monkeypatch):
    import httpx2 as httpx

    def gone(url, timeout):
        raise httpx.ConnectError("nobody there")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", gone)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    assert not defaults.hub_answers(EIGHT)
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url, timeout: None)
    assert defaults.hub_answers(EIGHT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not defaults.hub_answers(EIGHT)
