"""`compare`: pairing by picture, what is refused, and a difference with the right sign and interval."""

from __future__ import annotations

import json

import numpy as np
import pytest

from leaderboard.__main__ import main
from leaderboard.runs.compare import compare
from leaderboard.runs.folder import Prediction, RunFolder
from methods.agreement import metrics as stats


def rows(scores, mos, first: int = 0) -> list[Prediction]:
    return [Prediction(f"{first + number}.png", float(value), float(score), float(score), 0.1)
            for number, (score, value) in enumerate(zip(scores, mos))]


@pytest.fixture
def opinions():
    rng = np.random.default_rng(3)
    mos = rng.uniform(1, 5, 120)
    return mos, mos + rng.normal(0, 0.5, 120), mos + rng.normal(0, 2.0, 120)


def save(folder, predictions):
    with RunFolder(folder) as run:
        run.append(predictions)
    return str(folder)


def test_pairs_by_picture_whatever_the_order(opinions):
    mos, good, poor = opinions
    shuffled = [rows(poor, mos)[place] for place in np.random.default_rng(1).permutation(120)]
    found = compare(rows(good, mos), shuffled)
    gap = found.differences["srcc"]
    assert (found.n, found.only_a, found.only_b) == (120, 0, 0)
    assert gap.a == pytest.approx(stats.srcc(good, mos))
    assert gap.b == pytest.approx(stats.srcc(poor, mos))
    assert gap.value == pytest.approx(gap.a - gap.b)
    assert 0 < gap.low < gap.value < gap.high
    assert found.differences["rmse"].value < 0


def test_a_run_does_not_differ_from_itself(opinions):
    mos, good, _ = opinions
    gap = compare(rows(good, mos), rows(good, mos), metrics=["srcc"]).differences["srcc"]
    assert (gap.value, gap.low, gap.high, gap.p) == (0, 0, 0, 1)


def test_only_pictures_that_both_scored_count(opinions):
    mos, good, poor = opinions
    a, b = rows(good, mos)[:100], rows(poor, mos)[20:]
    b[0] = Prediction(b[0].image, b[0].mos, None, None, None, "broken")
    found = compare(a, b, metrics=["plcc"])
    assert (found.n, found.only_a, found.only_b) == (79, 21, 20)
    assert found.differences["plcc"].a == pytest.approx(stats.plcc(good[21:100], mos[21:100]))


def test_a_constant_score_has_no_difference_but_a_reason(opinions):
    mos, good, _ = opinions
    found = compare(rows(good, mos), rows(np.ones(120), mos), metrics=["srcc"])
    assert "undefined" in found.differences["srcc"]


def test_the_command_prints_a_table_or_json(opinions, tmp_path, capsys):
    mos, good, poor = opinions
    a, b = save(tmp_path / "a", rows(good, mos)), save(tmp_path / "b", rows(poor, mos)[:90])
    assert main(["compare", a, b]) == 0
    told = capsys.readouterr()
    assert "90 shared pictures" in told.out
    assert " *" in next(line for line in told.out.splitlines() if line.startswith("srcc"))
    assert "Left out: 30 images" in told.err
    assert main(["compare", a, f"{b}/predictions.csv", "--json", "--metric", "krcc"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 90
    assert list(found["differences"]) == ["krcc"]


def test_what_cannot_be_compared_is_said(opinions, tmp_path, capsys):
    mos, good, _ = opinions
    a = save(tmp_path / "a", rows(good, mos))
    assert main(["compare", a, save(tmp_path / "b", rows(good, mos, first=500))]) == 2
    assert "0 scored pictures in common" in capsys.readouterr().err
    assert main(["compare", a, save(tmp_path / "c", rows(good, mos * 2))]) == 2
    assert "opinions of 120 shared pictures differ" in capsys.readouterr().err
    assert main(["compare", a, str(tmp_path / "nothing")]) == 2
    assert "name the folder of a run" in capsys.readouterr().err
    assert main(["compare", a, a, "--metric", "ssim"]) == 2
    assert "no metric 'ssim'" in capsys.readouterr().err
