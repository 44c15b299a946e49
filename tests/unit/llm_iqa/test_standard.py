"""The standard's text as the paper prints it, and its digits."""

import pytest
from PIL import Image

from methods.llm_iqa.standard import (
    KINDS,
    LEVEL_COUNTS,
    SENTENCES,
    WORDINGS,
    Standard,
    stated_number,
    without_standard,
)


def test_the_papers_prompt():
    prompt = Standard().prompt(Image.new("RGB", (4, 4)))
    assert prompt.transcript() == (
        "system: You are a helpful assistant to evaluate image quality. You will be given standards for each quality "
        "level. The quality standard is listed as follows: 7: Perfect, 6: Excellent, 5: Good, 4: Fair, 3: Bad, "
        "2: Poor, 1: Very Bad. The higher the image quality is, the higher the score should be.\n"
        "user: <image>Please evaluate the quality of the image and score in [1, 2, 3, 4, 5, 6, 7].\n"
        "assistant:"
    )


def test_digits_are_asked_for_without_a_space():
    prompt = Standard().prompt(Image.new("RGB", (4, 4)))
    assert prompt.continuation("7") == "7"


@pytest.mark.parametrize("k", LEVEL_COUNTS)
def test_digits_weigh_their_own_value(k):
    levels = Standard(k=k).levels
    assert levels.words == tuple(str(digit) for digit in range(k, 0, -1))
    assert levels.weights == tuple(float(digit) for digit in range(k, 0, -1))


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", LEVEL_COUNTS)
def test_every_level_is_named_once_in_the_system_text(kind, k, wording):
    standard = Standard(kind, k, wording)
    for digit, word in zip(standard.levels.words, standard.words):
        expected = {"word": f"{digit}: {word}", "sentence": f"{digit}: {word}, {SENTENCES[word]}", "number": None}[kind]
        if expected:
            assert standard.system.count(expected) == 1
        else:
            assert word not in standard.system
    assert standard.system.isascii()


def test_number_standard_names_the_range():
    assert Standard("number", 5).user.endswith("[1, 2, 3, 4, 5].")
    assert "[1,2,3,4,5]" in Standard("number", 5, "code").user


@pytest.mark.parametrize("wrong", [{"kind": "poem"}, {"k": 4}, {"wording": "mine"}])
def test_unknown_standards_are_refused(wrong):
    with pytest.raises(ValueError, match="must be one of"):
        Standard(**wrong)


@pytest.mark.parametrize(("answer", "number"), [
    ("95.3", 95.3), (" 72 ", 72.0), ("5.8.", 5.8), ("The score is 40.0", 40.0), ("100", 100.0), ("0", 0.0),
    ("100.1", None), ("-5", None), ("", None), ("good", None), ("70 to 80", None), ("70-80", None), ("1,000", None),
    ("7.5.1", None), ("80 80", 80.0), ("image2", None),
])
def test_a_number_without_a_standard_is_the_one_that_is_stated(answer, number):
    assert stated_number(answer) == number


def test_the_prompt_without_a_standard_asks_for_0_to_100():
    prompt = without_standard(Image.new("RGB", (4, 4)))
    assert "between 0 and 100" in prompt.turns[0].text
    assert "from 0 to 100, with one decimal place" in prompt.turns[-1].text
