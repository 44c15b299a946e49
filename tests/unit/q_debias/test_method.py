"""The pipeline on an LMM whose answers are known, with the scores worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image

from methods.base import load_method
from methods.images import decode
from methods.lmm.base import LMM
from methods.lmm.prompt import Prompt
from methods.q_debias import method as module
from methods.q_debias.distortions import DISTORTIONS
from methods.q_debias.evidence import degrade
from methods.q_debias.explanation import explain
from methods.q_debias.method import QDebias
from methods.q_debias.similarity import ssim

GOOD_POOR = {"zoom_blur": (1.0, 0.0), "spatter": (0.0, 0.0), "saturate": (-1.0, 1.0), "fog": (2.0, -1.0)}
YES_NO = {"zoom_blur": (3.0, 0.0), "spatter": (0.0, 1.0), "saturate": (2.0, 0.0), "fog": (0.0, 0.0)}


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


# Eq. 8 and 11 on the logits above: quality and similarity per condition.
QUALITY = [sigmoid(1), 0.5, sigmoid(-2), sigmoid(3)]
SIMILARITY = [sigmoid(3), sigmoid(-1), sigmoid(2), 0.5]
VANILLA = sigmoid(0.5)


class KnownLMM(LMM):
    """Answers by which degraded copy it is shown; knows the copies because it makes them itself."""

    name, revision, image_budget = "known", "1", 2

    def __init__(self, setting="paper", seed=0):
        self.setting, self.seed, self.calls = setting, seed, []

    def word_logits(self, prompts, words):
        self.calls.append((list(prompts), tuple(words)))
        rows = [dict(zip(("good", "poor", "yes", "no"), self.answer(prompt))) for prompt in prompts]
        return np.array([[row[word.lower()] for word in words] for row in rows], np.float32)

    def answer(self, prompt: Prompt):
        if len(prompt.images) == 1:
            return 0.25, -0.25, -9.0, 9.0
        copy, query = prompt.images
        (condition,) = [name for name in DISTORTIONS
                    if np.array_equal(np.asarray(copy), np.asarray(degrade(query, name, self.setting, self.seed)))]
        # Words that were not asked for get logits that would spoil the score.
        if "same object" in prompt.turns[-1].text:
            return 50.0, -50.0, *YES_NO[condition]
        return *GOOD_POOR[condition], 50.0, -50.0

    def generate(self, prompts, n=1, max_new_tokens=512, temperature=1.0, top_p=1.0, top_k=0, seed=0):
        raise AssertionError("Q-Debias generates nothing")

    def stream(self, prompt, max_new_tokens=512, temperature=1.0, top_p=1.0, top_k=0, seed=0):
        raise AssertionError("Q-Debias generates nothing")

    def embed(self, images):
        raise AssertionError("Q-Debias embeds nothing")


def photo(seed=0, size=(40, 30)):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def test_the_score_is_equations_8_to_11():
    assessment = QDebias(KnownLMM()).assess(photo())
    shares = [math.exp(w) for w in SIMILARITY]
    expected = sum(q * share for q, share in zip(QUALITY, shares)) / sum(shares)
    assert assessment.score == pytest.approx(expected, abs=1e-7)
    # By hand: (2.592374 * 0.731059 + 1.308578 * 0.5 + 2.412822 * 0.119203 + 1.648721 * 0.952574) / 7.962495
    assert assessment.score == pytest.approx(0.553547, abs=1e-6)
    evidence = assessment.evidence
    assert evidence.vanilla == pytest.approx(0.622459, abs=1e-6)
    assert evidence.vanilla_logits == (0.25, -0.25)
    assert [condition.quality for condition in evidence.conditions] == pytest.approx(QUALITY)
    assert [condition.similarity for condition in evidence.conditions] == pytest.approx(SIMILARITY)
    assert [condition.weight for condition in evidence.conditions] == pytest.approx(
        [share / sum(shares) for share in shares])
    assert [condition.distortion for condition in evidence.conditions] == list(DISTORTIONS)
    assert evidence.conditions[3].logits == (2.0, -1.0, 0.0, 0.0)
    assert evidence.score == assessment.score == assessment.native_score


@pytest.mark.parametrize(("scheme", "expected"), [
    ("average", sum(QUALITY) / 4),
    ("winner-takes-all", QUALITY[0]),
])
def test_other_aggregations(scheme, expected):
    assert QDebias(KnownLMM(), aggregation=scheme).assess(photo()).score == pytest.approx(expected, abs=1e-7)


def test_quality_similarity_weighs_by_ssim():
    image = photo()
    assessment = QDebias(KnownLMM(), aggregation="quality-similarity").assess(image)
    likeness = [max(ssim(image, degrade(image, name)), 0) for name in DISTORTIONS]
    expected = sum(q * s for q, s in zip(QUALITY, likeness)) / sum(likeness)
    assert assessment.score == pytest.approx(expected, abs=1e-6)
    assert [condition.ssim for condition in assessment.evidence.conditions] == pytest.approx(likeness)


def test_the_effect_is_what_leaving_a_condition_out_changes():
    evidence = QDebias(KnownLMM()).assess(photo()).evidence
    without_fog = QDebias(KnownLMM(), distortions=("zoom_blur", "spatter", "saturate")).assess(photo()).score
    assert evidence.conditions[3].effect == pytest.approx(evidence.score - without_fog)


def test_everything_is_asked_in_one_call_about_five_pictures():
    lmm = KnownLMM()
    method = QDebias(lmm)
    method.assess(photo())
    ((prompts, words),) = lmm.calls
    assert words == ("good", "poor", "yes", "no")
    assert len(prompts) == method.cost() == 9
    assert len({image.tobytes() for prompt in prompts for image in prompt.images}) == 5
    assert sum(len(prompt.images) for prompt in prompts) == 17
    assert all(np.array_equal(np.asarray(prompt.images[-1]), np.asarray(photo())) for prompt in prompts)


def test_a_subset_of_the_distortions():
    method = QDebias(KnownLMM(), distortions=("spatter",))
    assessment = method.assess(photo())
    assert assessment.score == pytest.approx(0.5)
    assert method.cost() == 3
    assert assessment.evidence.conditions[0].effect is None
    assert "one condition, spatter" in assessment.explanation
    reordered = QDebias(KnownLMM(), distortions=("fog", "zoom_blur")).assess(photo())
    assert [condition.quality for condition in reordered.evidence.conditions] == pytest.approx(
        [QUALITY[3], QUALITY[0]])


def test_temperature_softens_quality_and_not_the_weights():
    evidence = QDebias(KnownLMM(), temperature=100).assess(photo()).evidence
    assert evidence.vanilla == pytest.approx(sigmoid(0.005))
    assert evidence.conditions[0].quality == pytest.approx(sigmoid(0.01))
    assert [condition.similarity for condition in evidence.conditions] == pytest.approx(SIMILARITY)


def test_word_case_setting_and_prompt_reach_the_lmm():
    lmm = KnownLMM(setting="code")
    QDebias(lmm, setting="code", word_case="capitalised").assess(photo())
    ((prompts, words),) = lmm.calls
    assert words == ("Good", "Poor", "Yes", "No")
    assert prompts[1].turns[-1].text.endswith("second image. Good or poor?")
    lmm = KnownLMM()
    QDebias(lmm, prompt="T1").assess(photo())
    assert lmm.calls[0][0][1].turns[-1].text == "Rate the quality of the second image. Good or poor?"


def test_a_folder_is_handed_over_at_once_and_scores_as_its_pictures_do():
    photos = [photo(seed, size) for seed, size in ((0, (40, 30)), (1, (33, 21)), (2, (7, 60)))]
    lmm = KnownLMM()
    together = QDebias(lmm).assess_batch(photos)
    assert len(lmm.calls) == 1
    assert len(lmm.calls[0][0]) == 27
    single = QDebias(KnownLMM())
    for one, assessment in zip(photos, together):
        alone = single.assess(one)
        assert assessment.score == alone.score
        assert assessment.evidence.conditions == alone.evidence.conditions
        assert assessment.evidence.query.size == one.size


def test_a_large_folder_is_cut_into_runs_that_fit(monkeypatch):
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", 2 * 40 * 30)
    lmm = KnownLMM()
    photos = [photo(seed) for seed in range(5)] + [photo(5, (90, 80))]
    assessments = QDebias(lmm).assess_batch(photos)
    assert [len(prompts) // 9 for prompts, _ in lmm.calls] == [2, 2, 1, 1]
    assert [assessment.evidence.query.tobytes() for assessment in assessments] == [one.tobytes() for one in photos]


def test_the_degradation_follows_the_content_and_the_seed():
    image = photo()
    assert degrade(image, "fog").tobytes() == degrade(image.copy(), "fog").tobytes()
    assert degrade(image, "fog", seed=1).tobytes() != degrade(image, "fog").tobytes()
    # Two white pictures of one size are one picture; of another size they are not.
    assert degrade(Image.new("RGB", (40, 30), "white"), "fog").crop((0, 0, 30, 30)).tobytes() != \
        degrade(Image.new("RGB", (30, 40), "white"), "fog").crop((0, 0, 30, 30)).tobytes()
    changed = image.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    below = [np.asarray(degrade(one, "spatter"))[10:] for one in (image, changed)]
    assert not np.array_equal(*below)


def test_evidence_shows_what_the_lmm_saw():
    lmm = KnownLMM()
    image = photo()
    before = image.tobytes()
    evidence = QDebias(lmm).assess(image).evidence
    assert image.tobytes() == before
    views = [prompt.images[0].tobytes() for prompt in lmm.calls[0][0][1::2]]
    assert views == [evidence.degraded(name).tobytes() for name in DISTORTIONS]
    assert evidence.transcripts["condition"].startswith("user: <image><image>The visual quality of the first")
    assert set(evidence.transcripts) == {"condition", "similarity", "vanilla"}


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (500, 7)])
def test_pictures_of_any_size_are_scored(size):
    class Constant(KnownLMM):
        def answer(self, prompt):
            return 1.0, 0.0, 1.0, 0.0

    assert QDebias(Constant()).assess(photo(3, size)).score == pytest.approx(sigmoid(1))


def test_the_explanation_names_what_mattered_and_why():
    assessment = QDebias(KnownLMM()).assess(photo())
    text = assessment.explanation
    evidence = assessment.evidence
    assert f"**{evidence.score:.3f}**" in text
    assert "lowered the score by 0.0" in text
    most = max(evidence.conditions, key=lambda condition: abs(condition.effect))
    assert most.distortion == "saturate"
    assert "**oversaturation** condition mattered most" in text
    assert f"{evidence.score - most.effect:.3f}, {-most.effect:.3f} higher" in text
    assert "does not recognise the content in the copy with spatter" in text
    assert "\n" not in text


def test_the_explanation_does_not_invent_differences():
    class Even(KnownLMM):
        def answer(self, prompt):
            return 1.0, 0.0, 2.0, 0.0

    text = QDebias(Even()).assess(photo()).explanation
    assert "the same as when it is asked about the photo alone" in text
    assert "No condition mattered more than another" in text
    assert "weigh nearly the same" in text
    assert "told nothing about them" in QDebias(KnownLMM(), prompt="T1").assess(photo()).explanation
    assert "Told that" in QDebias(KnownLMM(), prompt="T3").assess(photo()).explanation
    for scheme in ("average", "winner-takes-all", "quality-similarity"):
        assert explain(QDebias(KnownLMM(), aggregation=scheme).assess(photo()).evidence)


def test_the_assessment_is_json_and_repeats():
    assessment = load_method("q-debias", lmm=KnownLMM(seed=4), seed=4).assess(photo())
    again = load_method("Q Debias", lmm=KnownLMM(seed=4), seed=4).assess(photo())
    assert assessment.score == again.score
    assert assessment.seed == 4
    record = json.loads(json.dumps(assessment.to_dict()))
    assert record["evidence"]["query"] == {"width": 40, "height": 30}
    assert len(record["evidence"]["conditions"]) == 4
    assert record["options"]["distortions"] == list(DISTORTIONS)


@pytest.mark.parametrize(("options", "message"), [
    ({"distortions": ()}, "at least one"),
    ({"distortions": ("fog", "fog")}, "twice"),
    ({"distortions": ("snow",)}, "distortions must be one of"),
    ({"aggregation": "median"}, "aggregation must be one of"),
    ({"temperature": 0.0}, "temperature"),
    ({"prompt": "T4"}, "prompt must be one of"),
    ({"distortion": ("fog",)}, "did you mean 'distortions'"),
])
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        QDebias(KnownLMM(), **options)


def test_an_lmm_that_takes_one_picture_is_refused():
    lmm = KnownLMM()
    lmm.image_budget = 1
    with pytest.raises(ValueError, match="choose another model"):
        QDebias(lmm)


class PairLMM(KnownLMM):
    """Sees something else in every pair of pictures, and keeps what it was shown."""

    def answer(self, prompt: Prompt):
        return 0.0, 0.0, 0.0, 5.0


@pytest.mark.slow
def test_inconsistent_conditions_are_degraded_versions_of_other_images():
    from assets import FOLDER
    from methods.images import decode
    from methods.q_debias.others import other_image

    query, lmm = photo(), PairLMM()
    assessment = QDebias(lmm, consistent=False).assess(query)
    views = {prompt.images[0].tobytes() for prompt in lmm.calls[0][0] if len(prompt.images) == 2}
    assert len(views) == len(DISTORTIONS)
    others = [other_image(query, name) for name in DISTORTIONS]
    assert len({other.tobytes() for other in others}) == len(DISTORTIONS), "four different photos"
    assert views == {degrade(other, name).tobytes() for other, name in zip(others, DISTORTIONS)}
    assert views == {assessment.evidence.degraded(name).tobytes() for name in DISTORTIONS}
    assert "degraded other photos" in assessment.explanation
    assert "as is meant here" in assessment.explanation
    assert QDebias(PairLMM(), consistent=False).assess(query).score == assessment.score
    # A photo of the pool is never its own condition.
    first = decode(sorted((FOLDER / "reference-set" / "images").iterdir())[0]).image
    assert all(other_image(first, name).tobytes() != first.tobytes() for name in DISTORTIONS)


def test_other_images_have_no_likeness_to_measure():
    with pytest.raises(ValueError, match="compares an image with copies of itself"):
        QDebias(PairLMM(), consistent=False, aggregation="quality-similarity")


def test_copies_made_ahead_are_used_and_others_are_made_anew(monkeypatch):
    method = QDebias(KnownLMM())
    expected = [method.assess(photo(number)).score for number in range(2)]
    prepared = method.prepare(decode(photo(0)))
    assert prepared.nbytes == 5 * 3 * 40 * 30
    degraded = []
    original = module.condition_image
    monkeypatch.setattr(module, "condition_image",
                        lambda image, *rest: degraded.append(image.size) or original(image, *rest))
    together = method.assess_batch([prepared, photo(1, (42, 30))])
    assert together[0].score == expected[0]
    assert degraded == [(42, 30)] * 4
    # Copies of another seed, or under fewer distortions, are not those.
    del degraded[:]
    method.lmm.seed = 3
    method.assess(prepared, seed=3)
    assert len(degraded) == 4
