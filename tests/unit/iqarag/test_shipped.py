"""The set that ships: rated photographs of LIVE Challenge, every quality bin, its notice, nobody to be recognised."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import assets
from methods.data import RatedPicture, RatedPictures, read_table
from methods.embedded import reference_set as shipped
from methods.errors import InputError
from methods.images import content_hash, decode, perceptual_hash, same_content
from methods.iqarag import opened_sets
from methods.iqarag.method import IQARAG
from methods.iqarag.reference_set import ReferenceSet
from methods.iqarag.retrieval import bins_of
from tests.conftest import REPOSITORY

from .conftest import BrightnessLMM, grey

FOLDER = opened_sets.SHIPPED_FOLDER


@pytest.fixture(scope="module")
def references() -> ReferenceSet:
    return ReferenceSet.load(FOLDER)


def rated(count: int = 300, dataset: str = shipped.DATASET, std: float | None = 20.0) -> RatedPictures:
    """A table as the real one, without its pictures; it names all that are left out."""
    names = sorted({*shipped.left_out(), *(f"{number}.webp" for number in range(2000, 2000 + count))})
    return RatedPictures(tuple(RatedPicture(name, None, 100 * row / len(names), std)
                               for row, name in enumerate(names)), 0, 100, dataset)


class TestChoice:
    @pytest.mark.parametrize(("available", "count", "wanted"), [
        ([14, 32, 64, 130, 27], 150, [14, 32, 39, 38, 27]), ([1, 1, 1, 1, 1], 9, [1, 1, 1, 1, 1]),
        ([9, 9, 9, 9, 9], 10, [2, 2, 2, 2, 2]), ([0, 5, 0, 5, 0], 4, [0, 2, 0, 2, 0]),
    ])
    def test_bins_are_filled_evenly(self, available, count, wanted):
        got = shipped.shares(available, count)
        assert sum(got) == sum(wanted)
        assert sorted(got) == sorted(wanted)
        assert all(mine <= there for mine, there in zip(got, available))

    def test_the_farthest_come_first(self):
        features = np.array([[0.0], [1.0], [2.0], [10.0], [11.0], [-20.0]], np.float32)
        assert shipped.farthest(features, 4) == [1, 5, 4, 0]  # the mean is 0.67; of three equally far ones the first
        assert sorted(shipped.farthest(features, 6)) == [0, 1, 2, 3, 4, 5]

    def test_each_bin_gives_its_share(self):
        pictures = rated()
        features = np.random.default_rng(0).normal(size=(len(pictures), 3)).astype(np.float32)
        chosen = shipped.choose(pictures, features, 20)
        assert np.bincount(bins_of(chosen.mos01)).tolist() == [4] * 5
        assert chosen.names == shipped.choose(pictures, features, 20).names

    def test_who_is_on_the_list_stays_out(self):
        assert set(shipped.candidates(rated()).names).isdisjoint(shipped.left_out())

    @pytest.mark.parametrize("table", [
        rated(dataset="koniq-10k"), rated(std=None),
        RatedPictures((RatedPicture("2000.webp", None, 50.0, 20.0),), 0, 100, shipped.DATASET),
        RatedPictures((*rated(), RatedPicture("portrait.webp", None, 50.0, 20.0)), 0, 100, shipped.DATASET),
    ])
    def test_another_table_is_refused(self, table):
        with pytest.raises(InputError, match="Only the photographs of live-challenge-dev"):
            shipped.candidates(table)

    def test_without_the_notice_nothing_is_made(self, tmp_path):
        with pytest.raises(InputError, match="only be passed on together with it"):
            shipped.make(rated(), tmp_path / shipped.NOTICE, None, tmp_path / "set")


class TestOnDisk:
    def test_size_count_and_bins(self, references):
        assert 120 <= len(references) <= 200
        assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 12_000_000
        counts = np.bincount(bins_of(references.mos), minlength=5)
        assert counts.min() >= 10
        assert counts.max() <= 45

    def test_it_says_whose_opinions_these_are(self, references):
        assert references.datasets == (shipped.DATASET,)
        assert references.opinions == shipped.OPINIONS
        assert f"{len(references)} photos of LIVE Challenge" in references.title
        assert all(0.05 < std < 0.35 for std in references.std)

    def test_its_notice_lies_beside_it_and_in_the_repository(self):
        notice, whole = (FOLDER / shipped.NOTICE).read_text("utf-8"), (REPOSITORY / "NOTICE").read_text("utf-8")
        for sentence in ("Copyright (c) 2015 The University of Texas at Austin", "HAS NO OBLIGATION TO PROVIDE"):
            assert sentence in notice
        assert "assets/reference-set" in whole.split("COPYRIGHT NOTICE STARTS")[0].split("2. LIVE")[1]
        assert shipped.NOTICE in (FOLDER / "SOURCES.md").read_text("utf-8")

    def test_nobody_on_the_list_is_in_it(self, references):
        assert len(shipped.left_out()) >= 132
        assert set(references.names).isdisjoint(shipped.left_out())

    def test_its_hashes_are_those_of_its_pictures(self, references):
        for number in range(0, len(references), 10):
            assert content_hash(references.image(number)) == references.contents[number]
            assert perceptual_hash(references.image(number)) == references.perceptual[number]

    def test_no_photo_is_a_copy_of_an_example(self, references):
        examples = sorted((assets.FOLDER / "examples").glob("*.jpg"))
        assert examples
        for path in examples:
            assert not same_content(perceptual_hash(decode(path).image), references.perceptual).any(), path.name

    def test_opinions_are_those_of_the_dataset(self, references, shared_data):
        folder = shared_data / shipped.DATASET
        table = {one.name: one for one in read_table(folder / "scores.csv", folder / "images")}
        for name, mos, std in zip(references.names, references.mos, references.std):
            assert (100 * mos, 100 * std) == pytest.approx((table[name].mos, table[name].std), abs=1e-6)


@pytest.mark.slow
def test_a_resized_jpeg_copy_of_a_reference_does_not_get_it(references):
    small = references.image(7).resize((320, 320), Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=30)
    copy = decode(jpeg.getvalue()).image
    assert references.positions(content_hash(copy)) == []
    lmm = BrightnessLMM()
    fitted = opened_sets.with_features(references, IQARAG(lmm).encoder())
    evidence = IQARAG(lmm, references=fitted, options={"K": 0, "P": 10, "bins": 10}).assess(copy).evidence
    near = fitted.nearest(lmm.embed([copy])[0], 5, content_hash(copy), perceptual_hash(copy))
    assert evidence.left_out_itself
    assert near.itself
    assert 7 in fitted.nearest(lmm.embed([copy])[0], 5).indices
    assert 7 not in near.indices
    assert references.names[7] not in [one.name for one in evidence.references]


@pytest.mark.slow
def test_another_model_encodes_it_on_first_use(references):
    lmm = BrightnessLMM()
    method = IQARAG(lmm)
    result = method.assess(grey(128))
    assert lmm.embedded == 1 + len(references)
    assert len(result.evidence.references) >= 1
    assert shipped.OPINIONS in result.explanation
    method.assess(grey(129))
    assert lmm.embedded == 2 + len(references)
