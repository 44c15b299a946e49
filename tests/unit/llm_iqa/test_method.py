"""The pipeline with an LMM whose logits are known, so that every number can be worked out by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from methods.errors import InputError
from methods.llm_iqa.method import LLMIQA
from methods.lmm.base import LMM, LMMError


class Reader(LMM):
    """Says a digit that it reads off the picture's mean red value, with known doubt, and counts its calls."""

    revision = "1"
    image_budget = 1

    def __init__(self, name="reader", shift=0):
        self.name = name
        self.shift = shift
        self.calls = []

    def word_logits(self, prompts, words):
        self.calls.append([prompt.images[0].size for prompt in prompts])
        digits = np.array([int(word) for word in words])
        rows = []
        for prompt in prompts:
            red = np.asarray(prompt.images[0])[..., 0].mean()
            rows.append(-np.abs(digits - (red / 10 + self.shift)))
        return np.array(rows, dtype=np.float32)

    def generate(self, prompts, n=1, **settings):
        raise AssertionError("LLM-IQA reads one digit and must not generate")

    def stream(self, prompt, **settings):
        raise AssertionError("LLM-IQA reads one digit and must not generate")

    def embed(self, images):
        raise AssertionError("LLM-IQA needs no features")


class Halves:
    """Cuts a picture into its left 60 % and leaves the rest to the complement."""

    name = "halves"

    def masks(self, image):
        mask = np.zeros((image.height, image.width), dtype=bool)
        mask[:, : int(image.width * 0.6)] = True
        return [mask]


@pytest.fixture
def picture():
    pixels = np.zeros((100, 200, 3), dtype=np.uint8)
    pixels[:, :120, 0] = 60  # read as digit 6, 60 % of the area
    pixels[:, 120:, 0] = 20  # read as digit 2
    return Image.fromarray(pixels)  # the mean, 44, is read as digit 4


def test_scores_add_up_by_hand(picture):
    lmm = Reader()
    result = LLMIQA(lmm, own_segmenter=Halves()).assess(picture)
    total = result.evidence.total
    assert total.global_ == 4
    assert total.local == pytest.approx(0.6 * 6 + 0.4 * 2)
    assert result.native_score == pytest.approx(4 + 4.4)
    assert result.native_range == (2, 14)
    assert result.score == pytest.approx((8.4 - 2) / 12)
    assert lmm.calls == [[(200, 100), (120, 100), (80, 100)]]
    assert result.evidence.segmenter == "halves"
    assert [region.weight for region in result.evidence.regions] == pytest.approx([0.6, 0.4])


def test_expectation_reads_all_digits(picture):
    result = LLMIQA(Reader(), own_segmenter=Halves(), reading="expectation").assess(picture)
    digits = np.arange(7, 0, -1)
    weights = np.exp(-np.abs(digits - 4.4))
    assert result.evidence.total.global_ == pytest.approx(float(digits @ weights / weights.sum()), abs=1e-5)


@pytest.mark.parametrize(
    ("scored", "native", "calls"),
    [("whole", 4.0, 1), ("box", 4.4, 2), ("box+whole", 8.4, 3), ("mask", 4.4, 2), ("mask+whole", 8.4, 3)],
)
def test_ablations_score_what_they_name(picture, scored, native, calls):
    lmm = Reader()
    result = LLMIQA(lmm, own_segmenter=Halves(), scored=scored).assess(picture)
    assert result.native_score == pytest.approx(native)
    assert len(lmm.calls[0]) == calls


def test_plain_mean_complement_and_code_aggregation(picture):
    method = LLMIQA(Reader(), own_segmenter=Halves())
    assert method.assess(picture, weighting="mean").evidence.total.local == 4
    assert method.assess(picture, complement=False).evidence.total.local == 6
    coded = method.assess(picture, aggregation="code")
    assert coded.native_score == pytest.approx(4.4 + 0.1 * 2 + 0.5 * 4)


