"""What is said to the LMM, without and with references (IQARAG section IV-B3 and Figure 2).

The text of section IV-B3 is the default. Figure 2 shows the same conversation with title-case levels and a count in
words that includes the image in question; both are options, because a model may well react to either.
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from methods.errors import InputError
from methods.lmm.prompt import Prompt, Turn
from methods.q_bench.prompts import QUESTIONS

QUESTION = QUESTIONS["five-level"]
"""The question, the answer's beginning and the words that are read, the same without and with references."""

COUNT_WORDINGS = ("references", "pictures in words")
"""How the first sentence counts: P in digits (section IV-B3), or references and query in words (Figure 2)."""

LEVEL_CASES = ("lower", "title")
"""A reference's level as Eq. 9 writes the words, or as Figure 2 does. The words of Eq. 9 are what is read."""

ORDERS = ("best first", "worst first", "nearest first", "nearest last")
"""In which order references are shown; Figure 2 shows the best first."""

TURNS = ("one a sentence", "one")
"""Section IV-B3 prints each sentence as a turn of the user; some chat templates want a single turn instead."""

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")


def level_text(level: str, case: str = "lower") -> str:
    """A level as a reference's sentence writes it; the answer is read in lower case either way.

    Raises:
        InputError: an unknown case.
    """
    if case not in LEVEL_CASES:
        raise InputError(f"The level words are written in one of {', '.join(LEVEL_CASES)}; got {case!r}.")
    return level.title() if case == "title" else level


def count_sentence(references: int, wording: str = "references") -> str:
    """"Give you P images.", in the wording asked for."""
    if wording not in COUNT_WORDINGS:
        raise InputError(f"The count is worded as one of {', '.join(COUNT_WORDINGS)}; got {wording!r}.")
    if wording == "references":
        return f"Give you {references} images."
    images = references + 1
    return f"Give you {_NUMBERS[images] if images < len(_NUMBERS) else images} images."


def level_sentence(level: str) -> str:
    """What is said right after a reference."""
    return f"This image's quality is {level}."


def without_references(image: Image.Image) -> Prompt:
    """The plain five-level question: Q-Bench's, and what IQARAG is compared with."""
    return QUESTION.prompt(image)


def with_references(image: Image.Image, references: Sequence[tuple[Image.Image, str]], wording: str = "references",
                    turns: str = "one a sentence") -> Prompt:
    """The conversation with references; with none it is the plain question.

    Args:
        image: the image in question.
        references: (image, level word as it is to be written), in the order in which they are shown.
        wording: one of `COUNT_WORDINGS`.
        turns: one of `TURNS`.

    Raises:
        InputError: an unknown wording or kind of turns.
    """
    if turns not in TURNS:
        raise InputError(f"The sentences are split into turns as one of {', '.join(TURNS)}; got {turns!r}.")
    if not references:
        return without_references(image)
    sentences = [(count_sentence(len(references), wording),)]
    sentences += [(reference, level_sentence(level)) for reference, level in references]
    sentences += [(image, QUESTION.text)]
    if turns == "one":
        # Sentences of one turn are kept apart as they are on the page, one per line.
        parts = [part for number, sentence in enumerate(sentences)
                 for part in (("\n", *sentence) if number else sentence)]
        return Prompt.ask(*parts, answer_prefix=QUESTION.answer_prefix)
    return Prompt(tuple(Turn("user", sentence) for sentence in sentences), QUESTION.answer_prefix)
