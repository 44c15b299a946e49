"""The prompts of all methods, built by the methods' own prompt modules, with what a good answer would be.

Every task draws pictures at random and gives one `Example`: a prompt, the pictures in the order in which it shows
them, and either soft targets for the next token or a text to say. Where an answer must depend on what the prompt
says, the task makes it so: IQARAG's references are also labelled on shifted, stretched and reversed scales, with the
target on the same scale, and the same-object question is asked about look-alikes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from methods.iqarag import prompts as iqarag
from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
from methods.llm_iqa.standard import KINDS, LEVEL_COUNTS, WORDINGS, Standard
from methods.lmm.prompt import Prompt
from methods.lmm.training import thinking
from methods.lmm.training.directions import DAMAGES
from methods.lmm.training.recipe import Shot
from methods.q_bench.prompts import QUESTIONS
from methods.q_debias import prompts as q_debias
from methods.visualquality_r1 import prompts as visualquality_r1

BLANK = Image.new("RGB", (1, 1))
"""Stands for a picture in a prompt; training knows pictures by their number."""

SPREAD = 0.12
"""Standard deviation, in [0, 1], of the soft labels: about what raters disagree by."""

ANSWER_SPREAD = 0.03
"""The same for a score that is written out, from which samples are drawn and averaged."""


@dataclass(frozen=True)
class Example:
    """One lesson.

    Attributes:
        prompt: what is asked; every picture is `BLANK`.
        pictures: row numbers of the pictures shown, in order.
        chances: candidate words, as `Prompt.spelled` would spell them, with their target probabilities; or
        text: what the assistant says, up to its end.
        key: the part of the text that matters most; it counts as much as an answer of one word.
    """

    prompt: Prompt
    pictures: tuple[int, ...]
    chances: dict[str, float] = field(default_factory=dict)
    text: str = ""
    key: str = ""


@dataclass(frozen=True)
class Pool:
    """The pictures that tasks may draw from.

    Attributes:
        shots: all of them; row numbers refer to this list.
        quality: float [shots], the target in [0, 1]; NaN where there is none.
        flaw: the family that the reasoning names, one a shot.
        rated: rows with a target.
        by_group: rows of each photo.
        damaged: rows of each photo's damaged versions.
        near: group -> groups that look most like it.
    """

    shots: Sequence[Shot]
    quality: np.ndarray
    flaw: Sequence[str]
    rated: np.ndarray
    by_group: dict[int, np.ndarray]
    damaged: dict[int, np.ndarray]
    near: dict[int, np.ndarray]

    @classmethod
    def of(cls, shots: Sequence[Shot], rows: np.ndarray, taught: np.ndarray, tokens: np.ndarray,
           trust: float = 1.0) -> Pool:
        """A pool of some of the shots.

        Args:
            rows: the shots that may be used.
            taught: `Directions.teach` of all shots.
            tokens: float [shots, tokens, READOUT].
            trust: share of the teacher in the target of a rated photo; the rest is its own score.
        """
        mos = np.array([shot.mos for shot in shots])
        opinion = np.array([shot.role == "opinion" for shot in shots])
        known = np.where(opinion, trust * taught[:, 0] + (1 - trust) * mos, 0.3 * taught[:, 1] + 0.7 * mos)
        groups = np.array([shot.group for shot in shots])
        hurt = np.array([bool(shot.damage) for shot in shots])
        by_group = {int(group): rows[groups[rows] == group] for group in np.unique(groups[rows])}
        flaws = [_flaw(shot, taught[row]) for row, shot in enumerate(shots)]
        return cls(
            shots, known, flaws, rows[~np.isnan(known[rows])], by_group,
            {group: members[hurt[members]] for group, members in by_group.items() if hurt[members].any()},
            _neighbours(by_group, tokens),
        )


def _flaw(shot: Shot, taught: np.ndarray) -> str:
    if shot.role == "pristine":
        visible = shot.damage and shot.mos <= thinking.VISIBLE
        return thinking.FAMILY_OF[shot.damage] if visible else thinking.CLEAN
    if shot.damage:
        return thinking.FAMILY_OF[shot.damage]
    # Nobody has said what is wrong with a camera photo: the teacher's evidence has to be clear.
    amounts = taught[2:]
    best = int(np.argmax(amounts))
    return thinking.FAMILY_OF[DAMAGES[best]] if amounts[best] > 0.12 and taught[0] < 0.75 else thinking.CLEAN


def _neighbours(by_group: dict[int, np.ndarray], tokens: np.ndarray, count: int = 40) -> dict[int, np.ndarray]:
    names = np.array(list(by_group))
    first = tokens[[members[0] for members in by_group.values()]].mean(axis=1)
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    order = np.argsort(-(first @ first.T), axis=1, kind="stable")
    return {int(name): names[[other for other in line if names[other] != name][:count]]
            for name, line in zip(names, order)}


def soft(scheme: LevelScheme, quality: float, spread: float = SPREAD) -> np.ndarray:
    """Probabilities of the scheme's words around `quality` in [0, 1], with that expectation as nearly as they can."""
    weights = np.asarray(scheme.weights)
    low, high = weights[-1], weights[0]
    weights = (weights - low) / (high - low)
    if len(weights) == 2:
        good = float(np.clip(quality, 0.01, 0.99))
        return np.array([good, 1 - good])
    spread = max(spread, 0.6 / (len(weights) - 1))
    centre = quality
    for _ in range(8):  # the ends cut the bell off; move its centre until the expectation is right
        chances = np.exp(-0.5 * ((weights - centre) / spread) ** 2)
        chances /= chances.sum()
        centre = float(np.clip(centre + quality - chances @ weights, -0.5, 1.5))
    return chances


