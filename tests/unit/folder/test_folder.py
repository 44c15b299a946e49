"""A folder's record beside opinions: orders, agreement, outliers, and what is drawn of it."""

from __future__ import annotations

import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from methods.agreement import plcc, srcc
from methods.data import TableError
from methods.errors import InputError
from ui.folder import drawn
from ui.folder.ratings import agreements, interval_count, read_ratings
from ui.folder.records import CSV_COLUMNS, Cell, Folder, Opinion, Photo
from ui.folder.sheet import COLUMNS, ROWS, write_sheet

NAMES = [f"{number:02d}.png" for number in range(30)]


def photo(name, *moses, rated=None, thumbnail=""):
    cells = tuple(Cell(mos / 100, mos / 100, Opinion(mos, mos - 10, mos + 10), 50.0, 0.1, "m@1") for mos in moses)
    together = Opinion(float(np.mean(moses)), float(np.mean(moses)) - 8, float(np.mean(moses)) + 8)
    return Photo(name, cells, together if len(moses) > 1 else None, thumbnail, rated=rated)


def folder_of(seed=3, noise=(4.0, 25.0)):
    """Thirty photos by two methods, of which the first agrees far better with the ratings."""
    rng = np.random.default_rng(seed)
    rated = np.linspace(20, 80, len(NAMES))
    columns = [np.clip(rated + rng.normal(scale=scale, size=len(rated)), 0, 100) for scale in noise]
    photos = tuple(photo(name, *values[:-1], rated=values[-1]) for name, *values in zip(NAMES, *columns, rated))
    return Folder(("leaf", "q-bench"), len(photos), photos)


def test_the_worst_come_first_and_what_has_no_score_last():
    one = Folder(("leaf",), 3, (photo("b", 60), Photo("broken", error="No picture."), photo("a", 20)))
    assert [each.name for each in one.ordered("worst first")] == ["a", "b", "broken"]
    assert [each.name for each in one.ordered("best first")] == ["b", "a", "broken"]
    assert [each.name for each in one.ordered("as given")] == ["b", "broken", "a"]


def test_methods_are_measured_on_the_ratings_and_told_apart_by_a_paired_test():
    folder = folder_of()
    rows = {one.method: one for one in agreements(folder)}
    rated = [each.rated for each in folder.photos]
    for index, method in enumerate(folder.methods):
        scores = [each.cells[index].score for each in folder.photos]
        assert rows[method].srcc.value == pytest.approx(srcc(scores, rated))
        assert rows[method].plcc.value == pytest.approx(plcc(scores, rated))
        assert rows[method].srcc.low < rows[method].srcc.value < rows[method].srcc.high
    assert rows["leaf"].tied
    assert not rows["q-bench"].tied
    assert set(rows) == {"leaf", "q-bench", "together"}
    text = drawn.agreement_html(folder)
    assert "lower, by a paired bootstrap" in text
    assert "On 30 rated photos" in text


def test_photos_that_one_method_could_not_score_count_for_none():
    folder = folder_of()
    gap = Photo("gap.png", (Cell(0.5, 0.5, Opinion(50, 40, 60)), Cell(error="Too large.")), rated=90.0)
    with_gap = Folder(folder.methods, 31, (*folder.photos, gap))
    assert {one.srcc.n for one in agreements(with_gap)} == {30}
    assert agreements(Folder(("leaf",), 2, (photo("a", 10, rated=10), photo("b", 20, rated=20)))) == []


def test_what_a_method_was_trained_on_measures_nothing():
    folder = folder_of()
    photos = tuple(dataclasses.replace(one, learnt_by=("leaf",) if index < 10 else ())
                   for index, one in enumerate(folder.photos))
    known = Folder(folder.methods, 30, photos)
    assert {one.srcc.n for one in agreements(known)} == {20}
    assert known.training_photos() == (10, ["leaf"])
    assert "10 rated photos are left out here" in drawn.agreement_html(known)
    assert len(drawn.scatter(known).data[1].x) == 20


