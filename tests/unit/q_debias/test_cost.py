"""What Q-Debias costs a transformers model with random weights: pictures encoded, and equality with the naive loop."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.lmm.plain import PlainRunner
from methods.lmm.transformers_lmm import TransformersLMM
from methods.q_debias.distortions import DISTORTIONS
from methods.q_debias.evidence import degrade
from methods.q_debias.method import QDebias
from tests import tiny_lmm

FAMILIES = ["fast_vlm", "qwen3_vl"]


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request, tmp_path_factory):
    return tiny_lmm.build(request.param, tmp_path_factory.mktemp(request.param))


def photo(seed, size=(64, 48)):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def test_five_pictures_are_encoded_and_not_seventeen(checkpoint):
    lmm = TransformersLMM(checkpoint, vision_cache_bytes=0)
    method = QDebias(lmm)
    method.assess(photo(0))
    assert lmm.vision.encoded == 5
    method.assess_batch([photo(1), photo(2), photo(3)])
    assert lmm.vision.encoded == 20


def test_the_score_is_that_of_one_prompt_at_a_time(checkpoint):
    shared = QDebias(TransformersLMM(checkpoint)).assess(photo(0))
    naive = TransformersLMM(checkpoint)
    naive._runner = PlainRunner(naive.model, naive.processor)
    one_by_one = QDebias(OneByOne(naive)).assess(photo(0))
    assert shared.score == pytest.approx(one_by_one.score, abs=1e-5)
    for fast, slow in zip(shared.evidence.conditions, one_by_one.evidence.conditions):
        assert fast.logits == pytest.approx(slow.logits, abs=1e-3)


def test_a_real_model_reads_every_word_case(checkpoint):
    lmm = TransformersLMM(checkpoint)
    for case in ("lower", "capitalised"):
        for setting in ("paper", "code"):
            assert 0 < QDebias(lmm, word_case=case, setting=setting).assess(photo(0)).score < 1
    copies = {degrade(photo(0), name).tobytes() for name in DISTORTIONS}
    assert len(copies) == 4


class OneByOne:
    """Hands each prompt over in a call of its own, as the released scripts do."""

    def __init__(self, lmm):
        self.lmm = lmm
        self.name, self.revision, self.image_budget = lmm.name, lmm.revision, lmm.image_budget

    def word_logits(self, prompts, words):
        return np.concatenate([self.lmm.word_logits([prompt], words) for prompt in prompts])
