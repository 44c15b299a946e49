"""Ranks over shared cells, marks, filters, overlap, and no merging of sources."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.entries import Dataset, catalogue, overlap, slug
from leaderboard.links import View
from leaderboard.markup import to_html
from leaderboard.ranking import marks, rank, shared_datasets
from leaderboard.schema import WHOLE, part_of
from leaderboard.tables import table

NAMES = ("a", "b", "c", "d", "e")


def test_ranks_by_hand():
    rows = [{"a": 0.9, "b": 0.5}, {"a": 0.8, "b": 0.8}, {"a": 0.8, "b": 0.7}, {"a": 1.0}]
    ranks = rank(rows, ["a", "b"])
    # On a: 1, 2.5, 2.5; on b: 3, 1, 2. The last row lacks b and is not ranked.
    assert ranks.mean_rank == {0: 2.0, 1: 1.75, 2: 2.25}
    assert ranks.borda == {0: 2.0, 1: 2.5, 2: 1.5}
    assert ranks.position == {1: 1, 0: 2, 2: 3}
    assert ranks.most_points == 4


def test_for_errors_lower_is_better():
    assert rank([{"a": 5.0}, {"a": 7.0}], ["a"], lower_is_better=True).position == {0: 1, 1: 2}
    assert marks({0: 5.0, 1: 7.0}, lower_is_better=True) == {0: 1, 1: 2}


@settings(max_examples=200)
@given(st.lists(st.sets(st.sampled_from(NAMES)).map(frozenset), max_size=9))
def test_the_shared_sets_are_the_largest_block(rows):
    block = shared_datasets(rows, NAMES)
    sizes = {subset: sum(set(subset) <= row for row in rows) * len(subset)
             for r in range(1, 6) for subset in itertools.combinations(NAMES, r)
             if sum(set(subset) <= row for row in rows) >= 2}
    if not sizes:
        assert block == ()
    else:
        assert sizes[block] == max(sizes.values())
        assert len(block) == max(len(subset) for subset, size in sizes.items() if size == sizes[block])


@settings(max_examples=100)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.1, 0.2, 0.3]), max_size=5), max_size=7))
def test_borda_counts_beaten_rows(rows):
    shared = shared_datasets([frozenset(row) for row in rows], NAMES)
    ranks = rank(rows, shared)
    complete = [i for i, row in enumerate(rows) if shared and set(shared) <= set(row)]
    assert sorted(ranks.position) == complete
    for i in complete:
        wins = sum((rows[i][name] > rows[j][name]) + (rows[i][name] == rows[j][name]) / 2
                   for name in shared for j in complete if j != i)
        assert ranks.borda[i] == pytest.approx(wins)


def test_marks_with_ties():
    assert marks({0: 0.9, 1: 0.8, 2: 0.8, 3: 0.7}) == {0: 1, 1: 2, 2: 2}
    assert marks({0: 0.9, 1: 0.9, 2: 0.8}) == {0: 1, 1: 1}
    assert marks({0: 0.9}) == {}


def test_no_published_cell_is_lost_or_merged(board):
    entries = catalogue(board).entries
    cells = sum(len(cells) for entry in entries for cells in entry.cells.values())
    assert cells == len(board.results)
    tres = {entry.paper: entry.cells["srcc"]["spaq"].printed for entry in entries
            if slug(entry.method).startswith("tres") and "koniq-10k" in (entry.training or ())}
    assert tres == {"q-debias": "0.418", "pyiqa": "0.8619"}


def test_the_default_view_leaves_out_aesthetics_and_video(board):
    ranking = table(board)
    assert {dataset.kind for dataset in ranking.datasets}.isdisjoint({"aesthetic", "video"})
    assert "combined:iqarag-4" in {dataset.slug for dataset in ranking.datasets}
    asked = table(board, View(kinds=("aesthetic", "video")))
    assert {dataset.slug for dataset in asked.datasets} >= {"ava", "konvid-1k", "lsvq"}
    assert table(board, View(datasets=("ava",))).datasets[0].slug == "ava"


def test_ranked_rows_have_every_shared_dataset(board):
    for view in (View(), View(training="free"), View(papers=("q-debias",)), View(metric="krcc"),
                 View(rank_on=("siqad", "spaq"))):
        ranking = table(board, view)
        for row in ranking.rows:
            assert (row.position is not None) == (set(ranking.shared) <= set(row.cells) - row.apart)
        assert ranking.ranked == sum(row.position is not None for row in ranking.rows)
        assert f"which {ranking.ranked} rows have" in ranking.sentence
    assert table(board, View(rank_on=("siqad", "spaq"))).shared == ("spaq", "siqad")


def test_results_on_different_images_never_share_a_ranked_column(board):
    for view in (View(), View(methods=("iqarag", "qwen3-vl")), View(datasets=("koniq-10k",)), View(papers=("pyiqa",)),
                 View(metric="plcc", training="free")):
        ranking = table(board, view)
        for name in ranking.shared:
            ranked = [row.cells[name].part for row in ranking.rows if row.position is not None]
            assert set(ranked) <= {ranking.parts[name]}
        for row in ranking.rows:
            assert row.apart == {name for name, cell in row.cells.items() if cell.part != ranking.parts[name]}
            assert not row.apart & set(row.marks)
    # IQARAG's three splits have three test parts.
    parts = {row.cells["spaq"].part for row in table(board, View(papers=("iqarag",))).rows}
    assert parts == {"test part of 1:9", "test part of 1:4", "test part of 3:7"}
    one = table(board, View(papers=("iqarag",), search="ratio=3:7"))
    assert not any(row.apart for row in one.rows)
    assert one.ranked == len(one.rows) == 6
    assert "SPAQ (test part of 3:7)" in one.sentence
    assert "on other images" not in one.sentence
    assert "on other images" in table(board, View(papers=("iqarag",))).sentence


@pytest.mark.parametrize(("protocol", "part"), [
    ("whole set per default config; PLCC without mapping", WHOLE),
    ("whole dataset (10,073 images); two-logit softmax", WHOLE),
    ("whole dataset (1,169 images incl. the 7 training images)", "with the raters' 7 training images"),
    ("cross-dataset zero-shot; the code repo test list has 586 images", WHOLE),
    ("official test split, 512x384 images; PLCC without mapping", "official test split"),
    ("test part of a 1:9 reference:test split; 5-level", "test part of 1:9"),
    ("zero-shot; test subset not stated; PLCC mapping not stated", "part not stated by a-paper"),
    ("", "part not stated by a-paper"),
])
def test_a_protocol_says_which_images(protocol, part):
    assert part_of(protocol, "a-paper") == part


def test_methods_that_see_labels_of_the_test_domain_are_marked(board):
    for row in table(board, View(papers=("iqarag",))).rows:
        assert {cell.labels for cell in row.cells.values()} == {row.entry.method == "IQARAG"}
    leaf = [cell for row in table(board, View(papers=("leaf",))).rows for cell in row.cells.values()]
    assert {cell.labels for cell in leaf} == {True, False}
    assert all(cell.labels == ("calibrated with 0%" not in cell.protocol and "calibrated with" in cell.protocol)
               for cell in leaf)
    hidden = table(board, View(papers=("iqarag",), hide=("in-domain",)))
    assert {row.entry.method for row in hidden.rows if row.cells} == {"Qwen3-VL", "InternVL3.5", "Kimi-VL"}


def test_numbers_sort_as_numbers_and_dashes_stay_last(board):
    for reverse in (False, True):
        rows = table(board, View(sort="siqad", reverse=reverse)).rows
        values = [row.cells["siqad"].value for row in rows if "siqad" in row.cells]
        assert values == sorted(values, reverse=not reverse)
        assert all("siqad" not in row.cells for row in rows[len(values):])
    names = [row.entry.method.casefold() for row in table(board, View(sort="method")).rows]
    assert names == sorted(names)
    covered = [row.covered for row in table(board, View(sort="coverage")).rows]
    assert covered == sorted(covered, reverse=True)


def test_filters(board):
    assert {row.entry.training_free for row in table(board, View(training="free")).rows} == {"true"}
    assert {row.entry.method_slug for row in table(board, View(methods=("iqarag", "q-debias"))).rows} == {
        "iqarag", "q-debias"}
    one = catalogue(board).entries[5]
    assert [row.entry for row in table(board, View(methods=(one.id,))).rows] == [one]
    assert all(row.entry.backbone == "mPLUG-Owl3" for row in table(board, View(backbones=("mplug-owl3",))).rows)
    trained = table(board, View(training_sets=("spaq",))).rows
    assert trained
    assert all("spaq" in row.entry.training for row in trained)
    assert all(row.entry.training is None for row in table(board, View(training_sets=("not-stated",))).rows)
    assert all(row.entry.training == () for row in table(board, View(training_sets=("none",))).rows)
    assert all(row.covered >= 6 for row in table(board, View(cells=6)).rows)
    matches = table(board, View(search="QWEN3-VL-8B 3:7")).rows
    assert {row.entry.method for row in matches} == {"IQARAG", "Qwen3-VL"}
    assert table(board, View(origin="measured", metric="plcc_logistic4", search="no such thing")).rows == ()


def test_overlap_is_flagged_and_can_be_left_out(board):
    ranking = table(board)
    topiq = next(row for row in ranking.rows if row.entry.method == "topiq_nr")
    assert topiq.cells["koniq-10k"].overlap == "yes"
    assert topiq.cells["spaq"].overlap == ""
    hidden = table(board, View(hide=("in-domain", "doubtful")))
    assert not any(cell.overlap or cell.doubtful for row in hidden.rows for cell in row.cells.values())


def test_overlap_knows_parts_and_unclear_sets():
    known = {"part": Dataset("part", "", "", "", related=frozenset({"whole"})), "whole": Dataset("whole", "", "", ""),
             "odd": Dataset("odd", "", "", "", possibly_related=frozenset({"whole"}))}
    assert overlap(("whole",), known["part"], known) == "yes"
    assert overlap(("part",), known["whole"], known) == "yes"
    assert overlap(("whole",), known["odd"], known) == "possible"
    assert overlap((), known["whole"], known) == overlap(None, known["whole"], known) == ""


def test_best_and_second_are_those_of_the_shown_rows(board):
    ranking = table(board, View(methods=("q-debias", "q-bench"), papers=("q-debias",)))
    by_method = {row.entry.label: row for row in ranking.rows}
    full = by_method["Q-Debias (mPLUG-Owl3; four conditional images)"]
    assert full.marks["koniq-10k"] == 1
    assert by_method["Q-Bench (mPLUG-Owl3)"].marks["koniq-10k"] == 2
    assert "siqad" not in full.marks
    assert full.cells["siqad"].doubtful


def test_an_ensemble_of_unnamed_models_has_no_passes_and_no_size(board):
    """LLM-IQA's Table 2 and Figure 5 are its ensemble: Table 3, exp 9 prints the same numbers."""
    entries = [entry for entry in catalogue(board).entries if entry.method == "LLM-IQA" and entry.paper == "llm-iqa"]
    assert len(entries) == 3
    cells = [cell for entry in entries for columns in entry.cells.values() for cell in columns.values()]
    assert len(cells) == 22
    for entry in entries:
        assert (entry.backbone, entry.lmm_passes, entry.parameters) == ("LMM ensemble + SAM2", None, None)
    rows = board.ablations[board.ablations["paper"] == "llm-iqa"]
    for experiment, backbone in (("exp 9:", "LMM ensemble + SAM2"), ("exp 8:", "mPLUG-Owl3 + SAM2")):
        assert set(rows["backbone"][rows["setting"].str.startswith(experiment)]) == {backbone}


def test_weights_of_others_are_trained_on_nothing_that_is_known(board):
    """Of a model that others trained nobody can say that it saw no IQA data."""
    ranking = table(board, View(papers=("iqarag",)))
    assert any(row.entry.training == () and row.entry.backbone for row in ranking.rows)
    about = [line for line in to_html(ranking).splitlines() if "trained on:" in line]
    assert any("trained on: none known" in line for line in about)
    assert not any(line.rstrip('">').endswith("trained on: none") for line in about)