def test_the_outlier_is_the_photo_whose_places_lie_furthest_apart():
    photos = [*(photo(f"{mos}.png", mos, rated=float(mos)) for mos in range(10, 90, 10)),
              photo("odd.png", 85, rated=5.0)]
    folder = Folder(("leaf",), len(photos), tuple(photos))
    assert drawn.outliers(folder)[0].name == "odd.png"
    assert folder.ordered("furthest from the ratings")[0].name == "odd.png"
    assert interval_count(folder) == (8, 9)
    assert "expected 85, rated 5" in drawn.outliers_html(folder)
    figure = drawn.scatter(folder)
    assert (figure.data[-1].x[0], figure.data[-1].y[0], figure.data[-1].text[0]) == (85, 5, "1")


def test_a_photo_s_row_shows_opinion_interval_every_method_and_the_rating():
    folder = Folder(("leaf", "q-bench"), 1, (photo("a<b.png", 30, 50, rated=44.0),))
    text = drawn.list_html(folder, "worst first")
    assert "a&lt;b.png" in text
    assert "<strong>40</strong>" in text
    assert "left:32.0%;width:16.0%" in text
    assert re.findall(r'each">(\d+)<', text) == ["30", "50"]
    assert ">44</td>" in text
    broken = drawn.list_html(Folder(("leaf",), 1, (Photo("x", error="No <picture>."),)), "as given")
    assert "No &lt;picture&gt;." in broken


def test_what_nobody_has_measured_is_drawn_as_raw_scores():
    photos = tuple(Photo(f"{score}", (Cell(score, score),)) for score in (0.2, 0.31, 0.33, 0.9))
    folder = Folder(("q-bench",), 4, photos)
    text = drawn.list_html(folder, "worst first")
    assert "raw score" in text
    assert "nine of ten" not in text
    figure = drawn.histogram(folder)
    assert sum(figure.data[0].y) == 4
    assert figure.data[0].y[6] == 2, "0.31 and 0.33 fall into the same twentieth"
    assert "raw score of Q-Bench" in figure.layout.xaxis.title.text


def test_records_have_a_row_for_each_method_and_one_for_all_together():
    rows = [dict(zip(CSV_COLUMNS, row)) for row in Folder(("leaf", "q-bench"), 2, (
        photo("a", 30, 50, rated=44.0), Photo("b", error="No picture."))).records()]
    assert [(row["path"], row["method"], row["mos"], row["rated"]) for row in rows] == [
        ("a", "leaf", "30.00", "44.00"), ("a", "q-bench", "50.00", "44.00"), ("a", "together", "40.00", "44.00"),
        ("b", "", "", "")]
    assert rows[-1]["error"] == "No picture."
    assert all(len(row) == len(CSV_COLUMNS) for row in rows)


def test_ratings_are_read_by_the_rules_of_tables(tmp_path):
    table = tmp_path / "scores.csv"
    table.write_text("image,dmos\na.png,10\nb.png,90\nc.png,50\n")
    ratings, notes = read_ratings(table, ["in/a.png", "b.png", "c.png", "unrated.png"])
    assert ratings == pytest.approx({"in/a.png": 90, "b.png": 10, "c.png": 50})
    assert any("lower is better" in note for note in notes)
    assert read_ratings(table, ["a.png", "b.png", "c.png"], lower_is_better=False)[0]["a.png"] == pytest.approx(10)
    with pytest.raises(InputError, match=r"Two photos are named a\.png"):
        read_ratings(table, ["x/a.png", "y/a.png", "b.png"])
    with pytest.raises(TableError, match="3 are needed"):
        read_ratings(table, ["a.png", "b.png"])
    table.write_text("image,mos\na.png,10\na.png,90\nb.png,5\nc.png,5\n")
    with pytest.raises(TableError, match="line 2 and in line 3"):
        read_ratings(table, ["a.png", "b.png", "c.png"])


def test_a_contact_sheet_has_every_photo_on_as_many_pages_as_it_takes(tmp_path):
    path = tmp_path / "small.webp"
    Image.new("RGB", (60, 40), (200, 30, 30)).save(path)
    count = COLUMNS * ROWS + 1
    folder = Folder(("leaf",), count, tuple(photo(f"{n}.png", n, rated=float(n), thumbnail=str(path))
                                            for n in range(count)))
    target = io.BytesIO()
    write_sheet(folder, target, "worst first")
    content = target.getvalue()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 2
    assert len(re.findall(rb"/Subtype /Image", content)) == count
