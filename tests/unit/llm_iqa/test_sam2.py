"""The real SAM 2 code path with random weights: a tiny Hiera, the same generator, the same settings but thresholds."""

import numpy as np
import pytest
from PIL import Image

from methods.llm_iqa.segmentation import regions
from methods.torchvision_compat import ensure_torchvision

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def segmenter():
    ensure_torchvision()
    import torch
    from sam2.build_sam import build_sam2

    from methods.llm_iqa.segmenters import Sam2Segmenter

    torch.manual_seed(0)
    model = build_sam2(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        device="cpu",
        hydra_overrides_extra=[
            "++model.image_encoder.trunk.embed_dim=24",
            "++model.image_encoder.trunk.stages=[1,1,2,1]",
            "++model.image_encoder.trunk.global_att_blocks=[3]",
            "++model.image_encoder.neck.backbone_channel_list=[192,96,48,24]",
        ],
    )
    # Random weights are never sure of a mask, so the two quality thresholds are opened; all else is the paper's.
    return Sam2Segmenter(model, name="random-tiny", pred_iou_thresh=0.0, stability_score_thresh=0.0,
                         points_per_side=3)


def test_masks_fit_the_picture_and_become_regions(segmenter):
    pixels = np.random.default_rng(1).integers(0, 256, (120, 200, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    masks = segmenter.masks(image)
    assert masks
    assert all(mask.shape == (120, 200) and mask.dtype == bool for mask in masks)
    areas = [int(mask.sum()) for mask in masks]
    assert areas == sorted(areas, reverse=True)
    parts = regions(masks, (120, 200))
    assert all(region.area >= 1000 for region in parts)
    covered = np.any([region.mask for region in parts], axis=0)
    assert (~covered).sum() < 1000


def test_the_same_picture_gives_the_same_masks(segmenter):
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    first, second = segmenter.masks(image), segmenter.masks(image)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def short_of_memory(segmenter, monkeypatch, most):
    """Makes a pass over more than `most` points run out of memory; the sizes that were tried. An image is encoded once,
    however many sizes are tried."""
    import torch

    from methods.lmm.reuse.batching import Budget

    predictor = segmenter._generator.predictor
    predict, encode, tried, encodings = predictor._predict, predictor.model.forward_image, [], {}

    def encode_once(pixels):
        key = pixels.numpy().tobytes()
        if key not in encodings:
            encodings[key] = encode(pixels)
        return encodings[key]

    def limited(points, *args, **kwargs):
        tried.append(len(points))
        if len(points) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return predict(points, *args, **kwargs)

    monkeypatch.setattr(predictor, "_predict", limited)
    monkeypatch.setattr(predictor.model, "forward_image", encode_once)
    monkeypatch.setattr(segmenter, "_budget", Budget(lambda: 2**62))
    return tried


def test_fewer_points_at_a_time_where_memory_is_short_give_the_same_masks(segmenter, monkeypatch):
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    expected = segmenter.masks(image)
    tried = short_of_memory(segmenter, monkeypatch, 4)
    for masks_again in (segmenter.masks(image), segmenter.masks(image)):
        assert len(masks_again) == len(expected)
        assert all(np.mean(one != other) < 1e-3 for one, other in zip(masks_again, expected))
    # Of 128 points at most, all nine came at once until four of them fitted; the second time nothing fails.
    assert [size for size in tried if size > 4] == [9, 9, 9, 9, 8]
    assert tried[-3:] == [4, 4, 1]


def test_no_memory_for_one_point_is_a_sentence(segmenter, monkeypatch):
    from methods.llm_iqa.segmenters import SegmenterError

    short_of_memory(segmenter, monkeypatch, 0)
    with pytest.raises(SegmenterError, match=r"random-tiny on an image of 20 x 10 pixels; give it a smaller image"):
        segmenter.masks(Image.new("RGB", (20, 10)))


def test_points_are_planned_by_the_memory_there_is(segmenter, monkeypatch):
    from methods.llm_iqa.segmenters import POINT_BYTES
    from methods.lmm.reuse.batching import Budget

    asked = []
    monkeypatch.setattr(segmenter, "_proposals", lambda pixels, points: asked.append(points) or [])
    for room in (5, 500):
        monkeypatch.setattr(segmenter, "_budget", Budget(lambda room=room: room * POINT_BYTES * 200))
        segmenter.masks(Image.new("RGB", (20, 10)))
    assert asked == [5, 128]


def test_the_papers_settings_reach_the_generator():
    from methods.llm_iqa.segmenters import SAM2_SETTINGS

    assert SAM2_SETTINGS["points_per_side"] == 8
    assert SAM2_SETTINGS["pred_iou_thresh"] == 0.9
    assert SAM2_SETTINGS["box_nms_thresh"] == 0.9
    assert SAM2_SETTINGS["min_mask_region_area"] == 1000


def test_sam2s_own_settings_are_an_option(segmenter, monkeypatch):
    """Table 5, Default: SAM 2's generator as it comes, on a grid of 32 x 32 points instead of 8 x 8."""
    from methods.llm_iqa import segmenters

    model = segmenter._generator.predictor.model
    monkeypatch.setattr(segmenters.Sam2Segmenter, "from_hub",
                        classmethod(lambda cls, name, device=None, **settings: cls(model, name, **settings)))
    segmenters.load_segmenter.cache_clear()
    own = segmenters.load_segmenter("facebook/sam2-hiera-tiny", "default")
    papers = segmenters.load_segmenter("facebook/sam2-hiera-tiny")
    segmenters.load_segmenter.cache_clear()
    assert own.name == "facebook/sam2-hiera-tiny (its own settings)"
    assert papers.name == "facebook/sam2-hiera-tiny"
    assert [len(one._generator.point_grids[0]) for one in (own, papers)] == [1024, 64]
    assert (own._generator.min_mask_region_area, papers._generator.min_mask_region_area) == (0, 1000)


def test_the_weights_are_loaded_once_for_all_settings(segmenter, monkeypatch):
    from methods.llm_iqa import segmenters

    built = []
    monkeypatch.setattr("sam2.build_sam.build_sam2_hf",
                        lambda name, device: built.append(name) or segmenter._generator.predictor.model)
    caches = (segmenters.load_segmenter, segmenters._sam2_model)
    for cache in caches:
        cache.cache_clear()
    own, papers = (segmenters.load_segmenter("facebook/sam2-hiera-tiny", masks) for masks in ("default", "paper"))
    assert own.name != papers.name
    assert built == ["facebook/sam2-hiera-tiny"]
    for cache in caches:
        cache.cache_clear()
