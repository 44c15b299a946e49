"""The prompts of all methods, built by the methods' own prompt modules, with what a good answer would be.

Every task draws images at random and gives one `Example`: a prompt, the tokens of the images in the order in which
it shows them, and either soft targets for the next token or a text to say. The answer is always computed from what the
decoder is shown, by the teacher (`Directions.judge`) and, for references, by Bayes' rule over their labels. So a token
may be put together from several images, and no image can be learnt by heart. Where an answer must depend on what
the prompt says, the task makes it so: IQARAG's references are also labelled on shifted and reversed scales, with the
target on the same scale, and the same-object question is asked about look-alikes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from scipy.special import ndtr

from methods.embedded.lmm import thinking
from methods.embedded.lmm.readout import CONTENT, CONTENT_SCALE, DAMAGE, FLAW_NAMES, FLAWS, OPINION
from methods.embedded.lmm.recipe import Shot
from methods.iqarag import prompts as iqarag
from methods.leaf.teacher import PAIR_WORDS, pair_prompt
from methods.levels import FIVE_LEVELS, GOOD_POOR, LevelScheme
from methods.llm_iqa.standard import KINDS, LEVEL_COUNTS, WORDINGS, Standard
from methods.lmm.prompt import Prompt
from methods.q_bench.prompts import QUESTIONS
from methods.q_debias import prompts as q_debias
from methods.visualquality_r1 import prompts as visualquality_r1

BLANK = Image.new("RGB", (1, 1))
"""Stands for an image in a prompt; training knows images by their tokens."""

SPREAD = 0.12
"""Standard deviation, in [0, 1], of the soft labels: about what raters disagree by."""

ANSWER_SPREAD = 0.03
"""The same for a score that is written out, from which samples are drawn and averaged."""

NOISE = 0.1
"""Spread of the noise added to a drawn token."""

BLENDED = 0.4
"""Share of the tokens put together whose flaws are those of two images."""

AS_IT_IS = 0.3
"""Share of the drawn tokens that are one image's."""

REFERENCE_SPREAD = 0.22
"""Standard deviation of a reference's label around what the teacher thinks of it. MOS and teacher differ by 0.12 on the
benchmark, and a label says only which fifth of the scale it is."""

@dataclass(frozen=True)
class Scale:
    """A way in which references may be labelled.

    Attributes:
        share: how often lessons are labelled so.
        belief: the answer's prior probability of it.
        direction: 1, or -1 for labels that are the wrong way round.
        spread: standard deviation of a shift that all labels have in common.
        depth: standard deviation of what the teacher misses in an image, which images of like content share.
    """

    share: float
    belief: float
    direction: float
    spread: float
    depth: float


SCALES = (Scale(0.5, 0.68, 1.0, 0.0, 0.12), Scale(0.15, 0.04, 1.0, 0.3, 0.12), Scale(0.2, 0.278, 1.0, 0.05, 0.3),
          Scale(0.15, 0.002, -1.0, 0.1, 0.08))
"""The first is what references of camera photos look like: they tell of images that look like them, and of no other.
The second is a scale that is shifted as a whole, the third a kind of image that the teacher knows little of, the fourth
a scale that runs the other way. The second and fourth have to be shown clearly before they are believed: labels of
camera photos differ from the teacher so much that five of them say little of a shift, scores that follow each query's
own five are ranked worse, and one badly rated reference alone would look like a scale that runs the other way."""

LIKENESS_WIDTH = 0.35
"""Width of the bell over the distance of two contents, in units of two unrelated images' distance. Of 0.35, 0.5, 0.7
and 1 it is the one with which five references cost the ranking of left-out photos of BIQ2021 least."""

LIKENESS_CHANNELS = 40
"""The first so many channels of the content are compared: those that tell photos apart best, and that the decoder is
handed one by one."""

LOOK_ALIKE = 0.6
"""Share of the references that look like the query."""

PREFERENCE_SPREAD = 0.12
"""Thurstone's standard deviation of the difference of two images."""


@dataclass(frozen=True)
class Example:
    """One lesson.

    Attributes:
        prompt: what is asked; every image is `BLANK`.
        pictures: tokens of the images shown, in order: float32 [pictures, READOUT].
        chances: candidate words, as `Prompt.continuation` would spell them, with their target probabilities; or
        text: what the assistant says, up to its end.
        key: the part of the text that matters most.
    """

    prompt: Prompt
    pictures: np.ndarray
    chances: dict[str, float] = field(default_factory=dict)
    text: str = ""
    key: str = ""


