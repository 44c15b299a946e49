"""The tower's pooled activations of every shot, computed once and kept on disk.

The tower is frozen, so its activations are the only thing that training needs of the images. They are written in
parts of a few hundred shots under the shots' own keys: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from methods import files
from methods.cli.progress import steps
from methods.embedded.lmm import tower
from methods.embedded.lmm.recipe import Shot

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from transformers import EfficientNetModel

PART = 160
BATCH = 8

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, as the tower was trained."""


def pixel_values(images: Sequence[Image.Image]) -> torch.Tensor:
    """PIL images of one size as the tower wants them: float32 tensor [n, 3, height, width]."""
    import torch

    pixels = np.stack([np.asarray(image, dtype=np.float32) for image in images]) / 255
    pixels = (pixels - np.float32(MEAN)) / np.float32(STD)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))


def activations(shots: Sequence[Shot], model: EfficientNetModel, folder: Path) -> np.ndarray:
    """Pooled activations of every shot.

    Args:
        model: the fused tower.
        folder: the cache; parts found there are not computed again.

    Returns:
        float16 [shots, tokens, WIDTH], in the order of `shots`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [shots[start : start + PART] for start in range(0, len(shots), PART)]
    grids = np.empty((len(shots), tower.GRID**2, tower.WIDTH), np.float16)
    tell = steps("Activations: ")
    tell(0, len(shots))
    for number, part in enumerate(parts):
        keys = "".join(shot.key for shot in part)
        path = folder / f"{files.hash_joined([keys])[:20]}.npy"
        if not path.exists():
            part_grids = _compute(part, model)
            with files.replacing(path) as partial, partial.open("wb") as file:
                np.save(file, part_grids)  # given a name without .npy, it would add one
        grids[number * PART : number * PART + len(part)] = np.load(path)
        tell(number * PART + len(part), len(shots))
    return grids


def _compute(shots: Sequence[Shot], model: EfficientNetModel) -> np.ndarray:
    grids = []
    with ThreadPoolExecutor(1) as pool:
        batches = [shots[start : start + BATCH] for start in range(0, len(shots), BATCH)]
        ready = pool.submit(_load, batches[0])
        for following in [*batches[1:], None]:
            pixels = ready.result()
            if following is not None:
                ready = pool.submit(_load, following)
            grids.append(tower.pooled_activations(model, pixels).astype(np.float16))
    return np.concatenate(grids)


def _load(shots: Sequence[Shot]) -> torch.Tensor:
    return pixel_values([shot.make() for shot in shots])
