"""The prompts against the paper's printed text (section IV-B3) and Figure 2."""

from __future__ import annotations

import pytest

from methods.iqarag import prompts

from .conftest import grey

PLAIN = """user: <image>How would you rate the quality of this image?
assistant: The quality of this image is"""

WITH = """user: Give you 3 images.
user: <image>This image's quality is excellent.
user: <image>This image's quality is good.
user: <image>This image's quality is fair.
user: <image>How would you rate the quality of this image?
assistant: The quality of this image is"""

FIGURE_2 = """user: Give you four images.
user: <image>This image's quality is Excellent.
user: <image>This image's quality is Good.
user: <image>This image's quality is Fair.
user: <image>How would you rate the quality of this image?
assistant: The quality of this image is"""


def references(case: str = "lower"):
    return [(grey(value), prompts.level_text(level, case))
            for value, level in ((250, "excellent"), (180, "good"), (120, "fair"))]


def test_without_references():
    assert prompts.without_references(grey(10)).transcript() == PLAIN


def test_with_references_as_section_4_b_3_prints_it():
    query = grey(10)
    prompt = prompts.with_references(query, references())
    assert prompt.transcript() == WITH
    assert prompt.images[-1] is query
    assert [turn.role for turn in prompt.turns] == ["user"] * 5
    assert prompt.continuation("good") == " good"


def test_as_figure_2_draws_it():
    prompt = prompts.with_references(grey(10), references("title"), wording="pictures in words")
    assert prompt.transcript() == FIGURE_2


def test_in_one_turn_the_words_and_pictures_are_the_same():
    apart, together = (prompts.with_references(grey(10), references(), turns=turns) for turns in prompts.TURNS)
    assert len(together.turns) == 1
    assert together.images == apart.images or [i.tobytes() for i in together.images] == [
        i.tobytes() for i in apart.images]
    assert together.turns[0].text == "\n".join(turn.text for turn in apart.turns)


def test_no_reference_gives_the_plain_question():
    assert prompts.with_references(grey(10), []).transcript() == PLAIN


def test_counts():
    assert prompts.count_sentence(5) == "Give you 5 images."
    assert prompts.count_sentence(1) == "Give you 1 images."  # the paper's template, as it is
    assert prompts.count_sentence(5, "pictures in words") == "Give you six images."


@pytest.mark.parametrize("wrong", [
    lambda: prompts.count_sentence(3, "digits"), lambda: prompts.level_text("good", "upper"),
    lambda: prompts.with_references(grey(1), references(), turns="two"),
])
def test_an_unknown_wording_is_refused(wrong):
    with pytest.raises(ValueError, match="one of"):
        wrong()
