"""The reference set: scales, hashes, the picture itself, saving and loading, re-encoding."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from methods.errors import InputError
from methods.images import content_hash, perceptual_hash, same_content
from methods.iqarag import index as indices
from methods.iqarag import opened_sets
from methods.iqarag.encoders import OwnEncoder
from methods.iqarag.reference_set import FEATURES, MANIFEST, TABLE, ReferenceSet
from methods.iqarag.retrieval import ReferenceSet as FromRetrieval

from .conftest import BrightnessLMM, grey

GREYS = (0, 51, 102, 153, 204, 255)


def made(lmm: BrightnessLMM, **settings) -> ReferenceSet:
    encoder = OwnEncoder(lmm)
    images = [grey(value) for value in GREYS]
    return ReferenceSet(images, np.linspace(0, 1, len(GREYS)), encoder.embed(images), encoder.name,
                        revision=encoder.revision, **settings)


def test_the_contract_names(lmm):
    references = made(lmm)
    assert FromRetrieval is ReferenceSet
    assert (len(references), references.encoder, references.index.ntotal) == (6, "VE", 6)
    assert references.mos.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert references.features.shape == (6, 2)


def test_neighbours_by_distance(lmm):
    neighbours = made(lmm).nearest(lmm.embed([grey(110)])[0], k=3)
    assert neighbours.indices.tolist() == [2, 3, 1]
    np.testing.assert_allclose(neighbours.distances, [8 / 255, 43 / 255, 59 / 255], rtol=1e-5)


def test_the_picture_is_never_its_own_reference(lmm):
    references = made(lmm)
    query = grey(102)
    with_itself = references.nearest(lmm.embed([query])[0], k=2)
    without = references.nearest(lmm.embed([query])[0], k=2, content=content_hash(query))
    assert with_itself.indices.tolist()[0] == 2
    assert without.itself
    assert without.indices.tolist() == [1, 3]
    everything = references.nearest(lmm.embed([query])[0], content=content_hash(query))
    assert len(everything.indices) == 5


def test_copies_of_the_picture_are_left_out_too(lmm):
    images = [grey(10), grey(90), grey(90), grey(200)]
    references = ReferenceSet(images, [0.1, 0.4, 0.5, 0.9], lmm.embed(images), "VE")
    assert references.nearest(lmm.embed([grey(90)])[0], content=content_hash(grey(90))).indices.tolist() == [0, 3]


def textured(seed: int, size: int = 96) -> Image.Image:
    """Smooth random blobs: no two seeds share content."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


class TestSameContent:
    HASHES = tuple(perceptual_hash(textured(seed)) for seed in range(20))

    @pytest.mark.parametrize("change", [
        lambda image: image, lambda image: image.resize((240, 240), Image.Resampling.BILINEAR),
        lambda image: image.resize((40, 40), Image.Resampling.LANCZOS), lambda image: image.point(lambda v: 0.7 * v),
        lambda image: image.crop((2, 2, 94, 94)),
    ])
    def test_a_copy_is_known(self, change):
        assert same_content(perceptual_hash(change(textured(3))), self.HASHES).tolist() == [n == 3 for n in range(20)]

    def test_a_mirror_image_is_another(self):
        mirrored = textured(3).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert not same_content(perceptual_hash(mirrored), self.HASHES).any()

    def test_a_flat_image_is_a_copy_of_nothing(self):
        assert perceptual_hash(grey(90)) == ""
        assert same_content("", ["", *self.HASHES]).tolist() == [False] * 21
        assert same_content(self.HASHES[0], ["", self.HASHES[0]]).tolist() == [False, True]


