"""torchvision imports and suppresses boxes, whether or not its compiled operators fit the installed torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from methods import torchvision_compat
from methods.torchvision_compat import ensure_torchvision, non_maximum_suppression


def plain_suppression(boxes, scores, threshold):
    """Greedy suppression box by box, by the definition."""

    def overlap(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)

    kept = []
    for index in sorted(range(len(boxes)), key=lambda index: -scores[index]):
        if all(overlap(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_suppression_keeps_what_the_definition_keeps(threshold):
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(60, 2, generator=generator) * 50
    boxes = torch.cat([corners, corners + 5 + torch.rand(60, 2, generator=generator) * 30], dim=1)
    scores = torch.rand(60, generator=generator)
    kept = non_maximum_suppression(boxes, scores, threshold)
    assert kept.dtype == torch.int64
    assert kept.tolist() == plain_suppression(boxes.tolist(), scores.tolist(), threshold)


def test_no_boxes_and_empty_boxes():
    assert non_maximum_suppression(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    # Two boxes without an area overlap in nothing: both stay.
    kept = non_maximum_suppression(torch.zeros(2, 4), torch.tensor([0.1, 0.9]), 0.5)
    assert kept.tolist() == [1, 0]


def test_torchvisions_own_functions_work_after_it():
    ensure_torchvision()
    from torchvision.ops import batched_nms, nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])
    scores = torch.tensor([0.5, 0.9, 0.1])
    assert nms(boxes, scores, 0.5).tolist() == [1, 2]
    assert batched_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.5).tolist() == [1, 0, 2]


def test_a_second_call_changes_nothing():
    ensure_torchvision()
    operators = torchvision_compat._library
    ensure_torchvision.cache_clear()
    assert ensure_torchvision() is False
    assert torchvision_compat._library is operators


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_nothing_is_touched_where_torchvision_works(tmp_path):
    # A stand-in that imports without complaint takes the place of the installed torchvision.
    (tmp_path / "torchvision.py").write_text("nms = object()\n")
    out = run(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from methods.torchvision_compat import ensure_torchvision\n"
        "print(ensure_torchvision()); import torchvision; print(hasattr(torchvision, 'nms'))"
    )
    assert out.split() == ["False", "True"]


def test_another_failure_of_torchvision_is_not_hidden(tmp_path):
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('the disk is on fire')\n")
    out = run(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from methods.torchvision_compat import ensure_torchvision\n"
        "try:\n    ensure_torchvision()\nexcept RuntimeError as error:\n    print(error)"
    )
    assert out.strip() == "the disk is on fire"


@pytest.mark.slow
def test_processors_and_model_classes_import_after_it():
    out = run(
        "from methods.torchvision_compat import ensure_torchvision\nensure_torchvision()\n"
        "from transformers import AutoProcessor, Qwen2VLImageProcessor, Qwen3VLForConditionalGeneration\n"
        "print(Qwen2VLImageProcessor().__class__.__name__)"
    )
    assert out.strip() == "Qwen2VLImageProcessor"
