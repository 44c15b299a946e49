"""Scores are read where they are stated and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.visualquality_r1.answer import has_format, parse_score, reasoning


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("<think>soft edges</think><answer>4.25</answer>", 4.25),
        ("<think>a</think>\n<answer> 4,5 </answer>", 4.5),
        ("<answer>3</answer>", 3.0),
        ("<ANSWER>3.10</ANSWER>", 3.1),
        ("<answer>4.5/5</answer>", 4.5),
        ("<answer>4 out of 5</answer>", 4.0),
        ("<answer>The rating is 4.5 of 5.</answer>", 4.5),
        ("<answer>Score: 2.75</answer>", 2.75),
        ("<answer>**3.5**</answer>", 3.5),
        ("<answer>[4.2]</answer>", 4.2),
        ("<answer>3.5.</answer>", 3.5),
        ("<answer>4.50 (good)</answer>", 4.5),
        ("<answer>four</answer>", 4.0),
        ("<answer>four out of five</answer>", 4.0),
        ("<answer>The image quality is good.</answer>", 4.0),
        ("<answer><b>4</b></answer>", 4.0),
        ("<answer>\\boxed{3.25}</answer>", 3.25),
        ("<answer>about 4</answer>", 4.0),
        ("<answer>Good</answer>", 4.0),
        ("<answer>\n1\n</answer>", 1.0),
        ("<answer>5.00</answer>", 5.0),
        ("<answer>2</answer> on second thought <answer>3</answer>", 3.0),
        ("<think>I would give <answer>1</answer>, no</think><answer>4</answer>", 4.0),
        ("<answer>3</answer><answer>4", 3.0),
    ],
)
def test_a_stated_score_is_read(text, score):
    assert parse_score(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "", "4.5", "<think>4.5</think>", "<answer></answer>", "<answer>9</answer>", "<answer>0.5</answer>",
        "<answer>-3</answer>", "<answer>\u22123</answer>", "<answer>3 or 4</answer>", "<answer>3-4</answer>",
        "<answer>80/100</answer>", "<answer>8 out of 10</answer>", "<answer>1e1</answer>", "<answer>nan</answer>",
        "<answer>good or fair</answer>", "<answer>not good</answer>", "<answer>n/a</answer>", "<answer>3.7",
        "<answer>v3</answer>", "<answer>4.5.6</answer>", "<answer>four to five</answer>",
        *(f"<answer>{text}</answer>" for text in (
            "at least 4", "less than 3", "<3", "\u2265 4", "up to 4", "not a 5", "isn't 4", "3.5%", "70 percent", "- 4",
            "\u20134", "2*2", "3+1", "1,000", "4..5", "4 and a half", "four and a half", "four out of ten", "4/5/5",
            "isn't good", "hardly good", "never good", "above fair", "one of the best", "no one", "4th",
        )),
    ],
)
def test_no_score_is_invented(text):
    assert parse_score(text) is None


@given(st.text())
def test_any_text_gives_a_score_in_range_or_none(text):
    for candidate in (text, f"<answer>{text}</answer>"):
        score = parse_score(candidate)
        assert score is None or 1 <= score <= 5


@given(st.integers(100, 500))
def test_every_two_decimal_score_is_read_back(hundredths):
    assert parse_score(f"<think>t</think><answer>{hundredths / 100:.2f}</answer>") == pytest.approx(hundredths / 100)


def test_reasoning_is_what_was_thought():
    assert reasoning("<think> blurry \n sky </think><answer>2</answer>") == "blurry \n sky"
    assert reasoning("It is dark.<answer>2</answer>") == "It is dark."
    assert reasoning("<think>cut off") == "cut off"


def test_format_is_exact():
    assert has_format("<think>a\nb</think>\n<answer>3</answer>\n")
    assert not has_format("<answer>3</answer>")
    assert not has_format("Well: <think>a</think><answer>3</answer>")