@dataclass(frozen=True)
class Seen:
    """A drawn image: its token float32 [READOUT], and the teacher's quality in [0, 1] and flaw."""

    token: np.ndarray
    quality: float
    flaw: str


Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""`Directions.judge`."""


@dataclass(frozen=True)
class Pool:
    """The images that tasks may draw from.

    Attributes:
        shots: all of them; row numbers refer to this list.
        tokens: float32 [shots, READOUT].
        judge: the teacher.
        rows: the shots that may be used.
        by_group: rows of each photo.
        damaged: rows of each photo's damaged versions.
        near: group -> groups that look most like it.
    """

    shots: Sequence[Shot]
    tokens: np.ndarray
    judge: Judge
    rows: np.ndarray
    by_group: dict[int, np.ndarray]
    damaged: dict[int, np.ndarray]
    near: dict[int, np.ndarray]

    @classmethod
    def of(cls, shots: Sequence[Shot], rows: np.ndarray, tokens: np.ndarray, judge: Judge) -> Pool:
        """A pool of the shots in `rows`; `tokens` are those of all shots, one per image."""
        groups = np.array([shot.group for shot in shots])
        hurt = np.array([bool(shot.damage) for shot in shots])
        by_group = {int(group): rows[groups[rows] == group] for group in np.unique(groups[rows])}
        damaged = {group: members[hurt[members]] for group, members in by_group.items() if hurt[members].any()}
        return cls(shots, tokens, judge, rows, by_group, damaged, _neighbours(by_group, tokens))

    @functools.cached_property
    def groups(self) -> list[int]:
        """The photos that may be drawn."""
        return list(self.by_group)

    def like(self, group: int, rng: np.random.Generator) -> int:
        """A row of another photo, mostly one that looks like this one."""
        near = self.near.get(group)
        if near is not None and len(near) and rng.random() < LOOK_ALIKE:
            other = int(near[rng.integers(len(near))])
        else:
            other = self.groups[rng.integers(len(self.groups))]
        return int(rng.choice(self.by_group[other]))

    def draw(self, rng: np.random.Generator, content: int | None = None) -> Seen:
        """A token, mostly put together from three images: one's quality by opinion, one's damage, one's content.

        Args:
            content: the row of the third; any by default.
        """
        third = int(rng.choice(self.rows)) if content is None else content
        token = self.tokens[third].copy()
        if rng.random() > AS_IT_IS:
            token[DAMAGE:CONTENT] = self.tokens[rng.choice(self.rows), DAMAGE:CONTENT]
            if rng.random() < BLENDED:  # flaws of a new image are seldom as clear as those of one that was learned from
                share = rng.uniform(0.3, 1)
                token[FLAWS:CONTENT] *= share
                token[FLAWS:CONTENT] += (1 - share) * self.tokens[rng.choice(self.rows), FLAWS:CONTENT]
            token[OPINION] = self.tokens[rng.choice(self.rows), OPINION] if rng.random() < 0.7 else rng.uniform(-3, 3)
        token += (NOISE * rng.standard_normal(len(token))).astype(np.float32)
        quality, flaw = self.judge(token[None])
        return Seen(token, float(quality[0]), FLAW_NAMES[int(flaw[0])])


def _neighbours(by_group: dict[int, np.ndarray], tokens: np.ndarray, count: int = 40) -> dict[int, np.ndarray]:
    names = np.array(list(by_group))
    first = tokens[[members[0] for members in by_group.values()], CONTENT:]
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    near: dict[int, np.ndarray] = {}
    for start in range(0, len(names), 256):
        own = np.arange(start, min(start + 256, len(names)))
        like = first[own] @ first.T
        like[np.arange(len(own)), own] = -np.inf
        for name, line in zip(names[own], np.argsort(-like, axis=1, kind="stable")[:, :min(count, len(names) - 1)]):
            near[int(name)] = names[line]
    return near


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


def _both_cases(words: Sequence[str], chances: Sequence[float]) -> dict[str, float]:
    """Half the mass on the lower-case words and half on the title-case ones: a method may read either."""
    return {f" {spelled}": float(chance) / 2
            for word, chance in zip(words, chances) for spelled in (word, word.title())}


def two_word(pool: Pool, rng: np.random.Generator) -> Example:
    """Q-Bench."""
    image = pool.draw(rng)
    return Example(QUESTIONS["two-word"].prompt(BLANK), image.token[None],
                   _both_cases(GOOD_POOR.words, soft(GOOD_POOR, image.quality)))


def five_level(pool: Pool, rng: np.random.Generator) -> Example:
    """IQARAG without references."""
    image = pool.draw(rng)
    return Example(QUESTIONS["five-level"].prompt(BLANK), image.token[None],
                   _both_cases(FIVE_LEVELS.words, soft(FIVE_LEVELS, image.quality)))


def digit(pool: Pool, rng: np.random.Generator) -> Example:
    """LLM-IQA: one digit on a standard."""
    image = pool.draw(rng)
    plain = rng.random() < 0.6
    standard = Standard() if plain else Standard(
        str(rng.choice(KINDS)), int(rng.choice(LEVEL_COUNTS)), str(rng.choice(WORDINGS)))
    chances = soft(standard_scale(standard), image.quality)
    return Example(standard.prompt(BLANK), image.token[None], dict(zip(standard.levels.words, chances.tolist())))


def standard_scale(standard: Standard) -> LevelScheme:
    """The standard's digits with weights in [0, 1]."""
    return LevelScheme(standard.levels.words, tuple((k - 1) / (standard.k - 1) for k in range(standard.k, 0, -1)))


