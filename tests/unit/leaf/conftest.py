"""A folder of pictures whose quality is known: one scene, blurred and noised in steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.leaf.student import Student
from methods.synthesis.distortions import distort, level_mos


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], np.ndarray]:
    """24 pictures of 96x120 and their opinion scores in [0, 1]."""
    folder = tmp_path_factory.mktemp("rated")
    rng = np.random.default_rng(4)
    paths, scores = [], []
    for scene in range(3):
        base = np.kron(rng.integers(0, 256, (12, 15, 3)), np.ones((8, 8, 1)))
        base = np.clip(base + rng.normal(0, 10, base.shape), 0, 255).astype(np.uint8)
        for name in ("GBLUR", "AWGN"):
            for level in (1, 2, 4, 5):
                path = folder / f"{scene}-{name}-{level}.png"
                Image.fromarray(distort(base, name, level, rng=scene)).save(path)
                paths.append(path)
                scores.append(level_mos(name, level))
    return paths, np.array(scores)


@pytest.fixture(scope="session")
def student() -> Student:
    return Student.load()


@pytest.fixture(scope="session")
def features(rated: tuple, student: Student) -> np.ndarray:
    return student.features(rated[0])
