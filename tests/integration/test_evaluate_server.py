"""A run through a server that dies in the middle: no row is lost or spoilt, and the same command goes on."""

from __future__ import annotations

import pytest
from PIL import Image

from leaderboard.__main__ import main
from leaderboard.runs.evaluation import load_run
from methods.lmm.loading import unload
from methods.lmm.server import http as server_http
from tests.fake_server import MODEL, FakeServer, digest
from tests.unit.leaderboard.test_evaluate import make_pictures


def evaluate(data, out, server) -> int:
    unload()
    return main(["evaluate", "--method", "q-bench", "--lmm", f"server:{server.url}?patience=0.5#{MODEL}", "--images",
                 str(data[0]), "--scores", str(data[1]), "--out", str(out), "--batch-size", "4"])


@pytest.fixture
def data(tmp_path):
    return make_pictures(tmp_path / "set", 20)


def test_a_server_that_dies_ends_the_run_and_a_new_one_finishes_it(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(server_http, "_FIRST_PAUSE", 0.02)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with FakeServer() as server:
        assert evaluate(data, whole, server) == 0
    with FakeServer() as server:
        # Ten requests are answered, whatever comes after finds nobody.
        server.faults.extend([None] * 10 + ["cut"] * 10_000)
        assert evaluate(data, broken, server) == 1
    errors = capsys.readouterr().err
    assert "check that it runs" in errors
    rows = load_run(broken)
    assert len(rows) == 8
    assert not any(row.error for row in rows)
    assert not (broken / "metrics.json").exists()
    with FakeServer() as server:  # on another port, as a scheduler would place it
        assert evaluate(data, broken, server) == 0
    assert [row.cells()[:4] for row in load_run(broken)] == [row.cells()[:4] for row in load_run(whole)]


def test_a_picture_that_the_server_refuses_is_a_row(data, tmp_path):
    with FakeServer() as server:
        server.refused = digest(Image.open(data[0] / "006.png"))
        assert evaluate(data, tmp_path / "run", server) == 0
    assert [row.image for row in load_run(tmp_path / "run") if row.error] == ["006.png"]
    assert "too long" in load_run(tmp_path / "run")[6].error