def with_references(pool: Pool, rng: np.random.Generator) -> Example:
    """IQARAG: up to five references, one from each fifth of a scale that may not be the usual one.

    What the teacher misses is drawn as a smooth function of the content (a Gaussian process), so that a reference tells
    the more of the query the more it looks like it.
    """
    group = pool.groups[rng.integers(len(pool.groups))]
    query = pool.draw(rng, int(rng.choice(pool.by_group[group])))
    scale = SCALES[rng.choice(len(SCALES), p=[scale.share for scale in SCALES])]
    candidates = [pool.draw(rng, pool.like(group, rng)) for _ in range(14)]
    alike = likeness(np.stack([image.token for image in (*candidates, query)]))
    missed = scale.depth * np.linalg.cholesky(alike + 1e-6 * np.eye(len(alike))) @ rng.standard_normal(len(alike))
    shift = scale.spread * rng.standard_normal()
    by_level: dict[int, tuple[int, float]] = {}
    for number, image in enumerate(candidates):
        label = 0.5 + scale.direction * (image.quality + missed[number] - 0.5) + shift
        label = float(np.clip(label + REFERENCE_SPREAD * rng.standard_normal(), 0, 1))
        by_level.setdefault(min(int(label * 5), 4), (number, label))
    keep = int(rng.integers(1, 6)) if rng.random() < 0.5 else 5
    places = list(by_level)
    references = [by_level[places[place]] for place in sorted(rng.permutation(len(places))[:keep])]
    order = rng.choice(iqarag.ORDERS, p=[0.7, 0.1, 0.1, 0.1])
    if order != "nearest first":
        references.sort(key=lambda item: item[1], reverse=bool(order == "best first"))
    case = str(rng.choice(iqarag.LEVEL_CASES, p=[0.7, 0.3]))
    words = [FIVE_LEVELS.word_for(label) for _, label in references]
    prompt = iqarag.with_references(
        BLANK, [(BLANK, iqarag.level_text(word, case)) for word in words],
        wording=str(rng.choice(iqarag.COUNT_WORDINGS, p=[0.8, 0.2])), turns=str(rng.choice(iqarag.TURNS, p=[0.8, 0.2])))
    labels = np.array([FIVE_LEVELS.weights[FIVE_LEVELS.words.index(word)] for word in words])
    rows = [number for number, _ in references]
    chances = expected_level(query.quality, np.array([candidates[row].quality for row in rows]), labels,
                             alike[np.ix_([*rows, -1], [*rows, -1])])
    return Example(prompt, np.stack([*(candidates[row].token for row in rows), query.token]),
                   _both_cases(FIVE_LEVELS.words, chances))


def likeness(tokens: np.ndarray) -> np.ndarray:
    """How alike the contents of images are: float [n, READOUT] to float64 [n, n], 1 for the same."""
    content = tokens[:, CONTENT : CONTENT + LIKENESS_CHANNELS].astype(np.float64)
    square = ((content[:, None] - content[None]) ** 2).sum(-1)
    unrelated = 2 * content.shape[1] * CONTENT_SCALE**2
    return np.exp(-square / (2 * LIKENESS_WIDTH**2 * unrelated))


