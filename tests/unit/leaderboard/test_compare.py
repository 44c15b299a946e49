"""`compare`: pairing by picture, what is refused, and a difference with the right sign and interval."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from leaderboard.__main__ import main
from leaderboard.predictions import Prediction, RunError, read_predictions
from leaderboard.runs.compare import compare, same_images
from leaderboard.runs.contents import Contents
from leaderboard.runs.folder import RunFolder
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
    comparison = compare(rows(good, mos), shuffled)
    gap = comparison.differences["srcc"]
    assert (comparison.n, comparison.only_a, comparison.only_b) == (120, 0, 0)
    assert gap.a == pytest.approx(stats.srcc(good, mos))
    assert gap.b == pytest.approx(stats.srcc(poor, mos))
    assert gap.value == pytest.approx(gap.a - gap.b)
    assert 0 < gap.low < gap.value < gap.high
    assert comparison.differences["rmse"].value < 0


def test_a_run_does_not_differ_from_itself(opinions):
    mos, good, _ = opinions
    gap = compare(rows(good, mos), rows(good, mos), metrics=["srcc"]).differences["srcc"]
    assert (gap.value, gap.low, gap.high, gap.p) == (0, 0, 0, 1)


def test_only_pictures_that_both_scored_count(opinions):
    mos, good, poor = opinions
    a, b = rows(good, mos)[:100], rows(poor, mos)[20:]
    b[0] = Prediction(b[0].image, b[0].mos, None, None, None, "broken")
    comparison = compare(a, b, metrics=["plcc"])
    assert (comparison.n, comparison.only_a, comparison.only_b) == (79, 21, 20)
    assert comparison.differences["plcc"].a == pytest.approx(stats.plcc(good[21:100], mos[21:100]))


def test_a_constant_score_has_no_difference_but_a_reason(opinions):
    mos, good, _ = opinions
    comparison = compare(rows(good, mos), rows(np.ones(120), mos), metrics=["srcc"])
    assert "undefined" in comparison.differences["srcc"]


def test_the_command_prints_a_table_or_json(opinions, tmp_path, capsys):
    mos, good, poor = opinions
    a, b = save(tmp_path / "a", rows(good, mos)), save(tmp_path / "b", rows(poor, mos)[:90])
    assert main(["compare", a, b]) == 0
    output = capsys.readouterr()
    assert "90 shared images" in output.out
    assert " *" in next(line for line in output.out.splitlines() if line.startswith("srcc"))
    assert "Left out: 30 images" in output.err
    assert main(["compare", a, f"{b}/predictions.csv", "--json", "--metric", "krcc"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["n"] == 90
    assert list(record["differences"]) == ["krcc"]


def test_what_cannot_be_compared_is_said(opinions, tmp_path, capsys):
    mos, good, _ = opinions
    a = save(tmp_path / "a", rows(good, mos))
    assert main(["compare", a, save(tmp_path / "b", rows(good, mos, first=500))]) == 2
    assert "0 scored images in common" in capsys.readouterr().err
    assert main(["compare", a, save(tmp_path / "c", rows(good, mos * 2))]) == 2
    assert "opinions of 120 shared images differ" in capsys.readouterr().err
    assert main(["compare", a, str(tmp_path / "nothing")]) == 2
    assert "name the folder of a run" in capsys.readouterr().err
    assert main(["compare", a, a, "--metric", "ssim"]) == 2
    assert "no metric 'ssim'" in capsys.readouterr().err


def test_a_last_row_without_its_line_end_counts(opinions, tmp_path):
    mos, good, poor = opinions
    a, b = save(tmp_path / "a", rows(good, mos)), save(tmp_path / "b", rows(poor, mos))
    for folder in (a, b):
        file = Path(folder) / "predictions.csv"
        file.write_bytes(file.read_bytes().rstrip(b"\n"))
    assert compare(read_predictions(a), read_predictions(b), metrics=["srcc"]).n == 120
    # A byte order mark, as spreadsheets leave it, and the file by its own name.
    file = Path(a) / "predictions.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert compare(read_predictions(file), read_predictions(b), metrics=["srcc"]).n == 120
    assert main(["compare", str(file), str(Path(b) / "predictions.csv"), "--samples", "50"]) == 0


def test_beside_a_writing_run_half_a_row_is_passed_over(opinions, tmp_path):
    mos, good, _ = opinions
    folder = save(tmp_path / "a", rows(good, mos))
    file = Path(folder) / "predictions.csv"
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    with RunFolder(folder):
        assert len(read_predictions(folder)) == 119
    assert len(read_predictions(folder)) == 120


def test_half_a_row_is_passed_over_in_a_run_and_refused_elsewhere(opinions, tmp_path):
    mos, good, _ = opinions
    folder = save(tmp_path / "a", rows(good, mos))
    file = Path(folder) / "predictions.csv"
    with file.open("ab") as stream:
        stream.write(b"121.png,3.5,0.7")
    with pytest.raises(RunError, match="line 122 has 3 cells, the first line 6"):
        read_predictions(folder)  # No run.json: nothing says that a kill did it.
    (Path(folder) / "run.json").write_text("{}")
    assert len(read_predictions(folder)) == 120


def test_opinions_that_agree_to_a_millionth_are_the_same(opinions):
    mos, good, poor = opinions
    nearly = [Prediction(row.image, row.mos * (1 + 5e-7), row.score, row.native_score, 0.1) for row in rows(poor, mos)]
    assert compare(rows(good, mos), nearly, metrics=["srcc"]).n == 120
    apart = [Prediction(row.image, row.mos + 1e-4, row.score, row.native_score, 0.1) for row in rows(poor, mos)]
    with pytest.raises(ValueError, match="opinions of 120 shared"):
        compare(rows(good, mos), apart)


def test_runs_on_different_images_of_the_same_names_are_refused(opinions, tmp_path):
    mos, good, poor = opinions
    folders = [save(tmp_path / name, rows(scores, mos)) for name, scores in (("a", good), ("b", poor))]
    for name, folder in zip("ab", folders):
        image = tmp_path / f"{name}.png"
        image.write_bytes(name.encode())
        Contents(folder).record({"0.png": image})
    with pytest.raises(ValueError, match=r"1 shared image has another content in each run, '0\.png'"):
        same_images(*folders)
    assert main(["compare", *folders]) != 0
