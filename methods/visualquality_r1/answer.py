"""Reading the score out of what the model wrote; never inventing one.

The released code draws a random score where it finds none. Here such an answer has no score: the method samples
again, and says so if that does not help.
"""

from __future__ import annotations

import math
import re
import unicodedata

from num2words import num2words

LOWEST, HIGHEST = 1.0, 5.0

_OPEN = re.compile(r"<\s*answer\b[^<>]*>", re.IGNORECASE)
_CLOSE = re.compile(r"<\s*/\s*answer\s*>", re.IGNORECASE)
_THINK = re.compile(r"<\s*think\s*>(.*?)(?:<\s*/\s*think\s*>|(?=<\s*answer\b)|\Z)", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"</?[a-z][^<>]*>|\\(?![dt]?frac)[a-z]+|[{}$\\`]|(?<![a-z0-9])_+|_+(?![a-z0-9])")

# A run of digits, points and commas that is no part of a longer word: "4.5", "4,5", ".5", "5.", and "4.5.6", which is
# no number. Letters of other scripts may stand beside it, as units do.
_N = r"(?<![a-z0-9_.,])[.,]?[0-9][0-9.,]*+(?![a-z0-9_])"
_DASH = "[-\u2010-\u2015\u2212]"
_TO = rf" ?(?:{_DASH}|~|to|and) ?"
_BOUND = r"not|never|than|below|above|under|over|exceeds?|least|most|up to|max(?:imum)?|min(?:imum)?"

# How each part of an answer is read; the first rule that fits counts.
_RULES = {
    "scale": rf"\bscale\b[^0-9]{{0,12}}{_N}(?:{_TO}{_N})?|{_N}[- ]?points? scale|\([^()0-9]*{_N}{_TO}{_N}\)",
    "label": r"(?:\b(?:image|photo|photograph|picture|figure|number|no\.?) |# ?)[0-9]++(?![.,]?[a-z0-9])"
             r"(?: ?(?:/|of) ?[0-9]++)?",
    "refused": "|".join([
        rf"(?:\b(?:{_BOUND})\b|n['\u2019]t\b|[<>\u2264\u2265]) ?(?:an? |the |of |= ?)?{_N}",
        rf"(?:^{_DASH} ?|{_DASH}){_N}",
        rf"{_N}(?:{_TO}| ?(?:[+*\u00d7^\u00b1:&]|or) ?){_N}",
        rf"{_N} ?/ ?{_N} ?/",
        rf"{_N} ?(?:%|\+|or\b)",
        r"\b(?:half|halves|quarters?|thirds?|percent|per cent|[dt]?frac)\b",
    ]),
    "share": rf"(?:{_N} ?)?(?:/|\bout of\b) ?(?:an? |the |total of |maximum of |possible )*{_N}|{_N} of (?:the )?{_N}",
    "count": rf"{_N} of\b",
    "number": _N,
}
_GRAMMAR = re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in _RULES.items()))

_IN_WORDS = {num2words(value): str(value) for value in (*range(21), *range(30, 101, 10))} | {"hundred": "100"}
_WORD = "|".join(sorted(map(re.escape, _IN_WORDS), key=len, reverse=True))
_NUMBER_IN_WORDS = re.compile(rf"\b({_WORD})\b((?: point)(?: (?:{_WORD})\b)+)?")
# Beside these a number in words is the score. Beside others it may be denied ("hardly four") or count something ("two
# dark corners").
_FILLERS = frozenset(re.findall(r"\w+", """
    the a an is it its s this that image picture photo overall visual quality rating score answer final my i we would
    give gives rate rated rates be as at of out on scale to from possible stars star points point about around
"""))


def parse_score(text: str | None) -> float | None:
    """The score in [1, 5] that an answer states, or None where it states none.

    The last complete `<answer>...</answer>` counts; one that was cut off may hold half a number, and text without the
    tags has no score. Inside has to stand one number, in digits ("4.25", "4,5", "a score of 4.2", "3.5 points") or in
    words ("four", "three point five"). Beside it may stand what is no number, the scale of 1 to 5 ("4/5", "4 out of
    five", "4 on a scale of 1 to 5") and the number of an image ("Image 2: 4.5"). Refused are several different numbers,
    ranges, other scales (8/10: it was not asked for, so it cannot be trusted), bounds ("at least 4"), denials, signs,
    sums, fractions, percentages, thousands ("3,500") and everything outside of [1, 5]. The words of the quality levels
    ("good") are no number.
    """
    answer = _last_answer(text or "")
    if any(unicodedata.category(letter) == "No" for letter in answer):
        return None  # Superscripts and vulgar fractions, which the next line would turn into digits.
    answer = unicodedata.normalize("NFKC", answer).lower()
    answer = " ".join(_MARKUP.sub(" ", answer).split()).strip("*\"' ")
    if any(letter.isdigit() and not letter.isascii() for letter in answer):
        return None
    answer = _in_digits(answer)
    scores: set[float] = set()
    for match in _GRAMMAR.finditer(answer):
        values = [_value(run) for run in re.findall(_N, match[0])]
        if match.lastgroup == "scale" and values not in ([HIGHEST], [LOWEST, HIGHEST]):
            return None
        if match.lastgroup in ("refused", "count"):
            return None
        if match.lastgroup == "share" and values[-1] != HIGHEST:
            return None
        if match.lastgroup == "number" or (match.lastgroup == "share" and len(values) == 2):
            scores.add(values[0])
    score = scores.pop() if len(scores) == 1 else math.nan
    return score if LOWEST <= score <= HIGHEST else None


def reasoning(text: str) -> str:
    """What stands between the think tags, or before the answer where there are none; stripped."""
    thought = _THINK.search(text or "")
    return (thought[1] if thought else _OPEN.split(text or "", maxsplit=1)[0]).strip()


def has_format(text: str) -> bool:
    """True for exactly `<think>...</think>` then `<answer>...</answer>`: the released code's format reward."""
    return re.fullmatch(r"\s*<think>.*?</think>\s*<answer>.*?</answer>\s*", text or "", re.DOTALL) is not None


def _last_answer(text: str) -> str:
    """What stands before the last closing tag, from the opening tag before it on; "" where there is none."""
    ends = [match.start() for match in _CLOSE.finditer(text)]
    starts = [match.end() for match in _OPEN.finditer(text, 0, ends[-1])] if ends else []
    return text[starts[-1] : ends[-1]] if starts else ""


def _in_digits(answer: str) -> str:
    """The answer with its numbers in words as digits; "" where these stand beside words that may change them."""
    if re.search("[0-9]", answer):
        # "one" is hardly ever a number where there are others.
        return _NUMBER_IN_WORDS.sub(lambda match: match[0] if match[0] == "one" else _digits(match), answer)
    others = set(re.findall(r"[^\W\d_]+", _NUMBER_IN_WORDS.sub(" ", answer)))
    return "" if others - _FILLERS else _NUMBER_IN_WORDS.sub(_digits, answer)


def _digits(match: re.Match[str]) -> str:
    """ "four point two five" as "4.25"."""
    places = [_IN_WORDS[word] for word in (match[2] or "").split()[1:]]
    return ".".join([_IN_WORDS[match[1]], "".join(places)]) if places else _IN_WORDS[match[1]]


def _value(run: str) -> float:
    """A run of digits as a number; NaN where it is none, or thousands."""
    run = run.rstrip(".,")
    if not re.fullmatch(r"[0-9]*[.,]?[0-9]+", run) or re.fullmatch(r"[0-9]+,[0-9]{3}", run):
        return math.nan
    return float(run.replace(",", "."))
