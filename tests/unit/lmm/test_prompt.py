"""Prompts as data: turns, the words the assistant has begun with, and their transcript."""

from __future__ import annotations

import dataclasses

import pytest
from PIL import Image

from methods.lmm.prompt import Prompt, Turn

PHOTO, REFERENCE = Image.new("RGB", (4, 3)), Image.new("RGB", (5, 5))


def test_ask_is_one_user_turn_with_an_optional_system_turn():
    prompt = Prompt.ask(PHOTO, "Good or poor?", system="You rate photos.", answer_prefix="The quality is")
    assert [turn.role for turn in prompt.turns] == ["system", "user"]
    assert prompt.turns[1].parts == (PHOTO, "Good or poor?")
    assert len(Prompt.ask("Good or poor?").turns) == 1


def test_images_come_in_the_order_shown_repeats_included():
    prompt = Prompt((Turn("user", (REFERENCE, "This is good.", PHOTO)), Turn("assistant", ("Yes.",)),
                     Turn("user", (REFERENCE, "And this?"))))  # fmt: skip
    assert [id(image) for image in prompt.images] == [id(REFERENCE), id(PHOTO), id(REFERENCE)]
    assert prompt.turns[0].text == "This is good."
    assert prompt.turns[0].images == (REFERENCE, PHOTO)


def test_transcript_reads_as_printed_in_the_papers():
    prompt = Prompt.ask("Rate the quality of the image. Good or poor?", PHOTO, system="Be strict.",
                        answer_prefix="The quality of the image is")  # fmt: skip
    assert prompt.transcript() == (
        "system: Be strict.\n"
        "user: Rate the quality of the image. Good or poor?<image>\n"
        "assistant: The quality of the image is"
    )
    assert Prompt.ask("Hello").transcript().endswith("\nassistant:")


@pytest.mark.parametrize(
    ("prefix", "spelled"), [("", "good"), ("The quality is", " good"), ("Answer: ", "good"), ("Answer:\n", "good")]
)
def test_a_word_is_joined_to_its_prefix_with_one_space(prefix: str, spelled: str):
    assert Prompt.ask("?", answer_prefix=prefix).continuation("good") == spelled


@pytest.mark.parametrize("turns", [(), (Turn("user", ("a",)), Turn("assistant", ("b",))), (Turn("system", ("a",)),)])
def test_a_prompt_ends_with_the_user(turns: tuple):
    with pytest.raises(ValueError, match="ends with the user's turn"):
        Prompt(turns)


def test_turns_take_known_roles_and_text_or_pictures_only():
    with pytest.raises(ValueError, match="system, user or assistant"):
        Turn("narrator", ("a",))
    with pytest.raises(TypeError, match="text and PIL images"):
        Turn("user", (b"bytes",))


def test_prompts_cannot_be_changed():
    prompt = Prompt.ask("a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        prompt.answer_prefix = "b"
    assert isinstance(Turn("user", ["a", PHOTO]).parts, tuple)
