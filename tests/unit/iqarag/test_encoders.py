"""Table III's encoders as tiny random checkpoints of their real architectures, and the LMM's own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from methods.iqarag.encoders import CATALOGUE, ENCODERS, HubEncoder, load_encoder


def _resnet():
    from transformers import ResNetConfig, ResNetModel

    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")), 12


def _swin():
    from transformers import SwinConfig, SwinModel

    return SwinModel(SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2],
                                window_size=4)), 16


def _dinov2():
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(Dinov2Config(image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=1,
                                    num_attention_heads=2)), 16


def _clip():
    from transformers import CLIPConfig, CLIPModel

    return CLIPModel(CLIPConfig(
        projection_dim=10,
        text_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                     "vocab_size": 64, "projection_dim": 10},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8, "projection_dim": 10})), 10


MODELS = {"ResNet-50": _resnet, "Swin-B": _swin, "DINOv2": _dinov2, "CLIP": _clip}


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20 + 7 * n, 41, 3), np.uint8)) for n in range(3)]


@pytest.mark.parametrize("name", list(MODELS))
def test_each_architecture_gives_one_vector_a_picture(name, pictures, tmp_path):
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch
    from transformers import BitImageProcessor, CLIPImageProcessor

    torch.manual_seed(0)
    model, width = MODELS[name]()
    model.save_pretrained(tmp_path)
    kind = CLIPImageProcessor if name == "CLIP" else BitImageProcessor
    kind(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    encoder = HubEncoder(str(tmp_path), device="cpu")
    encoder.batch = 2
    features = encoder.embed(pictures)
    assert features.shape == (3, width)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    # A picture's features do not depend on its company.
    np.testing.assert_allclose(features[2], encoder.embed([pictures[2]])[0], atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 1e-4


def test_the_catalogue_is_table_iiis():
    assert ENCODERS == ("VE", "LEAF", "ResNet-50", "Swin-B", "DINOv2", "CLIP")
    assert all(hub_id.count("/") == 1 for hub_id in CATALOGUE.values())


def test_the_lmms_own(lmm, pictures):
    encoder = load_encoder("VE", lmm)
    assert (encoder.name, encoder.revision) == ("VE", "brightness@1")
    np.testing.assert_array_equal(encoder.embed(pictures), lmm.embed(pictures))


def test_the_lmms_own_needs_one():
    with pytest.raises(ValueError, match="name an LMM"):
        load_encoder("VE", None)


def test_the_students_tower_needs_no_download(pictures):
    from methods.leaf.student import Student

    encoder = load_encoder("LEAF", None)
    features = encoder.embed(pictures)
    assert encoder.revision == f"leaf@{Student.load().revision}"
    assert features.dtype == np.float32
    assert features.shape == (3, 1536)  # mean and deviation of four maps of 192 channels
    np.testing.assert_allclose(features[2], encoder.embed([pictures[2]])[0], atol=1e-5)
    assert np.linalg.norm(features, axis=1).max() < 4.01  # standardised and clipped at four, over the root of the width
    assert np.linalg.norm(features[0] - features[1]) > 0.05


def test_what_cannot_be_loaded_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_encoder(str(tmp_path), None)


def test_an_encoder_can_be_loaded_from_a_folder_instead_of_the_hub(pictures, tmp_path):
    from transformers import BitImageProcessor

    from methods.iqarag.encoders import encoder_folders

    model, width = MODELS["DINOv2"]()
    model.save_pretrained(tmp_path)
    BitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    with encoder_folders({"DINOv2": str(tmp_path)}):
        encoder = load_encoder("DINOv2", None)
    assert encoder.name == "DINOv2"
    assert encoder.embed(pictures).shape == (3, width)
    with (pytest.raises(ValueError, match="no encoder 'dinov2' to be found in a folder"),
          encoder_folders({"dinov2": "x"})):
        pass
