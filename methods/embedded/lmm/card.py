"""`python -m methods.embedded.lmm.card`: writes what `evaluate` measured into the model card.

The card's text is written by hand; everything between its headings "Measured" and "Where it fails" comes from here, so
that no number in it was ever copied.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods import files
from methods.cli.running import guarded

START, STOP = "## Measured\n", "## Where it fails\n"

PROMPTS = {
    "q-bench": "Q-Bench, two words",
    "five-level": "five levels",
    "digit": "one digit of the 7-level standard (LLM-IQA)",
    "conditioned": "on a degraded condition (Q-Debias)",
    "think": "think and answer, mean of 6 samples (VisualQuality-R1)",
}


def section(report: Mapping[str, Any]) -> str:
    """The section as Markdown, from `evaluate.report`'s result."""
    parts = ["On photos of a benchmark of which the model has seen neither pictures nor scores. SRCC with its 95 % "
             "bootstrap\ninterval.\n", _prompts(report)]
    parts.append(f"Conditioned minus Q-Bench: {report['conditioned minus q-bench']}.\n")
    parts.append(_references(report["references"], "Five references against the plain five-level question"))
    parts.append("SRCC of the scores with reversed reference labels with those with true ones: "
                 f"{report['correlation of flipped with straight']:.2f}.\n")
    parts.append(
        "Same object, P(yes) of a photo's own degraded version against another photo's: AUC "
        f"{report['same object, AUC against strangers']:.3f}; against the most similar other photo's: "
        f"{report['same object, AUC against look-alikes']:.3f}.\n")
    if "answers that can be read" in report:
        parts.append(f"Written answers that can be read: {report['answers that can be read']:.3f}.\n")
    for name, title in (("five-level", "five levels"), ("q-bench", "two words")):
        calibration = report[f"calibration of {name}"]
        pairs = "; ".join(f"{score:.2f} → {mos:.2f}" for score, mos in calibration["score and MOS by fifth"])
        parts.append(f"Calibration, {title} (mean score → mean MOS by fifth of the photos): {pairs}. Expected "
                     f"calibration error {calibration['expected calibration error']:.3f}.\n")
    parts += _damage(report["held-out damage"], report["reasoning"])
    corners = report["parts"]
    parts.append(f"Corners of held-out photos, one damaged: mean score {corners['inside']:.2f} damaged, "
                 f"{corners['outside']:.2f} intact; ranked rightly in {corners['ranked rightly']:.2f} of "
                 f"{corners['n']} pairs.\n")
    parts.append(_others(report["other damage"]))
    parts.append(_limits(report["limits"]))
    return "\n".join(parts)


def _prompts(report: Mapping[str, Any]) -> str:
    lines = ["| Prompt | SRCC | 95 % | PLCC | n |", "|---|---|---|---|---|"]
    for name, title in PROMPTS.items():
        if name in report:
            accuracy = report[name]
            low, high = accuracy["interval"]
            lines.append(f"| {title} | {accuracy['srcc']:.3f} | {low:.3f} to {high:.3f} | {accuracy['plcc']:.3f} | "
                         f"{accuracy['n']} |")
    return "\n".join(lines) + "\n"


def _references(worth: Mapping[str, Any], title: str) -> str:
    low, high = worth["interval"]
    before, after = worth["error"]
    counts = ", ".join(f"{value:+.3f} with {count}" for count, value in worth["by references"].items())
    return (f"{title}, mean of SRCC and PLCC over {worth['deals']} deals into {worth['references']} references and "
            f"{worth['tests']} tests: {worth['gain']:+.3f} ({low:+.3f} to {high:+.3f}); {counts} at most. Mean "
            f"absolute error in [0, 1]: {before:.3f} without, {after:.3f} with references.\n")


def _damage(damage: Mapping[str, Any], reasoning: Mapping[str, Any]) -> list[str]:
    low, high = damage["interval"]
    lines = [f"Held-out damaged photos, five levels: SRCC {damage['srcc']:.3f} ({low:.3f} to {high:.3f}, n = "
             f"{damage['n']}) with KADID's level means. By type:\n", "| Damage | SRCC | n |", "|---|---|---|"]
    lines += [f"| {name} | {value:.2f} | {count} |" for name, (value, count) in damage["by type"].items()]
    flaws = ", ".join(f"{name} {share:.2f} (n = {count})" for name, (share, count) in reasoning["by flaw"].items())
    paragraph = (f"Reasoning on the same photos, one sample each: the named flaw (or that there is none) is right for "
            f"{reasoning['named right']:.2f} of {reasoning['pictures']}; where a flaw is named rightly, so is its "
            f"strength for {reasoning['strength right where the name is']:.2f}. By flaw: {flaws}.\n")
    return ["\n".join(lines) + "\n", paragraph]


def _others(damage: Mapping[str, Any]) -> str:
    lines = [f"Damage that KADID-10k does not have, on {damage['photos']} held-out photos: mean SRCC of score and "
             "quality along the six\nsteps of one photo (torn edges, shaking contours and ghosting were never trained "
             "on).\n", "| Damage | SRCC |", "|---|---|"]
    lines += [f"| {name} | {value:.2f} |" for name, value in damage["by damage"].items()]
    families = ", ".join(f"{name} {value:.2f}" for name, value in damage["by family"].items())
    unknown = damage["unknown faults"]
    return ("\n".join(lines) + f"\n\nBy kind: {families}.\n\nThe three that were never trained on, over photos and "
            f"steps: SRCC {unknown['srcc']:.3f}.\n"
            + _references(unknown, "References of the same three, from other photos"))


def _limits(limits: Mapping[str, Any]) -> str:
    damages = list(next(iter(limits.values()))["falls with"])
    lines = ["Images of kinds that were not trained on (`other_kinds.py`): the mean score of intact ones, and the "
             "mean SRCC between\nscore and strength of a damage (1: every step is seen), six images per kind.\n",
             "| Kind | intact | " + " | ".join(damages) + " |", "|---|---|" + "---|" * len(damages)]
    lines += [f"| {kind} | {result['intact']:.2f} | "
              + " | ".join(f"{result['falls with'][name]:.2f}" for name in damages) + " |"
              for kind, result in limits.items()]
    return "\n".join(lines) + "\n"


def card_with(card: str, report: Mapping[str, object]) -> str:
    """The card with its measured section replaced.

    Raises:
        ValueError: the card lacks one of the two headings.
    """
    if START not in card or STOP not in card:
        raise ValueError(f"The card needs the headings {START.strip()!r} and {STOP.strip()!r}.")
    before, rest = card.split(START, 1)
    return f"{before}{START}{section(report)}\n{STOP}{rest.split(STOP, 1)[1]}"


def main(argv: list[str] | None = None) -> int:
    arguments = argparse.ArgumentParser(prog="python -m methods.embedded.lmm.card", description=__doc__.splitlines()[0])
    arguments.add_argument("report", type=Path, help="JSON file written by methods.embedded.lmm.evaluate --report")
    arguments.add_argument("--card", type=Path, default=Path("assets/embedded-lmm/README.md"))
    options = arguments.parse_args(argv)
    text = card_with(options.card.read_text(encoding="utf-8"), json.loads(options.report.read_text(encoding="utf-8")))
    files.replace(options.card, text)
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m methods.embedded.lmm.card", main))
