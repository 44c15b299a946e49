"""LLM-IQA: the whole image and its regions, each scored 1..K against a written standard, added up by area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image

from methods.base import Assessment, ImageSource, Method, Options, Verdict, option
from methods.errors import InputError
from methods.images.decoding import AheadWork
from methods.llm_iqa import aggregation, segmentation, segmenters
from methods.llm_iqa.evidence import DigitScore, LLMIQAEvidence, LMMScores, RegionEvidence, Total
from methods.llm_iqa.segmenters import (
    AUTOMATIC,
    MASK_SETTINGS,
    SAM2_CHECKPOINTS,
    SEGMENTERS,
    Segmenter,
    load_segmenter,
)
from methods.llm_iqa.standard import (
    HIGHEST_WITHOUT,
    KINDS,
    LEVEL_COUNTS,
    NO_STANDARD,
    WORDINGS,
    Standard,
    stated_number,
    without_standard,
)
from methods.lmm.base import LMM, LMMError
from methods.patience import steps
from methods.work import Work

PICTURES_PER_CALL = 8
"""Images whose prompts are handed over together; with about eight regions each, some 64 prompts."""

PAPER_REGIONS = 7.22
"""Mean masks per image on SPAQ under the paper's settings (section 4.1)."""

ANSWER_TOKENS = 16
"""Room for a number with one decimal, and for what a model may put around it."""

CUTTING_SECONDS, CUTTING_SECONDS_PER_MEGAPIXEL = 3.0, 1.0
"""SAM 2's masks of 64 points and their choice, generously; the latter in the image's full size on the CPU."""

SCORED_PARTS = ("box+whole", "mask+whole", "box", "mask", "whole")


