"""The quality standards that LLM-IQA shows to the model before it scores, and the digits it may answer with.

The paper's two insights are that one digit is easier to say than a decimal number, and that a digit means more when
a word stands beside it (section 3.1). Which words, and how they are introduced, is data and lives here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from methods.errors import InputError
from methods.levels import LevelScheme
from methods.lmm.prompt import Prompt

KINDS = ("word", "number", "sentence")
NO_STANDARD = "none"
"""In place of a kind: no standard, and a number from 0 to 100."""

LEVEL_COUNTS = (3, 5, 7, 9)
WORDINGS = ("paper", "code")

# Best first. K = 7 is printed in section 3.1 (with Bad above Poor, as printed); the other counts follow the released
# code, since the paper tests them in Table 4 without printing their words.
WORDS = {
    3: ("Excellent", "Fair", "Poor"),
    5: ("Excellent", "Good", "Fair", "Bad", "Poor"),
    7: ("Perfect", "Excellent", "Good", "Fair", "Bad", "Poor", "Very Bad"),
    9: ("Perfect", "Excellent", "Very Good", "Good", "Fair", "Bad", "Poor", "Awful", "Very Bad"),
}

# The paper describes the sentence standard (section 4.4, Table 3 row 3) without printing it; these sentences are ours.
SENTENCES = {
    "Perfect": "no flaw can be found, even on close inspection",
    "Excellent": "sharp, clean and well exposed, with nothing that disturbs",
    "Very Good": "clear and pleasant, with flaws that only an expert would notice",
    "Good": "clear overall, with slight flaws that do not disturb",
    "Fair": "acceptable, with flaws that anyone notices",
    "Bad": "flaws disturb the view of the main subject",
    "Poor": "strong flaws hide much of the detail",
    "Awful": "the subject can barely be recognised behind the flaws",
    "Very Bad": "so damaged that it is hard to look at",
}


HIGHEST_WITHOUT = 100
"""Without a standard the model states a number from 0 to this."""

# Table 3, exp 1: the paper prints no prompt without a standard; this is the one of the released code.
_SYSTEM_WITHOUT = (
    "You are a helpful assistant to help me evaluate the quality of the image. Your response must be a single number "
    "between 0 and 100, inclusive, with one decimal place. Do not give any explanation or description of the image. "
    "Simply provide the numeric score as your response. Any additional text will be considered invalid.")
_USER_WITHOUT = (
    "Please evaluate the quality of the image with a score from 0 to 100, with one decimal place. Use a number between "
    "0.0 and 100.0 to indicate your evaluation. For example, if you consider the image to be of very high quality, you "
    'might respond with "95.3". Conversely, if the image is of very poor quality, you might respond with "5.8". Your '
    "response should only be the score, without any other text.")


def without_standard(image: Image.Image) -> Prompt:
    """The question of Table 3, exp 1: a number from 0 to 100, which no standard explains. The answer is a text."""
    return Prompt.ask(image, _USER_WITHOUT, system=_SYSTEM_WITHOUT)


def stated_number(answer: str) -> float | None:
    """The number in [0, 100] that an answer states; None where it states none, or several."""
    numbers = {float(number) for number in re.findall(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w,-]|\.\d)", answer)}
    number = numbers.pop() if len(numbers) == 1 else -1.0
    return number if 0 <= number <= HIGHEST_WITHOUT else None


@dataclass(frozen=True)
class Standard:
    """One standard: what the digits 1 to K mean (section 3.1).

    Args:
        kind: "word" (the paper's choice), "number" or "sentence" (Table 3).
        k: how many levels: 3, 5, 7 (the paper's choice) or 9 (Table 4).
        wording: "paper" as printed in section 3.1, or "code" for the longer text of the released code.

    Raises:
        InputError: another kind, level count or wording.
    """

    kind: str = "word"
    k: int = 7
    wording: str = "paper"

    def __post_init__(self) -> None:
        for name, value, allowed in (("kind", self.kind, KINDS), ("k", self.k, LEVEL_COUNTS),
                                     ("wording", self.wording, WORDINGS)):
            if value not in allowed:
                raise InputError(f"A standard's {name} must be one of {', '.join(map(str, allowed))}; got {value!r}.")

    @property
    def words(self) -> tuple[str, ...]:
        """One word per level, best first."""
        return WORDS[self.k]

    @cached_property
    def levels(self) -> LevelScheme:
        """The digits K to 1 as candidate words that weigh their own value: expectation lies in [1, K]."""
        digits = range(self.k, 0, -1)
        return LevelScheme(tuple(str(digit) for digit in digits), tuple(float(digit) for digit in digits))

    @property
    def system(self) -> str:
        """What stands before the image; equal for every region, so a backend can share it."""
        return (_paper_system if self.wording == "paper" else _code_system)(self)

    @property
    def user(self) -> str:
        """The request that stands after the image."""
        if self.wording == "paper":
            return f"Please evaluate the quality of the image and score in {self._range}."
        scale = "in quality" if self.kind == "word" else f"in {self._range.replace(' ', '')}"
        please = "Please" if self.kind == "word" else "please"
        return (f"{please} evaluate the quality of the image and score {scale}. "
                "Only tell me the number. Do not analysis the image.")

    @property
    def _range(self) -> str:
        return str(list(range(1, self.k + 1)))

    def described(self) -> tuple[str, ...]:
        """Each level as the standard lists it, best first: "7: Perfect", or with its sentence."""
        if self.kind == "sentence":
            return tuple(f"{digit}: {word}, {SENTENCES[word]}" for digit, word in zip(self.levels.words, self.words))
        return tuple(f"{digit}: {word}" for digit, word in zip(self.levels.words, self.words))

    def prompt(self, image: Image.Image) -> Prompt:
        """The question about one image or region. The answer is one digit, right at its start."""
        return Prompt.ask(image, self.user, system=self.system)


def _paper_system(standard: Standard) -> str:
    opening = "You are a helpful assistant to evaluate image quality."
    closing = "The higher the image quality is, the higher the score should be."
    if standard.kind == "number":
        return f"{opening} {closing}"
    separator = "; " if standard.kind == "sentence" else ", "
    listed = separator.join(standard.described())
    return (f"{opening} You will be given standards for each quality level. "
            f"The quality standard is listed as follows: {listed}. {closing}")


def _code_system(standard: Standard) -> str:
    opening = "You are a helpful assistant to help me evaluate the quality of the image."
    closing = "Please strictly follow the USER's format, otherwise the result will be invalid."
    if standard.kind == "number":
        return f"{opening} {closing}"
    listed = "\n".join(f"{line}!" if standard.kind == "word" else line for line in standard.described())
    middle = "" if standard.kind == "sentence" else "The higher the image quality, the higher the score should be. "
    return (f"{opening} You will be given standards about each quality level. "
            f"The quality standard is list as follows:\n{listed}\n{middle}{closing}")
