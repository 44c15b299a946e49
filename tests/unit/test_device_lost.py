"""A GPU that fails for good ends the run, or the actor, instead of becoming every image's error."""

from __future__ import annotations

import json
import os

import pytest
import torch
from PIL import Image

from leaderboard.runs import distributed
from methods.lmm.base import LMMError
from methods.lmm.errors import DeviceLost, device_lost
from methods.scoring import score_rows

LOST = "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later."


@pytest.mark.parametrize(("error", "lost"), [
    (torch.AcceleratorError(LOST), True),
    (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
    (RuntimeError("CUDA error: unspecified launch failure"), True),
    (torch.OutOfMemoryError("CUDA out of memory."), False),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), False),
    (RuntimeError("CUDA error: out of memory"), False),
    (RuntimeError("The size of tensor a must match"), False),
    (LMMError("device-side assert"), False),
])
def test_only_what_outlasts_a_call_counts(error, lost):
    loss = device_lost(error)
    assert (loss is not None) == lost
    if loss is not None:
        assert "\n" not in str(loss)
        assert "run the same command again" in str(loss)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_no_further_image_is_tried(batch_size):
    tried = []

    def assess(images):
        tried.append(len(images))
        try:
            raise torch.AcceleratorError(LOST)
        except RuntimeError as error:
            raise LMMError("The model failed.") from error

    rows = score_rows(range(20), lambda number: Image.new("RGB", (4, 4)), assess, batch_size=batch_size)
    with pytest.raises(DeviceLost):
        list(rows)
    assert tried == [batch_size]


def test_an_actor_dies_of_it_so_that_ray_starts_another(monkeypatch, capfd):
    class Scorer:
        def score(self, pictures):
            raise DeviceLost("The GPU failed.")

    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr("leaderboard.runs.folds.make_scorer", lambda *given: Scorer())
    monkeypatch.setattr(os, "_exit", leave)
    actor = distributed._Actor("q-bench", None, {}, ())
    with pytest.raises(SystemExit) as left:
        actor({"batch": json.dumps([])})
    assert left.value.code == 1
    assert "The GPU failed." in capfd.readouterr().err


def test_an_actor_on_a_gpu_keeps_its_threads(monkeypatch):
    monkeypatch.setattr("leaderboard.runs.folds.make_scorer", lambda *given: None)
    before = torch.get_num_threads()
    try:
        distributed._Actor("q-bench", None, {}, (), threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
