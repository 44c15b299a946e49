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
_NUMBER = re.compile(r"(?<![\w.,])[-+\u2212]?(?:[0-9]+(?:[.,][0-9]+)?|[.,][0-9]+)(?!\w|[.,][.,0-9])")
_OUT_OF = re.compile(r"(?:/|\bout\s+of\b|\bof\b)\s*([0-9]+(?:[.,][0-9]+)?)", re.IGNORECASE)

_OUT_OF_WORD = re.compile(r"(?:/|\bout\s+of\b)\s*(?:a\s+)?([a-z]+)", re.IGNORECASE)
# What makes of a number something else than the score: a bound, a denial, a sign, a sum, a share, thousands.
_NOT_THE_SCORE = re.compile(
    r"(?:\b(?:not|no|never|than|below|above|under|over|least|most|up\s+to|max|maximum|min|minimum)\b|n't|[<>\u2264\u2265])"
    r"\s*(?:an?\s+|the\s+)?[-+]?[.,]?[0-9]"
    r"|^[-\u2212\u2013\u2014]\s*[.,]?[0-9]"
    r"|[0-9]\s*[*\u00d7^+]\s*[0-9]|[0-9]\s*%|[0-9],[0-9]{3}\b|/\s*[0-9.]+\s*/|\b(?:half|quarters?|thirds?|percent)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)

_WORDS = {
    "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0,
    "excellent": 5.0, "good": 4.0, "fair": 3.0, "poor": 2.0, "bad": 1.0,
}
_LARGER = {"six", "seven", "eight", "nine", "ten", "twenty", "hundred"}
# Beside these a word is the score; beside others it may be denied, weakened ("hardly good") or mean something else
# ("one of the best").
_FILLERS = {"the", "a", "an", "is", "it", "its", "s", "this", "image", "picture", "photo", "overall", "visual",
            "quality", "rating", "score", "answer", "final"}


def parse_score(text: str) -> float | None:
    """The score in [1, 5] that an answer states, or None where it states none.

    The last complete `<answer>...</answer>` counts; one that was cut off may hold half a number. Inside it may stand a
    number ("4.25", " 4,5 ", "Score: 3"), a number of five ("4.5/5", "4 out of five"; other denominators are refused,
    since a scale that was not asked for cannot be trusted), or a word by itself ("four", "The quality is good.").
    Two different numbers, a number outside [1, 5], a bound ("at least 4"), a denial, a sum, a percentage and anything
    else give None. Text without an answer tag gives None, whatever numbers it holds.
    """
    answers = _ANSWER.findall(text or "")
    if not answers:
        return None
    answer = _MARKUP.sub(" ", answers[-1]).strip().strip("*`\"' ")
    denominators = {_to_float(value) for value in _OUT_OF.findall(answer)}
    if denominators - {HIGHEST} or _NOT_THE_SCORE.search(answer):
        return None
    in_words = {word.lower() for word in _OUT_OF_WORD.findall(answer)} & (_LARGER | set(_WORDS))
    if in_words - {"five"}:
        return None
    answer = _OUT_OF.sub("", answer)
    if in_words:
        answer = _OUT_OF_WORD.sub("", answer)
    numbers = {_to_float(value) for value in _NUMBER.findall(answer)}
    if len(numbers) == 1:
        (score,) = numbers
        return score if LOWEST <= score <= HIGHEST else None
    # Digits that are no numbers ("4th") leave nothing to be read.
    tokens = set(re.findall(r"[^\W_]+", answer.lower()))
    words = tokens & set(_WORDS)
    if numbers or len(words) != 1 or tokens - words - _FILLERS:
        return None
    return _WORDS[words.pop()]


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
