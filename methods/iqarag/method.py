"""IQARAG: the LMM is shown similar images of known quality before it is asked about this one (Fu et al., 2026).

Retrieval Feature Extraction (`encoders`), Image Retrieval (`retrieval`), Integration & Quality Score Generation
(`prompts` and here). The plain question is asked as well, so that every score comes with what it would have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from methods.base import Method, Verdict, option
from methods.base import Options as BaseOptions
from methods.errors import InputError
from methods.images import content_hash, perceptual_hash
from methods.iqarag import opened_sets, prompts
from methods.iqarag.encoders import CATALOGUE, ENCODERS, OWN, Encoder, load_encoder
from methods.iqarag.evidence import EmptyBin, IQARAGEvidence, ShownReference, explain
from methods.iqarag.reference_set import Neighbours, ReferenceSet
from methods.iqarag.retrieval import bin_edges, bins_of, empty_bins, select_references
from methods.lmm.pixels import DEFAULT_PIXELS
from methods.lmm.prompt import Prompt
from methods.work import Work

if TYPE_CHECKING:
    from methods.lmm.base import LMM


LEVELS = prompts.QUESTION.levels

SECONDS_AN_IMAGE = 0.2
"""Of an encoder that runs beside the LMM, generously."""


@dataclass(frozen=True)
class IQARAGOptions(BaseOptions):
    """The paper's settings; K is not in the paper."""

    P: int = option(5, "The most references that are shown; 0 asks the plain question.", low=0, high=10, step=1)
    K: int = option(50, "References are chosen among this many nearest ones; 0 considers them all.", low=0,
                    high=1_000_000, step=1)
    bins: int = option(5, "The quality range is cut into this many bins, with at most one reference from each.", low=1,
                       high=10, step=1, advanced=True)
    order: str = option("best first", "The order in which references are shown.", choices=prompts.ORDERS,
                        advanced=True)
    wording: str = option("references", "How the first sentence counts: 'Give you 3 images.' or, as in the paper's "
                          "Figure 2, 'Give you four images.'", choices=prompts.COUNT_WORDINGS, advanced=True)
    level_case: str = option("lower", "References' levels as in the paper's Eq. 9 or, in title case, as in Figure 2.",
                             choices=prompts.LEVEL_CASES, advanced=True)
    turns: str = option("one a sentence", "Each sentence as a turn of its own, as in the paper, or all in one turn.",
                        choices=prompts.TURNS, advanced=True)
    encoder: str = option(OWN, "Which vision encoder measures likeness; VE is the model's own.", choices=ENCODERS,
                          advanced=True)
    temperature: float = option(1.0, "Divides the logits before the softmax.", low=0.01, high=1000.0, step=0.01,
                                advanced=True)
    interval: int = option(0, "Resampled reference sets for a 95 % interval of the score; each may cost one more pass.",
                           low=0, high=200, step=1, advanced=True)
    reference_set: str = option(opened_sets.SHIPPED, "The set that ships, or the folder of one that you built.",
                                advanced=True)


@dataclass(frozen=True)
class _Case:
    """One image, known by its content, and the references that it is to be judged with."""

    content: str
    neighbours: Neighbours
    selection: tuple[int, ...]
    resampled: tuple[tuple[int, ...], ...]

    def selections(self) -> list[tuple[int, ...]]:
        """Every distinct choice of references that the LMM has to judge, none and the actual one first."""
        return list(dict.fromkeys([(), self.selection, *self.resampled]))