def test_an_ensemble_is_the_mean_of_its_members(picture):
    result = LLMIQA([Reader("a"), Reader("b", shift=1)], own_segmenter=Halves()).assess(picture)
    assert result.evidence.total.per_lmm == pytest.approx((8.4, 10.4))
    assert result.native_score == pytest.approx(9.4)
    assert result.lmm == "a@1, b@1"
    assert "mean of 2 models" in result.explanation


def test_lambda_and_weights_change_without_another_pass(picture):
    first, second = Reader("a"), Reader("b", shift=1)
    evidence = LLMIQA([first, second], own_segmenter=Halves()).assess(picture).evidence
    again = evidence.rescored(lam=0.5, lmm_weights=(1, 0))
    assert again.final == pytest.approx(4 + 0.5 * 4.4)
    assert again.bounds == (1.5, 10.5)
    assert len(first.calls) == len(second.calls) == 1


def test_rescoring_with_its_own_settings_changes_nothing(picture):
    evidence = LLMIQA(Reader(), own_segmenter=Halves(), lam=2.0).assess(picture).evidence
    assert evidence.rescored() == evidence.total


def test_a_batch_is_one_call_and_equals_single_scores(picture):
    other = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    lmm = Reader()
    method = LLMIQA(lmm, own_segmenter=Halves())
    batch = method.assess_batch([picture, other])
    assert len(lmm.calls) == 1
    assert [one.score for one in batch] == [method.assess(one).score for one in (picture, other)]


def test_cost_counts_regions_and_models():
    assert LLMIQA(Reader()).cost() == pytest.approx(8.22)
    assert LLMIQA([Reader(), Reader()], scored="whole").cost() == 2


def test_the_result_fits_into_json(picture):
    result = LLMIQA(Reader(), own_segmenter=Halves()).assess(picture).to_dict()
    text = json.dumps(result, allow_nan=False)
    assert json.loads(text)["evidence"]["regions"][0]["box"] == [0, 0, 120, 100]
    assert len(text) < 20_000


def test_the_explanation_names_the_parts(picture):
    text = LLMIQA(Reader(), own_segmenter=Halves()).assess(picture).explanation
    assert "**4.00** of 7" in text
    assert "cut by halves" in text
    assert "from 2 to 14" in text


def test_an_empty_ensemble_is_refused():
    with pytest.raises(ValueError, match="at least one LMM"):
        LLMIQA([])


class Writer(Reader):
    """Writes a number from 0 to 100 instead of a digit."""

    def __init__(self, name, answer):
        super().__init__(name)
        self.answer = answer

    def generate(self, prompts, n=1, **settings):
        assert settings["temperature"] == 0
        return [[self.answer] for _ in prompts]


def test_without_a_standard_the_score_is_the_stated_number(picture):
    """Table 3, exp 1: the released code's prompt, 0 to 100, of the whole picture."""
    whole = {"standard": "none", "scored": "whole"}
    assessment = LLMIQA(Writer("a", "62.5"), **whole).assess(picture)
    assert (assessment.score, assessment.native_score, assessment.native_range) == (0.625, 62.5, (0.0, 100.0))
    assert "**62.50** of 100" in assessment.explanation
    both = LLMIQA([Writer("a", "62.5"), Writer("b", "37.5")], **whole).assess(picture)
    assert both.native_score == 50
    json.dumps(both.to_dict())
    with pytest.raises(LMMError, match="a stated no number from 0 to 100 but 'good'"):
        LLMIQA(Writer("a", "good"), **whole).assess(picture)
    with pytest.raises(InputError, match="only the whole image is scored"):
        LLMIQA(Writer("a", "62.5"), standard="none")


def test_the_codes_sum_of_one_part_has_the_range_of_a_digit(picture):
    only = LLMIQA(Reader(), own_segmenter=Halves(), scored="whole", aggregation="code").assess(picture)
    assert (only.native_score, only.native_range, only.score) == (4, (1.0, 7.0), 0.5)
