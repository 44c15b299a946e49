"""VisualQuality-R1 at work: the model reasons and scores K times; the mean is the score, the spread its doubt.

A text without a readable score is never given one: it is sampled again, up to twice, and if an image has no score
at all then, the assessment fails with a sentence.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from methods.base import Assessment, Evidence, ImageSource, Method, Options, Spread, Verdict, as_decoded, option
from methods.lmm.base import LMMError
from methods.lmm.prompt import Prompt
from methods.visualquality_r1.answer import HIGHEST, LOWEST, parse_score, reasoning
from methods.visualquality_r1.prompts import VARIANTS, prompt
from methods.work import Work

RETRIES = 2
"""How often a text without a readable score is sampled again."""


@dataclass(frozen=True)
class VisualQualityR1Options(Options):
    samples: int = option(6, "How many times the model reasons and scores (K in the paper).", low=1, high=32, step=1)
    wording: str = option("paper", "The question of the paper's Table 1, of the released data, or without thinking.",
                          choices=tuple(VARIANTS))
    temperature: float = option(1.0, "How freely words are drawn; 0 always takes the likeliest and samples once.",
                                low=0.0, high=2.0, step=0.05, advanced=True)
    top_k: int = option(50, "Only the k likeliest tokens may be drawn; 0 allows all.", low=0, high=1000, step=1,
                        advanced=True)
    top_p: float = option(1.0, "Only the likeliest tokens up to this total probability may be drawn.",
                          low=0.01, high=1.0, step=0.01, advanced=True)
    max_new_tokens: int = option(2048, "The longest answer, in tokens.", low=16, high=8192, step=16, advanced=True)

    @property
    def draws(self) -> int:
        """K, or 1 where decoding is greedy and every sample would be the same."""
        return 1 if self.temperature == 0 else self.samples


@dataclass(frozen=True)
class Sample:
    """Attributes:
    text: all that the model wrote.
    reasoning: what stands between its think tags.
    score: in [1, 5].
    """

    text: str
    reasoning: str
    score: float


@dataclass(frozen=True)
class ReasoningEvidence(Evidence):
    """Attributes:
    samples: the texts with a readable score, in the order in which they were drawn.
    mean: of their scores, in [1, 5].
    deviation: their unbiased standard deviation; None for one sample.
    agreement: share of the samples within half a point of the mean, in [0, 1].
    typical: index of the sample whose score is nearest to the mean; its reasoning is the one to read.
    unreadable: texts that were drawn and had no readable score.
    transcript: the prompt as text.
    """

    samples: tuple[Sample, ...]
    mean: float
    deviation: float | None
    agreement: float
    typical: int
    unreadable: int
    transcript: str

    @property
    def scores(self) -> tuple[float, ...]:
        return tuple(sample.score for sample in self.samples)

    def spread(self, score: float) -> Spread | None:
        """The standard deviation of the answers, on the scale of the score; None where it answered once."""
        if self.deviation is None:
            return None
        return Spread.about(score, self.deviation / (HIGHEST - LOWEST),
                            f"standard deviation of its {len(self.samples)} answers")

    def reason(self, score: float) -> str:
        """The range of the answers."""
        if len(self.samples) == 1:
            return "it answered once"
        return f"its {len(self.samples)} answers lie between {min(self.scores):.2f} and {max(self.scores):.2f} of 5"


class VisualQualityR1(Method[VisualQualityR1Options]):
    """VisualQuality-R1 (section 3; prompt of Table 1) on any LMM that can write."""

    name = "visualquality-r1"
    title = "VisualQuality-R1"
    summary = "The model reasons aloud and scores the photo several times; the spread shows how sure it is."
    citation = """@inproceedings{wu2025visualqualityr1,
  title={{VisualQuality-R1}: Reasoning-Induced Image Quality Assessment via Reinforcement Learning to Rank},
  author={Wu, Tianhe and Zou, Jian and Liang, Jie and Zhang, Lei and Ma, Kede},
  booktitle={Advances in Neural Information Processing Systems},
  year={2025}
}"""
    native_range = (LOWEST, HIGHEST)
    own_lmm = "TianheWu/VisualQuality-R1-7B"
    training_free = False
    embedded_note = "The embedded model's sentences are filled in from measured evidence; it does not think in words."
    options = VisualQualityR1Options()

    @classmethod
    def work(cls, options: VisualQualityR1Options, pixels: int, limit: int) -> Work:
        """The samples are decoded side by side, so that an image takes the steps of its longest answer."""
        return replace(super().work(options, pixels, limit), tokens=options.max_new_tokens)

    def _assess(self, images: list[Image.Image], options: VisualQualityR1Options) -> list[Verdict]:
        prompts = [prompt(image, options.wording) for image in images]
        samples = self._draw(prompts, options.draws, options, options.seed)
        return [self._verdict(one, texts, options) for one, texts in zip(prompts, samples)]

    def stream(self, image: ImageSource, **options: object) -> Iterator[str | Assessment]:
        """One assessment as it happens: first the pieces of the first sample's text, last the `Assessment`.

        All samples are drawn side by side. The result equals that of `assess` under the same options. Closing the
        iterator stops the model.

        Yields:
            str pieces, whose sum is the first sample, and empty ones while the others go on; then one `Assessment`.

        Raises:
            As `assess`.
        """
        settings = self.options.updated(**options)
        decoded = as_decoded(image, self.max_pixels)
        start = time.perf_counter()
        question = prompt(decoded.image, settings.wording)
        texts = yield from self.lmm.sample(question, n=settings.draws, seed=settings.seed, **_decoding(settings))
        verdict = self._verdict(question, texts, settings)
        yield self._assessment(decoded, verdict, settings, time.perf_counter() - start)

    def _draw(self, prompts: list[Prompt], n: int, options: VisualQualityR1Options, seed: int) -> list[list[str]]:
        return self.lmm.generate(prompts, n=n, seed=seed, **_decoding(options))

    def _verdict(self, question: Prompt, texts: list[str], options: VisualQualityR1Options) -> Verdict:
        readable = {index: text for index, text in enumerate(texts) if parse_score(text) is not None}
        unreadable = len(texts) - len(readable)
        if options.temperature > 0:
            for attempt in range(1, RETRIES + 1):
                missing = [index for index in range(len(texts)) if index not in readable]
                if not missing:
                    break
                again = self._draw([question], len(texts), options, options.seed + attempt * len(texts))[0]
                for index in missing:
                    if parse_score(again[index]) is not None:
                        readable[index] = again[index]
                    else:
                        unreadable += 1
        if not readable:
            raise LMMError(
                f"{self.lmm.name} stated no score between {LOWEST:g} and {HIGHEST:g} in any of its answers; "
                f"try another model, or the wording without thinking."
            )
        samples = tuple(Sample(text, reasoning(text), parse_score(text)) for _, text in sorted(readable.items()))
        evidence = summarise(samples, unreadable, question.transcript())
        score = (evidence.mean - LOWEST) / (HIGHEST - LOWEST)
        return Verdict(score, evidence.mean, explain(evidence), evidence)


def stream_with(method: VisualQualityR1, image: ImageSource, options: Mapping[str, object]
                ) -> Iterator[str | Assessment]:
    """`method.stream` as a plain function, so that it can be sent to a GPU worker."""
    yield from method.stream(image, **options)


def _decoding(options: VisualQualityR1Options) -> dict[str, Any]:
    return {"max_new_tokens": options.max_new_tokens, "temperature": options.temperature,
            "top_p": options.top_p, "top_k": options.top_k}


def summarise(samples: tuple[Sample, ...], unreadable: int, transcript: str) -> ReasoningEvidence:
    """Mean, spread and agreement of the samples."""
    scores = np.array([sample.score for sample in samples])
    mean = float(scores.mean())
    return ReasoningEvidence(
        samples=samples,
        mean=mean,
        deviation=float(scores.std(ddof=1)) if len(scores) > 1 else None,
        agreement=float(np.mean(np.abs(scores - mean) <= 0.5)),
        typical=int(np.argmin(np.abs(scores - mean))),
        unreadable=unreadable,
        transcript=transcript,
    )


def explain(evidence: ReasoningEvidence) -> str:
    """The score, its spread and the typical sample's reasoning, in Markdown."""
    count = len(evidence.samples)
    if count == 1:
        opening = f"The model gives **{evidence.mean:.2f}** of 5."
    else:
        low, high = min(evidence.scores), max(evidence.scores)
        opening = (f"Asked {count} times, the model gives **{evidence.mean:.2f}** of 5 on average, between {low:.2f} "
                   f"and {high:.2f} (standard deviation {evidence.deviation:.2f}).")
    if evidence.unreadable:
        texts = "answer" if evidence.unreadable == 1 else "answers"
        opening += f" {evidence.unreadable} {texts} stated no score and did not count."
    thought = evidence.samples[evidence.typical].reasoning
    quoted = "\n".join(f"> {line}" if line.strip() else ">" for line in thought.splitlines())
    return f"{opening}\n\n{quoted}" if quoted else opening
