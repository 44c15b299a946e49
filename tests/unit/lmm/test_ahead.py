"""What is made of images before their turn: the same logits, made on other threads, held no longer than its holder."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from methods.base import load_method
from methods.images import decode
from methods.lmm import Prompt
from methods.lmm.reuse.vision import VisionEncoder
from tests import tiny_lmm

WORDS = ["excellent", "good", "fair", "poor", "bad"]
PREFIX = "The quality of the image is"


def asked(pictures):
    return [Prompt.ask(picture, "Rate the quality.", answer_prefix=PREFIX) for picture in pictures]


@pytest.fixture
def preparations(monkeypatch):
    """The threads in which a processor worked, one entry per image."""
    threads = []
    original = VisionEncoder._prepare

    def prepare(self, key, image):
        threads.append(threading.current_thread().name)
        return original(self, key, image)

    monkeypatch.setattr(VisionEncoder, "_prepare", prepare)
    return threads


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
def test_prepared_images_give_the_same_logits_and_are_not_processed_again(family, tiny, pictures, preparations):
    lmm = tiny(family)
    expected = lmm.word_logits(asked(pictures), WORDS)
    lmm.vision.clear()
    with ThreadPoolExecutor(4, thread_name_prefix="ahead") as pool:
        held = list(pool.map(lmm.prepare, pictures))
    assert all(one.nbytes > 0 for one in held)
    del preparations[:]
    np.testing.assert_array_equal(lmm.word_logits(asked(pictures), WORDS), expected)
    assert not preparations


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
def test_images_among_others_too(family, tiny, pictures, preparations):
    lmm = tiny(family)
    pair = [Prompt.ask(pictures[0], pictures[1], "Which is better?", answer_prefix="It is")]
    expected = lmm.word_logits(pair, WORDS)
    lmm.vision.clear()
    held = [lmm.prepare(picture, alone=False) for picture in pictures[:2]]
    del preparations[:]
    np.testing.assert_array_equal(lmm.word_logits(pair, WORDS), expected)
    assert len(held) == 2
    assert not preparations


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
def test_images_are_prepared_while_the_model_answers(family, tiny, pictures):
    lmm = tiny(family)
    expected = lmm.word_logits(asked(pictures), WORDS)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            copies = [picture.copy() for picture in pictures]
            lmm.vision.clear()
            made = [pool.submit(lmm.prepare, picture) for picture in copies]
            np.testing.assert_array_equal(lmm.word_logits(asked(copies), WORDS), expected)
            assert all(one.result() is not None for one in made)


def test_what_was_made_goes_with_its_holder(tiny, pictures):
    lmm = tiny(next(iter(tiny_lmm.FAMILIES)))
    held = [lmm.prepare(picture) for picture in pictures]
    assert len(lmm.vision._ahead) == len(pictures)
    del held
    gc.collect()
    assert not lmm.vision._ahead


def test_an_image_whose_encoding_is_kept_is_not_processed(tiny, pictures):
    lmm = tiny(next(iter(tiny_lmm.FAMILIES)))
    lmm.embed(pictures[:1])
    assert lmm.prepare(pictures[0]).nbytes == 0
    assert lmm.prepare(pictures[1]).nbytes > 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("q-bench", {}), ("q-debias", {}), ("llm-iqa", {"scored": "whole"}),
                                               ("visualquality-r1", {"samples": 1})])
def test_a_prepared_image_has_the_same_score(name, options, pictures, preparations):
    method = load_method(name, "embedded", options=options)
    method.lmm.vision.clear()
    expected = method.assess(pictures[3]).score
    method.lmm.vision.clear()
    prepared = method.prepare(decode(pictures[3]))
    assert prepared.ahead
    assert prepared.nbytes > 3 * pictures[3].width * pictures[3].height
    del preparations[:]
    assert method.assess(prepared).score == expected
    assert not preparations
