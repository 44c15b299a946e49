"""Q-Bench's question in its two-word form, and the five-level form that IQARAG calls "without references"."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
from methods.lmm.prompt import Prompt


@dataclass(frozen=True)
class Question:
    """What is asked after the image, how the assistant begins its answer, and which words may follow."""

    text: str
    answer_prefix: str
    levels: LevelScheme

    def prompt(self, image: Image.Image) -> Prompt:
        """The image first: a question that comes before it could not share its tokens between images."""
        return Prompt.ask(image, self.text, answer_prefix=self.answer_prefix)


QUESTIONS = {
    # Q-Debias section 3.1 and Eq. 1, after Q-Bench.
    "two-word": Question(
        "Rate the quality of the image. Good or poor?", "The quality of the image is", GOOD_POOR
    ),
    # IQARAG section IV-B3, the prompt without references.
    "five-level": Question(
        "How would you rate the quality of this image?", "The quality of this image is", FIVE_LEVELS
    ),
}