def _both_cases(scheme: LevelScheme, quality: float) -> dict[str, float]:
    """Half the mass on the lower-case words and half on the title-case ones: a method may read either."""
    chances = soft(scheme, quality)
    return {f" {spelled}": float(chance) / 2
            for word, chance in zip(scheme.words, chances) for spelled in (word, word.title())}


def two_word(pool: Pool, rng: np.random.Generator) -> Example:
    """Q-Bench."""
    row = int(rng.choice(pool.rated))
    return Example(QUESTIONS["two-word"].prompt(BLANK), (row,), _both_cases(GOOD_POOR, pool.quality[row]))


def five_level(pool: Pool, rng: np.random.Generator) -> Example:
    """IQARAG without references."""
    row = int(rng.choice(pool.rated))
    return Example(QUESTIONS["five-level"].prompt(BLANK), (row,), _both_cases(FIVE_LEVELS, pool.quality[row]))


def digit(pool: Pool, rng: np.random.Generator) -> Example:
    """LLM-IQA: one digit on a standard."""
    row = int(rng.choice(pool.rated))
    plain = rng.random() < 0.6
    standard = Standard() if plain else Standard(
        str(rng.choice(KINDS)), int(rng.choice(LEVEL_COUNTS)), str(rng.choice(WORDINGS)))
    chances = soft(standard_scale(standard), pool.quality[row])
    return Example(standard.prompt(BLANK), (row,), dict(zip(standard.levels.words, chances.tolist())))


def standard_scale(standard: Standard) -> LevelScheme:
    """The standard's digits with weights in [0, 1]."""
    return LevelScheme(standard.levels.words, tuple((k - 1) / (standard.k - 1) for k in range(standard.k, 0, -1)))


def with_references(pool: Pool, rng: np.random.Generator) -> Example:
    """IQARAG: up to five references, one from each fifth of a scale that may not be the usual one."""
    row = int(rng.choice(pool.rated))
    gain, shift = 1.0, 0.0
    if rng.random() < 0.6:
        gain = float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.6, 1.3))
        shift = float(rng.uniform(-0.2, 0.2))

    def scaled(quality: float) -> float:
        return float(np.clip(0.5 + gain * (quality - 0.5) + shift, 0, 1))

    references = _references(pool, row, scaled, rng)
    order = rng.choice(iqarag.ORDERS, p=[0.7, 0.1, 0.1, 0.1])
    if order.endswith("first") and order != "nearest first":
        references.sort(key=lambda item: item[1], reverse=bool(order == "best first"))
    case = str(rng.choice(iqarag.LEVEL_CASES, p=[0.7, 0.3]))
    prompt = iqarag.with_references(
        BLANK, [(BLANK, iqarag.written(FIVE_LEVELS.word_for(quality), case)) for _, quality in references],
        wording=str(rng.choice(iqarag.COUNT_WORDINGS, p=[0.8, 0.2])), turns=str(rng.choice(iqarag.TURNS, p=[0.8, 0.2])))
    return Example(prompt, (*(reference for reference, _ in references), row),
                   _both_cases(FIVE_LEVELS, scaled(pool.quality[row])))


