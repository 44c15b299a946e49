"""The method: Figure 2's golden number, what is asked, evidence, options, batches, and a real architecture."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from methods.base import load_method, method_class
from methods.iqarag.method import IQARAG, LEVELS, IQARAGOptions
from methods.iqarag.reference_set import ReferenceSet

from .conftest import BrightnessLMM, grey

FIGURE_2 = {"excellent": 16.87, "good": 20.37, "fair": 13.75, "poor": 9.62, "bad": 2.60}


@pytest.fixture
def references(lmm) -> ReferenceSet:
    """21 greys whose MOS is their brightness."""
    images = [grey(round(12.75 * number)) for number in range(21)]
    return ReferenceSet(images, np.linspace(0, 1, 21), lmm.embed(images), "VE", revision="brightness@1",
                        about={"title": "greys"})


@pytest.fixture
def method(lmm, references) -> IQARAG:
    return IQARAG(lmm, references=references)


def test_figure_2_gives_0_7570():
    logits = [FIGURE_2[word] for word in LEVELS.words]
    assert LEVELS.expectation(logits) == pytest.approx(0.7570, abs=5e-5)


def test_figure_2_through_the_whole_method(references):
    class Printed(BrightnessLMM):
        def word_logits(self, prompts, words):
            return np.array([[FIGURE_2[word] for word in words] for _ in prompts], np.float32)

    result = IQARAG(Printed(), references=references).assess(grey(100))
    assert result.score == pytest.approx(0.7570, abs=5e-5)
    assert result.native_range == (0.0, 1.0)
    assert result.evidence.score_without == pytest.approx(result.score)


def test_what_the_model_is_asked(method, lmm):
    result = method.assess(grey(100))
    plain, full = lmm.prompts
    assert lmm.calls == 1
    assert len(plain.images) == 1
    levels = [turn.text for turn in full.turns[1:-1]]
    assert levels == [f"This image's quality is {word}." for word in ("excellent", "good", "fair", "poor", "bad")]
    # The nearest of each bin: brightness 100 is MOS 0.39.
    references = result.evidence.references
    assert [one.mos for one in references] == pytest.approx([0.8, 0.6, 0.4, 0.35, 0.15])
    assert [image.getpixel((0, 0))[0] for image in full.images] == [204, 153, 102, 89, 38, 100]
    assert full.transcript() == result.evidence.transcript_with
    assert plain.transcript() == result.evidence.transcript_without


def test_evidence_holds_what_the_tab_draws(method):
    evidence = method.assess(grey(100), K=4).evidence
    assert evidence.words == ("excellent", "good", "fair", "poor", "bad")
    assert sum(evidence.probabilities_with) == pytest.approx(1)
    assert np.dot(evidence.probabilities_without, evidence.weights) == pytest.approx(evidence.score_without)
    assert [(one.level, one.rank) for one in evidence.references] == [("fair", 1), ("poor", 2)]
    nearest = evidence.references[0]
    assert nearest.distance == pytest.approx(2 / 255, rel=1e-4)
    assert nearest.thumbnail.size == (24, 16)
    assert [(one.low, one.levels, one.in_set) for one in evidence.empty_bins] == [
        (0.0, ("bad",), 4), (0.6, ("good",), 4), (0.8, ("excellent",), 5)]
    assert (evidence.considered, evidence.set_size, evidence.encoder, evidence.reference_set) == (4, 21, "VE", "greys")


def test_the_explanation_says_both_scores_and_the_empty_bins(method):
    result = method.assess(grey(100), K=4)
    assert f"**{result.score:.3f}**" in result.explanation
    assert f"{result.evidence.score_without:.3f}" in result.explanation
    assert ("None of the 4 nearest references is excellent (MOS 0.8 to 1.0), although the set holds 5."
            in result.explanation)


def test_a_bin_that_the_set_does_not_have(lmm):
    images = [grey(10), grey(30)]
    references = ReferenceSet(images, [0.1, 0.3], lmm.embed(images), "VE", revision="brightness@1")
    result = IQARAG(lmm, references=references).assess(grey(20))
    assert [one.in_set for one in result.evidence.empty_bins] == [0, 0, 0]
    assert "and the set holds none" in result.explanation


def test_the_query_is_never_its_own_reference(method, references):
    query = references.image(8)
    evidence = method.assess(query).evidence
    assert evidence.left_out_itself
    assert references.names[8] not in [one.name for one in evidence.references]
    assert "was not shown" in method.assess(query).explanation


@pytest.mark.parametrize(("order", "expected"), [
    ("best first", [0.8, 0.6, 0.4, 0.35, 0.15]), ("worst first", [0.15, 0.35, 0.4, 0.6, 0.8]),
    ("nearest first", [0.4, 0.35, 0.6, 0.15, 0.8]), ("nearest last", [0.8, 0.15, 0.6, 0.35, 0.4]),
])
def test_orders(method, order, expected):
    assert [one.mos for one in method.assess(grey(100), order=order).evidence.references] == pytest.approx(expected)


def test_fewer_references_keep_the_nearest(method):
    evidence = method.assess(grey(100), P=2).evidence
    assert [one.mos for one in evidence.references] == pytest.approx([0.4, 0.35])
    # They were reached, and left out for P's sake: the bins are not empty.
    assert evidence.empty_bins == ()


def test_no_reference_is_the_plain_question(method, lmm):
    result = method.assess(grey(100), P=0)
    assert len(lmm.prompts) == 1
    assert result.score == result.evidence.score_without
    assert result.evidence.references == ()
    assert "No reference was shown" in result.explanation


def test_all_are_considered_with_k_0(method):
    evidence = method.assess(grey(0), K=0).evidence
    assert evidence.empty_bins == ()
    assert evidence.considered == 20  # the picture itself is one of the 21


def test_more_bins_than_levels(method):
    evidence = method.assess(grey(100), bins=10, P=10, K=0).evidence
    assert len(evidence.references) == 10
    assert [one.level for one in evidence.references] == [
        word for word in ("excellent", "good", "fair", "poor", "bad") for _ in range(2)]


def test_figure_2s_wording(method, lmm):
    method.assess(grey(100), wording="pictures in words", level_case="title", turns="one")
    text = lmm.prompts[-1].turns[0].text
    assert text.startswith("Give you six images.")
    assert "This image's quality is Excellent." in text


def test_temperature_flattens(method):
    cold, hot = (method.assess(grey(250), temperature=value) for value in (1, 100))
    assert abs(hot.score - 0.5) < abs(cold.score - 0.5)
    assert hot.options["temperature"] == 100


class TestInterval:
    def test_holds_the_score_and_repeats(self, method):
        first = method.assess(grey(100), interval=30)
        again = method.assess(grey(100), interval=30)
        low, high = first.evidence.interval
        assert low < high
        assert low - 0.05 <= first.score <= high + 0.05
        assert first.evidence.interval == again.evidence.interval
        assert first.score == method.assess(grey(100)).score

    def test_follows_the_seed(self, method):
        assert (method.assess(grey(100), interval=30).evidence.interval
                != method.assess(grey(100), interval=30, seed=1).evidence.interval)

    def test_asks_each_distinct_choice_once(self, method, lmm):
        method.assess(grey(100), interval=50)
        assert lmm.calls == 1
        asked = [tuple(image.tobytes() for image in prompt.images) for prompt in lmm.prompts]
        assert len(asked) == len(set(asked)) <= 52

    def test_is_off_by_default(self, method):
        assert method.assess(grey(100)).evidence.interval is None
        assert method.cost() == 2


def test_a_batch_is_one_call_and_equals_single_pictures(method, lmm):
    pictures = [grey(value) for value in (5, 60, 128, 251)]
    together = method.assess_batch(pictures)
    assert lmm.calls == 1
    assert [one.score for one in together] == [method.assess(picture).score for picture in pictures]


def test_variants_share_their_prompts(method, lmm):
    variants = [method.options.updated(P=count) for count in range(6)]
    (row,) = method.compare([grey(100)], variants)
    assert len(lmm.prompts) == 6
    assert [len(verdict.evidence.references) for verdict in row] == [0, 1, 2, 3, 4, 5]
    assert row[5].score == method.assess(grey(100)).score


def test_json_and_registry(method):
    result = method.assess(grey(100))
    assert json.loads(json.dumps(result.to_dict()))["evidence"]["references"][0]["thumbnail"] == {
        "width": 24, "height": 16}
    assert method_class("IQARAG") is IQARAG
    assert load_method("iqarag", lmm=BrightnessLMM(), P=3).cost() == 2
    assert all(spec.metadata["help"] for spec in dataclasses.fields(IQARAGOptions))


def test_a_model_that_takes_few_pictures():
    class Narrow(BrightnessLMM):
        image_budget = 3

    with pytest.raises(ValueError, match="takes 3"):
        IQARAG(Narrow())
    narrow = IQARAG(Narrow(), P=2)
    with pytest.raises(ValueError, match="lower P"):
        narrow.assess(grey(1), P=3)


@pytest.mark.parametrize("changes", [
    {"K": -1}, {"P": 11}, {"order": "random"}, {"encoder": "VGG"}, {"bins": 0}, {"k": 3},
])
def test_options_that_do_not_exist(method, changes):
    with pytest.raises(ValueError, match=r"[Oo]ption"):
        method.assess(grey(1), **changes)


def test_a_missing_set_is_a_sentence(lmm, tmp_path):
    with pytest.raises(ValueError, match="holds no reference set"):
        IQARAG(lmm, reference_set=str(tmp_path)).assess(grey(1))


@pytest.mark.parametrize("family", ["qwen3_vl", "gemma3"])
def test_on_a_real_architecture(family, tmp_path_factory):
    from methods.lmm.transformers_lmm import TransformersLMM
    from tests import tiny_lmm

    lmm = TransformersLMM(tiny_lmm.build(family, tmp_path_factory.mktemp("lmm") / family))
    rng = np.random.default_rng(0)
    from PIL import Image

    images = [Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)) for _ in range(8)]
    encoder = IQARAG(lmm).encoder("VE")
    references = ReferenceSet(images, np.linspace(0, 1, 8), encoder.embed(images), "VE", revision=encoder.revision)
    method = IQARAG(lmm, references=references)
    query = Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8))
    result = method.assess(query)
    assert result.evidence.logits_with != result.evidence.logits_without
    assert len(result.evidence.references) == 5
    assert method.assess(query).score == pytest.approx(result.score, abs=1e-6)
