"""What is said to the LMM, compared with the papers' printed text."""

from __future__ import annotations

import pytest
from PIL import Image

from methods.q_debias.prompts import WORDS, condition_prompt, similarity_prompt, vanilla_prompt

QUERY = Image.new("RGB", (4, 4), "white")
DEGRADED = Image.new("RGB", (4, 4), "black")


def test_the_papers_prompts():
    assert condition_prompt(DEGRADED, QUERY).transcript() == (
        "user: <image><image>The visual quality of the first image is poor. How about the visual quality of the "
        "second image? Good or poor?\nassistant: The quality of the image is"
    )
    assert similarity_prompt(DEGRADED, QUERY).transcript() == (
        "user: <image><image>Do these two images describe the same object? Yes or no?\nassistant:"
    )
    assert vanilla_prompt(QUERY).transcript() == (
        "user: <image>Rate the quality of the image. Good or poor?\nassistant: The quality of the image is"
    )


def test_the_degraded_picture_comes_first():
    for prompt in (condition_prompt(DEGRADED, QUERY), similarity_prompt(DEGRADED, QUERY)):
        assert prompt.images[0] is DEGRADED
        assert prompt.images[1] is QUERY


@pytest.mark.parametrize(("variant", "question"), [
    ("T1", "Rate the quality of the second image. Good or poor?"),
    ("T2", "How about the visual quality of the second image? Good or poor?"),
    ("T3", "The visual quality of the first image is poor. Rate the visual quality of the second image. Good or poor?"),
])
def test_table_4(variant, question):
    assert condition_prompt(DEGRADED, QUERY, variant).turns[-1].text == question


def test_the_released_codes_punctuation():
    assert condition_prompt(DEGRADED, QUERY, setting="code").turns[-1].text.endswith("second image. Good or poor?")
    assert similarity_prompt(DEGRADED, QUERY, setting="code").turns[-1].text.endswith("Yes or no")


def test_words_are_read_in_place():
    good, _, yes, _ = WORDS["lower"]
    assert condition_prompt(DEGRADED, QUERY).continuation(good) == " good"
    assert similarity_prompt(DEGRADED, QUERY).continuation(yes) == "yes"
    assert WORDS["capitalised"] == ("Good", "Poor", "Yes", "No")
