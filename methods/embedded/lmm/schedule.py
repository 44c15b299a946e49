"""Which tasks a step of the decoder's training asks, and how many examples of each."""

from __future__ import annotations

from methods.embedded.lmm.tasks import (
    Task,
    conditioned,
    digit,
    five_level,
    flaw,
    preferred,
    reasoned,
    same_object,
    two_word,
    with_references,
)

MIX: tuple[tuple[tuple[Task, ...], int], ...] = (
    ((two_word, five_level, flaw), 48),
    ((with_references,), 28),
    ((same_object, conditioned, same_object, preferred, same_object), 50),
    ((reasoned,), 16),
    ((same_object, conditioned, same_object, preferred, same_object), 50),
    ((with_references,), 28),
    ((digit,), 24),
    ((reasoned,), 16),
)
"""Groups of tasks with prompts of like length, and how many examples of a group are asked at once."""


COMPARING: tuple[tuple[Task, ...], int] = ((same_object,), 96)
COMPANIONS: tuple[tuple[tuple[Task, ...], int], ...] = (
    ((two_word, five_level, flaw), 48),
    ((with_references,), 28),
    ((conditioned, preferred), 20),
    ((reasoned,), 16),
    ((digit,), 24),
)
"""What the last quarter of the steps asks: whether two images show the same object, and beside it, in turn, the rest.
To compare two contents is learned late. Mixed lessons alone leave the AUC at 0.90; a thousand such steps after them
bring it to 0.98 and cost the other answers nothing."""


REST: tuple[tuple[tuple[Task, ...], int], ...] = (
    ((two_word, five_level, flaw), 48),
    ((with_references,), 28),
    ((same_object,), 48),
    ((conditioned, preferred), 20),
    ((digit,), 24),
)
WRITING: tuple[tuple[Task, ...], int] = ((reasoned,), 24)
"""What is asked after that: to think and answer, and beside it, in turn, the rest. One answer in twenty could not be
read without it."""


def mixed_steps(steps: int) -> int:
    """How many of the steps come before the last quarter."""
    return steps - steps // 4


def all_steps(steps: int) -> int:
    """The steps with those of `WRITING`, a sixth more."""
    return steps + steps // 6


def lessons(step: int, steps: int) -> tuple[tuple[tuple[Task, ...], int], ...]:
    """The two groups of a step.

    Before the last quarter every group's turn comes as often, and it meets another partner each round.
    """
    if step >= steps:
        return WRITING, REST[step % len(REST)]
    if step >= mixed_steps(steps):
        return COMPARING, COMPANIONS[step % len(COMPANIONS)]
    round_of = step // (len(MIX) // 2)
    return MIX[(2 * step) % len(MIX)], MIX[(2 * (step + round_of) + 1) % len(MIX)]
