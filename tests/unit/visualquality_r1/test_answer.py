"""Scores are read where they are stated and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.visualquality_r1.answer import has_format, parse_score, reasoning

STATED = {
    # digits
    "3": 3, " 4.25 ": 4.25, "5.00": 5, "\n1\n": 1, "3.5.": 3.5, "3.5!": 3.5, "3.5。": 3.5, "3.5，": 3.5, "+3": 3,
    "4,5": 4.5, "4,50": 4.5, "４.５": 4.5, "３．５": 3.5, "３": 3,
    # words around them
    "Score: 4.20": 4.2, "score=3.5": 3.5, "a score of 4.2": 4.2, "Rating of 5": 5, "quality of 3": 3,
    "The rating is 4.5.": 4.5, "I'd give it a 4": 4, "about 4": 4, "≈3.5": 3.5, "~3.5": 3.5, "nearly 4": 4,
    "4.50 (good)": 4.5, "No blur, 4": 4, "overall 4": 4, "Quality – 4": 4, "1st: 4": 4, "4 (one of the best)": 4,
    "4, that is 4.0": 4, "four (4)": 4,
    # marks around them
    "**3.5**": 3.5, "*3.5*": 3.5, "__3.5__": 3.5, "`3.5`": 3.5, "**Score:** 3.5": 3.5, "[4.2]": 4.2, "'4'": 4,
    "<b>4</b>": 4, "$3.5$": 3.5, r"\boxed{3.25}": 3.25, r"\boxed{\text{Score: } 4}": 4, '{"score": 3.5}': 3.5,
    # units
    "4 stars": 4, "4★": 4, "3.5 points": 3.5, "3.5分": 3.5, "3.5 分": 3.5, "评分：3.5": 3.5, "评分4分": 4, "4점": 4,
    # the scale that was asked for
    "4.5/5": 4.5, "4.5 / 5": 4.5, "4.5/5.00": 4.5, "4/5分": 4, "4 out of 5": 4, "4.5 out of 5.": 4.5, "4 of 5 stars": 4,
    "The rating is 4.5 of 5.": 4.5, "4 of the 5 stars": 4, "4 out of a possible 5": 4, "5/5": 5, "4 / five": 4,
    "a score of 5 out of 5": 5, r"4.5\text{ out of }5": 4.5, "Out of 5: 4": 4, "4.5 (scale 1-5)": 4.5,
    "4.5 on a scale of 1 to 5": 4.5, "4.5 on a scale of 5": 4.5, "Score (1-5): 4": 4, "4 on a 5-point scale": 4,
    # the number of an image
    "Image 1: 4.5": 4.5, "Image 1 has a rating of 5": 5, "Picture 2 of 5: 3": 3, "#3: 4": 4, "image: 4": 4,
    "The 2nd image gets a score of 5": 5, "image 4.5": 4.5,
    # words
    "four": 4, "Four.": 4, "One": 1, "The score is three": 3, "four out of five": 4, "four stars": 4,
    "three point five": 3.5, "four point two five": 4.25, "I would rate it four": 4, r"\text{four}": 4,
}

NOT_STATED = [
    "", " ", "n/a", "none", "nan", "inf", "IV", "★★★★", "四分",
    # the words of the levels, alone or not
    "good", "Excellent", "The image quality is good.", "good or fair", "not good", "very good", "above fair",
    # beyond the scale
    "9", "0", "0.5", "5.01", "-3", "−3", "– 4", "- 4", "score -4", "80", "six", "twenty", "9" * 5000,
    # several numbers
    "3 or 4", "3-4", "3–4", "3~4", "3 - 4", "3 to 4", "between 3 and 4", "3.5 ± 0.2", "3, 4", "3 4", "3; then 4",
    "four to five", "4 or five", "3 . 5", "3. 5", "1 image, score of 5", "5点中4", "4, but 3 spots",
    # other scales
    "8/10", "80/100", "8 out of 10", "4 out of 10", "four out of ten", "4 of 4", "4/5/5", "4.5 (scale 0-10)",
    "4 on a scale of 1 to 10", "Score (0-5): 4", "3.5%", "70 percent", "4:5",
    # no numbers
    "1e1", "3.5e0", "0x4", "v3", "score3.5", "4th", "2nd", "4.5.6", "4..5", "1,000", "3,500", "4,125", "٣٫٥", "4²", "①",
    # bounds, denials and sums
    "at least 4", "less than 3", "<3", "≥ 4", "up to 4", "not a 5", "isn't 4", "4+", "4 or more", "2*2", "2 × 2", "3+1",
    "4 and a half", "four and a half", "½", "3½", "⅘", "9/2", r"\frac{9}{2}", r"\frac{4}{4}", "half of 4",
    # numbers of something else
    "no. 4", "Image 1", "1 of the best", "2 of the worst", "3 of 5 criteria met, score 2", "one of the best", "no one",
    "two dark corners", "hardly four", "not four",
]


@pytest.mark.parametrize("answer", STATED)
def test_a_stated_score_is_read(answer):
    assert parse_score(f"<think>1 or 2?</think><answer>{answer}</answer>") == STATED[answer]


@pytest.mark.parametrize("answer", NOT_STATED, ids=lambda answer: answer[:20])
def test_no_score_is_invented(answer):
    assert parse_score(f"<think>4</think><answer>{answer}</answer>") is None


@pytest.mark.parametrize(("text", "score"), [
    ("<ANSWER>3.10</ANSWER>", 3.1),
    ("<answer >3.5</answer>", 3.5),
    ("< answer>3.5</ answer >", 3.5),
    ("<answer>3.5< / answer>", 3.5),
    ("<answer><answer>3.5</answer></answer>", 3.5),
    ("<answer>2</answer> on second thought <answer>3</answer>", 3.0),
    ("<think>I would give <answer>1</answer>, no</think><answer>4</answer>", 4.0),
    ("<answer>3</answer><answer>4", 3.0),
    ("<answer>2</answer> no wait <answer>", 2.0),
    ("", None), (None, None), ("4.5", None), ("<think>4.5</think>", None),
    ("<answer>3.7", None), ("3.7</answer>", None),
    ("<answer>3.5<answer>", None), ("<answers>3.5</answers>", None),
])
def test_the_last_complete_answer_counts(text, score):
    assert parse_score(text) == score


@pytest.mark.parametrize("unit", ["<answer>", "1 ", "9", "not ", "<a", " ", ",", "(", "one ", "scale ", "\\", "1 of "])
def test_long_answers_are_read_in_time_that_grows_with_their_length(unit):
    assert parse_score(f"<answer>{unit * 20_000}</answer>") in (None, 1.0)


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
