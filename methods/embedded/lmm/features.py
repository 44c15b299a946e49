"""What the tower makes of every shot, computed once and kept on disk.

Blocks 0 to 10 of the tower are as ImageNet left them, so all that training needs of an image is what they hand on:
their pooled activations and the map after block 10, which the later blocks read. Both are written in parts of some
hundred shots under the shots' own keys: an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Middle:
    """What blocks 0 to 10 make of some shots.

    Attributes:
        early: pooled activations, float16 [shots, EARLY_WIDTH].
        parts: maps after block 10, float16 [PART or fewer, MAP_CHANNELS, MAP_SIDE, MAP_SIDE] each, not in memory.
        place: int [shots, 2], the part of each shot and its row there.
    """

    early: np.ndarray
    parts: list[np.ndarray]
    place: np.ndarray

    def maps(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """float16 [rows, MAP_CHANNELS, MAP_SIDE, MAP_SIDE]."""
        return np.stack([self.parts[part][row] for part, row in self.place[np.asarray(rows)]])

    def activations(self, model: EfficientNetModel, batch: int = 32) -> np.ndarray:
        """All that a read-out may read of every shot, with the late blocks of `model`: float16 [shots, 1, WIDTH]."""
        late = [tower.late_activations(model, self.maps(range(start, min(start + batch, len(self.place)))))
                for start in range(0, len(self.place), batch)]
        return np.concatenate([self.early, np.concatenate(late).astype(np.float16)], axis=1)[:, None]

    @classmethod
    def joined(cls, several: Sequence[Middle]) -> Middle:
        """The shots of all of them, in their order."""
        starts = np.cumsum([0, *(len(one.parts) for one in several[:-1])])
        return cls(np.concatenate([one.early for one in several]), [part for one in several for part in one.parts],
                   np.concatenate([one.place + np.array([start, 0]) for one, start in zip(several, starts)]))


_model: list[EfficientNetModel] = []


def middle(shots: Sequence[Shot], model: EfficientNetModel, folder: Path, jobs: int = 1) -> Middle:
    """What blocks 0 to 10 of the tower make of every shot.

    Args:
        model: the fused tower.
        folder: the cache; parts found there are not computed again.
        jobs: processes; each takes one thread.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [shots[start : start + PART] for start in range(0, len(shots), PART)]
    paths = [folder / files.hash_joined(["".join(shot.key for shot in part)])[:20] for part in parts]
    missing = [(part, path) for part, path in zip(parts, paths) if not _map_file(path).exists()]
    tell = steps("Images: ")
    done = len(shots) - sum(len(part) for part, _ in missing)
    tell(done, len(shots))
    _model[:] = [model]
    try:
        # Forked, so that every process has the model.
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:
            for number in pool.map(_write, *zip(*missing)) if missing else ():
                done += number
                tell(done, len(shots))
    finally:
        _model.clear()
    early = [np.load(_early_file(path)) for path in paths]
    place = [(number, row) for number, part in enumerate(parts) for row in range(len(part))]
    return Middle(np.concatenate(early), [np.load(_map_file(path), mmap_mode="r") for path in paths], np.array(place))


def _map_file(path: Path) -> Path:
    return path.with_suffix(".map.npy")


def _early_file(path: Path) -> Path:
    return path.with_suffix(".early.npy")


def _write(shots: Sequence[Shot], path: Path) -> int:
    """Computes one part and writes its two files, the map last; returns the number of its shots."""
    import torch

    torch.set_num_threads(1)
    made = [tower.middle_activations(_model[0], pixel_values([shot.make() for shot in shots[start : start + BATCH]]))
            for start in range(0, len(shots), BATCH)]
    for file_of, column in ((_early_file, 0), (_map_file, 1)):
        with files.replacing(file_of(path)) as partial, partial.open("wb") as file:
            np.save(file, np.concatenate([one[column] for one in made]).astype(np.float16))
    return len(shots)
