"""Ordered quality words and the weights that turn their probabilities into one score.

Every method of this project that reads a score from an LMM's next-token logits does it the same way: a closed set
of words, a softmax over their logits, and the expectation of the words' weights (IQARAG Eq. 10-11, Q-Align's five
levels, Q-Bench's good/poor). The words and weights live here once, validated, so that a word can never be paired
with another word's weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from methods.errors import InputError


@dataclass(frozen=True)
class LevelScheme:
    """A closed set of quality words with one weight each.

    Args:
        words: distinct, in order of quality: best first, as everywhere in this project, or worst first.
        weights: one finite number per word, strictly falling or rising with the words; a higher one is better quality.
            The papers use 1 to 0; LLM-IQA's digits weigh K to 1.

    Raises:
        ValueError: fewer than two words, repeated words, or weights that do not fall or rise strictly.
    """

    words: tuple[str, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.words))
        object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        if len(self.words) != len(self.weights) or len(self.words) < 2:
            raise ValueError(
                f"A level scheme needs at least two words and one weight per word; "
                f"got {len(self.words)} words and {len(self.weights)} weights."
            )
        if len(set(self.words)) != len(self.words):
            raise ValueError(f"The words of a level scheme must differ; got {', '.join(self.words)}.")
        steps = np.diff(self.weights)
        if not (np.isfinite(self.weights).all() and ((steps < 0).all() or (steps > 0).all())):
            raise ValueError(f"The weights must be finite and fall or rise strictly, word by word; got {self.weights}.")

    def probabilities(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Softmax of `logits / temperature` over the words (IQARAG Eq. 10).

        Args:
            logits: float [..., words], in the order of `words`.
            temperature: above 0; 1 is the papers' setting, Q-Bench's released script divides by 100.

        Returns:
            float64 [..., words], each row sums to 1.

        Raises:
            InputError: a logit is not finite, or the temperature is not positive.
            ValueError: the last axis is not one logit per word.
        """
        logits = np.asarray(logits, dtype=np.float64)
        if logits.shape[-1:] != (len(self.words),):
            raise ValueError(f"Expected {len(self.words)} logits, one per word; got shape {logits.shape}.")
        if not np.isfinite(logits).all():
            raise InputError("The logits hold NaN or infinity; load the LMM with another dtype, such as float32.")
        if not (np.isfinite(temperature) and temperature > 0):
            raise InputError(f"The temperature must be above 0; got {temperature}.")
        scaled = logits / temperature
        exponentials: NDArray[np.float64] = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
        return probabilities

    def expectation(self, logits: np.ndarray, temperature: float = 1.0) -> np.ndarray | float:
        """Sum of probability times weight (IQARAG Eq. 11), between the least and the greatest weight; higher is better.

        Args and errors as for `probabilities`. Returns a float for one row of logits, else float64 [...].
        """
        expected = self.probabilities(logits, temperature) @ np.asarray(self.weights)
        return float(expected) if np.ndim(expected) == 0 else expected

    def word_for(self, mos01: float) -> str:
        """The word for a MOS in [0, 1]: the interval is cut into as many equal bins as there are words.

        A score on a boundary belongs to the better word, and exactly 1.0 to the top one, so that
        `FIVE_LEVELS.word_for(0.8)` is "excellent".

        Raises:
            ValueError: the score is not in [0, 1].
        """
        if not 0.0 <= mos01 <= 1.0:
            raise ValueError(f"A MOS must lie in [0, 1] to be named; got {mos01}. Rescale it first.")
        worst_first = self.words if self.weights[0] < self.weights[-1] else self.words[::-1]
        # A rescaled MOS misses its boundary by a rounding error, (0.7 - 0.1) / 1 for example; the nudge forgives that.
        return worst_first[min(int(mos01 * len(self.words) + 1e-9), len(self.words) - 1)]


FIVE_LEVELS = LevelScheme(("excellent", "good", "fair", "poor", "bad"), (1.0, 0.75, 0.5, 0.25, 0.0))
"""ITU-R BT.500's five words, with the weights of IQARAG Eq. 11."""

GOOD_POOR = LevelScheme(("good", "poor"), (1.0, 0.0))
"""Q-Bench's two words (Q-Debias Eq. 1)."""