def _references(pool: Pool, row: int, scaled: Callable[[float], float], rng: np.random.Generator
                ) -> list[tuple[int, float]]:
    """The nearest (or any) photos, the first hit of each fifth of the scale, as the method retrieves them."""
    group = pool.shots[row].group
    if rng.random() < 0.6:
        candidates = [int(rng.choice(members)) for other in pool.near[group]
                      if len(members := np.intersect1d(pool.by_group[int(other)], pool.rated))]
    else:
        candidates = [int(other) for other in rng.choice(pool.rated, 40) if pool.shots[other].group != group]
    found: dict[int, tuple[int, float]] = {}
    for other in candidates:
        quality = scaled(pool.shots[other].mos)
        found.setdefault(min(int(quality * 5), 4), (other, quality))
    chosen = list(found.values())
    keep = int(rng.integers(2, 6)) if rng.random() < 0.3 else 5
    return [chosen[place] for place in sorted(rng.permutation(len(chosen))[:keep])]


def conditioned(pool: Pool, rng: np.random.Generator) -> Example:
    """Q-Debias: the degraded picture is said to be poor; the question is about the second, whose quality stands."""
    row = int(rng.choice(pool.rated))
    own = pool.damaged.get(pool.shots[row].group)
    others = list(pool.damaged)
    first = own if own is not None and rng.random() < 0.85 else pool.damaged[others[rng.integers(len(others))]]
    variant = "full" if rng.random() < 0.6 else str(rng.choice(list(q_debias.CONDITION)))
    prompt = q_debias.condition_prompt(BLANK, BLANK, variant, setting=str(rng.choice(["paper", "code"])))
    return Example(prompt, (int(rng.choice(first)), row), _both_cases(GOOD_POOR, pool.quality[row]))


def same_object(pool: Pool, rng: np.random.Generator) -> Example:
    """Q-Debias: is it the same thing? Half the time it is; otherwise a look-alike, or its damaged version, is shown."""
    groups = list(pool.damaged)
    group = int(groups[rng.integers(len(groups))])
    intact = [row for row in pool.by_group[group] if not pool.shots[row].damage]
    second = int(rng.choice(intact if intact and rng.random() < 0.85 else pool.by_group[group]))
    same = rng.random() < 0.5
    if same:
        first = int(rng.choice(pool.damaged[group] if rng.random() < 0.85 else pool.by_group[group]))
    else:
        nearest = rng.random() < 0.6
        other = int(pool.near[group][rng.integers(min(8, len(pool.near[group])))]) if nearest else group
        while other == group:
            other = int(groups[rng.integers(len(groups))])
        source = pool.damaged[other] if other in pool.damaged and rng.random() < 0.6 else pool.by_group[other]
        first = int(rng.choice(source))
    yes = 0.98 if same else 0.02
    prompt = q_debias.similarity_prompt(BLANK, BLANK, setting=str(rng.choice(["paper", "code"])))
    chances = {"yes": yes / 2, "Yes": yes / 2, "no": (1 - yes) / 2, "No": (1 - yes) / 2}
    return Example(prompt, (first, second), chances)


def reasoned(pool: Pool, rng: np.random.Generator) -> Example:
    """VisualQuality-R1: think, then the score; or the score alone."""
    row = int(rng.choice(pool.rated))
    variant = str(rng.choice(list(visualquality_r1.VARIANTS), p=[0.5, 0.3, 0.2]))
    quality = float(np.clip(pool.quality[row] + rng.normal(0, ANSWER_SPREAD), 0, 1))
    text, key = f"<answer>{thinking.answer(quality)}</answer>", ""
    if "<think>" in visualquality_r1.VARIANTS[variant]:
        said = thinking.reasoning(pool.flaw[row], pool.quality[row], rng)
        text, key = f"<think>{said}</think>{text}", said.split(".")[0]
    return Example(visualquality_r1.prompt(BLANK, variant), (row,), text=text, key=key)


MIX: tuple[tuple[tuple[Callable[[Pool, np.random.Generator], Example], ...], int], ...] = (
    ((with_references,), 14),
    ((reasoned,), 16),
    ((conditioned, same_object, same_object), 30),
    ((digit,), 10),
    ((with_references,), 14),
    ((reasoned,), 16),
    ((conditioned, same_object, same_object), 30),
)
"""Groups of tasks with prompts of like length, and how many examples of a group make a step's second half."""

ALWAYS: tuple[tuple[Callable[[Pool, np.random.Generator], Example], ...], int] = ((two_word, five_level), 24)
"""Asked in every step: the shortest prompts."""
