"""Links restore their view exactly, are canonical, and never fail."""

from __future__ import annotations

import csv
from dataclasses import fields, replace
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leaderboard import links
from leaderboard.entries import catalogue
from leaderboard.links import View, decode, encode
from leaderboard.schema import METRICS, load_board

BOARD = load_board()
KNOWN = catalogue(BOARD).vocabulary


def some(values):
    return st.lists(st.sampled_from(sorted(values)), max_size=4).map(tuple)


VIEWS = st.builds(
    View, metric=st.sampled_from(sorted(METRICS)), datasets=some(KNOWN["datasets"]), methods=some(KNOWN["methods"]),
    papers=some(KNOWN["papers"]), backbones=some(KNOWN["backbones"]), training_sets=some(KNOWN["training_sets"]),
    kinds=some(KNOWN["kinds"]), training=st.sampled_from(links.TRAINING), origin=st.sampled_from(links.ORIGINS),
    rows=st.sampled_from(links.ROWS),
    hide=some(links.HIDE), search=st.text(max_size=120), cells=st.integers(1, links.MAX_CELLS),
    rank_on=some(KNOWN["datasets"]), sort=st.sampled_from(["rank", "method", "coverage", *KNOWN["datasets"]]),
    reverse=st.booleans(), figure=st.sampled_from(links.FIGURES), axis=st.sampled_from(links.AXES),
    ablation=st.sampled_from(["", *links.ablations(BOARD)]), without=some(links.COLUMNS),
    row=st.sampled_from(["", *BOARD.measured["run"].unique()]),
)


@settings(max_examples=200)
@given(VIEWS)
@example(View(search="a,b&c=d#e?f%20+ †"))
@example(View(search="\ud800 lone"))
@pytest.mark.slow
def test_a_link_restores_its_view_exactly(view):
    link = encode(view, board=BOARD, base="https://example.org/app/")
    assert decode(link, board=BOARD) == (view, (), BOARD.revision)
    assert decode(urlsplit(link).query, board=BOARD).view == view
    assert link.isascii()
    assert " " not in link


@settings(max_examples=100)
@given(VIEWS, st.randoms())
def test_equal_views_have_equal_links(view, random):
    changes = {}
    for spec in fields(View):
        value = getattr(view, spec.name)
        if isinstance(value, tuple) and value:
            shuffled = list(value) * 2
            random.shuffle(shuffled)
            changes[spec.name] = tuple(shuffled)
    same = replace(view, **changes)
    assert same == view
    assert encode(same, board=BOARD) == encode(view, board=BOARD)


@settings(max_examples=150)
@given(st.one_of(st.text(max_size=300), st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=6),
                 st.dictionaries(st.sampled_from([*links._FIELDS, "rev", "tab"]), st.text(max_size=40), max_size=8)))
@example("?d=%FF%00&m=%ud800&cells=٣")
@example("https://[broken?tab=leaderboard")
@example("?" + "a=1&" * 100)
def test_any_text_gives_a_view_that_can_be_linked(link):
    restored = decode(link, board=BOARD)
    again = decode(encode(restored.view, board=BOARD), board=BOARD)
    assert again.view == restored.view
    assert not again.notes


def test_a_link_without_a_choice_of_rows_shows_all_as_it_always_did():
    assert decode("?tab=leaderboard&d=spaq&rev=3", board=BOARD).view.rows == "all"
    assert encode(links.OPENING, board=BOARD) == f"?tab=leaderboard&show=comparable&costs=1&rev={BOARD.revision}"


def test_columns_that_are_left_out_are_in_the_link_and_those_that_are_not_there_are_named():
    view = View(costs=True, without=("memory", "rank"))
    assert encode(view, board=BOARD, revision="") == "?tab=leaderboard&costs=1&without=memory,rank"
    assert view.columns == ["coverage", "parameters", "weights", "passes", "seconds", "hardware", "licence", "released",
                            "link"]
    assert View().columns == ["rank", "coverage"]
    restored = decode("?without=memory,colour&row=nobody", board=BOARD)
    assert restored.view == View(without=("memory",))
    assert [note.split(" here")[0] for note in restored.notes] == ["There is no column 'colour'",
                                                                  "There is no measured row 'nobody'"]


def test_the_default_link_is_short():
    assert encode(View(), board=BOARD) == f"?tab=leaderboard&rev={BOARD.revision}"


def test_unknown_values_are_named_and_ignored():
    link = "?tab=leaderboard&d=konic-10k,spaq&metric=ssim&zap=1&cells=0x2&m=nothing&__theme=dark"
    restored = decode(link, board=BOARD)
    assert restored.view == View(datasets=("spaq",))
    text = " ".join(restored.notes)
    assert "no dataset 'konic-10k' here; it was ignored (did you mean 'koniq-10k'?)" in text
    assert "no metric 'ssim'" in text
    assert "'zap' is not part of a leaderboard link" in text
    assert "'0x2' is no value for 'cells'" in text
    assert "no method 'nothing'" in text
    assert "theme" not in text
    assert len(restored.notes) == 5


def test_an_old_revision_says_so(data):
    with (data / "revisions.csv").open("a", newline="") as stream:
        csv.writer(stream).writerow(["9", "2027-01-02", "0" * 12, 1402, 636, 10, "more"])
    board = load_board(data)
    old = decode("?rev=1", board=board)
    assert "made with data revision 1" in old.notes[0]
    assert "revision 9 of 2027-01-02 (+110 results since)" in old.notes[0]
    assert decode("?rev=9", board=board).notes == ()
    assert "There is no data revision '5' here; revision 9 is shown." in decode("?rev=5", board=board).notes


def test_an_endless_link_gives_the_default_view():
    restored = decode("?q=" + "x" * 10_000, board=BOARD)
    assert restored.view == View()
    assert "longer than" in restored.notes[0]


def test_row_ids_are_unique_and_do_not_depend_on_other_rows(data):
    everything = [entry.id for entry in catalogue(BOARD).entries]
    assert len(set(everything)) == len(everything)
    ids = [entry.id for entry in catalogue(load_board(data)).entries]
    assert set(ids) <= set(everything)
    lines = (data / "published.csv").read_text("utf-8").splitlines(keepends=True)
    (data / "published.csv").write_text("".join([lines[0], *lines[:0:-1]]), "utf-8")
    assert {entry.id for entry in catalogue(load_board(data)).entries} == set(ids)


@pytest.mark.parametrize("search", ["  a   b ", "a\tb\n", "a\x00b"])
def test_a_search_is_one_clean_line(search):
    assert View(search=search).search == "a b"
