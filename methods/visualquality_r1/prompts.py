"""VisualQuality-R1's question: as in Table 1, as in the released data, and the released one without thinking."""

from __future__ import annotations

from PIL import Image

from methods.lmm.prompt import Prompt

TASK = "You are doing the image quality assessment task. Here is the question: "

QUESTION = (
    "Rate the overall image visual quality. The rating should be a float between 1 and 5, with 1 representing very "
    "poor quality and 5 representing excellent quality."
)
RELEASED_QUESTION = (
    "What is your overall rating on the quality of this picture? The rating should be a float between 1 and 5, "
    "rounded to two decimal places, with 1 representing very poor quality and 5 representing excellent quality."
)

THINK = (
    "First output the thinking process in <think> </think> tags and then output the final answer with only one score "
    "in <answer> </answer> tags."
)
ANSWER_ONLY = "Please only output the final answer with only one score in <answer> </answer> tags."

VARIANTS = {
    "paper": f"{TASK}{QUESTION} {THINK}",
    "released": f"{TASK}{RELEASED_QUESTION} {THINK}",
    "released-no-thinking": f"{TASK}{RELEASED_QUESTION} {ANSWER_ONLY}",
}


def prompt(image: Image.Image, variant: str = "paper") -> Prompt:
    """The image, then the question; the model writes its whole answer itself.

    Raises:
        KeyError: another variant than those of `VARIANTS`.
    """
    return Prompt.ask(image, VARIANTS[variant])
