"""What a result looks like: the dial, what was changed in the image, what it cost, and an explanation.

Pure functions from an `Assessment` to HTML or Markdown, so that they can be tested without a browser. Colours come
from assets/style.css; every colour is accompanied by a number or a word.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from methods.levels import FIVE_LEVELS

if TYPE_CHECKING:
    from methods.base import Assessment
    from methods.meaning import Consensus, Meaning

GAP_DEGREES = 1.6


def mos(score: float) -> float:
    """A score in [0, 1] on the five-point opinion scale, 1 to 5."""
    return 1.0 + 4.0 * score


def dial(score: float | None, caption: str = "", empty: str = "Add a photo to see its score", *,
         known: Meaning | Consensus | None = None) -> str:
    """A half-circle gauge from 0 to 100 opinions with five level bands; HTML.

    With a meaning, its hand is the expected opinion and its arc the interval that holds nine of ten. Without one it
    shows the raw score as such, without a word for it.

    Args:
        score: in [0, 1]; None draws an empty dial.
        caption: one short line below, plain text.
        empty: what an empty dial says, plain text.
        known: what the score means.
    """
    if score is None:
        spoken, hand, state = "No score yet", "", "empty"
        numbers = f'<p class="dial-empty">{html.escape(empty)}</p>'
    elif known is None:
        spoken, hand, state = f"Raw score {score:.2f} of 1, not calibrated yet", _hand(score), "raw"
        numbers = (f'<p class="dial-score"><strong>{score:.2f}</strong><span>raw score</span></p>'
                   '<p class="dial-word">not calibrated yet</p>'
                   '<p class="dial-mos">nobody has measured what it stands for</p>')
    else:
        word = FIVE_LEVELS.word_for(known.mos / 100)
        spoken = f"People would rate it {known.mos:.0f} of 100, {word}; nine of ten {known.low:.0f} to {known.high:.0f}"
        hand, state = _arc(known.low, known.high) + _hand(known.mos / 100), "known"
        numbers = (f'<p class="dial-score"><strong>{known.mos:.0f}</strong><span>of 100</span></p>'
                   f'<p class="dial-word level-{word}">{word}</p>'
                   f'<p class="dial-mos">opinion, nine of ten between <strong>{known.low:.0f}</strong> and '
                   f"<strong>{known.high:.0f}</strong></p>")
    raw = "" if score is None else f' data-score="{score:.6f}"'
    bands = "".join(_band(index) for index in range(5))
    below = f'<p class="dial-caption">{html.escape(caption)}</p>' if caption else ""
    return (
        f'<figure class="dial dial-{state}"{raw}><svg viewBox="0 0 240 132" role="img" '
        f'aria-label="{html.escape(spoken)}"><title>{html.escape(spoken)}</title>{bands}{hand}'
        f'<text x="14" y="130" class="dial-end">{"0" if known else "bad"}</text>'
        f'<text x="226" y="130" class="dial-end" text-anchor="end">{"100" if known else "excellent"}</text></svg>'
        f'<figcaption aria-live="polite">{numbers}{below}</figcaption></figure>'
    )


def _arc(low: float, high: float) -> str:
    """The interval of opinions on 0 to 100, as an arc inside the bands."""
    (x0, y0), (x1, y1) = (_point(180 - 1.8 * end, 80) for end in (low, high))
    return f'<path class="interval" d="M{x0:.2f} {y0:.2f} A80 80 0 0 1 {x1:.2f} {y1:.2f}"/>'


def _band(index: int) -> str:
    """One fifth of the half circle; index 0 is the worst level, at the left."""
    word = FIVE_LEVELS.words[4 - index]
    start = 180 - index * 36 - (GAP_DEGREES / 2 if index else 0)
    end = 180 - (index + 1) * 36 + (GAP_DEGREES / 2 if index < 4 else 0)
    (x0, y0), (x1, y1) = _point(start, 96), _point(end, 96)
    return f'<path class="band band-{word}" d="M{x0:.2f} {y0:.2f} A96 96 0 0 1 {x1:.2f} {y1:.2f}"/>'


def _hand(score: float) -> str:
    angle = 180 - 180 * score
    (x0, y0), (x1, y1) = _point(angle, 70), _point(angle, 108)
    return f'<path class="hand" d="M{x0:.2f} {y0:.2f} L{x1:.2f} {y1:.2f}"/>'


def _point(degrees: float, radius: float) -> tuple[float, float]:
    turn = math.radians(degrees)
    return 120 + radius * math.cos(turn), 112 - radius * math.sin(turn)


def image_notes(notes: tuple[str, ...]) -> str:
    """What was changed when the image was read; Markdown, empty if nothing was."""
    if not notes:
        return ""
    return "**Changed in your photo:** " + " ".join(note.rstrip(".") + "." for note in notes)


def cost_line(assessment: Assessment, passes: float | None = None) -> str:
    """Seconds, raw score, LMM passes, model, native score and seed in one line; Markdown."""
    parts = [f"{assessment.seconds:.2f} s", f"raw score {assessment.score:.3f}"]
    if passes is not None:
        answers = assessment.options.get("samples")
        counted = f"{passes:g} LMM pass" + ("" if passes == 1 else "es")
        parts.append(f"{counted}, {answers} answers" if answers else counted)
    parts.append(f"`{short_model(assessment.lmm)}`")
    if native_differs(assessment):
        low, high = assessment.native_range
        parts.append(f"native score {assessment.native_score:.3f} on {low:g} to {high:g}")
    if assessment.max_pixels is not None:
        parts.append(f"at most {assessment.max_pixels:,} pixels shown")
    parts.append(f"seed {assessment.seed}")
    return " · ".join(parts)


def native_differs(assessment: Assessment) -> bool:
    return tuple(assessment.native_range) != (0.0, 1.0)


def short_model(lmm: str) -> str:
    """"name@revision" with the folder of a local path and all but eight characters of the revision left out."""
    name, at, revision = lmm.rpartition("@")
    if not at:
        name, revision = revision, ""
    if name.startswith(("/", ".")) or "\\" in name:
        name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return f"{name}@{revision[:8]}" if revision else name
