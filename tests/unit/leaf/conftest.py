"""A folder of pictures whose quality is known: one scene, blurred and noised in steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from methods.leaf.student import Student
from tests.rated_pictures import draw


@pytest.fixture(scope="session")
def rated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], np.ndarray]:
    """24 pictures of 96x120 and their opinion scores in [0, 1]."""
    scores = draw(tmp_path_factory.mktemp("rated"))
    return list(scores), np.array(list(scores.values()))


@pytest.fixture(scope="session")
def student() -> Student:
    return Student.load()


@pytest.fixture(scope="session")
def features(rated: tuple, student: Student) -> np.ndarray:
    return student.features(rated[0])
