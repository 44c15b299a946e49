"""Q-Debias end to end: degrade, ask everything in one call, weigh, explain.

For each image the LMM is asked nine questions that show five distinct images: the quality of the query on each
of four conditions, whether each degraded version still shows the same thing, and the quality of the query alone. They
are handed over in one call, so that a backend can encode each image once and share what the questions have in
common.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from PIL import Image

from methods.base import Method, Options, Verdict, option
from methods.errors import InputError
from methods.images.decoding import AheadWork
from methods.levels import GOOD_POOR, LevelScheme
from methods.lmm.prompt import Prompt
from methods.locks import ForkSafeLock
from methods.patience import steps
from methods.q_debias.aggregation import SCHEMES, aggregate, weights
from methods.q_debias.distortions import DISTORTIONS, SETTINGS
from methods.q_debias.evidence import Condition, DebiasEvidence, condition_image
from methods.q_debias.explanation import explain
from methods.q_debias.prompts import CONDITION, WORDS, condition_prompt, similarity_prompt, vanilla_prompt
from methods.q_debias.similarity import ssim

YES_NO = LevelScheme(("yes", "no"), (1.0, 0.0))

PIXELS_AT_ONCE = 24_000_000
"""Query pixels of a folder that are degraded and asked about together: about half a gigabyte with their copies."""

PIXELS_IN_FLOAT = 12_000_000
"""Query pixels that threads may hold as floats at the same time."""

_degrading = ForkSafeLock()


@dataclass(frozen=True)
class QDebiasOptions(Options):
    distortions: tuple[str, ...] = option(
        tuple(DISTORTIONS), "Which degraded copies serve as conditions; the paper uses all four (Table 3).",
        choices=tuple(DISTORTIONS),
    )
    aggregation: str = option(
        "semantic", "How the conditions are weighed (Table 5); the paper's way is semantic.", choices=SCHEMES,
    )
    prompt: str = option(
        "full", "The paper's question, or one of its ablations T1 to T3 (Table 4).", choices=tuple(CONDITION),
    )
    setting: str = option(
        "paper", "How images are degraded and how questions are punctuated: as the paper states it (spatter blended "
                 "as in Eq. 4, zoom up to 1.10), or as its released code has it (spatter added, zoom up to 1.20).",
        choices=tuple(SETTINGS), advanced=True,
    )
    word_case: str = option(
        "lower", "Which words are read from the model: good and poor as in the paper, or Good and Poor as in the "
                 "released code.",
        choices=tuple(WORDS), advanced=True,
    )
    temperature: float = option(
        1.0, "Divides the logits of good and poor before the softmax; 1 in the paper. The weights are left alone.",
        low=0.01, high=1000.0, step=0.01, advanced=True,
    )
    consistent: bool = option(
        True, "Conditions are degraded copies of the image itself, as in the paper; off, degraded versions of other "
              "photos, which show something else (Table 3, exp 8).",
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.distortions, tuple) or not self.distortions:
            raise InputError(f"Option distortions needs at least one of {', '.join(DISTORTIONS)}.")
        if len(set(self.distortions)) != len(self.distortions):
            raise InputError(f"Option distortions names one of them twice: {', '.join(self.distortions)}.")
        if self.aggregation == "quality-similarity" and not self.consistent:
            raise InputError("The aggregation quality-similarity compares an image with copies of itself; choose "
                             "another one for conditions of other images.")


class QDebias(Method[QDebiasOptions]):
    """Q-Debias (Pan et al., arXiv 2411.12791): quality on the condition that degraded copies are poor."""

    name = "q-debias"
    title = "Q-Debias"
    summary = "Shows the model degraded copies, tells it that they are poor, and asks about the image again."
    citation = """@article{pan2024qdebias,
  title={Mitigating Perception Bias: A Training-Free Approach to Enhance {LMM} for Image Quality Assessment},
  author={Pan, Siyi and Chen, Baoliang and Huang, Danni and Zhu, Hanwei and Zhu, Lingyu and Sui, Xiangjie and
          Wang, Shiqi},
  journal={arXiv preprint arXiv:2411.12791v1},
  year={2024}
}"""
    min_images = 2
    options = QDebiasOptions()

    @classmethod
    def passes(cls, options: QDebiasOptions) -> float:
        """Two prompts per condition and the vanilla one; they show one image more than there are conditions."""
        return 2.0 * len(options.distortions) + 1.0

    def _ahead(self, image: Image.Image, options: QDebiasOptions) -> list[AheadWork]:
        """The degraded copies too."""
        (copies,) = degrade_all([image], options)
        ahead = _copies[id(image)] = _Copies(image, _degradation(options), copies)
        return [ahead, *self._prepare([image, *copies], options)]

    def _assess(self, images: list[Image.Image], options: QDebiasOptions) -> list[Verdict]:
        return [verdict for chunk in _chunks(images) for verdict in self._assess_together(chunk, options)]

    def _assess_together(self, images: list[Image.Image], options: QDebiasOptions) -> list[Verdict]:
        copies = copies_of(images, options)
        prompts = [
            prompt for image, degraded in zip(images, copies) for prompt in build_prompts(image, degraded, options)
        ]
        logits = self.lmm.word_logits(prompts, WORDS[options.word_case])
        per_image = np.asarray(logits, dtype=np.float64).reshape(len(images), -1, 4)
        verdicts = []
        for index, (image, degraded, rows) in enumerate(zip(images, copies, per_image)):
            first = index * per_image.shape[1]
            transcripts = {
                name: prompts[first + offset].transcript()
                for offset, name in enumerate(("vanilla", "condition", "similarity"))
            }
            evidence = weigh(image, degraded, rows, transcripts, options)
            verdicts.append(Verdict(evidence.score, evidence.score, explain(evidence), evidence))
        return verdicts


def _chunks(images: list[Image.Image]) -> Iterator[list[Image.Image]]:
    """Runs of images that together stay within `PIXELS_AT_ONCE`; one larger image is a run by itself."""
    chunk: list[Image.Image] = []
    pixels = 0
    for image in images:
        size = image.width * image.height
        if chunk and pixels + size > PIXELS_AT_ONCE:
            yield chunk
            chunk, pixels = [], 0
        chunk.append(image)
        pixels += size
    if chunk:
        yield chunk


@dataclass(frozen=True, eq=False)
class _Copies:
    """The degraded copies of an image, made before its turn; the image is held, so that none takes its identity."""

    image: Image.Image
    degradation: tuple[object, ...]
    copies: list[Image.Image]

    @property
    def nbytes(self) -> int:
        return sum(3 * copy.width * copy.height for copy in self.copies)


_copies: WeakValueDictionary[int, _Copies] = WeakValueDictionary()
"""By the identity of the image; what nobody holds any more is not in it."""


def _degradation(options: QDebiasOptions) -> tuple[object, ...]:
    """All that decides what the copies of an image look like."""
    return options.distortions, options.setting, options.seed, options.consistent


def copies_of(images: list[Image.Image], options: QDebiasOptions) -> list[list[Image.Image]]:
    """As `degrade_all`; copies that were made ahead are taken."""
    ready = [one if one is not None and one.degradation == _degradation(options) else None
            for one in (_copies.get(id(image)) for image in images)]
    missing = [image for image, one in zip(images, ready) if one is None]
    fresh = iter(degrade_all(missing, options) if missing else ())
    return [next(fresh) if one is None else one.copies for one in ready]


def degrade_all(images: list[Image.Image], options: QDebiasOptions) -> list[list[Image.Image]]:
    """The degraded copies of every image, in the order of `options.distortions`."""
    largest = max(image.width * image.height for image in images)
    workers = max(1, min(os.cpu_count() or 1, len(options.distortions) * len(images), PIXELS_IN_FLOAT // largest))
    jobs = [(image, name, options.setting, options.seed, options.consistent) for image in images
            for name in options.distortions]
    # OpenCV and NumPy let go of the interpreter while they work, so threads suffice. Images that are prepared side by
    # side wait for one another here: the floats of all of them together are bounded.
    with _degrading, ThreadPoolExecutor(workers) as pool:
        copies = list(steps(pool.map(lambda job: condition_image(*job), jobs)))
    count = len(options.distortions)
    return [copies[start : start + count] for start in range(0, len(copies), count)]


def build_prompts(image: Image.Image, degraded: list[Image.Image], options: QDebiasOptions) -> list[Prompt]:
    """All questions about one image: the vanilla one, then quality and similarity for each condition."""
    prompts = [vanilla_prompt(image)]
    for copy in degraded:
        prompts.append(condition_prompt(copy, image, options.prompt, options.setting))
        prompts.append(similarity_prompt(copy, image, options.setting))
    return prompts


def weigh(image: Image.Image, degraded: list[Image.Image], logits: np.ndarray, transcripts: dict[str, str],
          options: QDebiasOptions) -> DebiasEvidence:
    """Eq. 8 to 11 for one image.

    Args:
        image: the query.
        degraded: its copies, in the order of `options.distortions`.
        logits: [2 n + 1, 4] of good, poor, yes and no, in the order of `build_prompts`.
        transcripts: the prompts as text, for the record.
        options: the assessment's.

    Raises:
        ValueError: a logit is not finite.
    """
    vanilla = GOOD_POOR.expectation(logits[0, :2], options.temperature)
    quality = GOOD_POOR.expectation(logits[1::2, :2], options.temperature)
    semantic = YES_NO.expectation(logits[2::2, 2:])
    likeness = semantic
    if options.aggregation == "quality-similarity":
        likeness = np.array([ssim(image, copy) for copy in degraded])
    shares = weights(likeness, options.aggregation)
    score = aggregate(quality, likeness, options.aggregation)
    conditions = tuple(
        Condition(
            distortion=name,
            logits=(*logits[1 + 2 * i, :2].tolist(), *logits[2 + 2 * i, 2:].tolist()),
            quality=float(quality[i]),
            similarity=float(semantic[i]),
            ssim=float(likeness[i]) if options.aggregation == "quality-similarity" else None,
            weight=float(shares[i]),
            effect=_effect(score, quality, likeness, options.aggregation, i),
        )
        for i, name in enumerate(options.distortions)
    )
    return DebiasEvidence(
        query=image, score=score, vanilla=vanilla, vanilla_logits=tuple(logits[0, :2].tolist()), conditions=conditions,
        aggregation=options.aggregation, prompt=options.prompt, setting=options.setting, seed=options.seed,
        transcripts=transcripts, consistent=options.consistent,
    )


def _effect(score: float, quality: np.ndarray, similarity: np.ndarray, scheme: str, left_out: int) -> float | None:
    if len(quality) == 1:
        return None
    return score - aggregate(np.delete(quality, left_out), np.delete(similarity, left_out), scheme)

