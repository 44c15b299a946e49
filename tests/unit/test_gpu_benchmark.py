"""The benchmark for GPUs on a tiny model: it runs on a CPU, goes on where it was killed, and sees no wasted work."""

import json
import sys

import pytest

from benchmarks import gpu


def run(monkeypatch, out, *more):
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "--photo", "128x96", "--counts", "2,mixed", "--repeats", "1",
                                      "--out", str(out), *more])
    monkeypatch.setattr(gpu, "commit", lambda: "0123456789abcdef")
    gpu.main()
    (path,) = out.glob("gpu-cpu-tiny.json")
    return json.loads(path.read_text())


@pytest.mark.slow
def test_it_measures_each_method_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    first = run(monkeypatch, tmp_path, "--only", "q-bench,iqarag,visualquality-r1")
    rows = [row for rows in first["methods"].values() for row in rows]
    assert [row["photos"] for row in rows] == ["2 of 128x96", "8 mixed, up to 128x96"] * 3
    for row in rows:
        assert row["ms"] > 0
        assert row["naive"] > 0
        # Nothing is encoded twice, and hardly a token computed that another pass had.
        assert row["patches"] == row["floor_patches"] > 0
        assert row["floor_tokens"] <= row["tokens"] <= 1.3 * row["floor_tokens"]
        assert 1 <= row["floor"] <= 1.3
        assert row["padding"] <= 0.1
    assert set(first["step_ms"]) == {"1", "6"}
    both = run(monkeypatch, tmp_path, "--only", "q-bench,leaf")
    assert both["methods"]["q-bench"] == first["methods"]["q-bench"]
    assert "tokens" not in both["methods"]["leaf"][0]
    text = (tmp_path / "gpu-cpu-tiny.md").read_text()
    assert text in capsys.readouterr().out
    assert "| leaf | 2 of 128x96 |" in text
    none = run(monkeypatch, tmp_path, "--only", "q-debias", "--budget-seconds", "0")
    assert "q-debias" not in none["methods"]


@pytest.mark.slow
def test_a_method_that_runs_out_of_time_keeps_its_rows_and_is_gone_on_with(tmp_path, monkeypatch):
    times = iter([0.0, 0.0, 0.0])
    monkeypatch.setattr(gpu, "clock", lambda: next(times, 9.0))
    first = run(monkeypatch, tmp_path, "--only", "q-bench", "--repeats", "0", "--budget-seconds", "5")
    assert [row["photos"] for row in first["methods"]["q-bench"]] == ["2 of 128x96"]
    assert "| q-bench | 2 of 128x96 |" in (tmp_path / "gpu-cpu-tiny.md").read_text()
    monkeypatch.undo()
    both = run(monkeypatch, tmp_path, "--only", "q-bench", "--repeats", "0", "--budget-seconds", "5000")
    assert [row["photos"] for row in both["methods"]["q-bench"]] == ["2 of 128x96", "8 mixed, up to 128x96"]
    # What was counted before is not counted again, and counts alone have no times.
    assert both["methods"]["q-bench"][0] == first["methods"]["q-bench"][0]
    assert "ms" not in both["methods"]["q-bench"][1]
