"""What IQARAG saw, so that a person can judge its score: the references, and the words without and with them."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from methods.evidence import Evidence, Spread, deviation, movement


@dataclass(frozen=True)
class ShownReference:
    """One reference, as the LMM saw it.

    Attributes:
        name: file name, or what the set calls it.
        mos: human opinion in [0, 1].
        std: standard deviation of its raters' opinions in the same units; None where it is not known.
        level: the word that stood in the prompt.
        distance: L2 distance of its features to the image's (Eq. 4).
        rank: 1 for the nearest of all references.
        thumbnail: at most 320 pixels per side.
    """

    name: str
    mos: float
    std: float | None
    level: str
    distance: float
    rank: int
    thumbnail: Image.Image


@dataclass(frozen=True)
class EmptyBin:
    """A quality bin that none of the K nearest references falls into.

    Attributes:
        low, high: of the bin, in [0, 1].
        levels: the words for qualities in it, best first.
        in_set: references of that quality in the whole set; more than 0 means that a larger K would reach one.
    """

    low: float
    high: float
    levels: tuple[str, ...]
    in_set: int


@dataclass(frozen=True)
class IQARAGEvidence(Evidence):
    """Attributes:
    words: the levels, best first, as they were read.
    weights: what each word counts, in [0, 1] (Eq. 11).
    logits_without, logits_with: one per word; both are the same where no reference was shown.
    probabilities_without, probabilities_with: their softmax (Eq. 10).
    score_without, score_with: expectation (Eq. 11); `score_with` is the method's score.
    references: in the order in which they were shown.
    empty_bins: worst first.
    reference_set: its title.
    opinions: whose opinions its references bear.
    set_size: references in it.
    considered: how many of the nearest were considered (K, at most the set's size).
    encoder: name of the vision encoder that measured likeness.
    left_out_itself: whether the image itself, or a copy of it, was in the set and was passed over.
    interval: 2.5 and 97.5 percentile of the score over resampled reference sets, where that was asked for.
    transcript_without, transcript_with: the prompts as text, `<image>` where an image stands.
    """

    words: tuple[str, ...]
    weights: tuple[float, ...]
    logits_without: tuple[float, ...]
    logits_with: tuple[float, ...]
    probabilities_without: tuple[float, ...]
    probabilities_with: tuple[float, ...]
    score_without: float
    score_with: float
    references: tuple[ShownReference, ...]
    empty_bins: tuple[EmptyBin, ...]
    reference_set: str
    opinions: str
    set_size: int
    considered: int
    encoder: str
    left_out_itself: bool
    interval: tuple[float, float] | None
    transcript_without: str
    transcript_with: str

    def spread(self, score: float) -> Spread:
        """How other references would move the score, where that was asked for; else how much the words disagree."""
        scatter = deviation(self.weights, self.probabilities_with, score)
        if self.interval is None:
            return Spread.about(score, scatter, f"standard deviation over its {len(self.weights)} words")
        low, high = (min(max(end, 0.0), 1.0) for end in self.interval)
        return Spread(low, high, scatter, "95 % of the scores with other references")

    def reason(self, score: float) -> str:
        """What the references changed, and their range."""
        if not self.references:
            return "it was shown no reference"
        best, worst = max(one.mos for one in self.references), min(one.mos for one in self.references)
        return (f"{movement(self.score_without, self.score_with)} when it saw {len(self.references)} rated "
                f"image{'s' if len(self.references) > 1 else ''} of {worst:.2f} to {best:.2f}")


def explain(evidence: IQARAGEvidence) -> str:
    """The evidence in a few Markdown sentences."""
    if not evidence.references:
        return f"No reference was shown, so this is the plain question's score, **{evidence.score_without:.3f}** of 1."
    count = len(evidence.references)
    change = evidence.score_with - evidence.score_without
    direction = "stayed at" if abs(change) < 5e-4 else "rose to" if change > 0 else "fell to"
    sentences = [
        f"Asked plainly, the model gives {evidence.score_without:.3f}. After seeing {count} similar "
        f"photo{'s' if count > 1 else ''} with {evidence.opinions}, it {direction} "
        f"**{evidence.score_with:.3f}** of 1.",
    ]
    if evidence.interval:
        low, high = evidence.interval
        sentences.append(f"With other references drawn from the same set it would lie between {low:.3f} and {high:.3f} "
                         f"in 95 % of cases.")
    for empty in evidence.empty_bins:
        words = " or ".join(empty.levels)
        reason = (f"although the set holds {empty.in_set}" if empty.in_set else "and the set holds none")
        sentences.append(f"None of the {evidence.considered} nearest references is {words} "
                         f"(MOS {empty.low:.1f} to {empty.high:.1f}), {reason}.")
    if evidence.left_out_itself:
        sentences.append("The image itself, or a copy of it, is in the reference set and was not shown to the model.")
    return " ".join(sentences)