class TestSpreadAndCopies:
    @pytest.fixture
    def textures(self, lmm) -> ReferenceSet:
        images = [textured(seed) for seed in range(4)]
        return ReferenceSet(images, [0.1, 0.3, 0.5, 0.7], lmm.embed(images), "VE", std=[0.1, None, 0.25, 0])

    def test_are_saved_and_loaded(self, textures, tmp_path):
        textures.save(tmp_path / "set")
        loaded = ReferenceSet.load(tmp_path / "set")
        assert loaded.std == [0.1, None, 0.25, 0]
        assert loaded._perceptual == [perceptual_hash(textured(seed)) for seed in range(4)]
        part = loaded.subset([2, 0])
        assert (part.std, part._perceptual) == ([0.25, 0.1], [loaded.perceptual[2], loaded.perceptual[0]])

    def test_a_copy_is_left_out(self, textures, lmm):
        copy = textured(2).resize((200, 200), Image.Resampling.BICUBIC)
        assert textures.positions(content_hash(copy)) == []
        near = textures.nearest(lmm.embed([copy])[0], 3, content_hash(copy), perceptual_hash(copy))
        assert near.itself
        assert sorted(near.indices.tolist()) == [0, 1, 3]

    def test_a_set_of_an_earlier_version_has_neither_column(self, textures, lmm, tmp_path):
        textures.save(tmp_path / "set")
        table = tmp_path / "set" / TABLE
        rows = [line.split(",") for line in table.read_text().splitlines()]
        table.write_text("".join(f"{image},{name},{mos},{content}\n" for image, name, mos, _, content, _ in rows))
        loaded = ReferenceSet.load(tmp_path / "set")
        assert loaded.std == [None] * 4
        assert loaded._perceptual is None  # no picture was opened
        assert loaded.nearest(lmm.embed([textured(1)])[0], 4, perceptual=perceptual_hash(textured(1))).itself
        assert loaded.perceptual == textures.perceptual

    @pytest.mark.parametrize(("old", "new"), [(",0.25,", ",wide,"), (",0.25,", ",-1,"),
                                              (TestSameContent.HASHES[0], TestSameContent.HASHES[0][:-1])])
    def test_a_spoilt_column_is_a_sentence(self, textures, tmp_path, old, new):
        textures.save(tmp_path / "set")
        table = tmp_path / "set" / TABLE
        table.write_bytes(table.read_bytes().replace(old.encode(), new.encode()))
        with pytest.raises(InputError):
            ReferenceSet.load(tmp_path / "set")

    def test_pages_go_with_the_pictures(self, textures, tmp_path):
        (tmp_path / "LICENCE.txt").write_text("take it along")
        textures.save(tmp_path / "set", pages=[tmp_path / "LICENCE.txt"])
        assert (tmp_path / "set" / "LICENCE.txt").read_text() == "take it along"


def test_the_hash_follows_from_pixels_and_size():
    assert content_hash(grey(7)) == content_hash(grey(7).copy())
    assert content_hash(grey(7)) != content_hash(grey(8))
    assert content_hash(grey(7, (24, 16))) != content_hash(grey(7, (16, 24)))


@pytest.mark.parametrize(("images", "mos", "sentence"), [
    ([], [], "at least one"), ([grey(1)], [1.5], "in \\[0, 1\\]"), ([grey(1)], [float("nan")], "in \\[0, 1\\]"),
    ([grey(1), grey(2)], [0.5], "differ in number"),
])
def test_what_is_no_set(images, mos, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReferenceSet(images, mos, np.zeros((len(images), 2), np.float32), "VE")


def test_saved_and_loaded(lmm, tmp_path):
    references = made(lmm, about={"title": "greys"})
    references.save(tmp_path / "set")
    loaded = ReferenceSet.load(tmp_path / "set")
    assert [loaded.image(i).tobytes() for i in range(6)] == [grey(value).tobytes() for value in GREYS]
    np.testing.assert_allclose(loaded.mos, references.mos, atol=1e-9)
    np.testing.assert_array_equal(loaded.features, references.features)
    assert (loaded.title, loaded.digest, loaded.revision) == ("greys", references.digest, references.revision)
    assert loaded.contents == references.contents


def test_saving_again_replaces_the_set_and_leaves_nothing_behind(lmm, tmp_path):
    made(lmm).save(tmp_path / "set")
    made(lmm, about={"title": "second"}).save(tmp_path / "set")
    assert ReferenceSet.load(tmp_path / "set").title == "second"
    # A set whose pictures lie inside its own folder keeps them.
    ReferenceSet.load(tmp_path / "set").save(tmp_path / "set")
    assert ReferenceSet.load(tmp_path / "set").image(5).size == (24, 16)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_failed_save_leaves_the_old_set(lmm, tmp_path, monkeypatch):
    made(lmm).save(tmp_path / "set")
    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            made(lmm, about={"title": "second"}).save(tmp_path / "set")
    assert ReferenceSet.load(tmp_path / "set").title == "reference set"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_pictures_of_the_same_name_are_kept_apart(lmm, tmp_path):
    paths = []
    for number, value in enumerate((30, 60)):
        (tmp_path / str(number)).mkdir()
        paths.append(tmp_path / str(number) / "photo.png")
        grey(value).save(paths[-1])
    images = [grey(30), grey(60)]
    ReferenceSet(paths, [0.1, 0.2], lmm.embed(images), "VE").save(tmp_path / "set", copy_images=True)
    loaded = ReferenceSet.load(tmp_path / "set")
    assert [loaded.image(n).tobytes() for n in (0, 1)] == [image.tobytes() for image in images]
    assert loaded.names == ["photo.png", "photo.png"]


def test_a_folder_without_a_set_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="mean-opinion refset build"):
        ReferenceSet.load(tmp_path)
    with pytest.raises(ValueError, match="mean-opinion refset build"):
        opened_sets.open_set(tmp_path)


