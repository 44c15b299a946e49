"""Tiny checkpoints, built once per session, and pictures of several sizes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.lmm.transformers_lmm import TransformersLMM
from methods.torchvision_compat import ensure_torchvision
from tests import tiny_lmm

ensure_torchvision()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """`checkpoint("llava")` is the folder of that family's tiny checkpoint."""
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(family):
        path = root / family
        return path if path.exists() else tiny_lmm.build(family, path, image_budget=6)

    return folder


@pytest.fixture(scope="session")
def tiny(checkpoint):
    """`tiny("llava")` is that family's tiny model, shared by the session's tests; its vision cache is emptied."""
    loaded = {}

    def lmm(family):
        if family not in loaded:
            loaded[family] = TransformersLMM(checkpoint(family), device="cpu", dtype="float32")
        loaded[family].vision.clear()
        return loaded[family]

    return lmm


@pytest.fixture(scope="session")
def pictures():
    """Five RGB pictures: wide, tall, square, large and again wide, of smooth colour with some noise."""
    rng = np.random.default_rng(7)

    def picture(height, width):
        coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=float)
        return Image.fromarray(np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8))

    return [picture(*size) for size in ((48, 80), (90, 40), (40, 40), (130, 120), (48, 80))]
