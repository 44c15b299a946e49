"""The pixel limit of every family: what it gives in tokens, where it is set, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.base import load_method
from methods.errors import InputError
from methods.lmm import LMMError, Prompt, load_lmm, loading
from methods.lmm.pixels import limited
from methods.lmm.plain import PlainRunner
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm

pytestmark = pytest.mark.slow

OWN = {"qwen3_vl": 64 * 64, "qwen2_5_vl": 64 * 64, "internvl": 4 * 32 * 32, "llava_onevision": 64 * 64,
       "smolvlm": 64 * 64, "idefics3": 64 * 64}
"""The tiny checkpoints' own limits; the other families have none."""
WORDS = ["good", "poor"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("MEAN_OPINION_MAX_PIXELS", raising=False)
    yield
    loading.unload()


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
def test_a_limit_gives_fewer_tokens_and_the_plain_logits(family, checkpoint, pictures):
    free = TransformersLMM(checkpoint(family), device="cpu")
    tight = TransformersLMM(checkpoint(family), device="cpu", max_pixels=1100)
    assert (free.max_pixels, tight.max_pixels) == (OWN.get(family), 1100)
    large = pictures[3]
    if family in OWN:
        assert tight.picture_tokens(*large.size) < free.picture_tokens(*large.size)
    asked = [Prompt.ask(one, "Rate it.", answer_prefix="The quality is") for one in pictures]
    asked.append(Prompt.ask(*pictures[:2], "Which is better?", answer_prefix="It is"))
    plain = PlainRunner(tight.model, tight.processor, tight.limit)
    shared = tight.word_logits(asked, WORDS)
    np.testing.assert_allclose(shared, plain.word_logits(*tight.as_sent(asked, WORDS)), atol=1e-3)
    if family != "gemma3":  # whose projector begins as zeros, so that the tiny checkpoint sees nothing
        assert np.abs(shared - free.word_logits(asked, WORDS)).max() > 1e-3, "the model sees less"
    again = TransformersLMM(checkpoint(family), device="cpu", max_pixels=10**9)
    assert again.max_pixels == OWN.get(family, 10**9), "a limit never goes above what the checkpoint takes"
    np.testing.assert_array_equal(again.word_logits(asked, WORDS), free.word_logits(asked, WORDS))


@pytest.mark.parametrize("family", list(tiny_lmm.FAMILIES))
@pytest.mark.parametrize("limit", [1, 1100, 2200, 4096])
def test_no_limit_is_exceeded_and_tokens_are_foretold(family, limit, checkpoint, pictures):
    lmm = TransformersLMM(checkpoint(family), device="cpu", max_pixels=limit)
    for picture in pictures:
        rendered, _ = lmm.as_sent([Prompt.ask(picture, "Rate it.")], WORDS)
        [row] = lmm._runner.layout.rows(rendered)
        tokens = len(row.encodings[0].features)
        assert tokens <= lmm.picture_tokens(*picture.size) <= 2 * tokens + 14
        if family.startswith("qwen"):  # 16 x 16 pixels per token
            assert tokens * 16 * 16 <= max(limit, 256)
        if family == "internvl":  # 4 tokens a tile and the thumbnail
            assert tokens <= 4 * (max(limit // 1024, 1) + 1)


def test_families_of_one_size_are_handed_a_smaller_picture(checkpoint, pictures, monkeypatch):
    lmm = TransformersLMM(checkpoint("llava"), device="cpu", max_pixels=600)
    sizes = []
    monkeypatch.setattr(type(lmm.limit), "scaled", lambda limit, image: sizes.append(limit.size(image.size)) or image)
    lmm.embed(pictures)
    assert [width * height <= 600 for width, height in sizes] == [True] * 5
    assert sizes[0] == (31, 18)  # of 80 x 48


def test_real_settings_give_the_tokens_that_are_documented():
    """The processors' own counting with the settings of the released checkpoints."""
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    from transformers import GotOcr2ImageProcessor, Idefics3ImageProcessor, Qwen2VLImageProcessor

    class Around:
        def __init__(self, images):
            self.image_processor = images

    def patches(images, size=(4032, 3024), asked=None):
        limit = limited(None, Around(images), asked)
        return images.get_number_of_image_patches(size[1], size[0], {}), limit.pixels

    qwen3 = {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}}
    qwen25 = {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 12845056}}
    for settings, most in ((qwen3, 1024), (qwen25, 1337)):
        count, pixels = patches(Qwen2VLImageProcessor(merge_size=2, **settings))
        assert pixels == 2**20
        assert 0.9 * most < count / 4 <= most
    assert patches(Qwen2VLImageProcessor(merge_size=2, **qwen3), (1024, 768))[0] / 4 == 768, "nothing is taken from it"
    assert patches(Qwen2VLImageProcessor(merge_size=2, **qwen3), asked=12_000_000)[0] / 4 == pytest.approx(11_700, 0.01)
    internvl = GotOcr2ImageProcessor(size={"height": 448, "width": 448}, max_patches=12, crop_to_patches=True)
    assert patches(internvl) == (7, 6 * 448 * 448)
    assert 7 * 256 == 1792
    smolvlm = Idefics3ImageProcessor(size={"longest_edge": 1536}, max_image_size={"longest_edge": 384})
    count, pixels = patches(smolvlm, (1536, 1536))
    assert (count[0] if isinstance(count, tuple) else count, pixels) == (17, 1536**2)


def test_a_picture_too_slim_for_qwen_is_one_sentence(checkpoint):
    lmm = TransformersLMM(checkpoint("qwen3_vl"), device="cpu")
    assert lmm.embed([Image.new("RGB", (600, 3))]).shape[0] == 1
    slim = Image.new("RGB", (603, 3))
    for ask in (lambda: lmm.embed([slim]), lambda: lmm.word_logits([Prompt.ask(slim, "Rate it.")], WORDS)):
        with pytest.raises(LMMError, match=r"An image of 603 x 3 pixels is too slim .* 200 times"):
            ask()


def test_a_limit_is_at_least_one(checkpoint):
    for wrong in (0, -5):
        with pytest.raises(InputError, match=f"max_pixels must be at least 1; got {wrong}"):
            load_lmm(str(checkpoint("llava")), device="cpu", max_pixels=wrong)


def test_the_environment_sets_the_limit_of_models_loaded_without_one(checkpoint, monkeypatch):
    folder = str(checkpoint("qwen3_vl"))
    monkeypatch.setenv("MEAN_OPINION_MAX_PIXELS", "2000")
    assert load_lmm(folder, "cpu").max_pixels == 2000
    assert load_lmm(folder, "cpu", max_pixels=3000).max_pixels == 3000
    assert load_lmm(f"{folder}?max_pixels=2500", "cpu").max_pixels == 2500
    monkeypatch.setenv("MEAN_OPINION_MAX_PIXELS", "many")
    with pytest.raises(InputError, match="MEAN_OPINION_MAX_PIXELS cannot be used: max_pixels is a whole number"):
        load_lmm(folder, "cpu")


def test_every_assessment_records_the_limit(checkpoint):
    folder = str(checkpoint("qwen3_vl"))
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))

    def recorded(lmm, **settings):
        return load_method("q-bench", lmm, **settings).assess(photo)

    assert recorded(load_lmm(folder, "cpu")).max_pixels == 4096
    assert recorded(load_lmm(folder, "cpu", max_pixels=2000)).max_pixels == 2000
    both = recorded(folder, max_pixels=3000)
    assert both.max_pixels == both.to_dict()["max_pixels"] == 3000
    assert any("120 x 90" in note for note in both.image_notes)
    assert recorded(load_lmm(folder, "cpu", max_pixels=2000), max_pixels=3000).max_pixels == 2000