def expected_level(quality: float, references: np.ndarray, labels: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Bayes' answer to an IQARAG prompt: probabilities of the five levels, over the scales that may be in use.

    Args:
        quality: the teacher's of the query.
        references: the teacher's of the references, float [n].
        labels: their levels as a reader of the prompt knows them, float [n] in [0, 1].
        alike: `likeness` of the references and, last, the query, float [n + 1, n + 1].
    """
    answers, evidence = [], []
    count = len(labels)
    for scale in SCALES:
        residuals = labels - 0.5 - scale.direction * (references - 0.5)
        shared = scale.spread**2 + scale.depth**2 * alike
        spread = shared[:count, :count] + REFERENCE_SPREAD**2 * np.eye(count)
        weighted = np.linalg.solve(spread, residuals)
        evidence.append(np.log(scale.belief) - 0.5 * (residuals @ weighted + np.linalg.slogdet(spread)[1]))
        answer = 0.5 + scale.direction * (quality - 0.5) + shared[count, :count] @ weighted
        answers.append(soft(FIVE_LEVELS, float(np.clip(answer, 0.02, 0.98))))
    weights = np.exp(np.array(evidence) - max(evidence))
    return weights / weights.sum() @ np.array(answers)


def conditioned(pool: Pool, rng: np.random.Generator) -> Example:
    """Q-Debias: the degraded image is said to be poor; the question is about the second, whose quality stands."""
    groups = list(pool.damaged)
    group = groups[rng.integers(len(groups))]
    first = int(rng.choice(pool.damaged[group]))
    own = int(rng.choice(pool.by_group[group])) if rng.random() < 0.85 else None
    image = pool.draw(rng, own)
    before = pool.tokens[first] if rng.random() < 0.5 else pool.draw(rng, first).token
    variant = "full" if rng.random() < 0.6 else str(rng.choice(list(q_debias.CONDITION)))
    prompt = q_debias.condition_prompt(BLANK, BLANK, variant, setting=str(rng.choice(["paper", "code"])))
    return Example(prompt, np.stack([before, image.token]),
                   _both_cases(GOOD_POOR.words, soft(GOOD_POOR, image.quality)))


def same_object(pool: Pool, rng: np.random.Generator) -> Example:
    """Q-Debias: is it the same thing? Half the time it is; otherwise a look-alike, or its damaged version, is shown.

    The components of the content change their signs at random, in both images alike: there are a few hundred photos,
    but any number of photos that such contents could be of, and what must be learnt is to compare them.
    """
    groups = list(pool.damaged)
    group = int(groups[rng.integers(len(groups))])
    intact = [row for row in pool.by_group[group] if not pool.shots[row].damage]
    second = int(rng.choice(intact if intact and rng.random() < 0.85 else pool.by_group[group]))
    same = rng.random() < 0.5
    if same:
        first = int(rng.choice(pool.damaged[group] if rng.random() < 0.85 else pool.by_group[group]))
    else:
        nearest = rng.random() < 0.5
        other = int(pool.near[group][rng.integers(min(8, len(pool.near[group])))]) if nearest else group
        while other == group:
            other = int(groups[rng.integers(len(groups))])
        source = pool.damaged[other] if other in pool.damaged and rng.random() < 0.6 else pool.by_group[other]
        first = int(rng.choice(source))
    pair = pool.tokens[[first, second]] + (NOISE * rng.standard_normal((2, pool.tokens.shape[1]))).astype(np.float32)
    if rng.random() < 0.7:
        pair[:, CONTENT:] *= rng.choice(np.float32([-1, 1]), pair.shape[1] - CONTENT)
    yes = 0.98 if same else 0.02
    prompt = q_debias.similarity_prompt(BLANK, BLANK, setting=str(rng.choice(["paper", "code"])))
    chances = {"yes": yes / 2, "Yes": yes / 2, "no": (1 - yes) / 2, "No": (1 - yes) / 2}
    return Example(prompt, pair, chances)


def preferred(pool: Pool, rng: np.random.Generator) -> Example:
    """LEAF's teacher: which of two images is better, by Thurstone's law."""
    first, second = pool.draw(rng), pool.draw(rng)
    chance = float(ndtr((first.quality - second.quality) / PREFERENCE_SPREAD))
    return Example(pair_prompt(BLANK, BLANK), np.stack([first.token, second.token]),
                   _both_cases(PAIR_WORDS, (chance, 1 - chance)))


def reasoned(pool: Pool, rng: np.random.Generator) -> Example:
    """VisualQuality-R1: think, then the score; or the score alone."""
    image = pool.draw(rng)
    variant = str(rng.choice(list(visualquality_r1.VARIANTS), p=[0.5, 0.3, 0.2]))
    quality = float(np.clip(image.quality + rng.normal(0, ANSWER_SPREAD), 0, 1))
    text, key = f"<answer>{thinking.answer(quality)}</answer>", ""
    if "<think>" in visualquality_r1.VARIANTS[variant]:
        reasoning = thinking.reasoning(image.flaw, image.quality, rng)
        text, key = f"<think>{reasoning}</think>{text}", reasoning.split(".")[0]
    return Example(visualquality_r1.prompt(BLANK, variant), image.token[None], text=text, key=key)


FLAW_QUESTION = "What is wrong with the image?"


def flaw(pool: Pool, rng: np.random.Generator) -> Example:
    """The first sentence of the reasoning alone, to a short question: where naming flaws is learnt fastest."""
    image = pool.draw(rng)
    sentence = thinking.reasoning(image.flaw, image.quality, rng).split(".")[0]
    return Example(Prompt.ask(BLANK, FLAW_QUESTION), image.token[None], text=f"{sentence}.", key=sentence)


Task = Callable[[Pool, np.random.Generator], Example]
