"""`evaluate --ray` on this machine: an actor is killed in the middle, and the numbers equal those of one process."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from leaderboard.__main__ import main
from leaderboard.runs.evaluation import load_run
from tests import tiny_lmm
from tests.unit.leaderboard.test_evaluate import make_pictures


@pytest.fixture
def checkpoint(tmp_path):
    return tiny_lmm.build("fast_vlm", tmp_path / "tiny")


def evaluate(data, out, lmm, *more: str) -> int:
    return main(["evaluate", "--method", "q-bench", "--lmm", str(lmm), "--images", str(data[0]), "--scores",
                 str(data[1]), "--out", str(out), "--batch-size", "2", *more])


def kill_an_actor(out, killed: list[int], done: threading.Event) -> None:
    """kill -9 for one actor among this process's descendants, once the first rows are there."""
    import psutil

    while not done.wait(0.01):
        if not (out / "predictions.csv").exists():
            continue
        for process in psutil.Process().children(recursive=True):
            try:
                name = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if "MapWorker" in name:
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
                return


@pytest.mark.slow
def test_two_actors_of_which_one_is_killed_give_the_predictions_of_one_process(tmp_path, checkpoint, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed (pip install -r requirements-ray.txt)")
    pytest.importorskip("psutil", reason="finding Ray's processes needs psutil")
    import torch

    # Ray lets its workers give way to everything else, which on a busy machine means to wait for minutes.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    data = make_pictures(tmp_path / "set", 150)
    (data[0] / "005.png").write_bytes(b"broken")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert evaluate(data, tmp_path / "one", checkpoint) == 0
    finally:
        torch.set_num_threads(threads)
    killed: list[int] = []
    done = threading.Event()
    killer = threading.Thread(target=kill_an_actor, args=(tmp_path / "two", killed, done))
    killer.start()
    try:
        assert evaluate(data, tmp_path / "two", checkpoint, "--ray", "--actors", "2") == 0
    finally:
        done.set()
        killer.join()
    assert killed, "no actor was found to kill"
    one, two = ({row.image: row.cells()[:4] + row.cells()[5:] for row in load_run(tmp_path / name)}
                for name in ("one", "two"))
    assert two == one
    assert len(two) == 150
    assert sum(bool(cells[-1]) for cells in two.values()) == 1


def test_without_ray_a_sentence_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    data = make_pictures(tmp_path / "set", 3)
    assert evaluate(data, tmp_path / "run", "embedded", "--ray") == 2
    assert "pip install -r requirements-ray.txt" in capsys.readouterr().err
