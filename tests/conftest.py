"""Fixtures for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def shared_folder() -> Path:
    return Path(os.environ.get("MEAN_OPINION_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development pictures and opinion scores, which the project does not ship."""
    folder = shared_folder() / "data"
    if not folder.is_dir():
        pytest.skip("the development data is not here (set MEAN_OPINION_SHARED to the folder that holds data/)")
    return folder
