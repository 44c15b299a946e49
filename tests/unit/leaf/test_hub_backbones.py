"""Backbones from the Hub, with tiny random checkpoints made here: any family, its own normalisation, one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from methods.leaf import losses
from methods.leaf.__main__ import main
from methods.leaf.backbones import BackboneError, HubBackbone
from methods.leaf.student import Student
from methods.leaf.teacher import recorded
from methods.torchvision_compat import ensure_torchvision
from tests.unit.leaf.test_teacher_and_cli import SharpnessLMM


def saved(folder: Path, family: str) -> Path:
    """A checkpoint of a few thousand random weights, as the Hub would hold it."""
    ensure_torchvision()
    import transformers

    torch.manual_seed(0)
    if family == "convnext":
        model = transformers.ConvNextModel(transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 24],
                                                                       depths=[1, 1, 1, 1]))
    elif family == "mobilenet":
        model = transformers.MobileNetV2Model(transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=64))
    else:
        model = transformers.ViTModel(transformers.ViTConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32,
            patch_size=8), add_pooling_layer=False)
    for weight in model.parameters():
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight)  # the usual start fades to nothing in a network without training
    model.save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    if family == "mobilenet":
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": half, "image_std": half}))
    return folder


@pytest.fixture(scope="module", params=["convnext", "mobilenet", "vit"])
def backbone(request, tmp_path_factory) -> HubBackbone:
    return HubBackbone(str(saved(tmp_path_factory.mktemp("hub") / request.param, request.param)), longest_side=96)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8))


def test_features_are_mean_and_deviation_of_every_stage(backbone: HubBackbone, picture: Image.Image) -> None:
    row = backbone.features_of(picture)
    assert row.shape == (backbone.width,)
    assert np.isfinite(row).all()
    states = backbone._states(picture)
    cells = [state[0].float() if state.ndim == 3 else state[0].flatten(1).T for state in states]
    expected = torch.cat([part for cell in cells for part in (cell.mean(0), cell.std(0, correction=0))])
    assert row == pytest.approx(expected.detach().numpy(), abs=1e-5)
    other = backbone.features_of(picture.rotate(180).point(lambda value: value // 2))
    assert np.abs(other - row).max() > 1e-3


def test_each_checkpoint_is_normalised_as_it_was_trained(tmp_path: Path, picture: Image.Image) -> None:
    folder = saved(tmp_path / "mobilenet", "mobilenet")
    own = HubBackbone(str(folder))
    assert own._mean.tolist() == own._deviation.tolist() == [0.5, 0.5, 0.5]
    (folder / "preprocessor_config.json").unlink()
    usual = HubBackbone(str(folder))
    assert usual._mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert np.abs(own.features_of(picture) - usual.features_of(picture)).max() > 1e-3


def test_convolutional_stages_give_a_map_and_transformers_none(backbone: HubBackbone, picture: Image.Image) -> None:
    local = backbone.whole_and_local(picture)[1]
    if backbone._fixed:
        assert local is None
        return
    assert local.shape[2] == backbone.width
    assert min(local.shape[:2]) >= 1
    assert np.isfinite(local).all()
    flat = backbone.whole_and_local(Image.new("RGB", (96, 96), "gray"))[1]
    assert flat.shape[2] == backbone.width


@pytest.mark.parametrize("family", ["convnext", "mobilenet"])
def test_a_student_learns_on_it_and_comes_back_from_disk(rated: tuple, tmp_path: Path, capsys, family: str) -> None:
    folder = saved(tmp_path / family, family)
    table = tmp_path / "ratings.csv"
    table.write_text("image,mos\n" + "".join(f"{file.name},{score:.3f}\n" for file, score in zip(*rated)))
    out = tmp_path / "student"
    assert main(["train", "--backbone", str(folder), "--images", str(rated[0][0].parent), "--mos", str(table),
                 "--out", str(out)]) == 0
    assert "Cross-validated on 24 ratings" in capsys.readouterr().out
    again = Student.load(out)
    assert isinstance(again.backbone, HubBackbone)
    assert (out / "student.safetensors").stat().st_size < 1e5
    scores = again.predict(rated[0])
    assert np.corrcoef(scores, rated[1])[0, 1] > 0.5
    assert again.local_scores(rated[0][0]).ndim == 2


@pytest.mark.parametrize("family", ["convnext", "mobilenet", "vit", "timm"])
@pytest.mark.slow
def test_a_teacher_s_scores_and_preferences_are_distilled_onto_it(rated: tuple, tmp_path: Path, monkeypatch,
                                                                  family: str) -> None:
    monkeypatch.setattr("methods.lmm.loading.load_lmm", lambda name: SharpnessLMM())
    name = timm_checkpoint(tmp_path / family) if family == "timm" else str(saved(tmp_path / family, family))
    command = ["train", "--teacher", "sharpness", "--backbone", name, "--images", str(rated[0][0].parent)]
    for alpha in ("0", "1"):
        assert main([*command, "--alpha", alpha, "--out", str(tmp_path / alpha)]) == 0
    students = [Student.load(tmp_path / alpha) for alpha in ("0", "1")]
    assert students[1].card["training"] == {
        "backbone": name, "pictures": 24, "teacher": "sharpness@1", "pairs": 48,
        "mean_reliability": students[0].card["training"]["mean_reliability"]}
    assert "calibrated" not in students[1].card
    features = students[1].features(sorted(rated[0]))
    scores = [student.head(features) for student in students]
    said = recorded(sorted(rated[0]), tmp_path / "1" / "judgements.jsonl")
    assert np.corrcoef(scores[1], said.scores)[0, 1] > 0.5
    # The comparisons are part of what is learnt: with them, their loss can only be lower.
    disagreement = [
        losses.pairwise(*(torch.from_numpy(score[side]) for side in said.pairs.T), torch.from_numpy(said.preference),
                        torch.from_numpy(said.pair_reliability), spread=0.2) for score in scores]
    assert disagreement[1] < disagreement[0]


def timm_checkpoint(folder: Path) -> str:
    """The name of a random checkpoint that timm loads as it would one of the Hub."""
    ensure_torchvision()
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    save_for_hf(timm.create_model("mobilenetv3_small_050"), str(folder))
    return f"timm:local-dir:{folder}"


@pytest.mark.parametrize("name", ["nobody/no-such-model", "timm:no_such_model", "timm:resnet18"])
def test_a_model_that_is_not_there_is_one_sentence(monkeypatch, name: str) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BackboneError, match="cannot be loaded") as caught:
        HubBackbone(name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("or 'embedded'.")


def test_models_of_timm_serve_as_well(tmp_path: Path, picture: Image.Image) -> None:
    backbone = HubBackbone(timm_checkpoint(tmp_path / "timm"), longest_side=64)
    assert backbone.features_of(picture).shape == (backbone.width,)
    assert backbone.whole_and_local(picture)[1].shape[2] == backbone.width


def test_without_timm_it_says_what_to_install(monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BackboneError, match="pip install timm"):
        HubBackbone("timm:resnet18")
