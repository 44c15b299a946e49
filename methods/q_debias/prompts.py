"""Everything that Q-Debias says to the LMM, word for word, from sections 3.1 and 3.2.2 and Table 4.

The degraded image is always the first one, the query the second. Both come before the question, as in the released
code, so that the two questions about a pair share all the tokens of its images.
"""

from __future__ import annotations

from PIL import Image

from methods.lmm.prompt import Prompt
from methods.q_bench.prompts import QUESTIONS

ANSWER_PREFIX = "The quality of the image is"

CONDITION = {
    "full": "The visual quality of the first image is poor. How about the visual quality of the second image? "
            "Good or poor?",
    # Table 4: the whole prompt replaced; the exposed bias not stated; the propagating "How about" left out.
    "T1": "Rate the quality of the second image. Good or poor?",
    "T2": "How about the visual quality of the second image? Good or poor?",
    "T3": "The visual quality of the first image is poor. Rate the visual quality of the second image. Good or poor?",
}
"""The question about the query's quality on a condition (Eq. 8), by prompt variant."""

SIMILARITY = "Do these two images describe the same object? Yes or no?"
"""The question whose P(yes) weighs a condition (Eq. 11)."""

RELEASED = {
    CONDITION["full"]: "The visual quality of the first image is poor. How about the visual quality of the second "
                       "image. Good or poor?",
    SIMILARITY: "Do these two images describe the same object? Yes or no",
}
"""The same questions as the released code punctuates them."""

WORDS = {"lower": ("good", "poor", "yes", "no"), "capitalised": ("Good", "Poor", "Yes", "No")}
"""Candidate words by case; the paper prints them in lower case, the released code reads the capitalised ones."""


def condition_prompt(
    degraded: Image.Image, query: Image.Image, variant: str = "full", setting: str = "paper"
) -> Prompt:
    """Is the query good or poor, given that its degraded version is poor (Eq. 8)?"""
    return Prompt.ask(degraded, query, _worded(CONDITION[variant], setting), answer_prefix=ANSWER_PREFIX)


def similarity_prompt(degraded: Image.Image, query: Image.Image, setting: str = "paper") -> Prompt:
    """Do the two show the same thing (Eq. 11)? The answer has no prefix, as in the paper."""
    return Prompt.ask(degraded, query, _worded(SIMILARITY, setting))


def vanilla_prompt(query: Image.Image) -> Prompt:
    """Q-Bench's question about the query alone (Eq. 1)."""
    return QUESTIONS["two-word"].prompt(query)


def _worded(question: str, setting: str) -> str:
    return RELEASED.get(question, question) if setting == "code" else question