def cut_the_table(folder):
    table = folder / TABLE
    table.write_bytes(table.read_bytes()[:-40])


def spoil_a_mos(folder):
    table = folder / TABLE
    table.write_text(table.read_text().replace(",0.4,", ",fair,"))


def lose_a_row(folder):
    table = folder / TABLE
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))


def take_other_features(folder):
    indices.save(indices.exact_index(np.zeros((2, 2), np.float32)), folder / FEATURES)


def forget_the_encoder(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["encoder"]
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [
    cut_the_table, spoil_a_mos, lose_a_row, take_other_features, forget_the_encoder,
    lambda folder: (folder / TABLE).write_bytes(b"\xff\xfe\x00"),
    lambda folder: (folder / MANIFEST).write_text("{"),
])
def test_a_damaged_set_is_one_sentence(lmm, tmp_path, damage):
    made(lmm).save(tmp_path / "set")
    damage(tmp_path / "set")
    with pytest.raises(InputError, match="damaged or not complete; copy it again or build it again"):
        ReferenceSet.load(tmp_path / "set")


def test_a_newer_format_is_a_sentence(lmm, tmp_path):
    made(lmm).save(tmp_path / "set")
    manifest = tmp_path / "set" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="format 2"):
        ReferenceSet.load(tmp_path / "set")


def test_a_part_keeps_its_features(lmm):
    part = made(lmm).subset([4, 1])
    assert part.mos.tolist() == pytest.approx([0.8, 0.2])
    assert part.nearest(lmm.embed([grey(60)])[0]).indices.tolist() == [1, 0]


class TestAnotherEncoder:
    def test_is_used_once_and_kept(self, lmm):
        references = made(lmm)
        other = BrightnessLMM()
        other.revision = "2"
        fitted = opened_sets.with_features(references, OwnEncoder(other))
        assert (fitted.revision, other.embedded) == ("brightness@2", 6)
        assert opened_sets.with_features(references, OwnEncoder(other)) is fitted
        opened_sets._sets.clear()  # another process
        again = opened_sets.with_features(references, OwnEncoder(other))
        assert other.embedded == 6
        np.testing.assert_array_equal(again.features, fitted.features)
        assert again.image(1).tobytes() == references.image(1).tobytes()

    def test_is_not_used_where_the_features_fit(self, lmm):
        references = made(lmm)
        assert opened_sets.with_features(references, OwnEncoder(lmm)) is references

    def test_leaves_nothing_of_a_visitors_set_in_the_cache(self, lmm, tmp_path):
        other = BrightnessLMM()
        other.revision = "2"
        opened_sets.with_features(made(lmm, about={opened_sets.TEMPORARY: True}), OwnEncoder(other))
        assert not (tmp_path / "cache").exists()

    def test_works_where_the_cache_cannot_be_written(self, lmm, tmp_path, monkeypatch, caplog):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("MEAN_OPINION_CACHE", str(tmp_path / "file"))
        other = BrightnessLMM()
        other.revision = "2"
        assert opened_sets.with_features(made(lmm), OwnEncoder(other)).revision == "brightness@2"
        assert "could not be kept" in caplog.text


def test_memory_holds_a_bounded_number_of_bytes_of_pictures(lmm, tmp_path, monkeypatch):
    monkeypatch.setattr("methods.iqarag.reference_set._KEPT_BYTES", 3 * 24 * 16 * 3)
    references = made(lmm)
    for number in range(6):
        references.image(number)
    assert list(references._open) == [3, 4, 5]


def test_thumbnails_are_small(lmm):
    large = Image.new("RGB", (1000, 500))
    references = ReferenceSet([large], [0.5], lmm.embed([large]), "VE")
    assert references.thumbnail(0).size == (320, 160)
