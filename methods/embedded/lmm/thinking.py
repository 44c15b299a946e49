"""Reasoning text: what it may say about an image, and how a reader (or a test) finds out what it said.

Damages are named by what a person sees, and those that look alike share a name. The text names a flaw and
its strength only where there is one to see; how strong it is follows from what KADID's raters thought of it.
"""

from __future__ import annotations

import re

import numpy as np

from methods.levels import FIVE_LEVELS

CLEAN = "none"

FAMILIES: dict[str, tuple[str, ...]] = {
    "blur": ("GBLUR", "Lens_Blur", "Motion_Blur", "zoom_blur", "bicubic enlargement", "bilinear enlargement"),
    "smeared detail": ("Denoising", "JP2K", "over-smoothed denoising"),
    "blocky compression": ("JPEG",),
    "noise": ("AWGN", "AWGN_YCbCr", "Impulse_Noise", "Multiplicative_Noise"),
    "colour bleeding": ("Color_Diffusion",),
    "colour fringes": ("Color_Shift",),
    "banding": ("Color_Quantization", "Quantization", "banding of smooth areas"),
    "washed-out colours": ("Saturation_Dist._HSV",),
    "oversaturated colours": ("Saturation_Dist._Lab", "saturate"),
    "overexposure": ("Brighten",),
    "underexposure": ("Darken",),
    "haze": ("fog",),
    "wrong contrast": ("Contrast Dist.", "Mean_Shift"),
    "jagged edges": ("Jitter", "torn edges", "shaking contours"),
    "displaced patches": ("Non-eccentricity_patch",),
    "pixelation": ("Pixelate",),
    "coloured blocks": ("Color_Block",),
    "oversharpening": ("High_Sharpen", "sharpened enlargement"),
    "ringing": ("ringing enlargement",),
    "missing parts": ("holes",),
    "doubled edges": ("doubled edges", "ghosting"),
    "bent shapes": ("warped contours", "rolling shutter"),
    "harsh tones": ("heavy tone mapping",),
    "water spots": ("spatter",),
}
"""What the text calls a flaw -> the damages that look so. Two damages at once have no name."""

FAMILY_OF = {damage: family for family, damages in FAMILIES.items() for damage in damages}

EFFECTS = {
    "blur": "Edges and fine detail are soft.",
    "smeared detail": "Textures look smoothed over.",
    "blocky compression": "Block borders show in flat areas.",
    "noise": "Grain covers the flat areas.",
    "colour bleeding": "Colours run over their edges.",
    "colour fringes": "Edges have coloured seams.",
    "banding": "Smooth areas fall into steps.",
    "washed-out colours": "Colours look pale or false.",
    "oversaturated colours": "Colours look unnaturally strong.",
    "overexposure": "Bright areas lose their detail.",
    "underexposure": "Dark areas lose their detail.",
    "haze": "A grey veil lies over the scene.",
    "wrong contrast": "Light and dark are out of balance.",
    "jagged edges": "Edges look torn.",
    "displaced patches": "Small parts sit in the wrong place.",
    "pixelation": "Coarse squares replace the detail.",
    "coloured blocks": "Flat squares hide parts of the scene.",
    "oversharpening": "Edges have bright halos.",
    "ringing": "Edges have echoes.",
    "missing parts": "Holes gape in the scene.",
    "doubled edges": "Contours show twice.",
    "bent shapes": "Straight lines are bent.",
    "harsh tones": "Light halos lie round dark things.",
    "water spots": "Drops blur parts of the scene.",
}

VISIBLE = 0.86
"""Damage that KADID's raters scored above this (of 1) is hardly seen; the text then says that the image is clean."""

STRENGTHS = ((0.62, "slight"), (0.36, "clear"), (-1.0, "strong"))

OPENINGS = ("The picture shows", "There is")


def strength(quality: float) -> str:
    """slight, clear or strong, for a flaw that leaves `quality` in [0, 1]."""
    return next(word for bound, word in STRENGTHS if quality > bound)


def reasoning(family: str, quality: float, rng: np.random.Generator) -> str:
    """What the think part says.

    Args:
        family: one of `NAMES`.
        quality: in [0, 1]; sets the flaw's strength and the closing verdict.
    """
    if family == CLEAN:
        body = "No distortion stands out. Detail, light and colours look natural."
        if quality < 0.45:
            body = "No single distortion stands out, yet the picture looks weak as a whole."
    else:
        body = f"{rng.choice(OPENINGS)} {strength(quality)} {family}. {EFFECTS[family]}"
    return f"{body} Overall the quality is {FIVE_LEVELS.word_for(float(np.clip(quality, 0, 1)))}."


def answer(quality: float) -> str:
    """The score on VisualQuality-R1's scale of 1 to 5, with two decimals."""
    return f"{1 + 4 * min(max(quality, 0.0), 1.0):.2f}"


def flaw_of(text: str) -> tuple[str, str]:
    """The flaw that a text names, and its strength; (CLEAN, "") where it names none.

    Only the first sentence counts: the second one explains the first.
    """
    body = re.sub(r"</?think>", "", text).strip().split(".")[0]
    for family in FAMILIES:
        if body.endswith(family):
            strength = re.search(r"\b(slight|clear|strong)\b", body)
            return family, strength.group(1) if strength else ""
    return CLEAN, ""
