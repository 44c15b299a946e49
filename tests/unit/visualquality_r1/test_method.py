"""The pipeline with an LMM that recites known texts: what is drawn, what is read, what is said when nothing is."""

import json

import pytest
from PIL import Image

from methods.lmm.base import LMM, LMMError
from methods.visualquality_r1.comparison import describe, rank
from methods.visualquality_r1.method import VisualQualityR1
from methods.visualquality_r1.prompts import VARIANTS
from methods.visualquality_r1.thurstone import preference


class Reciter(LMM):
    """Sample number `seed + i` is the text of that number; streams the same text in three pieces."""

    name = "reciter"
    revision = "1"
    image_budget = 1

    def __init__(self, texts):
        self.texts = texts
        self.drawn = []

    def generate(self, prompts, n=1, *, seed=0, **settings):
        self.drawn.append((len(prompts), n, seed))
        self.settings = settings
        return [[self.texts[(seed + i) % len(self.texts)] for i in range(n)] for _ in prompts]

    def stream(self, prompt, *, seed=0, **settings):
        text = self.texts[seed % len(self.texts)]
        yield from (text[:3], text[3:10], text[10:])

    def word_logits(self, prompts, words):
        raise AssertionError("the score is in the text")

    def embed(self, images):
        raise AssertionError("no features are needed")


def answer(score, thought="soft edges"):
    return f"<think>{thought}</think><answer>{score}</answer>"


PICTURE = Image.new("RGB", (32, 24), "grey")


def test_mean_spread_and_agreement():
    method = VisualQualityR1(Reciter([answer(3), answer(4), answer(3.5), answer(1)]), samples=4)
    result = method.assess(PICTURE)
    assert result.native_score == pytest.approx(2.875)
    assert result.native_range == (1, 5)
    assert result.score == pytest.approx((2.875 - 1) / 4)
    assert result.evidence.deviation == pytest.approx(1.3149778)
    assert result.evidence.agreement == 0.25  # only 3 lies within half a point of the mean
    assert result.evidence.typical == 0
    assert result.evidence.scores == (3, 4, 3.5, 1)


def test_all_samples_are_drawn_in_one_call_with_the_papers_decoding():
    lmm = Reciter([answer(3)])
    VisualQualityR1(lmm).assess_batch([PICTURE, PICTURE])
    assert lmm.drawn == [(2, 6, 0)]
    assert lmm.settings == {"max_new_tokens": 2048, "temperature": 1.0, "top_p": 1.0, "top_k": 50}


def test_unreadable_answers_are_sampled_again_and_not_invented():
    lmm = Reciter(["no idea", answer(2), answer(4), answer(5)])
    result = VisualQualityR1(lmm, samples=2).assess(PICTURE)
    # Samples 0 and 1 are drawn first; sample 0 has no score, and its second try is text 2.
    assert lmm.drawn == [(1, 2, 0), (1, 2, 2)]
    assert result.evidence.scores == (4, 2)
    assert result.evidence.unreadable == 1
    assert "1 answer stated no score" in result.explanation


def test_after_two_more_tries_it_fails_with_a_sentence():
    lmm = Reciter(["I would rather not say."])
    with pytest.raises(LMMError, match=r"stated no score between 1 and 5.*try another model"):
        VisualQualityR1(lmm, samples=3).assess(PICTURE)
    assert len(lmm.drawn) == 3


def test_what_stays_unreadable_is_left_out_and_counted():
    lmm = Reciter([answer(3), "no"])  # with two samples, sample 1 is always the same refusal
    result = VisualQualityR1(lmm, samples=2).assess(PICTURE)
    assert result.evidence.scores == (3,)
    assert result.evidence.unreadable == 3
    assert result.evidence.deviation is None


def test_greedy_decoding_samples_once():
    lmm = Reciter([answer(3)])
    VisualQualityR1(lmm, temperature=0.0).assess(PICTURE)
    assert lmm.drawn == [(1, 1, 0)]


