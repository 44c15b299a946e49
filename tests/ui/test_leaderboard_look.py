"""What the page shows of a measured row, without a browser."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import fields
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from leaderboard.details import contrast, details
from leaderboard.links import COLUMNS, View, decode, encode
from leaderboard.markup import rows_html, to_html
from leaderboard.schema import load_board
from leaderboard.tables import table
from methods.errors import InputError
from tests.ui.plain_http import post
from ui.tabs.leaderboard import look
from ui.tabs.leaderboard.tab import _paired
from ui.tabs.leaderboard.view import Controls, changed, values_of

RUN = "leaf_trained-on-biq2021_live-challenge-dev_all_2026-11-27"
OTHER = "q-debias_embedded_live-challenge-dev_all_2026-11-28"
ELSEWHERE = "leaf_biq2021_test_2026-11-27"


@pytest.fixture(scope="module")
def board():
    return load_board()


def by_hand(view):
    """The view of somebody who sets every control, one after the other, to what this view says."""
    chosen = View()
    for spec, value in zip(fields(Controls), values_of(view), strict=True):
        chosen = changed(chosen, spec.name, value)
    return chosen


def test_every_control_changes_its_part_of_the_view():
    view = View(metric="plcc", datasets=("spaq",), methods=("leaf",), papers=("leaf",), backbones=("qwen",),
                training_sets=("koniq-10k",), kinds=("authentic",), training="free", origin="measured",
                rows="comparable", hide=("doubtful",), search="two words", cells=3, rank_on=("spaq",), costs=True,
                without=("link", "rank"), figure="cost", axis="memory", ablation="a:b", row=RUN, inside="residuals",
                beside=OTHER)
    assert by_hand(view) == view
    for name in ("ablation", "beside", "datasets", "hide"):
        assert getattr(changed(view, name, None), name) == getattr(View(), name), "a dropdown without a choice"


def test_every_measured_row_and_no_other_can_be_looked_into(board):
    ranked = table(board)
    html = to_html(ranked)
    measured = [row.entry.provenance["run"] for row in ranked.rows if row.entry.provenance]
    assert re.findall(r'data-look="([^"]+)"', html) == re.findall(r'<tr data-row="([^"]+)"', html) == measured
    assert len(measured) == board.measured["run"].nunique()
    for run in measured:
        assert look.of_run(run, "scatter", "", narrow=False)[0] == run


def test_the_panel_holds_the_runs_images_and_offers_rows_on_the_same_ones(board):
    inside = details(board, RUN)
    run, kind, others, _, heading, figure, worst, facts, images, file, *both = look.of_run(
        RUN, "residuals", "", narrow=True)
    assert (run, kind, others.value) == (RUN, "residuals", None)
    assert both[0].visible is False
    assert "LEAF (trained on BIQ2021) on LIVE-C dev" in heading
    assert list(figure.data[0].y) == list(inside.images["residual"])
    assert [row[0] for row in images] == list(inside.images["image"])
    assert all(len(row) == len(look.COLUMNS) for row in images)
    with open(file, newline="", encoding="utf-8") as table_file:
        assert [float(row["score"]) for row in csv.DictReader(table_file)] == list(inside.images["score"])
    assert "<em>not recorded</em>" in facts
    assert "mean-opinion evaluate --method leaf" in facts
    runs = [value for _, value in others.choices]
    assert OTHER in runs
    assert not {RUN, ELSEWHERE} & set(runs)
    assert worst.count("<figure>") == 8


def test_only_photos_of_the_reference_set_are_shown(board):
    ships = {path.name for path in look.PHOTOS.glob("*.webp")}
    for run, most in ((RUN, 8), (ELSEWHERE, 0)):
        inside = details(board, run)
        html = look.worst_html(inside)
        allowed = [name for name in inside.outliers["image"] if most and name in ships]
        assert re.findall(r'alt="The photo ([^"]+)"', html) == allowed
        assert html.count("lb-no-photo") == 8 - len(allowed)
        assert f"{8 - len(allowed)} of these 8 photos do not ship" in html


def test_a_difference_names_its_rows_and_photos(board):
    both = contrast(details(board, RUN), details(board, OTHER), "plcc")
    text = look.difference_html(both, look.labels(board))
    assert "Against Q-Debias (embedded) on LIVE-C dev" in text
    assert f"difference {both.difference.value:+.4f}" in text
    assert look.deciding_html(both, "live-challenge-dev").count("<figure>") == 12


@pytest.mark.parametrize("without", [(), ("rank",), ("coverage", "hardware", "link"), COLUMNS])
@pytest.mark.parametrize("costs", [False, True])
def test_the_table_has_the_chosen_columns_in_every_row(board, costs, without):
    ranked = table(board, View(rows="comparable", costs=costs, without=without))
    html = to_html(ranked)
    head, *body = re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    width = 1 + len(ranked.datasets) + len(ranked.view.columns)
    assert head.count("<th ") == width
    assert {row.count("<td ") for row in body} == {width - 1}
    assert {row.count("<th ") for row in body} == {1}
    assert ("lb-rank" in body[0], "lb-cover" in body[0]) == ("rank" not in without, "coverage" not in without)
    assert ('data-sort="seconds"' in head) == ("seconds" in ranked.view.columns)
    assert by_hand(ranked.view) == ranked.view


def test_a_run_that_is_not_there_is_a_sentence():
    with pytest.raises(InputError, match="no measured run"):
        look.of_run("../../etc", "scatter", "", narrow=False)


def test_a_link_brings_the_row_beside_and_the_figure():
    view = View(row=RUN, inside="calibration", beside=OTHER)
    link = encode(view)
    assert f"row={RUN}&inside=calibration&beside={OTHER}&rev=" in link
    assert decode(link).view == view
    assert _paired(decode(link)).view == view
    _, _, others, *drawn = look.of_run(RUN, "calibration", OTHER, narrow=False)
    assert others.value == OTHER
    sentence = drawn[-3]
    assert sentence == look.of_two(RUN, OTHER, "srcc", narrow=False)[1]
    assert "Q-Debias" in sentence
    assert View(inside="calibration", beside=OTHER) == View(), "without a row there is no figure of it"
    assert View(row=RUN, beside=RUN) == View(row=RUN)


def test_a_link_cannot_put_a_row_beside_one_on_other_images():
    restored = _paired(decode(encode(View(row=RUN, beside=ELSEWHERE))))
    assert restored.view == View(row=RUN)
    assert restored.notes == (f"{RUN} and {ELSEWHERE} have 0 scored images in common; at least 5 are needed.",)


def test_the_page_gets_the_rows_that_it_asks_for(app_url, board):
    page = json.load(urlopen(f"{app_url}/config", timeout=60))
    component = next(one["id"] for one in page["components"] if one["props"].get("elem_id") == "leaderboard-table")

    def asked(*data):
        return post(f"{app_url}/gradio_api/component_server", {
            "data": list(data), "component_id": component, "fn_name": "more_rows", "session_hash": "rows"})

    view = View(training="free")
    query, whole = encode(view, board=board), table(board, view)
    rows = asked(query, 30, 33)
    titles = dict(zip(board.papers["slug"], board.papers["title"]))
    assert rows == rows_html(whole, titles, 30, 33)
    assert rows.count("<tr") == 3
    assert asked(query, len(whole.rows), len(whole.rows) + 300) == ""
    for wrong in ((query, -1, 5), (query, "0", 5), (query, 0, 301), (query, 5, 3), (query, 0), ("x" * 9000, 0, 5)):
        with pytest.raises(HTTPError) as error:
            asked(*wrong)
        assert error.value.code == 422
        assert json.load(error.value)["detail"] == (
            "Rows are asked for by the query of a link and two whole numbers, at most 300 at once.")
