"""Fixtures for the whole suite."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]

LONGEST_FIRST = (
    "e2e/test_leaderboard.py", "e2e/test_access.py", "package/test_documents_run.py", "e2e/test_score.py",
    "soak/test_soak.py", "e2e/test_compare.py", "unit/leaderboard/test_evaluate_ray.py",
    "unit/leaderboard/test_miniature.py", "e2e/test_leaf.py", "e2e/test_address.py", "e2e/test_visualquality_r1.py",
    "package/test_wheel.py", "e2e/test_leaderboard_look.py", "zerogpu/test_zerogpu.py", "unit/test_gpu_benchmark.py",
    "unit/visualquality_r1/test_training.py", "unit/leaderboard/test_evaluate_kill.py", "unit/leaf/test_student.py",
    "unit/lmm/test_padding.py", "unit/visualquality_r1/test_precision.py", "unit/llm_iqa/test_sam2.py",
    "unit/embedded/test_embedded_lmm.py", "unit/lmm/test_memory.py", "unit/leaf/test_teacher_and_cli.py",
    "e2e/test_visit.py", "unit/leaderboard/test_schema.py", "e2e/test_leaderboard_submit.py",
    "unit/q_debias/test_distortions.py", "unit/lmm/test_pixels.py",
)
"""Files of ten seconds and more, so that no worker is left with one of them while the others have nothing to do."""

# No example may take a time, and the same ones are tried on every machine. HYPOTHESIS_PROFILE=default looks for others.
settings.register_profile("mean-opinion", deadline=None, derandomize=True, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "mean-opinion"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {REPOSITORY / "tests" / name: place for place, name in enumerate(LONGEST_FIRST)}
    assert not (missing := [path for path in places if not path.is_file()]), f"LONGEST_FIRST names {missing}"
    items.sort(key=lambda item: places.get(item.path, len(places)))


# What the imports leave stays until the end. Without this every search for garbage walks through all of it again, which
# took a sixth of the unit tests' time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def shared_folder() -> Path:
    return Path(os.environ.get("MEAN_OPINION_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development pictures and opinion scores, which the project does not ship."""
    folder = shared_folder() / "data"
    if not folder.is_dir():
        pytest.skip("the development data is not here (set MEAN_OPINION_SHARED to the folder that holds data/)")
    return folder
