"""Reading the score out of what the model wrote; never inventing one.

The released code draws a random score where it finds none. Here such an answer has no score: the method samples
again, and says so if that does not help.
"""

from __future__ import annotations

import re

LOWEST, HIGHEST = 1.0, 5.0

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_THINK = re.compile(r"<think>(.*?)(?:</think>|(?=<answer>)|\Z)", re.IGNORECASE | re.DOTALL)
# A number that is not a part of a longer token: "4.5", "4,5", ".5", "5.", "+3"; its sign is kept to be refused.
_NUMBER = re.compile(r"(?<![\w.,])[-+\u2212]?(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)(?!\w|[.,][0-9])")
_OUT_OF = re.compile(r"(?:/|\bout\s+of\b|\bof\b)\s*([0-9]+(?:[.,][0-9]+)?)", re.IGNORECASE)

_WORDS = {
    "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0,
    "excellent": 5.0, "good": 4.0, "fair": 3.0, "poor": 2.0, "bad": 1.0,
}


def parse_score(text: str) -> float | None:
    """The score in [1, 5] that an answer states, or None where it states none.

    The last complete `<answer>...</answer>` counts; one that was cut off may hold half a number. Inside it may stand a
    number ("4.25", " 4,5 ", "Score: 3"), a number of five ("4.5/5", "4 out of 5"; other denominators are refused, since
    a scale that was not asked for cannot be trusted), or one word ("four", "Good"). Two different numbers, a number
    outside [1, 5] and anything else give None. Text without an answer tag gives None, whatever numbers it holds.
    """
    answers = _ANSWER.findall(text or "")
    if not answers:
        return None
    answer = answers[-1].strip().strip("*`\"' ")
    denominators = {_to_float(value) for value in _OUT_OF.findall(answer)}
    if denominators - {HIGHEST}:
        return None
    numbers = {_to_float(value) for value in _NUMBER.findall(_OUT_OF.sub("", answer))}
    if len(numbers) == 1:
        (score,) = numbers
        return score if LOWEST <= score <= HIGHEST else None
    if numbers:
        return None
    words = {_WORDS[word] for word in re.findall(r"[a-z]+", answer.lower()) if word in _WORDS}
    return words.pop() if len(words) == 1 and not re.search(r"\b(not|no|neither|nor)\b", answer.lower()) else None


def reasoning(text: str) -> str:
    """What stands between the think tags, or before the answer where there are none; stripped."""
    found = _THINK.search(text or "")
    if found:
        return found.group(1).strip()
    return re.split(r"<answer>", text or "", maxsplit=1, flags=re.IGNORECASE)[0].strip()


def has_format(text: str) -> bool:
    """True for exactly `<think>...</think>` then `<answer>...</answer>`: the released code's format reward."""
    return re.fullmatch(r"\s*<think>.*?</think>\s*<answer>.*?</answer>\s*", text or "", re.DOTALL) is not None


def _to_float(number: str) -> float:
    return float(number.replace(",", ".").replace("\u2212", "-"))
