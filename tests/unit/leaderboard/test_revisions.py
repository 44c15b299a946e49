"""Every data revision from the first kept one on opens as it was, and a link shows the data that it was made with."""

from __future__ import annotations

import csv
import gzip
import json

import pytest

from leaderboard import revisions
from leaderboard.check import check
from leaderboard.links import View, board_of, decode, encode
from leaderboard.schema import DATA, SchemaError, load_board
from leaderboard.tables import table


def changed(data, old: str, new: str) -> None:
    path = data / "published.csv"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def first_value(board) -> str:
    return board.published["printed"].iloc[0]


def test_every_kept_revision_of_the_shipped_data_opens():
    newest = load_board()
    kept = revisions.revision_names()
    assert kept[-1] == newest.revision, "the newest is kept: mean-opinion check --record"
    lines = {row["revision"]: row for row in newest.revisions.to_dict("records")}
    for name in kept:
        board = revisions.at(name, newest)
        assert board.revision == name
        assert len(board.published) == int(lines[name]["published"])
        assert len(board.measured) == int(lines[name]["measured"])
        assert board.folder == newest.folder


def test_no_revision_after_the_first_kept_one_of_this_scheme_is_missing():
    names = [int(name) for name in load_board().revisions["revision"]]
    kept = {int(name) for name in revisions.revision_names()}
    assert {name for name in names if name >= 38} <= kept


def test_what_was_recorded_opens_after_the_data_has_changed(data):
    before = load_board(data)
    value = first_value(before)
    changed(data, f",{value},", ",0.1234,")
    assert revisions.record(data, "2026-02-02", "a number") == "2"
    newest = load_board(data)
    assert first_value(newest) == "0.1234"
    assert first_value(revisions.at("1", newest)) == value
    assert revisions.at("1", newest).revision_date == "2026-01-01"
    assert revisions.at("2", newest) is newest
    assert revisions.at("3", newest) is None
    texts = sorted(path.name for path in (data / revisions.HISTORY).glob("*.csv.gz"))
    assert len(texts) == 8, "seven tables, and the one that changed once more"


def test_a_link_shows_the_data_that_it_was_made_with(data):
    old = load_board(data)
    view = View(datasets=("spaq",))
    link = encode(view, board=old)
    value = next(row.cells["spaq"].printed for row in table(old, view).rows)
    changed(data, f",spaq,srcc,{value},", ",spaq,srcc,0.0007,")
    revisions.record(data, "2026-02-02", "a number")
    newest = load_board(data)
    board = board_of(link, newest)
    assert board.revision == "1"
    assert value in [row.cells["spaq"].printed for row in table(board, view).rows]
    restored = decode(link, board=board)
    assert restored.view == view
    assert "You see data revision 1 of 2026-01-01" in restored.notes[0]
    assert "the newest is 2 of 2026-02-02" in restored.notes[0]
    assert encode(view, board=board) == link, "a choice stays with the revision"
    assert board_of("?tab=leaderboard", newest) is newest
    assert decode(encode(view, board=newest), board=newest).notes == ()


def test_what_is_not_kept_is_said(data):
    with (data / "revisions.csv").open("a", newline="") as stream:
        csv.writer(stream).writerow(["2", "2027-01-02", "0" * 12, 1402, 636, 10, "more"])
    (data / revisions.HISTORY / "1.json").unlink()
    board = load_board(data)
    assert board_of("?rev=1", board) is board
    assert "revision 1 of 2026-01-01, which is not kept; you see revision 2" in decode("?rev=1", board=board).notes[0]


def test_damage_is_refused(data):
    value = first_value(load_board(data))
    changed(data, f",{value},", ",0.1234,")
    revisions.record(data, "2026-02-02", "a number")
    stored = revisions._stored(data, "papers", json.loads(
        (data / revisions.HISTORY / "1.json").read_text())["papers"])
    stored.write_bytes(gzip.compress(gzip.decompress(stored.read_bytes()).replace(b"2025", b"2024", 1)))
    with pytest.raises(SchemaError, match="revision 1 is damaged"):
        revisions.at("1", load_board(data))


def test_check_names_a_newest_revision_that_is_not_kept(data):
    (data / revisions.HISTORY / "1.json").unlink()
    assert any("revision 1 are not kept" in problem for problem in check(data, data.parent / "submissions"))
    revisions.record(data, "2026-02-02", "as before")
    assert not any("not kept" in problem for problem in check(data, data.parent / "submissions"))


def test_the_history_stays_small():
    size = sum(path.stat().st_size for path in (DATA / revisions.HISTORY).iterdir())
    assert size < 20_000 * len(revisions.revision_names())