class IQARAG(Method[IQARAGOptions]):
    """IQARAG (arXiv 2601.08311), training-free, on any LMM that takes P + 1 images.

    Args:
        lmm: as for every method.
        references: a `ReferenceSet` in memory, used instead of the one that `reference_set` names.
        leave_out_copies: whether references with the image's content are passed over, as its very pixels always are;
            False where a split already says what may be shown, as in the paper's experiments.
        options, more: changes to the defaults, and what every method takes.
    """

    name = "iqarag"
    title = "IQARAG"
    summary = "Shows the model similar photos whose quality people have rated, then asks about yours."
    citation = """@article{fu2026iqarag,
  title={Enhancing Image Quality Assessment Ability of {LMMs} via Retrieval-Augmented Generation},
  author={Fu, Kang and Duan, Huiyu and Zhang, Zicheng and Zhu, Yucheng and Zhao, Jun and Min, Xiongkuo and
          Wang, Jia and Zhai, Guangtao},
  journal={arXiv preprint arXiv:2601.08311},
  year={2026}
}"""
    options = IQARAGOptions()
    min_images = 6
    networks = MappingProxyType({"encoder": tuple(CATALOGUE)})

    def __init__(self, lmm: LMM | str | None = None, references: ReferenceSet | None = None, *,
                 leave_out_copies: bool = True, options: Mapping[str, object] | None = None, **more: object) -> None:
        super().__init__(lmm, options=options, **more)
        self.references = references
        self.leave_out_copies = leave_out_copies
        self._encoders: dict[str, Encoder] = {}

    @classmethod
    def passes(cls, options: IQARAGOptions) -> float:
        """The plain question and the one with references; an interval adds at most one pass per resampled set."""
        return 1.0 if options.P == 0 else 2.0 + options.interval

    @classmethod
    def images_per_prompt(cls, options: IQARAGOptions) -> int:
        """The references and the image itself."""
        return options.P + 1

    def first_work(self, options: IQARAGOptions) -> Work:
        """The work of encoding the reference set, if this encoder has not done it: estimated from the first image. It
        is asked before a device is, while another thread may hold the sets: so it waits for nobody."""
        references = self.references if self.references is not None else opened_sets.look_at(options.reference_set)
        encoder = self.encoder(options.encoder)
        if opened_sets.has_features(references, encoder):
            return Work()
        first = references.image(0)
        pixels = min(first.width * first.height, self.lmm.max_pixels or DEFAULT_PIXELS)
        if options.encoder == OWN:
            return Work(pixels=len(references) * pixels)
        return Work(seconds=len(references) * SECONDS_AN_IMAGE)

    def encoder(self, name: str | None = None) -> Encoder:
        """The vision encoder of that name (by default the chosen option), loaded once."""
        name = name or self.options.encoder
        if name not in self._encoders:
            self._encoders[name] = load_encoder(name, self.lmm)
        return self._encoders[name]

    def reference_set(self, options: IQARAGOptions | None = None) -> ReferenceSet:
        """The set that these options search, with features by their encoder."""
        options = options or self.options
        return opened_sets.with_features(self._chosen_set(options), self.encoder(options.encoder))

    def _chosen_set(self, options: IQARAGOptions) -> ReferenceSet:
        return self.references if self.references is not None else opened_sets.open_set(options.reference_set)

    @property
    def label_sets(self) -> tuple[str, ...]:
        """The datasets that the references are from; none are read for the plain question (P = 0)."""
        return () if self.options.P == 0 else self._chosen_set(self.options).datasets

    def basis(self, options: IQARAGOptions) -> dict[str, str]:
        """The reference set by its content."""
        return {} if options.P == 0 else {"reference_set": self._chosen_set(options).digest}

    @classmethod
    def images_in_use(cls, options: IQARAGOptions) -> frozenset[str]:
        """The references of the set that these options name; none are shown with the plain question (P = 0)."""
        if options.P == 0:
            return frozenset()
        return frozenset(Path(name).name for name in opened_sets.open_set(options.reference_set).names)

    def _assess(self, images: list[Image.Image], options: IQARAGOptions) -> list[Verdict]:
        return [verdicts[0] for verdicts in self.compare(images, [options])]

    def compare(self, images: Sequence[Image.Image], variants: Sequence[IQARAGOptions]) -> list[list[Verdict]]:
        """Scores images under several options at once; a prompt that two variants share is asked once.

        Args:
            images: RGB.
            variants: options, for an ablation.

        Returns:
            one row per image, one verdict per variant. Errors as `assess`.
        """
        most = max(options.P for options in variants)
        if self.lmm.image_budget < most + 1:
            raise InputError(f"{most} references and the image are more than {self.lmm.name} takes in one prompt, "
                             f"{self.lmm.image_budget} images; lower P.")
        sets = [self.reference_set(options) for options in variants]
        features = {name: self.encoder(name).embed(images) for name in {options.encoder for options in variants}}
        prompts_of: dict[tuple, Prompt] = {}
        cases = []
        for number, image in enumerate(images):
            content = content_hash(image)
            perceptual = perceptual_hash(image) if self.leave_out_copies else None
            cases.append([_case(content, perceptual, features[options.encoder][number], references, options)
                          for references, options in zip(sets, variants)])
            for case, references, options in zip(cases[-1], sets, variants):
                for selection in case.selections():
                    key = _prompt_key(content, selection, references, options)
                    if key not in prompts_of:
                        prompts_of[key] = prompts.with_references(
                            image, _worded(references, selection, options), options.wording, options.turns)
        logits = self.lmm.word_logits(list(prompts_of.values()), LEVELS.words)
        answers = {key: (prompt, row) for (key, prompt), row in zip(prompts_of.items(), logits)}
        return [[_verdict(case, answers, references, options)
                 for case, references, options in zip(row, sets, variants)] for row in cases]


def _case(content: str, perceptual: str | None, feature: np.ndarray, references: ReferenceSet,
          options: IQARAGOptions) -> _Case:
    # Resampled sets lose a third of the neighbours, so more of them are fetched than the K of the actual choice.
    depth = None if options.K == 0 else options.K * (3 if options.interval else 1)
    neighbours = references.nearest(feature, depth, content, perceptual)
    if options.P == 0:
        return _Case(content, neighbours, (), ())
    selection = _selection(references, neighbours, neighbours.indices, options)
    rng = np.random.default_rng([options.seed, int(content[:8], 16)])
    resampled = []
    for _ in range(options.interval):
        in_sample = np.bincount(rng.integers(len(references), size=len(references)), minlength=len(references)) > 0
        resampled.append(_selection(references, neighbours, neighbours.indices[in_sample[neighbours.indices]], options))
    return _Case(content, neighbours, selection, tuple(resampled))


