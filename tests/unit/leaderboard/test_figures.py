"""Figures hold the table's numbers, say why when they cannot, and save without a browser."""

from __future__ import annotations

import io
import re

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from leaderboard.figures import draw
from leaderboard.figures.static import render
from leaderboard.figures.style import MOST_ROWS
from leaderboard.links import FIGURES, View, ablations
from leaderboard.pairs import pairs
from leaderboard.runs.add import add
from leaderboard.schema import load_board
from leaderboard.tables import table


def said(figure: go.Figure) -> str:
    return " ".join(note.text.replace("<br>", " ") for note in figure.layout.annotations)


@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_is_transparent_and_drawn(board, kind):
    figure = draw(board, View(figure=kind))
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert len(figure.data) >= 1
    assert said(figure) == ""


def test_dots_are_the_tables_numbers(board):
    view = View(papers=("q-debias",))
    ranked, figure = table(board, view), draw(board, view)
    for trace, name in zip(figure.data, ranked.shared):
        assert list(trace.x) == [row.cells[name].value for row in ranked.rows if name in row.cells]
    whole = draw(board, View())
    assert len(whole.layout.yaxis.categoryarray) == MOST_ROWS
    assert {label for trace in whole.data for label in trace.y} == set(whole.layout.yaxis.categoryarray), (
        "a row on other images has no dot, and no line either")


def test_intervals_are_drawn_where_known(data, run, tmp_path):
    add(run, data=data, submissions=tmp_path / "submissions")
    board = load_board(data)
    view = View(origin="measured")
    cell = table(board, view).rows[0].cells["live-challenge-dev"]
    trace = draw(board, view).data[0]
    assert trace.x[0] + trace.error_x.array[0] == pytest.approx(cell.high)
    assert trace.x[0] - trace.error_x.arrayminus[0] == pytest.approx(cell.low)
    assert draw(board, View(origin="published")).data[0].error_x.array is None


def test_heat_map_says_what_is_on_other_images(board):
    figure, ranked = draw(board, View(figure="heat")), table(board, View())
    apart = sum(len(row.apart) for row in ranked.rows[:MOST_ROWS])
    assert sum(text.endswith(" §") for row in figure.data[0].text for text in row) == apart > 0
    assert "§ on other images" in figure.layout.title.text
    assert "§" not in draw(board, View(papers=("q-debias",), figure="heat")).layout.title.text


def test_heat_map_keeps_holes(board):
    view = View(papers=("q-debias",), figure="heat")
    ranked, trace = table(board, view), draw(board, view).data[0]
    holes = sum(value is None for row in trace.z for value in row)
    assert holes == sum(len(trace.x) - row.covered for row in ranked.rows)
    assert holes > 0


def test_radar_of_up_to_five_on_common_ground(board):
    figure = draw(board, View(figure="radar", methods=("iqarag",), search="1:9"))
    assert len(figure.data) == 3
    assert all(len(trace.r) == len(figure.data[0].r) for trace in figure.data)
    assert "three datasets" in said(draw(board, View(figure="radar", datasets=("spaq",))))
    # The three splits have different test images.
    assert "tested on the same images" in said(draw(board, View(figure="radar", methods=("iqarag",))))


def test_the_numbers_of_a_radar_are_those_of_its_circles(board):
    for view in (View(figure="radar", methods=("iqarag",), search="1:9"),
                 View(figure="radar", papers=("visualquality-r1",))):
        axis = draw(board, view).layout.polar.radialaxis
        assert axis.tickformat == ".1f"
        assert round(axis.dtick, 1) == axis.dtick >= 0.1


def test_names_on_a_phone_fit_their_line(board):
    for view in (View(), View(metric="plcc", papers=("pyiqa", "leaf"))):
        names = [note.text for note in draw(board, view, narrow=True).layout.annotations]
        assert names
        assert max(map(len, names)) <= 60
    assert max(map(len, draw(board, View()).layout.yaxis.categoryarray)) > 60, "beside the dots there is room"


def test_cost_means_are_over_the_shared_sets(board):
    view = View(figure="cost", axis="passes", papers=("q-debias",))
    ranked = table(board, view)
    debias = next(row for row in ranked.rows if row.entry.method == "Q-Debias" and row.position)
    traces = {trace.name: trace for trace in draw(board, view).data}
    place = [point[0] for point in traces["published"].customdata].index(debias.entry.label)
    assert traces["published"].x[place] == 8
    assert traces["published"].y[place] == pytest.approx(np.mean([debias.cells[name].value for name in ranked.shared]))


def test_a_front_holds_what_none_is_cheaper_and_better_than_published_and_measured_apart(board):
    traces = {trace.name: trace for trace in draw(board, View(figure="cost")).data}
    assert {"published", "measured here", "front, published", "front, measured here"} <= set(traces)
    for origin in ("published", "measured here"):
        points = list(zip(traces[origin].x, traces[origin].y))
        front = list(zip(traces[f"front, {origin}"].x, traces[f"front, {origin}"].y))
        assert front == [point for point in sorted(points)
                         if not any(x <= point[0] and y >= point[1] and (x, y) != point for x, y in points)]
        named = {point for point, text in zip(points, traces[origin].text) if text}
        assert named <= set(front)
        assert front[-1] in named, "the best has room for its name"
    assert traces["published"].marker.symbol != traces["measured here"].marker.symbol
    title = draw(board, View(figure="cost")).layout.title.text.replace("<br>", " ")
    assert "rows on LIVE-C dev" in title, "as many rows are on BIQ2021, which their models have seen"
    figure = draw(board, View(figure="cost"))
    assert list(figure.layout.xaxis.range) == [-3, 2], "a thousandth to a hundred billion"
    assert min(traces["measured here"].x) < 0.003
    assert max(traces["published"].x) > 7
    assert "compare along a front, not across" in figure.layout.title.text.replace("<br>", " ")
    hollow = [trace for trace in figure.data if trace.name.endswith("saw the tested set")]
    assert hollow
    assert all(trace.marker.symbol.endswith("-open") for trace in hollow)
    assert "time per image" in said(draw(board, View(figure="cost", axis="seconds", origin="published")))


