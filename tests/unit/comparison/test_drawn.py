"""Tables, figures and cards: they hold the record's numbers and nothing that a file name smuggles in."""

from __future__ import annotations

import csv
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from tests.unit.comparison.made import compared
from tests.unit.sharing.made import picture
from ui.comparison.card import write_card
from ui.comparison.figures import agreement_matrix, dots, preference_matrix
from ui.comparison.records import Cell
from ui.comparison.tables import to_csv, to_html
from ui.share.entry import copy_for_sharing

EVIL = '<img src=x onerror="alert(1)">&amp;'


def renamed(made, name):
    return dataclasses.replace(made, pictures=tuple(dataclasses.replace(one, name=name) for one in made.pictures))


@pytest.mark.parametrize("table", [[[0.5, 0.6]], [[0.5], [0.6]], [[0.5, 0.6], [0.7, None]]])
def test_names_and_errors_are_escaped_wherever_they_stand(table):
    made = renamed(compared(table), EVIL)
    made = made.with_cell(Cell(0, 0, error=EVIL)) if len(made.cells) < made.total else made
    page = to_html(made) + dots(made).to_json()
    for figure in (preference_matrix(made), agreement_matrix(made)):
        page += "" if figure is None else figure.to_json()
    assert "<img src=x" not in page


def test_the_table_shows_what_is_done_what_runs_and_what_failed():
    made = compared([[0.5, None, 0.25]])
    made = dataclasses.replace(made, cells=made.cells[1:])
    page = to_html(made, (0, 0))
    assert "scoring …" in page
    assert "The model failed." in page
    assert "<strong>0.250</strong>" in page
    assert "0.50 s" in page


def test_the_table_is_sorted_best_first():
    page = to_html(compared([[0.2, 0.9, 0.5]]))
    assert page.index("LEAF") < page.index("Q-Debias") < page.index("Q-Bench")


def test_the_csv_has_a_line_a_cell_and_runs_no_formula():
    made = renamed(compared([[0.5, None]]), "=HYPERLINK(1)")
    rows = list(csv.DictReader(io.StringIO(to_csv(made))))
    assert [row["score"] for row in rows] == ["0.500000", ""]
    assert rows[1]["error"] == "The model failed."
    assert rows[0]["picture"] == "'=HYPERLINK(1)"
    assert float(rows[0]["spread_high"]) == pytest.approx(0.6)


@pytest.mark.parametrize("table", [[[0.5, 0.6]], [[0.5], [0.6], [0.1]], [[0.5, 0.6], [0.7, None]]])
def test_figures_are_transparent_and_hold_every_score(table):
    made = compared(table)
    figure = dots(made)
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    values = [value for trace in figure.data if "markers" in trace.mode for value in trace.x]
    assert sorted(values) == sorted(cell.score for cell in made.scored)


def test_intervals_of_opinions_are_drawn_and_spreads_are_not():
    figure = dots(compared([[0.5, 0.05]], error=15))
    bars = [trace for trace in figure.data if trace.mode == "lines"]
    ends = sorted(value for trace in bars for value in trace.x if value is not None)
    assert ends == pytest.approx([0, 20, 35, 65])
    assert "nine of ten" in figure.layout.xaxis.title.text
    page = to_html(compared([[0.5, 0.05]], error=15))
    assert "left:35.0%;width:30.0%" in page
    assert "<strong>50</strong>" in page
    raw = compared([[0.5, 0.05]])
    assert not [trace for trace in dots(raw).data if trace.mode == "lines"]
    assert "<i style" not in to_html(raw)
    assert "not all of these methods are calibrated" in to_html(raw)


def test_the_matrix_is_ordered_best_first():
    figure = preference_matrix(compared([[0.1], [0.9], [0.5]], error=20))
    assert list(figure.layout.yaxis.ticktext) == ["photo 1", "photo 2", "photo 0"]
    assert figure.data[0].z[0][1] > 0.9
    assert figure.data[0].text[0] == ["", "> 99%", "> 99%"]
    assert preference_matrix(compared([[0.1, 0.2]])) is None
    assert agreement_matrix(compared([[0.1, 0.2]])) is None


def test_nothing_scored_draws_nothing():
    assert dots(compared([[None, None]])) is None


@pytest.mark.parametrize(("table", "error"), [([[0.5, 0.6, 0.7]], 20), ([[0.5, 0.6], [0.7, None]], None)])
def test_cards_are_pictures_and_pdfs(tmp_path, table, error):
    made = renamed(compared(table, error), "prix $5_a$ 写真")
    copies = [copy_for_sharing(picture(index)) for index in range(len(table))]
    write_card(made, copies, tmp_path / "card.png", link="https://example.org/?share=" + "a" * 26)
    write_card(made, copies, tmp_path / "card.pdf")
    image = np.asarray(Image.open(tmp_path / "card.png").convert("RGB"))
    assert image.shape[1] == 1600
    assert (image[:, :2] == 255).all(), "nothing runs over the edge"
    assert (image[:, -2:] == 255).all()
    assert (tmp_path / "card.pdf").read_bytes().startswith(b"%PDF")
