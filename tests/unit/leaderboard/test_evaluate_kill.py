"""kill -9 at random moments, ten times: the rows that come out equal those of a run that nobody disturbed."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.leaderboard.test_evaluate import make_pictures

REPOSITORY = Path(__file__).resolve().parents[3]
KILLS = 10


def command(data, out) -> list[str]:
    return [sys.executable, "-m", "tests.unit.leaderboard.quick", "evaluate", "--method", "quick", "--images",
            str(data[0]), "--scores", str(data[1]), "--out", str(out), "--batch-size", "3"]


def rows(out: Path) -> list[tuple[str, ...]]:
    with (out / "predictions.csv").open(newline="") as file:
        return [tuple(row[name] for name in ("image", "mos", "score", "native_score", "error"))
                for row in csv.DictReader(file)]


def start(data, out, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(command(data, out), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_equals_one_that_is_not(tmp_path):
    data = make_pictures(tmp_path / "set", 120)
    (data[0] / "017.png").write_bytes(b"broken")
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert start(data, undisturbed).wait() == 0
    rng = random.Random(20)
    grown = []
    # No start gets far: seven stall after nine pictures and three die within thirteen rows, so work is always left.
    for kill in range(KILLS):
        if kill % 3 == 2:
            # Anywhere, from the interpreter's start on.
            process = start(data, disturbed, QUICK_PAUSE="0.05", QUICK_STALL="9")
            time.sleep(rng.uniform(0, 2.5))
            process.kill()
        elif kill % 3 == 1:
            # Inside a write: the line that was being written is torn.
            process = start(data, disturbed, QUICK_TEAR=str(rng.randrange(1, 700)))
        else:
            process = start(data, disturbed, QUICK_PAUSE="0.02", QUICK_STALL="9")
            before = len(rows(disturbed)) if (disturbed / "predictions.csv").exists() else 0
            deadline = time.monotonic() + 120
            # At a moment somewhere in the rows that this start adds.
            while time.monotonic() < deadline and process.poll() is None and (
                    not (disturbed / "predictions.csv").exists() or len(rows(disturbed)) <= before):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.15))
            process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        grown.append((disturbed / "predictions.csv").stat().st_size)
    assert len(rows(disturbed)) < 120, "every kill has to strike before the end"
    assert grown[0] > 0
    last = start(data, disturbed)
    _, errors = last.communicate()
    assert last.returncode == 0, errors.decode()
    assert b"have been scored before" in errors
    assert sorted(rows(disturbed)) == sorted(rows(undisturbed))
    assert len({row[0] for row in rows(disturbed)}) == 120
    assert (disturbed / "metrics.json").is_file()


@pytest.mark.slow
def test_a_lock_dies_with_its_process(tmp_path):
    data = make_pictures(tmp_path / "set", 60)
    out = tmp_path / "run"
    first = start(data, out, QUICK_STALL="9")
    deadline = time.monotonic() + 120
    while not (out / "predictions.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    second = start(data, out)
    _, errors = second.communicate()
    assert second.returncode == 2
    assert f"process {first.pid} on".encode() in errors
    first.kill()
    first.communicate()
    assert start(data, out).wait() == 0
    assert len(rows(out)) == 60
