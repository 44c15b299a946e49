"""The shipped weights: they load with plain transformers, are small, and know a better picture from a worse one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import assets
from methods.kadid.distortions import distort
from methods.levels import FIVE_LEVELS, GOOD_POOR
from methods.llm_iqa.standard import LEVEL_COUNTS, Standard
from methods.lmm.base import LMM
from methods.lmm.loading import load_lmm
from methods.q_bench.prompts import QUESTIONS
from methods.torchvision_compat import ensure_torchvision
from methods.visualquality_r1 import prompts as visualquality_r1
from methods.visualquality_r1.answer import has_format, parse_score

pytestmark = pytest.mark.slow

FOLDER = assets.FOLDER / "embedded-lmm"

STRENGTHS = {
    # Evenly visible steps of four common flaws.
    "blur": lambda image, level: distort(image, "GBLUR", level, rng=0),
    "JPEG": lambda image, level: distort(image, "JPEG", level, rng=0),
    "noise": lambda image, level: distort(image, "AWGN", level, rng=0),
    "darkening": lambda image, level: distort(image, "Darken", level, rng=0),
}


@pytest.fixture(scope="module")
def lmm() -> LMM:
    return load_lmm("embedded")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    import skimage.data

    return Image.fromarray(skimage.data.astronaut())


def five_level(lmm: LMM, pictures) -> np.ndarray:
    question = QUESTIONS["five-level"]
    return FIVE_LEVELS.expectation(lmm.word_logits([question.prompt(one) for one in pictures], FIVE_LEVELS.words))


def ranks(lmm: LMM, image: np.ndarray, flaw: str) -> float:
    """Rank correlation of the score with the absence of the flaw, over five strengths."""
    pictures = [Image.fromarray(STRENGTHS[flaw](image, level)) for level in range(1, 6)]
    return float(spearmanr(five_level(lmm, pictures), [5, 4, 3, 2, 1]).statistic)


def test_it_is_small_enough_to_ship():
    weights = sum(path.stat().st_size for path in FOLDER.iterdir())
    assert weights <= 25 * 10**6


def test_it_loads_as_the_card_says(monkeypatch, capsys):
    """The card's own lines are run, so that they cannot go stale."""
    card = (FOLDER / "README.md").read_text()
    snippet = re.search(r"```python\n(.*?)```", card, re.DOTALL).group(1)
    assert "trust_remote_code" not in snippet
    assert len(snippet.strip().splitlines()) <= 12
    ensure_torchvision()
    monkeypatch.chdir(FOLDER.parents[1])
    exec(compile(snippet, "card", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_same_picture_gets_the_same_score(lmm, photo):
    first, second = five_level(lmm, [photo]), five_level(lmm, [photo])
    np.testing.assert_array_equal(first, second)


def test_scores_fall_with_the_strength_of_a_flaw(lmm):
    import skimage.data

    correlations = {}
    for name in ("astronaut", "chelsea"):
        image = getattr(skimage.data, name)()
        for flaw in STRENGTHS:
            correlations[name, flaw] = ranks(lmm, image, flaw)
    assert np.mean(list(correlations.values())) >= 0.8, correlations


def test_kodak_photos_are_ranked_by_strength(lmm, shared_data):
    files = sorted((shared_data / "kodak24").glob("*.png"))[4::7]
    correlations = {flaw: np.mean([ranks(lmm, np.asarray(Image.open(file).convert("RGB")), flaw) for file in files])
             for flaw in STRENGTHS}
    assert min(correlations.values()) >= 0.8 - 1e-9, correlations


def test_every_prompt_tells_a_good_picture_from_a_bad_one(lmm, photo):
    bad = Image.fromarray(distort(np.asarray(photo), "GBLUR", 5, rng=0))
    for levels, question in ((GOOD_POOR, QUESTIONS["two-word"]), (FIVE_LEVELS, QUESTIONS["five-level"])):
        for words in (levels.words, [word.title() for word in levels.words]):
            logits = lmm.word_logits([question.prompt(photo), question.prompt(bad)], list(words))
            good_score, bad_score = levels.expectation(logits)
            assert good_score > bad_score + 0.2
    for k in LEVEL_COUNTS:
        standard = Standard(k=k)
        logits = lmm.word_logits([standard.prompt(photo), standard.prompt(bad)], standard.levels.words)
        good_score, bad_score = standard.levels.expectation(logits)
        assert good_score > bad_score + 0.15 * (k - 1)


@pytest.mark.parametrize("variant", list(visualquality_r1.VARIANTS))
def test_written_answers_can_be_read(lmm, photo, variant):
    (texts,) = lmm.generate([visualquality_r1.prompt(photo, variant)], 4, 160, top_k=50, seed=0)
    assert all(parse_score(text) is not None for text in texts), texts
    if variant != "released-no-thinking":
        assert all(has_format(text) for text in texts), texts


def test_features_come_at_the_width_of_the_tower(lmm, photo):
    features = lmm.embed([photo])
    assert features.shape == (1, 1280)
    assert np.isfinite(features).all()
