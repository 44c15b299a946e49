"""Algorithm 1: threshold, complement, boxes and areas; and both segmenters behind it."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from methods.llm_iqa.segmentation import MIN_AREA, anchor, outline, regions
from methods.llm_iqa.segmenters import (
    EMBEDDED,
    FelzenszwalbSegmenter,
    SegmenterError,
    load_segmenter,
    merge_segments,
)


def block(shape, left, top, right, bottom):
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def test_boxes_are_exclusive_and_areas_are_the_masks():
    mask = block((60, 80), 10, 5, 50, 45)
    mask[5:25, 10:30] = False  # an L: its box stays, its area shrinks
    first, rest = regions([mask], (60, 80), 100)
    assert first.box == (10, 5, 50, 45)
    assert first.area == 40 * 40 - 20 * 20
    assert not first.complement
    assert rest.complement
    assert rest.box == (0, 0, 80, 60)


def test_complement_is_what_the_union_leaves():
    shape = (100, 100)
    first, second = block(shape, 0, 0, 60, 100), block(shape, 40, 0, 80, 100)
    parts = regions([first, second], shape, 1000)
    assert [region.area for region in parts] == [6000, 4000, 2000]  # areas add up to more than the picture
    assert parts[-1].box == (80, 0, 100, 100)
    assert np.array_equal(parts[-1].mask, ~(first | second))


@pytest.mark.parametrize(("size", "kept"), [(999, False), (1000, True)])
def test_threshold_keeps_a_mask_of_exactly_t(size, kept):
    mask = np.zeros((100, 100), dtype=bool)
    mask.ravel()[:size] = True
    parts = regions([mask], (100, 100))
    assert MIN_AREA == 1000
    assert [region.area for region in parts] == ([1000, 9000] if kept else [10_000])


def test_a_small_rest_is_left_out():
    mask = block((100, 100), 0, 0, 100, 95)
    assert [region.area for region in regions([mask], (100, 100))] == [9500]


def test_the_complement_can_be_left_out():
    mask = block((100, 100), 0, 0, 50, 100)
    assert len(regions([mask], (100, 100), complement=False)) == 1


@pytest.mark.parametrize("masks", [[], [np.zeros((20, 30), dtype=bool)], [block((20, 30), 0, 0, 2, 2)]])
def test_without_a_kept_mask_the_whole_picture_is_the_region(masks):
    for complement in (True, False):
        (whole,) = regions(masks, (20, 30), complement=complement)
        assert whole.box == (0, 0, 30, 20)
        assert whole.area == 600
        assert whole.mask.all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        regions([np.ones((5, 5), dtype=bool)], (6, 5))


def test_cut_keeps_original_pixels_unless_padded():
    image = Image.new("RGB", (40, 40), "white")
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, 10:20] = True
    mask[10:15, 20:30] = True
    (region, _) = regions([mask], (40, 40), 10)
    assert np.asarray(region.cut(image)).min() == 255
    padded = np.asarray(region.cut(image, padded=True))
    assert padded.shape == (20, 20, 3)
    assert padded[0, 15].tolist() == [255, 255, 255]
    assert padded[15, 15].tolist() == [0, 0, 0]


def test_outline_follows_a_rectangle_in_the_pictures_own_pixels():
    mask = block((900, 1200), 300, 200, 900, 700)
    (polygon,) = outline(mask)
    xs, ys = zip(*polygon)
    assert min(xs) == pytest.approx(300, abs=5)
    assert max(xs) == pytest.approx(900, abs=5)
    assert min(ys) == pytest.approx(200, abs=5)
    assert max(ys) == pytest.approx(700, abs=5)


def test_the_anchor_lies_deep_inside_even_of_a_ring():
    rows, columns = np.mgrid[:200, :300]
    distance = np.hypot(rows - 100, columns - 150)
    ring = (distance < 90) & (distance > 50)
    x, y = anchor(ring)
    assert ring[int(y), int(x)]
    assert 65 < np.hypot(y - 100, x - 150) < 75
    thin = block((2000, 2000), 700, 0, 701, 2000)
    x, y = anchor(thin)
    assert thin[int(y), int(x)]


@pytest.fixture(scope="module")
def scene():
    image = Image.new("RGB", (240, 160), (60, 120, 200))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 100, 239, 159), fill=(40, 140, 40))
    draw.ellipse((60, 40, 120, 110), fill=(220, 40, 30))
    return image


def test_embedded_segmenter_partitions_the_picture_into_few_parts(scene):
    masks = FelzenszwalbSegmenter().masks(scene)
    assert 2 <= len(masks) <= 7
    assert np.array_equal(np.sum(masks, axis=0), np.ones((160, 240), dtype=int))
    areas = [int(mask.sum()) for mask in masks]
    assert areas == sorted(areas, reverse=True)


def test_embedded_segmenter_finds_the_disc(scene):
    disc = np.asarray(scene)[..., 0] > 200
    overlap = [np.logical_and(mask, disc).sum() / np.logical_or(mask, disc).sum()
               for mask in FelzenszwalbSegmenter().masks(scene)]
    assert max(overlap) > 0.85


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (500, 7), (3, 3)])
def test_embedded_segmenter_takes_any_size(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    masks = FelzenszwalbSegmenter().masks(Image.fromarray(noise))
    assert np.array_equal(np.sum(masks, axis=0), np.ones((size[1], size[0]), dtype=int))


def test_merging_joins_the_most_alike_neighbours():
    labels = np.array([[0, 1, 2, 3]]).repeat(2, axis=0)
    colours = np.array([0.0, 1.0, 50.0, 52.0])[labels][..., None]
    assert merge_segments(labels, colours, 2).tolist() == [[0, 0, 1, 1]] * 2


def test_merging_never_joins_what_does_not_touch():
    labels = np.array([[0, 0, 1, 1, 2, 2]])
    colours = np.array([0.0, 90.0, 0.0])[labels][..., None]
    merged = merge_segments(labels, colours, 2)[0]
    assert len(set(merged)) == 2
    assert merged[0] != merged[-1]


def test_load_segmenter_names_what_it_gives(monkeypatch):
    import torch

    load_segmenter.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_segmenter("auto").name == EMBEDDED
    assert load_segmenter(EMBEDDED).name == EMBEDDED


def test_unknown_or_unreachable_checkpoints_are_a_sentence(monkeypatch):
    import huggingface_hub.constants

    with pytest.raises(SegmenterError, match="no SAM 2 checkpoint"):
        load_segmenter("facebook/sam9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SegmenterError, match="could not be downloaded"):
        load_segmenter("facebook/sam2.1-hiera-tiny")


def test_automatic_choice_falls_back_by_name_where_weights_are_out_of_reach(monkeypatch, caplog):
    import huggingface_hub.constants
    import torch

    load_segmenter.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert load_segmenter("auto").name == EMBEDDED
    assert "could not be downloaded" in caplog.text
    load_segmenter.cache_clear()
