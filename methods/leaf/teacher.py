"""The teacher: any LMM asked for point-wise and pair-wise judgements of unlabelled images.

Judgements are written to a cache as they come, so a run that is killed goes on where it stopped and a second student
costs nothing. An image is known by its content, not by its name. Pairs are chosen, not all n squared: neighbours in
the point-wise order, where the five words are too coarse, and random pairs, which hold the whole scale together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image

from methods.images import decode
from methods.leaf import reliability
from methods.leaf.cache import Cache, TeacherError, key_of, read
from methods.levels import FIVE_LEVELS
from methods.lmm.base import LMM, LMMError
from methods.lmm.prompt import Prompt
from methods.q_bench.prompts import QUESTIONS

QUESTION = QUESTIONS["five-level"]
PAIR_TEXT = "Which image has better quality, the first image or the second image?"
PAIR_PREFIX = "The image with better quality is the"
PAIR_WORDS = ("first", "second")

Progress = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


@dataclass(frozen=True)
class Judgements:
    """What the teacher said of n images.

    Attributes:
        probabilities: float64 [n, 5], over excellent, good, fair, poor, bad.
        scores: float64 [n] in [0, 1], their expectation.
        reliability: float64 [n], `methods.leaf.reliability.pointwise`.
        pairs: int [m, 2], positions of the images compared; m may be 0.
        forward, backward: float64 [m], P(first of the pair is better) in either order of asking.
        preference: float64 [m], their mean.
        pair_reliability: float64 [m], `methods.leaf.reliability.pairwise`.
        teacher: name and revision of the LMM.
    """

    probabilities: np.ndarray
    pairs: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    teacher: str

    @property
    def scores(self) -> np.ndarray:
        return self.probabilities @ np.asarray(FIVE_LEVELS.weights)

    @property
    def reliability(self) -> np.ndarray:
        return reliability.pointwise(self.probabilities)

    @property
    def preference(self) -> np.ndarray:
        return reliability.preference(self.forward, self.backward)

    @property
    def pair_reliability(self) -> np.ndarray:
        return reliability.pairwise(self.forward, self.backward)

    def subset(self, rows: Sequence[int]) -> Judgements:
        """The judgements of some of the images, renumbered; a pair stays if both of its images do."""
        rows = np.asarray(rows)
        position = np.full(len(self.probabilities), -1)
        position[rows] = np.arange(len(rows))
        renumbered = position[self.pairs]
        inside = (renumbered >= 0).all(axis=1) if len(self.pairs) else np.zeros(0, dtype=bool)
        return Judgements(self.probabilities[rows], renumbered[inside].reshape(-1, 2), self.forward[inside],
                          self.backward[inside], self.teacher)


def choose_pairs(scores: np.ndarray, per_picture: int = 4, seed: int = 0) -> np.ndarray:
    """Pairs to compare, int [m, 2], each once; about `per_picture * n / 2` of them.

    Half join images that stand next to each other in the order of `scores`, half are drawn at random.
    """
    count = len(scores)
    total = min(per_picture * count // 2, count * (count - 1) // 2)
    if total <= 0:
        return np.zeros((0, 2), dtype=np.int64)
    rng = np.random.default_rng(seed)
    order = np.argsort(np.asarray(scores) + 1e-9 * rng.random(count))
    chosen: dict[tuple[int, int], None] = {}
    step = 1
    while len(chosen) < total // 2 and step < count:
        for place in range(count - step):
            if len(chosen) >= total // 2:
                break
            chosen.setdefault(tuple(sorted((int(order[place]), int(order[place + step])))))
        step += 1
    while len(chosen) < total:
        first, second = rng.choice(count, 2, replace=False)
        chosen.setdefault(tuple(sorted((int(first), int(second)))))
    pairs = np.array(list(chosen), dtype=np.int64)
    swap = rng.random(len(pairs)) < 0.5
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs


def recorded(images: Sequence[str | Path], cache: str | Path) -> Judgements:
    """What a teacher said before of these images, from its cache alone; the teacher itself is not needed.

    Raises:
        TeacherError: there is no such cache, or it lacks some of the images.
    """
    path = Path(cache)
    if not path.is_file():
        raise TeacherError(f"There is no file {path.name}; label the images first.")
    heading, judgements = read(path)
    keys = [key_of(image) for image in images]
    row_of: dict[str, int] = {}
    for row, key in enumerate(keys):
        row_of.setdefault(key, row)
    missing = [images[row] for key, row in row_of.items() if key not in judgements]
    if heading is None or missing:
        raise TeacherError(f"{path.name} lacks judgements of {len(missing)} of {len(images)} images, such as "
                           f"{Path(missing[0]).name}; label them first.")
    both = [(first, second) for first, arrow, second in (key.partition(">") for key in judgements)
            if arrow and first < second and f"{second}>{first}" in judgements and first in row_of and second in row_of]
    pairs = np.array([(row_of[first], row_of[second]) for first, second in both], dtype=np.int64).reshape(-1, 2)
    return _judgements(judgements, keys, pairs, heading["teacher"])


def judge(lmm: LMM, images: Sequence[str | Path], *, per_picture: int = 4, seed: int = 0,
          cache: str | Path | None = None, batch: int = 8, progress: Progress | None = None) -> Judgements:
    """Asks the teacher about every image and about chosen pairs, in both orders.

    Args:
        lmm: the teacher. One that takes a single image per prompt gives point-wise judgements only.
        images: paths of the images.
        per_picture: comparisons per image, on average; 0 asks for none.
        seed: of the choice of pairs.
        cache: file that judgements are added to and taken from; None keeps none.
        batch: questions handed to the LMM at once.

    Raises:
        methods.images.ImageError: one of the files is not a usable image.
        TeacherError: the cache belongs to another LMM.
        methods.lmm.LMMError: the LMM failed; what was judged until then is in the cache.
    """
    teacher = f"{lmm.name}@{lmm.revision}"
    store = Cache(cache, {"teacher": teacher, "question": QUESTION.text, "pair": PAIR_TEXT})
    keys = [key_of(image) for image in images]

    def ask(what: str, questions: dict[str, Callable[[], Prompt]], words: Sequence[str]) -> None:
        missing = [key for key in questions if key not in store.judgements]
        done = len(questions) - len(missing)
        for start in range(0, len(missing), batch):
            part = missing[start: start + batch]
            logits = lmm.word_logits([questions[key]() for key in part], words)
            if not np.isfinite(logits).all():
                raise LMMError(f"{lmm.name} gave no finite logits; choose another teacher.")
            store.add((key, [float(value) for value in row]) for key, row in zip(part, logits))
            if progress is not None:
                progress(what, done + start + len(part), len(questions))

    decoded = _DecodedImages(images)
    ask("pictures", {key: lambda row=row: QUESTION.prompt(decoded[row]) for row, key in enumerate(keys)},
        FIVE_LEVELS.words)
    probabilities = FIVE_LEVELS.probabilities(np.array([store.judgements[key] for key in keys]).reshape(-1, 5))
    pairs = np.zeros((0, 2), dtype=np.int64)
    if lmm.image_budget >= 2 and per_picture > 0:
        pairs = choose_pairs(probabilities @ np.asarray(FIVE_LEVELS.weights), per_picture, seed)
    orders = {f"{keys[i]}>{keys[j]}": (lambda i=i, j=j: pair_prompt(decoded[i], decoded[j]))
              for first, second in pairs.tolist() for i, j in ((first, second), (second, first))}
    ask("comparisons", orders, PAIR_WORDS)
    return _judgements(store.judgements, keys, pairs, teacher)


def _judgements(known: dict[str, list[float]], keys: Sequence[str], pairs: np.ndarray, teacher: str) -> Judgements:
    def first_is_better(i: int, j: int) -> float:
        first, second = known[f"{keys[i]}>{keys[j]}"]
        return float(1 / (1 + np.exp(np.clip(second - first, -700, 700))))

    logits = np.array([known[key] for key in keys], dtype=np.float64).reshape(-1, 5)
    return Judgements(
        FIVE_LEVELS.probabilities(logits), pairs,
        np.array([first_is_better(i, j) for i, j in pairs.tolist()]),
        np.array([1 - first_is_better(j, i) for i, j in pairs.tolist()]), teacher,
    )


def pair_prompt(first: Image, second: Image) -> Prompt:
    """Both images before the question, so that every question about them shares their tokens."""
    return Prompt.ask(first, second, PAIR_TEXT, answer_prefix=PAIR_PREFIX)


class _DecodedImages:
    """Decodes images on demand and keeps the last few: neighbours in a batch share them, a folder fills no memory."""

    def __init__(self, paths: Sequence[str | Path], keep: int = 32) -> None:
        self.paths, self.keep = paths, keep
        self.recent: dict[int, Image] = {}

    def __getitem__(self, row: int) -> Image:
        if row not in self.recent:
            if len(self.recent) >= self.keep:
                self.recent.pop(next(iter(self.recent)))
            self.recent[row] = decode(self.paths[row]).image
        return self.recent[row]
