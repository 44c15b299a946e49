"""A measured row from the inside, by numbers that can be worked out."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.details import NOT_RECORDED, contrast, details, read_details, same_images
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
    told = read_details(make_run(tmp_path / "run", hardware="a machine", peak_memory_gib=1.234), "run")
    assert dict(told.facts)["Hardware"] == "a machine"
    assert dict(told.facts)["Peak memory, GiB"] == "1.23"


@pytest.mark.parametrize("metric", ["srcc", "plcc", "rmse"])
def test_two_rows_differ_by_the_shares_of_their_images(shipped, board, metric):
    other = details(board, "leaf_live-challenge-dev_all_2026-11-27")
    both = contrast(other, shipped, metric)
    assert both.images["share"].sum() == pytest.approx(both.difference.value, abs=1e-9)
    assert both.difference.n == 399
    assert both.difference.low > 0 if metric != "rmse" else both.difference.high < 0
    assert f"{other.run} is better by more than chance" in both.sentence
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
