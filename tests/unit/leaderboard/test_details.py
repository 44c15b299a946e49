"""A measured row from the inside, by numbers that can be worked out."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from leaderboard.__main__ import main
from leaderboard.details import NOT_RECORDED, contrast, details, read_details, same_images
from leaderboard.figures import details as figures
from leaderboard.figures.style import NARROW_LINE
from leaderboard.links import INSIDE
from leaderboard.runs.add import add
from leaderboard.schema import load_board
from methods.errors import InputError

from .conftest import make_run


@pytest.fixture
def shipped(board):
    return details(board, "leaf_trained-on-biq2021_live-challenge-dev_all_2026-11-27")


def test_expected_opinions_are_of_images_that_the_fit_has_not_seen(tmp_path):
    inside = read_details(make_run(tmp_path / "run", n=200, failed=2), "run", "0-100")
    assert inside.scale == (0, 100)
    assert inside.failed == ("200.webp", "201.webp")
    images = inside.images
    assert (images["residual"] == images["expected"] - images["mos"]).all()
    assert set(images["seconds"]) == {0.1}
    # The scores are the opinions with noise of 10 points.
    assert 7 < np.sqrt((images["residual"] ** 2).mean()) < 14
    assert list(inside.outliers["residual"].abs()) == sorted(images["residual"].abs(), reverse=True)[:8]


def test_a_calibrated_row_lies_on_the_diagonal_and_pulls_extremes_to_the_middle(shipped):
    assert shipped.calibrated
    assert sum(part.n for part in shipped.calibration) == len(shipped.images) == 399
    assert all(part.y_low - 3 <= part.x <= part.y_high + 3 for part in shipped.calibration)
    assert [part.x for part in shipped.calibration] == sorted(part.x for part in shipped.calibration)
    worst, *_, best = shipped.by_quality
    assert worst.y > 5, "bad photos are judged too kindly by whoever is not sure"
    assert best.y < -3
    for part in shipped.by_quality:
        inside = shipped.images[shipped.images["mos"].between(part.low, part.high)]
        assert inside["residual"].mean() == pytest.approx(part.y, abs=0.7)  # equal opinions may lie in two parts


def test_too_few_images_have_no_expected_opinion(tmp_path):
    inside = read_details(make_run(tmp_path / "run", n=40), "run")
    assert not inside.calibrated
    assert inside.outliers.empty
    assert inside.calibration == inside.by_quality == ()


def test_what_a_run_did_not_record_is_said(shipped, tmp_path):
    facts = dict(shipped.facts)
    assert facts["Hardware"] == NOT_RECORDED
    assert facts["Command"].startswith("mean-opinion evaluate --method leaf --student embedded-biq2021")
    assert facts["Seed"] == "0"
    assert float(facts["Seconds per image"]) > 0
    details = read_details(make_run(tmp_path / "run", hardware="a machine", peak_memory_gib=1.234), "run")
    assert dict(details.facts)["Hardware"] == "a machine"
    assert dict(details.facts)["Peak memory, GiB"] == "1.23"


@pytest.mark.parametrize("metric", ["srcc", "plcc", "rmse"])
def test_two_rows_differ_by_the_shares_of_their_images(shipped, board, metric):
    other = details(board, "leaf_live-challenge-dev_all_2026-11-27")
    both = contrast(other, shipped, metric)
    assert both.images["share"].sum() == pytest.approx(both.difference.value, abs=1e-9)
    assert both.difference.n == 399
    assert both.difference.low > 0 if metric != "rmse" else both.difference.high < 0
    assert f"{other.run} is better by more than chance" in both.sentence()
    size = both.images["share"].abs()
    assert list(size) == sorted(size, reverse=True)
    assert len(both.deciding) == 12
    assert other.run not in same_images(board, other.run)
    assert shipped.run in same_images(board, other.run)


def test_rows_that_cannot_be_compared_or_found_are_sentences(board, data, tmp_path):
    first, second = (read_details(make_run(tmp_path / f"run{seed}", n=60, seed=seed), f"run{seed}") for seed in (0, 1))
    with pytest.raises(InputError, match=r"opinions of 60 shared images differ, '000\.webp' first"):
        contrast(first, second)
    with pytest.raises(InputError, match=r"no measured run 'leaf_all'"):
        details(board, "leaf_all")
    name, _ = add(make_run(tmp_path / "run"), data=data, submissions=tmp_path / "elsewhere")
    with pytest.raises(InputError, match="are not kept here"):
        details(load_board(data), name)


@pytest.mark.parametrize("kind", INSIDE)
def test_a_phone_has_room_for_titles_and_names(shipped, kind):
    figure = figures.draw(shipped, kind, narrow=True)
    for text in (figure.layout.title.text, figure.layout.xaxis.title.text):
        assert max(map(len, text.split("<br>"))) <= NARROW_LINE + 1
    if len(figure.data) > 1:
        assert figure.layout.legend.entrywidth >= 7 * max(len(trace.name) for trace in figure.data)


def test_figures_hold_the_rows_numbers(shipped, board, tmp_path):
    drawn = figures.draw(shipped, "scatter")
    traces = {trace.name: trace for trace in drawn.data}
    assert list(traces["images"].y) == list(shipped.images["mos"])
    assert [point[0] for point in traces["largest errors"].customdata] == list(shipped.outliers["image"])
    assert list(figures.draw(shipped, "calibration").data[1].y) == [part.y for part in shipped.calibration]
    drawn = figures.draw(shipped, "residuals", narrow=True)
    assert list(drawn.data[0].y) == list(shipped.images["residual"])
    assert list(drawn.data[1].x) == [part.x for part in shipped.by_quality]
    few = read_details(make_run(tmp_path / "few", n=30), "few")
    assert "too few images" in figures.draw(few, "residuals").layout.annotations[0].text.replace("<br>", " ")
    assert [trace.name for trace in figures.draw(few, "scatter").data] == ["images"]
    both = contrast(details(board, "leaf_live-challenge-dev_all_2026-11-27"), shipped, "rmse")
    drawn = figures.deciding(both)
    assert sorted([*drawn.data[0].x, *drawn.data[1].x]) == sorted(both.deciding["share"])
    assert all(share < 0 for share in drawn.data[0].x), "less error speaks for the first"


def test_inspect_prints_and_writes_what_the_page_shows(shipped, tmp_path, capsys):
    assert main(["inspect", shipped.run, "--write", str(tmp_path / "all.csv"), "--figures", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "399 images scored, 0 failed; opinions from 0 to 100" in printed
    assert shipped.outliers["image"].iloc[0] in printed
    rows = list(csv.DictReader((tmp_path / "all.csv").open(newline="")))
    assert [float(row["expected"]) for row in rows] == pytest.approx(list(shipped.images["expected"]))
    assert all((tmp_path / f"{kind}.svg").stat().st_size > 10_000 for kind in INSIDE)
    run = make_run(tmp_path / "run, mine", n=60, failed=1)
    assert main(["inspect", str(run), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["n"], record["failed"], record["facts"]["Hardware"]) == (60, ["060.webp"], NOT_RECORDED)
    assert sum(part["n"] for part in record["by_quality"]) == 60
    assert main(["inspect", "nothing"]) == 2
    assert "no measured run and no folder" in capsys.readouterr().err


def test_compare_names_the_images_that_decide(shipped, capsys):
    other = "leaf_live-challenge-dev_all_2026-11-27"
    assert main(["compare", other, shipped.run, "--metric", "srcc", "--deciding", "3", "--samples", "20"]) == 0
    printed = capsys.readouterr().out
    assert "images that decide srcc" in printed
    assert main(["compare", other, shipped.run, "--json", "--deciding", "399", "--samples", "20"]) == 0
    record = json.loads(capsys.readouterr().out)
    for metric, shares in record["deciding"].items():
        assert sum(share for _, share in shares) == pytest.approx(record["differences"][metric]["value"], abs=1e-9)
