"""Comparable rows, and places that a paired bootstrap of the predictions gives."""

from __future__ import annotations

import csv
import dataclasses
import itertools

import numpy as np
import pytest

from leaderboard.entries import MEASURED, catalogue
from leaderboard.groups import distinct, group, letters_of
from leaderboard.links import OPENING, View
from leaderboard.markup import to_html
from leaderboard.ranking import shared_datasets
from leaderboard.runs.add import add
from leaderboard.schema import load_board
from leaderboard.tables import table
from methods.agreement import metrics as stats

from .conftest import make_run


def pairs_of(apart):
    return [(i, j) for i, j in itertools.combinations(range(len(apart)), 2) if apart[i, j]]


def matrix(k, pairs):
    apart = np.zeros((k, k), dtype=bool)
    for i, j in pairs:
        apart[i, j] = apart[j, i] = True
    return apart


@pytest.mark.parametrize(("k", "pairs", "letters"), [
    (3, [], ["a", "a", "a"]),
    (3, [(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
    (3, [(0, 2)], ["a", "ab", "b"]),
    (4, [(0, 2), (0, 3), (1, 3)], ["a", "ab", "bc", "c"]),
    (1, [], ["a"]), (0, [], []),
])
def test_letters_by_hand(k, pairs, letters):
    assert letters_of(matrix(k, pairs)) == letters


def test_rows_share_a_letter_exactly_if_they_are_not_told_apart():
    rng = np.random.default_rng(3)
    for k in (2, 4, 6):
        for _ in range(40):
            apart = np.triu(rng.random((k, k)) < 0.5, 1)
            apart = apart | apart.T
            letters = letters_of(apart)
            for i, j in itertools.combinations(range(k), 2):
                assert apart[i, j] == (not set(letters[i]) & set(letters[j]))


def write(folder, name, images, mos, scores):
    (folder / name).mkdir(parents=True)
    with (folder / name / "predictions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "mos", "score"])
        writer.writerows(zip(images, mos, scores))


@pytest.mark.parametrize("metric", ["srcc", "rmse", "plcc_logistic4"])
def test_noise_shares_a_place_and_a_better_row_does_not(tmp_path, metric):
    rng = np.random.default_rng(0)
    n = 200
    mos = rng.uniform(0, 100, n)
    images = [f"{i:03}.webp" for i in range(n)]
    scores = {"sure": mos / 100 + 0.03 * rng.normal(size=n), "one": mos / 100 + 0.4 * rng.normal(size=n),
              "other": mos / 100 + 0.4 * rng.normal(size=n)}
    scores["copy"] = scores["one"].copy()
    runs = {}
    for index, (name, score) in enumerate(scores.items()):
        write(tmp_path, name, images, mos, score)
        runs[index] = name, stats.summary(score, mos, metrics=[metric])[metric].value
    groups = group(runs, metric, tmp_path)
    assert groups.place == {0: 1, 1: 2, 2: 2, 3: 2}
    assert groups.letters == {0: "a", 1: "b", 2: "b", 3: "b"}


def test_only_rows_on_the_same_images_and_opinions_are_grouped(tmp_path):
    images, mos = [f"{i}.png" for i in range(30)], np.arange(30.0)
    write(tmp_path, "a", images, mos, mos)
    write(tmp_path, "b", images, mos + 1, mos)
    write(tmp_path, "c", [f"x{name}" for name in images], mos, mos)
    assert group({0: ("a", 1.0), 1: ("b", 1.0)}, "srcc", tmp_path) is None
    assert group({0: ("a", 1.0), 1: ("c", 1.0)}, "srcc", tmp_path) is None
    assert group({0: ("a", 1.0), 1: ("nowhere", 1.0)}, "srcc", tmp_path) is None
    assert group({0: ("a", 1.0), 1: ("a", 1.0), 2: ("nowhere", 1.0)}, "srcc", tmp_path).letters == {0: "a", 1: "a"}


def test_two_rows_are_told_apart_about_as_the_paired_difference_says():
    rng = np.random.default_rng(1)
    mos = rng.normal(size=150)
    wrong = 0
    for noise in (0.5, 0.7, 0.9, 1.2, 1.6):
        a, b = mos + 0.5 * rng.normal(size=150), mos + noise * rng.normal(size=150)
        gap = stats.paired_difference(a, b, mos)
        draws = np.array([stats.resampled(one, mos) for one in (a, b)])
        wrong += distinct([stats.srcc(a, mos), stats.srcc(b, mos)], draws)[0, 1] != (gap.low > 0 or gap.high < 0)
    assert wrong <= 1


def test_the_opening_view_holds_one_protocol_on_the_same_images_without_models_that_saw_them(board):
    for view in (OPENING, View(rows="comparable", metric="plcc"), View(rows="comparable", training="trained"),
                 View(rows="comparable", papers=("iqarag",)), View(rows="comparable", papers=("pyiqa", "leaf")),
                 View(rows="comparable", papers=("q-realign",))):
        ranked = table(board, view)
        entries = [row.entry for row in ranked.rows]
        assert len({(entry.origin, entry.paper) + (() if entry.origin == MEASURED else (entry.table,))
                    for entry in entries}) == 1
        for row in ranked.rows:
            assert row.apart == frozenset()
            assert row.cells
            assert not any(cell.overlap or cell.labels for cell in row.cells.values())
            assert row.entry.training is not None, "what is not stated may be the tested set"
        assert "Comparable only" in ranked.sentence


def test_no_table_has_a_larger_block_than_the_opening_one(board):
    opening = table(board, OPENING)
    assert {row.entry.origin for row in opening.rows} == {MEASURED}, "measured rows go first where two can be ranked"
    assert opening.ranked >= 2
    board = dataclasses.replace(board, measured=board.measured.iloc[:0])
    ranked = table(board, OPENING)
    size = ranked.ranked * len(ranked.shared)
    assert size > 0
    tables = {(entry.paper, entry.table) for entry in catalogue(board).entries if entry.origin != MEASURED}
    for paper in {paper for paper, _ in tables}:
        other = table(board, View(rows="comparable", papers=(paper,)))
        assert other.ranked * len(other.shared) <= size
    assert ranked.shared == shared_datasets([frozenset(row.cells) for row in ranked.rows],
                                            [dataset.slug for dataset in ranked.datasets])


def test_published_rows_are_not_grouped_by_guess(board):
    ranked = table(board, View(papers=("q-debias",)))
    assert not ranked.shared_places
    assert {row.group for row in ranked.rows} == {""}
    assert "come without predictions" in ranked.sentence


def test_measured_rows_come_first_and_share_a_place(data, tmp_path):
    for index, seed in enumerate((0, 1)):
        # The opinions are the seed's own, so the second run keeps the first one's images only if they are the same.
        run = make_run(tmp_path / f"run{index}", seed=0, variant=f"v{seed}", training_set="kadid-10k")
        add(run, data=data)
    ranked = table(load_board(data), OPENING)
    assert {row.entry.origin for row in ranked.rows} == {MEASURED}
    assert [(row.position, row.group) for row in ranked.rows] == [(1, "a"), (1, "a")]
    assert ranked.shared_places
    assert "measured here" in ranked.sentence
    assert '1<span class="lb-group">a</span>' in to_html(ranked)
