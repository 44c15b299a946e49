"""What the VisualQuality-R1 tab draws, without a browser."""

import numpy as np
import pytest

from methods.visualquality_r1.comparison import rank
from methods.visualquality_r1.method import Sample, summarise
from ui.components.texts import distinct_names
from ui.serving.stopping import StoppableProgress, Stopped, Stops
from ui.tabs.visualquality_r1 import (
    answers_markdown,
    difference_curve,
    opinion_curves,
    preference_matrix,
    ranking_rows,
    score_dots,
    stacked,
    stopped,
    verdict_markdown,
    writing,
)


def samples_of(*scores):
    return summarise(tuple(Sample("", f"thought {score}", score) for score in scores), 0, "")


def test_dots_show_every_score_and_the_mean():
    figure = score_dots(samples_of(3.0, 3.0, 4.0))
    mean, dots = figure.data
    assert dots.x == (3.0, 3.0, 4.0)
    assert mean.x[0] == pytest.approx(10 / 3)
    assert len({height for score, height in zip(dots.x, dots.y) if score == 3.0}) == 2


def test_one_score_has_no_spread_to_draw():
    assert len(score_dots(samples_of(3.0)).data) == 1


def test_dots_of_near_scores_never_cover_each_other():
    scores = (3.0, 3.01, 3.02, 4.0, 3.01)
    heights = stacked(scores)
    near = [height for score, height in zip(scores, heights) if score < 3.5]
    assert len(set(near)) == 4
    assert heights[3] == 0


def test_reasoning_is_shown_as_text_and_not_as_markup():
    page = writing("<think>very <b>dark</b>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "<b>" not in answers_markdown(summarise((Sample("", "<b>x</b>", 2.0),), 0, ""))


@pytest.mark.parametrize("text", ["<think>soft", "<think>soft<", "<think>soft</thi", "<think>soft</think>",
                                  "<think>soft</think>\n<ans", "<think>soft</think>\n<answer>2"])
def test_a_tag_that_is_being_written_is_not_shown(text):
    assert writing(text) == writing("soft")
    assert writing("<") == writing("<thi") == writing("<think>") == writing("")


def test_two_photos_get_a_sentence_more_get_an_order():
    two = rank([[4.0, 4.2], [2.0, 2.1]])
    assert verdict_markdown(["a", "b"], two).startswith("**a is almost certainly better than b")
    three = rank([[2.0, 2.1], [4.0, 4.2], [3.0, 3.1]])
    assert "Best to worst: b, c, a." in verdict_markdown(["a", "b", "c"], three)


def test_the_table_and_the_matrix_put_the_best_first():
    evidences = [samples_of(2.0, 2.1), samples_of(4.0, 4.2), samples_of(3.0, 3.1)]
    ranking = rank([one.scores for one in evidences])
    rows = ranking_rows(["a", "b", "c"], ranking)
    assert [row[0] for row in rows] == ["b", "c", "a"]
    assert [row[1] for row in rows] == ["4.10", "3.05", "2.05"]
    assert [row[3] for row in rows] == ["1", "2", "3"]
    close = rank([[2.0, 4.0], [2.5, 4.2]])
    assert [row[3] for row in ranking_rows(["a", "b"], close)] == ["1 to 2", "1 to 2"]
    matrix = preference_matrix(["a", "b", "c"], ranking).data[0]
    assert list(matrix.y) == ["1 b", "2 c", "3 a"]
    assert list(matrix.text[0]) == ["", ">99", ">99"]
    assert matrix.z[0][1] > 0.5 > matrix.z[1][0]


def test_curves_have_a_line_and_ticks_for_each_photo():
    assert len(opinion_curves(["a", "b"], [samples_of(2.0, 2.5), samples_of(4.0, 4.0)]).data) == 4


def test_the_share_of_the_difference_curve_is_the_probability():
    verdict = rank([[4.0, 4.4, 3.7], [3.5, 3.9, 3.2]]).preferences[0][1]
    first, second = difference_curve(["a", "b"], verdict).data
    areas = [np.trapezoid(line.y, line.x) for line in (first, second)]
    assert areas[0] / sum(areas) == pytest.approx(float(verdict), abs=0.002)
    assert min(first.x) == max(second.x) == 0
    assert first.name == f"a: {float(verdict):.0%}"


def test_a_stopped_text_says_so_and_stops_blinking():
    page = stopped(writing("<think>soft edges"))
    assert "soft edges" in page
    assert "Stopped" in page
    assert "caret" not in page
    assert stopped(None) == ""


def test_equal_file_names_are_told_apart():
    assert distinct_names(["/x/cat.jpg", "/y/cat.jpg", "/y/dog.png"]) == ["cat (1)", "cat (2)", "dog"]


def test_a_run_that_is_asked_to_stop_hears_of_it_and_no_other_does():
    stops = Stops()
    with stops.run("me") as mine, stops.run("you") as yours:
        stops.stop("me")
        assert mine.is_set()
        assert not yours.is_set()
        calls = []
        StoppableProgress(lambda *_, desc: calls.append(desc), yours)(None, desc="Waiting")
        assert calls == ["Waiting"]
        with pytest.raises(Stopped):
            StoppableProgress(calls.append, mine)(None, desc="Waiting")
    stops.stop("me")
    with stops.run("me") as again:
        assert not again.is_set()
