"""A copy of the data to change, and a finished run with known numbers."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

from leaderboard import revisions
from leaderboard.schema import DATA, load_board
from methods.agreement import metrics as stats


@pytest.fixture(scope="session")
def board():
    return load_board()


@pytest.fixture
def data(tmp_path):
    """The published data alone, as revision 1."""
    folder = tmp_path / "data"
    shutil.copytree(DATA, folder, ignore=shutil.ignore_patterns(revisions.HISTORY))
    for name in ("measured", "revisions"):
        header = (folder / f"{name}.csv").read_text("utf-8").splitlines()[0]
        (folder / f"{name}.csv").write_text(f"{header}\n", "utf-8")
    revisions.record(folder, "2026-01-01", "published results")
    return folder


def make_run(folder, *, n=40, seed=0, failed=1, **provenance):
    """Writes a valid run and returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    mos = np.round(rng.uniform(0, 100, n), 3)
    score = np.round(np.clip(mos / 100 + 0.1 * rng.normal(size=n), 0, 1), 6)
    with (folder / "predictions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "mos", "score", "seconds", "error"])
        writer.writerows([f"{i:03}.webp", mos[i], score[i], 0.1, ""] for i in range(n))
        writer.writerows([f"{n + i:03}.webp", 50, "", "", "This file is not an image."] for i in range(failed))
    metrics = {name: one.to_dict() for name, one in stats.summary(score, mos).items()}
    metrics["provenance"] = {
        "method": "q-bench", "options": {"temperature": 1.0}, "lmm": "embedded", "lmm_revision": "abc123",
        "dataset": "live-challenge-dev", "split": "test", "command": "mean-opinion evaluate ...",
        "commit": "e45be4c", "seed": 0, "date": "2026-01-31", "n_images": n + failed, "n_failed": failed,
        "versions": {"python": "3.11"}, "training_set": "live-challenge-dev", **provenance}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")
