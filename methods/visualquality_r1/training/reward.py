"""The rewards that GRPOTrainer calls: fidelity over the whole batch of all processes, and the format's.

One process sees only its share of a batch, but Eq. 3 compares each image with all others. So the sampled scores
(numbers, not texts) are gathered first, and every process computes the rewards of the same complete batch. The released
code compares within a process, with its 8 images only; `within="process"` does so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from methods.errors import InputError
from methods.visualquality_r1.answer import has_format, parse_score
from methods.visualquality_r1.thurstone import GAMMA, fidelity_reward

Completion: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A text, or turns whose content may be parts, as TRL hands it over."""


@dataclass(frozen=True)
class Draw:
    """One sampled text: whose it is, what people said of the image, and the score it states (NaN for none)."""

    source: str
    key: int
    mos: float
    score: float


def batch_rewards(draws: Sequence[Draw], gamma: float = GAMMA, variant: str = "mean", eps: float = 0.0) -> list[float]:
    """`thurstone.fidelity_reward` for a batch: texts of several images, in any order.

    Images of different sets are not compared.

    Returns:
        One reward per text, in [0, 1] for eps = 0; 0 for a text without a readable score and for an image that has no
        other image of its set in the batch.
    """
    rewards = np.zeros(len(draws))
    for source in {draw.source for draw in draws}:
        texts: dict[int, list[int]] = {}
        for index, draw in enumerate(draws):
            if draw.source == source:
                texts.setdefault(draw.key, []).append(index)
        if len(texts) < 2:
            continue
        most = max(map(len, texts.values()))
        samples = np.full((len(texts), most), np.nan)
        for row, indices in enumerate(texts.values()):
            samples[row, : len(indices)] = [draws[index].score for index in indices]
        mos = [draws[indices[0]].mos for indices in texts.values()]
        rewarded = fidelity_reward(samples, mos, gamma, variant=variant, eps=eps)
        for row, indices in enumerate(texts.values()):
            rewards[indices] = rewarded[row, : len(indices)]
    return rewards.tolist()


WITHIN = ("batch", "process")
"""What an image is compared with: all others of the batch (Eq. 3), or those of its own process (released code)."""


class FidelityReward:
    """Eq. 3 as a TRL reward function. Logs the share of readable texts and the mean spread of an image's scores.

    Args:
        gamma, variant, eps: as in `thurstone.fidelity_reward`.
        within: one of `WITHIN`.
    """

    __name__ = "fidelity"

    def __init__(self, gamma: float = GAMMA, variant: str = "mean", eps: float = 0.0, within: str = "batch") -> None:
        if within not in WITHIN:
            raise InputError(f"Images are compared within a {' or a '.join(WITHIN)}; got {within!r}.")
        self._settings: dict[str, Any] = {"gamma": gamma, "variant": variant, "eps": eps}
        self._within = within

    def __call__(self, completions: Sequence[Completion], key: Sequence[int], mos: Sequence[float],
                 source: Sequence[str], log_metric: Callable[[str, float], None] | None = None, **_: object
                 ) -> list[float]:
        """One reward per completion of this process.

        Args:
            completions: texts, or chat turns whose first is the assistant's.
            key, mos, source: of the image behind each completion.
            log_metric: TRL's function that records a number.
        """
        from accelerate import PartialState
        from accelerate.utils import gather_object

        scores = [parse_score(text_of(completion)) for completion in completions]
        mine = [Draw(*row) for row in zip(source, key, mos, (np.nan if one is None else one for one in scores))]
        # Each process hands over one list, so that its own share is known however many texts the others hold.
        shares = gather_object([mine])
        place = PartialState().process_index
        start = sum(map(len, shares[:place]))
        everybody = [draw for share in shares for draw in share]
        if log_metric is not None:
            log_metric("readable", float(np.mean([not np.isnan(draw.score) for draw in everybody])))
            # One step without a spread would make that of all steps since the last line unknown.
            if not np.isnan(spread := mean_spread(everybody)):
                log_metric("spread", spread)
        if self._within == "process":
            return batch_rewards(mine, **self._settings)
        return batch_rewards(everybody, **self._settings)[start : start + len(mine)]


def mean_spread(draws: Sequence[Draw]) -> float:
    """Mean over images of the standard deviation of their scores (Figure 3); NaN where no image has two scores."""
    scores: dict[tuple[str, int], list[float]] = {}
    for draw in draws:
        if not np.isnan(draw.score):
            scores.setdefault((draw.source, draw.key), []).append(draw.score)
    spreads = [float(np.std(values, ddof=1)) for values in scores.values() if len(values) > 1]
    return float(np.mean(spreads)) if spreads else float("nan")


def format_reward(completions: Sequence[Completion], **_: object) -> list[float]:
    """1 for a text of exactly think and answer tags, else 0 (the released code's second reward)."""
    return [float(has_format(text_of(completion))) for completion in completions]


def text_of(completion: Completion) -> str:
    """The text of a completion as TRL hands it over: a string, or turns whose content may be parts."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
