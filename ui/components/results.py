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

GAP_DEGREES = 1.6


def mos(score: float) -> float:
    """A score in [0, 1] on the five-point opinion scale, 1 to 5."""
    return 1.0 + 4.0 * score


def dial(score: float | None, caption: str = "", empty: str = "Add a photo to see its score") -> str:
    """A half-circle gauge with five level bands, the score as number, word and opinion score; HTML.

    Args:
        score: in [0, 1]; None draws an empty dial.
        caption: one short line below, plain text.
        empty: what an empty dial says, plain text.
    """
    bands = "".join(_band(index) for index in range(5))
    if score is None:
        spoken, hand = "No score yet", ""
        numbers = f'<p class="dial-empty">{html.escape(empty)}</p>'
    else:
        word = FIVE_LEVELS.word_for(score)
        spoken = f"Quality {score:.2f} of 1, {mos(score):.1f} of 5, {word}"
        hand = _hand(score)
        numbers = (
            f'<p class="dial-score"><strong>{score:.3f}</strong><span>of 1</span></p>'
            f'<p class="dial-word level-{word}">{word}</p>'
            f'<p class="dial-mos"><strong>{mos(score):.2f}</strong> on the 1–5 opinion scale</p>'
        )
    below = f'<p class="dial-caption">{html.escape(caption)}</p>' if caption else ""
    return (
        f'<figure class="dial"><svg viewBox="0 0 240 132" role="img" aria-label="{html.escape(spoken)}">'
        f'<title>{html.escape(spoken)}</title>{bands}{hand}'
        '<text x="14" y="130" class="dial-end">bad</text>'
        '<text x="226" y="130" class="dial-end" text-anchor="end">excellent</text></svg>'
        f'<figcaption aria-live="polite">{numbers}{below}</figcaption></figure>'
    )


def _band(index: int) -> str:
    """One fifth of the half circle; index 0 is the worst level, at the left."""
    word = FIVE_LEVELS.words[4 - index]
    start = 180 - index * 36 - (GAP_DEGREES / 2 if index else 0)
    end = 180 - (index + 1) * 36 + (GAP_DEGREES / 2 if index < 4 else 0)
    (x0, y0), (x1, y1) = _point(start, 96), _point(end, 96)
    return f'<path class="band band-{word}" d="M{x0:.2f} {y0:.2f} A96 96 0 0 1 {x1:.2f} {y1:.2f}"/>'


def _hand(score: float) -> str:
    angle = 180 - 180 * score
    (x0, y0), (x1, y1) = _point(angle, 66), _point(angle, 108)
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
    """Seconds, LMM passes, model and seed in one line; Markdown."""
    parts = [f"{assessment.seconds:.2f} s"]
    if passes is not None:
        parts.append(f"{passes:g} LMM pass" + ("" if passes == 1 else "es"))
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