def test_a_wrapped_model_leaves_its_processor_to_its_owner(pictures):
    model, processor = tiny_lmm.qwen3_vl()
    before = dict(processor.image_processor.size)
    assert TransformersLMM.wrap(model.eval(), processor, "own").max_pixels == 4096
    assert TransformersLMM.wrap(model, processor, "own", max_pixels=1000).picture_tokens(120, 130) <= 3
    assert dict(processor.image_processor.size) == before


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "internvl", "smolvlm", "idefics3"])
def test_one_model_serves_several_limits(family, checkpoint, pictures):
    whole = TransformersLMM(checkpoint(family), device="cpu")
    asked = [Prompt.ask(one, "Rate it.", answer_prefix="The quality is") for one in pictures]
    before = whole.word_logits(asked, WORDS)
    lower = whole.limited_to(1100)
    assert lower.model is whole.model
    loaded = TransformersLMM(checkpoint(family), device="cpu", max_pixels=1100)
    assert (whole.max_pixels, lower.max_pixels) == (OWN[family], loaded.max_pixels)
    for size in ((120, 130), (80, 48)):
        assert lower.picture_tokens(*size) == loaded.picture_tokens(*size)
    np.testing.assert_array_equal(lower.word_logits(asked, WORDS), loaded.word_logits(asked, WORDS))
    whole.vision.clear()
    np.testing.assert_array_equal(whole.word_logits(asked, WORDS), before)
    assert whole.limited_to(10**9) is whole


@pytest.mark.parametrize("family", ["llava", "llava_onevision", "gemma3"])
def test_a_limit_that_is_not_the_processor_s_alone_stays(family, checkpoint):
    with pytest.raises(LMMError, match="no pixel limit that can be changed"):
        TransformersLMM(checkpoint(family), device="cpu").limited_to(1100)