def _prompt_key(content: str, selection: tuple[int, ...], references: ReferenceSet, options: IQARAGOptions) -> tuple:
    """Equal for equal prompts: the plain question does not depend on how references are worded."""
    if not selection:
        return (content,)
    contents = tuple(references.contents[number] for number in selection)
    return (content, contents, options.wording, options.level_case, options.turns)


def _selection(
    references: ReferenceSet, neighbours: Neighbours, order: np.ndarray, options: IQARAGOptions
) -> tuple[int, ...]:
    """The references to show, in the order in which they are shown."""
    selection = select_references(references.mos, order, options.K or None, options.bins)
    distance = dict(zip(neighbours.indices.tolist(), neighbours.distances.tolist()))
    # The paper's P ablation does not say which of the five are kept; here it is the nearest.
    selection = sorted(selection, key=lambda number: (distance[number], number))[:options.P]
    if options.order.endswith("first") and options.order.startswith("nearest"):
        return tuple(selection)
    if options.order == "nearest last":
        return tuple(reversed(selection))
    return tuple(sorted(selection, key=lambda number: references.mos[number], reverse=options.order == "best first"))


def _level(references: ReferenceSet, number: int, options: IQARAGOptions) -> str:
    return prompts.level_text(LEVELS.word_for(references.mos[number]), options.level_case)


def _worded(references: ReferenceSet, selection: tuple[int, ...], options: IQARAGOptions):
    return [(references.image(number), _level(references, number, options)) for number in selection]


def _verdict(case: _Case, answers: dict, references: ReferenceSet, options: IQARAGOptions) -> Verdict:
    replies = {selection: answers[_prompt_key(case.content, selection, references, options)]
               for selection in case.selections()}
    scores = {selection: LEVELS.expectation(logits, options.temperature) for selection, (_, logits) in replies.items()}
    (plain, logits_without), (full, logits_with) = replies[()], replies[case.selection]
    interval = None
    if case.resampled:
        low, high = np.percentile([scores[selection] for selection in case.resampled], [2.5, 97.5])
        interval = (float(low), float(high))
    evidence = IQARAGEvidence(
        words=LEVELS.words,
        weights=LEVELS.weights,
        logits_without=tuple(logits_without.tolist()),
        logits_with=tuple(logits_with.tolist()),
        probabilities_without=tuple(LEVELS.probabilities(logits_without, options.temperature).tolist()),
        probabilities_with=tuple(LEVELS.probabilities(logits_with, options.temperature).tolist()),
        score_without=float(scores[()]),
        score_with=float(scores[case.selection]),
        references=_references_of(case, references, options),
        empty_bins=_empty(case, references, options),
        reference_set=references.title,
        opinions=references.opinions,
        set_size=len(references),
        considered=min(options.K or len(references), len(case.neighbours.indices)),
        encoder=references.encoder,
        left_out_itself=case.neighbours.itself,
        interval=interval,
        transcript_without=plain.transcript(),
        transcript_with=full.transcript(),
    )
    score = evidence.score_with
    return Verdict(score=score, native_score=score, explanation=explain(evidence), evidence=evidence)


def _references_of(case: _Case, references: ReferenceSet, options: IQARAGOptions):
    rank = {number: place for place, number in enumerate(case.neighbours.indices.tolist())}
    return tuple(
        ShownReference(
            name=references.names[number],
            mos=float(references.mos[number]),
            std=references.std[number],
            level=_level(references, number, options),
            distance=float(case.neighbours.distances[rank[number]]),
            rank=rank[number] + 1,
            thumbnail=references.thumbnail(number),
        )
        for number in case.selection
    )


def _empty(case: _Case, references: ReferenceSet, options: IQARAGOptions) -> tuple[EmptyBin, ...]:
    """Bins that the K nearest do not reach. A bin whose reference was dropped because P is small is not empty."""
    considered = case.neighbours.indices[:options.K or None]
    reached = select_references(references.mos, considered, None, options.bins)
    edges, bin_of = bin_edges(options.bins), bins_of(references.mos, options.bins)
    return tuple(
        EmptyBin(*edges[number], _levels_between(*edges[number]), int((bin_of == number).sum()))
        for number in empty_bins(references.mos, reached, options.bins)
    )


def _levels_between(low: float, high: float) -> tuple[str, ...]:
    """Words for qualities in [low, high), best first."""
    steps = np.linspace(low, high, 21)[:-1]
    named = {LEVELS.word_for(float(step)) for step in steps}
    return tuple(word for word in LEVELS.words if word in named)