@dataclass(frozen=True)
class LLMIQAOptions(Options):
    standard: str = option("word", "What stands beside each digit in the standard; none asks for a number from 0 to "
                           "100 and scores the whole image only (Table 3, exp 1).", choices=(*KINDS, NO_STANDARD))
    k: int = option(7, "How many levels the standard has (Table 4).", choices=LEVEL_COUNTS)
    lam: float = option(1.0, "Lambda: what the regions' score counts beside the whole image's.",
                        low=0.0, high=5.0, step=0.1)
    reading: str = option("argmax", "Take the likeliest digit (the paper) or the expectation over all digits (finer).",
                          choices=("argmax", "expectation"))
    segmenter: str = option(AUTOMATIC, "Who cuts the image; 'auto' takes SAM 2.1 large where it can be had.",
                            choices=SEGMENTERS)
    scored: str = option("box+whole", "What is scored: boxes of original pixels, zero-padded masks, the whole image "
                         "(Table 3).", choices=SCORED_PARTS, advanced=True)
    weighting: str = option("area", "How regions are weighted (Table 3).", choices=("area", "mean"), advanced=True)
    complement: bool = option(True, "Score what no mask covers as one more region (Table 5).", advanced=True)
    min_area: int = option(segmentation.MIN_AREA, "Masks of fewer pixels are not scored (Algorithm 1, t).",
                           low=1, high=10_000_000, advanced=True)
    aggregation: str = option("paper", "The paper's sum, or the released code's variant with a bonus for each mask.",
                              choices=("paper", "code"), advanced=True)
    wording: str = option("paper", "The prompt as printed, or the released code's longer one.",
                          choices=WORDINGS, advanced=True)
    masks: str = option("paper", "How finely SAM 2 cuts: with the paper's settings, or its own, which give many more "
                        "regions (Table 5). Other segmenters have none.", choices=MASK_SETTINGS, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.standard == NO_STANDARD and self.scored != "whole":
            raise InputError("Without a standard (standard none) only the whole image is scored; set scored to whole "
                             "as well.")


class LLMIQA(Method[LLMIQAOptions]):
    """LLM-IQA (section 3), on one LMM or an ensemble.

    Args:
        lmm: a model, its name, a list of either, or several names joined by commas: the ensemble of section 3.2.
        own_segmenter: a `Segmenter` of your own, used instead of the one that the option `segmenter` names.
        options, more: changes to the defaults, and what every method takes.
    """

    name = "llm-iqa"
    title = "LLM-IQA"
    summary = "A written standard, one digit for the whole image and one for each of its regions, added up by area."
    citation = """@misc{llmiqa2025,
  title={{LLM-IQA}: Standard-guided {MLLM} for Mix-grained Image Quality Assessment},
  author={Anonymous},
  year={2025},
  note={Submitted to ICLR 2026},
  howpublished={\\url{https://openreview.net/forum?id=raBRIPsdVb}}
}
@article{liu2024dogiqa,
  title={{Dog-IQA}: Standard-guided Zero-shot {MLLM} for Mix-grained Image Quality Assessment},
  author={Liu, Kai and Zhang, Ziqing and Li, Wenbo and Pei, Renjing and Song, Fenglong and Liu, Xiaohong and
          Kong, Linghe and Zhang, Yulun},
  journal={arXiv preprint arXiv:2410.02505},
  year={2024}
}"""
    native_range = aggregation.native_range(7, uses_global=True, uses_local=True, lam=1.0)
    networks = MappingProxyType({"segmenter": SAM2_CHECKPOINTS})
    options = LLMIQAOptions()

    def __init__(self, lmm: LMM | str | Sequence[LMM | str] | None = None, *, own_segmenter: Segmenter | None = None,
                 options: Mapping[str, object] | None = None, **more: object) -> None:
        members = _members(lmm)
        super().__init__(members[0], options=options, **more)
        self.lmms = (self.lmm, *(self._resolve(member) for member in members[1:]))
        self._segmenter = own_segmenter

    @classmethod
    def passes(cls, options: LLMIQAOptions) -> float:
        """The whole and, on average, 7.2 regions (section 5)."""
        whole = float("whole" in options.scored)
        return whole + (0.0 if options.scored == "whole" else PAPER_REGIONS)

    @classmethod
    def work(cls, options: LLMIQAOptions, pixels: int, limit: int) -> Work:
        """Regions lie within the image: all of them show about as much as the image itself. Masks are cut before."""
        prompts = cls.passes(options)
        if options.scored == "whole":
            return Work(prompts, min(pixels, limit))
        regions = PAPER_REGIONS * min(pixels / PAPER_REGIONS, limit)
        whole = min(pixels, limit) * ("whole" in options.scored)
        return Work(prompts, whole + regions, seconds=CUTTING_SECONDS + CUTTING_SECONDS_PER_MEGAPIXEL * pixels / 1e6)

    def basis(self, options: LLMIQAOptions) -> dict[str, str]:
        """Who cuts the regions."""
        segmenter = self._segmenter_of(options)
        return {} if segmenter is None else {"segmenter": segmenter.name}

    @classmethod
    def preload(cls) -> None:
        """Loads the segmenter that "auto" stands for."""
        segmenters.load_segmenter()

    def _segmenter_of(self, options: LLMIQAOptions) -> Segmenter | None:
        if options.scored == "whole" or options.standard == NO_STANDARD:
            return None
        return self._segmenter or load_segmenter(options.segmenter, options.masks)

    def _ahead(self, image: Image.Image, options: LLMIQAOptions) -> list[AheadWork]:
        """The image, where the whole of it is scored; its regions are not known before its turn."""
        return super()._ahead(image, options) if "whole" in options.scored else []

    def _assess(self, images: list[Image.Image], options: LLMIQAOptions) -> list[Verdict]:
        verdicts = []
        for start in range(0, len(images), PICTURES_PER_CALL):
            verdicts += self._assess_some(images[start : start + PICTURES_PER_CALL], options)
        return verdicts

    def _assess_some(self, images: list[Image.Image], options: LLMIQAOptions) -> list[Verdict]:
        if options.standard == NO_STANDARD:
            return self._without_standard(images, options)
        standard = Standard(options.standard, options.k, options.wording)
        whole = "whole" in options.scored
        segmenter = self._segmenter_of(options)
        cuts = [self._regions(image, segmenter, options) for image in steps(images)]
        crops = [[region.cut(image, padded="mask" in options.scored) for region in regions]
                 for image, regions in zip(images, cuts)]
        views = [([image] if whole else []) + cut for image, cut in zip(images, crops)]
        prompts = [standard.prompt(view) for views_of_image in views for view in views_of_image]
        logits = [lmm.word_logits(prompts, standard.levels.words) for lmm in self.lmms]
        verdicts, start = [], 0
        for image, regions, cut, views_of_image in zip(images, cuts, crops, views):
            rows = [one[start : start + len(views_of_image)] for one in logits]
            start += len(views_of_image)
            lmms = tuple(_lmm_scores(lmm, row, standard, whole) for lmm, row in zip(self.lmms, rows))
            evidence = LLMIQAEvidence(
                picture=_reduced(image, 1024),
                size=image.size,
                segmenter=segmenter.name if segmenter else "none",
                standard=standard.described(),
                regions=_region_evidence(regions, cut, options),
                lmms=lmms,
                k=options.k,
                lam=options.lam,
                reading=options.reading,
                weighting=options.weighting,
                code_aggregation=options.aggregation == "code",
            ).with_total()
            total = evidence.total
            verdicts.append(Verdict(total.score, total.final, explain(evidence), evidence, total.bounds))
        return verdicts

    def _without_standard(self, images: list[Image.Image], options: LLMIQAOptions) -> list[Verdict]:
        """Table 3, exp 1: the number from 0 to 100 that each model states of the whole image, greedily decoded."""
        prompts = [without_standard(image) for image in images]
        answers = [lmm.generate(prompts, max_new_tokens=ANSWER_TOKENS, temperature=0.0) for lmm in self.lmms]
        verdicts = []
        for number, image in enumerate(images):
            scores = []
            for lmm, texts in zip(self.lmms, answers):
                stated = stated_number(texts[number][0])
                if stated is None:
                    raise LMMError(f"{lmm.name} stated no number from 0 to 100 but {texts[number][0][:80]!r}; try "
                                   "another model, or give it a standard.")
                scores.append(LMMScores(f"{lmm.name}@{lmm.revision}", DigitScore(stated, stated, ()), ()))
            evidence = LLMIQAEvidence(
                picture=_reduced(image, 1024), size=image.size, segmenter="none", standard=(), regions=(),
                lmms=tuple(scores), k=HIGHEST_WITHOUT, lam=options.lam, reading=options.reading,
                weighting=options.weighting, code_aggregation=False).with_total()
            total = evidence.total
            verdicts.append(Verdict(total.score, total.final, explain(evidence), evidence, total.bounds))
        return verdicts

    def _regions(self, image: Image.Image, segmenter: Segmenter | None, options: LLMIQAOptions
                 ) -> list[segmentation.Region]:
        if segmenter is None:
            return []
        shape = (image.height, image.width)
        return segmentation.regions(segmenter.masks(image), shape, options.min_area, complement=options.complement)


def assess_with(lmms: Sequence[LMM], image: ImageSource, options: dict[str, object]) -> Assessment:
    """One image by an ensemble of loaded models; a plain function, so that it can be sent to a GPU worker."""
    return LLMIQA(list(lmms)).assess(image, **options)


def _members(lmm: LMM | str | Sequence[LMM | str] | None) -> list[LMM | str | None]:
    if isinstance(lmm, str):
        lmm = [name.strip() for name in lmm.split(",") if name.strip()]
    if isinstance(lmm, (list, tuple)):
        if not lmm:
            raise InputError("An ensemble needs at least one LMM; name one or leave lmm out.")
        return list(lmm)
    return [lmm]


def _lmm_scores(lmm: LMM, logits: np.ndarray, standard: Standard, whole: bool) -> LMMScores:
    digits = [DigitScore.from_logits(row, standard.levels) for row in logits]
    return LMMScores(
        lmm=f"{lmm.name}@{lmm.revision}",
        whole=digits[0] if whole else None,
        regions=tuple(digits[1:] if whole else digits),
    )


def _region_evidence(regions: list[segmentation.Region], crops: list[Image.Image], options: LLMIQAOptions
                     ) -> tuple[RegionEvidence, ...]:
    if not regions:
        return ()
    weights = aggregation.region_weights([region.area for region in regions], options.weighting)
    return tuple(
        RegionEvidence(region.box, region.area, float(weight), region.complement,
                       segmentation.outline(region.mask), segmentation.anchor(region.mask), _reduced(crop, 256))
        for region, weight, crop in zip(regions, weights, crops)
    )


def in_words(segmenter: str) -> str:
    """A segmenter as a person reads it: what it is, and its name."""
    if segmenter == "felzenszwalb":
        return "colour and contrast, by Felzenszwalb's graph method"
    return f"SAM 2, {segmenter}" if "sam2" in segmenter else segmenter


def _reduced(image: Image.Image, longest_side: int) -> Image.Image:
    scale = longest_side / max(image.size)
    if scale >= 1:
        return image.copy()
    size = tuple(max(1, round(side * scale)) for side in image.size)
    # A dozen per image: whole factors by boxes and the rest, below two, bilinearly takes a fraction of a filter's time.
    boxes = image.reduce(int(1 / scale)) if scale <= 0.5 else image
    return Image.fromarray(cv2.resize(np.asarray(boxes), size, interpolation=cv2.INTER_LINEAR))


def explain(evidence: LLMIQAEvidence, total: Total | None = None, reading: str | None = None) -> str:
    """The score in words: the whole, the regions that pull it up and down, and how they were added.

    Args:
        total: another result of `LLMIQAEvidence.rescored` than the evidence's own.
        reading: the reading behind that result.
    """
    total = total or evidence.total
    reading = reading or evidence.reading
    sentences = []
    if total.global_ is not None:
        sentences.append(f"The whole photo scores **{total.global_:.2f}** of {evidence.k}.")
    if total.local is not None:
        count = len(evidence.regions)
        noun = "region" if count == 1 else "regions"
        sentences.append(f"Its {count} {noun} (cut by {in_words(evidence.segmenter)}) score **{total.local:.2f}**, "
                         f"weighted by {evidence.weighting}.")
        if count > 1:
            means = [float(np.mean([lmm.regions[index].read(reading) for lmm in evidence.lmms]))
                     for index in range(count)]
            low, high = int(np.argmin(means)), int(np.argmax(means))
            if means[high] > means[low]:
                sentences.append(
                    f"The best region ({evidence.regions[high].weight:.0%} of the weight) scores {means[high]:.2f}, "
                    f"the worst ({evidence.regions[low].weight:.0%}) {means[low]:.2f}."
                )
    if total.global_ is not None and total.local is not None and not evidence.code_aggregation:
        sentences.append(f"Together, with lambda {total.lam:g}: **{total.final:.2f}** on a scale from "
                         f"{total.bounds[0]:g} to {total.bounds[1]:g}: the whole's 1 to {evidence.k}, plus lambda "
                         f"times the regions' 1 to {evidence.k}.")
    if len(evidence.lmms) > 1:
        listed = ", ".join(f"{lmm.lmm.split('@')[0]} {score:.2f}" for lmm, score in zip(evidence.lmms, total.per_lmm))
        kind = "weighted mean" if total.weighted else "mean"
        sentences.append(f"This is the {kind} of {len(evidence.lmms)} models ({listed}).")
    return " ".join(sentences)
