"""What the About tab says of each method: one paragraph a visitor understands, where to read on, and what it is known
to get wrong. Kept apart from the methods so that rewording a sentence touches no code that computes a score."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from methods.base import method_class


@dataclass(frozen=True)
class About:
    """Attributes:
    text: one paragraph, Markdown.
    limits: what to keep in mind, one sentence or two.
    paper: address of the paper, "" where there is none.
    """

    text: str
    limits: str = ""
    paper: str = ""


_ABOUT = {
    "q-bench": About(
        "The simplest way to ask: *Rate the quality of the image. Good or poor?* Instead of taking the word that the "
        "model would say, Q-Bench looks at how likely each of the two words was, and the share of *good* is the score. "
        "No training, one pass. Every other method here says what it adds to this one. The variant with five words, "
        "from excellent to bad, is the baseline of IQARAG.",
        "A model that is sure of its word gives scores near 0 or 1, so distances between scores mean little; the "
        "order is what it is good for.",
        "https://arxiv.org/abs/2309.14181",
    ),
    "iqarag": About(
        "People judge a photo more surely beside others of known quality. IQARAG looks up photos of similar content "
        "that people have rated, keeps at most one from each fifth of the quality range, and shows them to the model "
        "with their level before it asks about yours. The five level words are weighed by their probabilities. Nothing "
        "is trained; what changes is what the model sees.",
        "The answer depends on the reference set: what is rare in it, such as drawings or night skies, gets references "
        "that do not fit. The tab shows which ones were used and which fifths stayed empty.",
        "https://arxiv.org/abs/2601.08311",
    ),
    "llm-iqa": About(
        "One glance at a large photo misses a blurred corner. LLM-IQA cuts the photo into regions with SAM 2, gives "
        "the model a written standard of seven levels, and asks for one digit for the whole and one for each region. "
        "The regions' mean, weighted by area, is added to the digit of the whole. Without SAM 2's weights a classical "
        "segmenter cuts the regions, and the result says so.",
        "A digit is coarse: with the argmax reading, many photos share a score. Small regions are judged out of their "
        "context, so a soft background counts like a blurred subject.",
        "",
    ),
    "visualquality-r1": About(
        "The model reasons about the photo in words before it gives a number from 1 to 5, and it does so several "
        "times. The mean is the score; the spread is how sure it is. The authors trained it with reinforcement "
        "learning to *rank*: a group of answers is rewarded for putting pairs of photos in the order that people do. "
        "Two photos are compared by Thurstone's model, from the means and spreads of both.",
        "Its reasons are written by the same process as its score and sound convincing either way; they are not a "
        "measurement. With few samples the spread itself is rough.",
        "https://arxiv.org/abs/2505.14460",
    ),
    "leaf": About(
        "A large model as a teacher, a small network as the one that does the work. The teacher judges unrated photos "
        "one by one and in pairs and says how reliable each judgement is; the student learns from both, weighted by "
        "that reliability, and a handful of human ratings set its scale. After that it scores a photo in a fraction of "
        "a second without any large model, shows where in the photo quality drops, and can be calibrated to your own "
        "ratings.",
        "The paper's text was not available in full when this was built: what had to be filled in is listed in the "
        "method's README. The student that ships learned from photos of LIVE Challenge and cannot be judged on them.",
        "https://arxiv.org/abs/2601.20689",
    ),
    "q-debias": About(
        "Language models judge what a photo shows along with how it looks: a blurred portrait is forgiven, a blurred "
        "wall is not. Q-Debias makes four degraded copies (zoom blur, spatter, saturation, fog), tells the model that "
        "the copy is poor, and asks about the photo beside it. Each answer counts as much as the model is sure that "
        "both show the same object, since only then the comparison is about quality.",
        "Nine passes a photo. A photo that already looks foggy or oversaturated on purpose is compared with a copy "
        "that looks much like it.",
        "https://arxiv.org/abs/2411.12791",
    ),
}


def about(name: str) -> About:
    """What is said of a method; of one that is not described here, its own docstring."""
    if name in _ABOUT:
        return _ABOUT[name]
    kind = method_class(name)
    first = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return About(f"{kind.summary} {first}".strip())
