"""The baseline of the field: ask for one word and read the probabilities of all the words it could have said.

Q-Debias and IQARAG both measure what they add against this score, so both call it through this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from methods.base import Evidence, Method, Options, Verdict, option
from methods.q_bench.prompts import QUESTIONS


@dataclass(frozen=True)
class QBenchOptions(Options):
    question: str = option(
        "two-word", "Which question is asked: good or poor (Q-Bench), or one of five levels (IQARAG's baseline).",
        choices=tuple(QUESTIONS),
    )
    temperature: float = option(
        1.0, "Divides the logits before the softmax; Q-Bench's released script uses 100. Ranks stay, distances do not.",
        low=0.01, high=1000.0, step=0.01, advanced=True,
    )


@dataclass(frozen=True)
class WordEvidence(Evidence):
    """Attributes:
    words: the closed set, best first.
    weights: what each word counts, in [0, 1].
    logits: as the LMM gave them, one per word.
    probabilities: their softmax; they sum to 1.
    transcript: the prompt as text, `<image>` where the image stands.
    """

    words: tuple[str, ...]
    weights: tuple[float, ...]
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    transcript: str

    def reason(self, score: float) -> str:
        """The likeliest word."""
        likeliest = int(np.argmax(self.probabilities))
        return f"its likeliest word is {self.words[likeliest]}, at {self.probabilities[likeliest]:.0%}"


class QBench(Method[QBenchOptions]):
    """Q-Bench's closed-set softmax (Wu et al., ICLR 2024; Q-Debias Eq. 1, IQARAG Eq. 10-11)."""

    name = "q-bench"
    title = "Q-Bench"
    summary = "One question, one word: how likely is 'good' against 'poor'? The baseline of the field."
    citation = """@inproceedings{wu2024qbench,
  title={{Q-Bench}: A Benchmark for General-Purpose Foundation Models on Low-level Vision},
  author={Wu, Haoning and Zhang, Zicheng and Zhang, Erli and Chen, Chaofeng and Liao, Liang and Wang, Annan and
          Li, Chunyi and Sun, Wenxiu and Yan, Qiong and Zhai, Guangtao and Lin, Weisi},
  booktitle={International Conference on Learning Representations},
  year={2024}
}"""
    options = QBenchOptions()

    def _assess(self, images: list[Image.Image], options: QBenchOptions) -> list[Verdict]:
        question = QUESTIONS[options.question]
        prompts = [question.prompt(image) for image in images]
        logits = self.lmm.word_logits(prompts, question.levels.words)
        return [
            self._verdict(row, question.prompt(image).transcript(), options)
            for image, row in zip(images, logits)
        ]

    def _verdict(self, logits: np.ndarray, transcript: str, options: QBenchOptions) -> Verdict:
        levels = QUESTIONS[options.question].levels
        probabilities = levels.probabilities(logits, options.temperature)
        score = levels.expectation(logits, options.temperature)
        likeliest = int(np.argmax(probabilities))
        explanation = (
            f"Asked for one word, the model would say **{levels.words[likeliest]}** with probability "
            f"{probabilities[likeliest]:.0%}. Weighing each word by its probability gives {score:.3f} of 1."
        )
        if options.temperature != 1.0:
            explanation += f" The logits were divided by {options.temperature:g} first."
        evidence = WordEvidence(
            words=levels.words,
            weights=levels.weights,
            logits=tuple(float(value) for value in logits),
            probabilities=tuple(float(value) for value in probabilities),
            transcript=transcript,
        )
        return Verdict(score=score, native_score=score, explanation=explanation, evidence=evidence)