@pytest.mark.parametrize("narrow", [False, True])
def test_names_of_a_front_cover_neither_each_other_nor_another_point(narrow):
    import plotly.graph_objects as go

    from leaderboard.figures.view import _lay_names

    figure = go.Figure()
    crowd = [(1.0, 0.5), (1.0, 0.5), (1.01, 0.5), (1.0, 0.501), (50.0, 0.9), (0.002, 0.9)]
    for part in (crowd[:3], crowd[3:]):
        figure.add_scatter(x=[x for x, _ in part], y=[y for _, y in part], mode="markers+text",
                           text=["a name of some length"] * len(part))
    figure.add_scatter(x=[0.001, 100], y=[0.2, 0.95], mode="lines")
    _lay_names(figure, narrow, True, (0.001, 100))
    kept = [(place, text) for trace in figure.data[:2] for place, text in zip(trace.textposition, trace.text)]
    assert [bool(text) for _, text in kept[4:]] == [True, True]
    assert kept[4][0].endswith("left"), "at the right end a name stands to the left"
    assert kept[5][0].endswith("right")
    crowded = [place for place, text in kept[:4] if text]
    assert crowded
    assert len(set(crowded)) == len(crowded), "points at one place have their names at different sides"
    assert figure.data[2].text is None


def test_pairs_differ_in_nothing_but_the_method(board):
    # What was measured here comes and goes; the papers' pairs are known.
    same_setting = [pair for pair in pairs(board, View()) if pair.backbone != "embedded"]
    iqarag = [pair for pair in same_setting if pair.method == "IQARAG"]
    assert len(iqarag) == 3 * 3 * 5
    one = next(pair for pair in iqarag if (pair.backbone, pair.condition, pair.dataset)
               == ("Qwen3-VL-8B-Instruct", "ratio=1:9", "KADID-10k"))
    assert (one.without, one.with_method) == (0.7280, 0.7682)
    debias = [pair for pair in same_setting if pair.method == "Q-Debias"]
    assert {pair.backbone for pair in debias} > {"mPLUG-Owl3"}
    assert len(debias) == 6 + 1 + 4
    assert all(pair.method in ("IQARAG", "Q-Debias") for pair in same_setting)
    assert {pair.dataset for pair in pairs(board, View(datasets=("spaq",)))} == {"SPAQ"}
    assert "with and without" in said(draw(board, View(figure="pairs", papers=("pyiqa",))))


def test_every_ablation_has_its_curves(board):
    for name in ablations(board):
        figure = draw(board, View(figure="ablation", ablation=name))
        assert len(figure.data) >= 3, name
        for trace in figure.data:
            assert len(set(trace.x)) == len(trace.x), f"{name}: two settings share a tick"
    k = draw(board, View(figure="ablation", ablation="llm-iqa:table-4"))
    assert list(k.data[0].x) == ["K=3", "K=5", "K=7", "K=9"]


@pytest.mark.parametrize(("view", "sentence"), [
    (View(search="no such method"), "Nothing matches"),
    (View(search="no such method", figure="heat"), "Nothing matches"),
    (View(metric="rmse", figure="radar"), "own unit"),
    (View(metric="rmse", figure="cost"), "own unit"),
    (View(papers=("q-debias",), search="NIQE", figure="cost"), "known number of parameters"),
])
def test_what_cannot_be_drawn_says_why(board, view, sentence):
    assert sentence in said(draw(board, view))


@pytest.mark.parametrize("kind", FIGURES)
def test_figures_are_saved_without_a_browser(board, kind):
    view = View(figure=kind, methods=("q-debias", "q-bench"), papers=("q-debias",))
    if kind == "radar":  # It needs three sets whose images all its rows share.
        view = View(figure=kind, papers=("visualquality-r1",))
    figure = draw(board, view)
    svg = render(figure, "svg").decode()
    assert svg.count("<svg") == 1
    assert "SRCC" in svg, "text stays text"


def test_a_saved_heat_map_is_as_wide_as_its_numbers(board):
    def width(view):
        return int(re.search(r'width="(\d+)', render(draw(board, view), "svg").decode())[1])

    narrow, wide = width(View(figure="heat", datasets=("spaq", "koniq-10k"))), width(View(figure="heat"))
    assert narrow == 900 * 72 // 96
    assert wide > narrow


def test_a_png_is_not_empty_and_the_same_view_gives_the_same_file(board):
    figure = draw(board, View(figure="radar", methods=("iqarag",), search="1:9"))
    first = render(figure, "png", dpi=60)
    assert np.asarray(Image.open(io.BytesIO(first)).convert("L")).std() > 5
    assert render(figure, "png", dpi=60) == first
    assert render(figure, "svg") == render(figure, "svg")


def test_a_sentence_is_saved_too_and_unknown_traces_are_refused(board):
    assert "own unit" in render(draw(board, View(metric="rmse", figure="radar")), "svg").decode()
    with pytest.raises(ValueError, match="svg, png, pdf"):
        render(go.Figure(), "gif")
    with pytest.raises(ValueError, match="pie"):
        render(go.Figure(go.Pie(values=[1])), "svg")