@pytest.mark.parametrize("samples", [1, 3])
def test_streaming_shows_the_first_sample_and_ends_with_the_same_result(samples):
    texts = [answer(2, "dark"), answer(3), answer(4)]
    *pieces, result = VisualQualityR1(Reciter(texts), samples=samples).stream(PICTURE)
    assert "".join(pieces) == texts[0]
    whole = VisualQualityR1(Reciter(texts), samples=samples).assess(PICTURE)
    assert result.evidence == whole.evidence
    assert result.score == whole.score


def test_the_seed_chooses_the_samples():
    method = VisualQualityR1(Reciter([answer(1), answer(5)]), samples=1)
    assert method.assess(PICTURE, seed=1).native_score == 5


@pytest.mark.parametrize("wording", list(VARIANTS))
def test_the_wording_reaches_the_prompt(wording):
    result = VisualQualityR1(Reciter([answer(3)]), wording=wording).assess(PICTURE)
    assert result.evidence.transcript == f"user: <image>{VARIANTS[wording]}\nassistant:"


def test_the_papers_wording():
    assert VARIANTS["paper"] == (
        "You are doing the image quality assessment task. Here is the question: Rate the overall image visual quality. "
        "The rating should be a float between 1 and 5, with 1 representing very poor quality and 5 representing "
        "excellent quality. First output the thinking process in <think> </think> tags and then output the final "
        "answer with only one score in <answer> </answer> tags."
    )
    assert "<think>" not in VARIANTS["released-no-thinking"]


def test_the_explanation_quotes_the_typical_reasoning():
    texts = [answer(1, "all black"), answer(3, "a little\nnoise"), answer(5, "flawless")]
    text = VisualQualityR1(Reciter(texts), samples=3).assess(PICTURE).explanation
    assert "**3.00** of 5" in text
    assert "> a little\n> noise" in text
    assert "flawless" not in text


def test_the_result_fits_into_json():
    result = VisualQualityR1(Reciter([answer(3)]), samples=2).assess(PICTURE).to_dict()
    assert json.loads(json.dumps(result))["evidence"]["samples"][0]["score"] == 3


def test_ranking_orders_pictures_and_knows_its_doubt():
    ranking = rank([[2.0, 2.2, 1.8], [4.0, 4.1, 3.9], [2.1, 1.9, 2.0]])
    assert ranking.order[0] == 1
    assert ranking.rank_intervals[1] == (1, 1)
    assert ranking.rank_intervals[0][0] == 2
    assert ranking.rank_intervals[0][1] == 3
    assert ranking.preferences[1][0] > 0.99
    assert ranking.preferences[0][0] is None
    assert ranking.preferences[0][2] == pytest.approx(0.5)
    assert ranking.intervals[1][0] <= ranking.means[1] <= ranking.intervals[1][1]


@pytest.mark.parametrize("samples", [[[3.0]], [[3.0], []]])
def test_ranking_needs_two_pictures_with_samples(samples):
    with pytest.raises(ValueError, match=r"two images|sample"):
        rank(samples)


def test_the_sentence_names_the_better_picture():
    verdict = preference([4.0, 4.2], [2.0, 2.2])
    assert describe("A", "B", verdict).startswith("A is almost certainly better than B")
    assert describe("B", "A", preference([2.0, 2.2], [4.0, 4.2])).startswith("A is almost certainly better than B")
    assert "equally good" in describe("A", "B", preference([3.0, 3.2], [3.0, 3.2]))


def test_the_sentence_is_as_sure_as_the_samples():
    doubt = describe("A", "B", preference([3.0, 4.0], [2.8, 3.4]))
    assert doubt.startswith("A may be better than B: probability 69% (between ")
    assert "over 99% (the same with other samples)" in describe("A", "B", preference([5.0, 5.0], [1.0, 1.0]))
    even = describe("A", "B", preference([3.0, 3.4], [3.1, 3.4]))
    assert even.startswith("A and B look about equally good: B is better with probability 5")
