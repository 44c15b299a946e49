"""Building: what is left out is listed, a kill costs one batch, and the set appears whole."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

from methods.data import RatedPicture, RatedPictures
from methods.errors import InputError
from methods.iqarag.build import build, unrated
from methods.iqarag.encoders import OwnEncoder
from methods.iqarag.reference_set import ReferenceSet

from .conftest import BrightnessLMM, grey


@pytest.fixture
def folder(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(10):
        grey(20 * number).save(pictures / f"{number}.png")
    return pictures


def rated(folder, count: int = 10, low: float = 1) -> RatedPictures:
    return RatedPictures(tuple(RatedPicture(f"{number}.png", folder / f"{number}.png", 1 + 0.4 * number)
                               for number in range(count)), low, 5)


def test_a_set_from_a_folder(folder, tmp_path, lmm):
    steps = []
    built = build(rated(folder), tmp_path / "set", OwnEncoder(lmm), batch=4, title="greys",
                  progress=lambda *so_far: steps.append(so_far))
    assert built.problems == ()
    assert built.references.mos.tolist() == pytest.approx([0.1 * n for n in range(10)])
    assert built.references.names == [f"{n}.png" for n in range(10)]
    assert built.references.title == "greys"
    assert steps == [(0, 10), (4, 10), (8, 10), (10, 10)]
    assert not (tmp_path / "set.building").exists()
    # Without copies the set points at the pictures where they are.
    assert built.references.images[3].resolve() == (folder / "3.png").resolve()
    assert not (tmp_path / "set" / "images").exists()


def test_a_set_that_can_be_moved(folder, tmp_path, lmm):
    build(rated(folder), tmp_path / "set", OwnEncoder(lmm), copy_images=True)
    os.rename(tmp_path / "set", tmp_path / "elsewhere")
    for path in folder.iterdir():
        path.unlink()
    moved = ReferenceSet.load(tmp_path / "elsewhere")
    assert moved.image(9).tobytes() == grey(180).tobytes()


def test_nothing_but_a_set_is_ever_replaced(folder, tmp_path, lmm):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    table = tmp_path / "opinions.csv"
    table.write_text("image,mos\n")
    for place in (mine, table):
        with pytest.raises(InputError, match="is no reference set, and nothing of it is overwritten"):
            build(rated(folder), place, OwnEncoder(lmm))
        with pytest.raises(InputError, match="is no reference set"):
            ReferenceSet([grey(1)], [0.5], np.ones((1, 2), np.float32), "own").save(place)
    assert (mine / "thesis.txt").read_text() == "years of work"
    assert table.read_text() == "image,mos\n"
    # A folder that only has the name of our scratch folder keeps what is its own.
    (tmp_path / "set.building").mkdir()
    (tmp_path / "set.building" / "notes.txt").write_text("mine")
    (tmp_path / "set").mkdir()
    for _ in range(2):
        assert len(build(rated(folder), tmp_path / "set", OwnEncoder(lmm), restart=True).references) == 10
    assert [path.name for path in (tmp_path / "set.building").iterdir()] == ["notes.txt"]


def test_what_cannot_be_used_is_listed_and_the_rest_is_built(folder, tmp_path, lmm):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    (folder / "no-score.png").write_bytes((folder / "1.png").read_bytes())
    (folder / "copy.png").write_bytes((folder / "2.png").read_bytes())
    more = [RatedPicture("broken.png", folder / "broken.png", 3), RatedPicture("copy.png", folder / "copy.png", 2),
            RatedPicture("gone.png", None, 3), RatedPicture("lost.png", folder / "lost.png", 3)]
    pictures = RatedPictures((*rated(folder, 4), *more), 1, 5)
    built = build(pictures, tmp_path / "set", OwnEncoder(lmm), batch=3, problems=unrated(folder, pictures))
    assert len(built.references) == 4
    reasons = {problem.image: problem.reason for problem in built.problems}
    assert set(reasons) == {"broken.png", "copy.png", "gone.png", "lost.png", "no-score.png",
                            *(f"{number}.png" for number in range(4, 10))}
    assert reasons["copy.png"] == "It has the same pixels as 2.png."
    assert reasons["5.png"] == reasons["no-score.png"] == "It has no score."
    assert reasons["gone.png"] == "There is no such image."
    assert all(reason.endswith(".") for reason in reasons.values())
    with (tmp_path / "set" / "problems.csv").open() as file:
        assert {row["image"]: row["problem"] for row in csv.DictReader(file)} == reasons


def test_nothing_usable_is_an_error(folder, tmp_path, lmm):
    (folder / "1.png").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"None of the 1 images.*1\.png: The file is not an image"):
        build(rated(folder).subset([1]), tmp_path / "set", OwnEncoder(lmm))
    assert not (tmp_path / "set").exists()


class Killed(BaseException):
    pass


class Mortal(OwnEncoder):
    """Dies in a given batch."""

    def __init__(self, lmm, dies_in: int) -> None:
        super().__init__(lmm)
        self.left = dies_in

    def embed(self, images):
        self.left -= 1
        if self.left == 0:
            raise Killed
        return super().embed(images)


class TestAfterAKill:
    @pytest.fixture
    def killed(self, folder, tmp_path):
        with pytest.raises(Killed):
            build(rated(folder), tmp_path / "set", Mortal(BrightnessLMM(), 3), batch=3)
        assert not (tmp_path / "set").exists()
        return tmp_path / "set"

    def test_finished_batches_are_not_encoded_again(self, folder, killed, lmm):
        built = build(rated(folder), killed, OwnEncoder(lmm), batch=3)
        assert lmm.embedded == 4
        np.testing.assert_allclose(built.references.features[:, 0], [20 * n / 255 for n in range(10)], rtol=1e-6)
        assert built.references.mos.tolist() == pytest.approx([0.1 * n for n in range(10)])

    def test_half_written_batches_are_cut_off(self, folder, killed, lmm):
        work = killed.with_name("set.building")
        with (work / "features.f32").open("ab") as file:
            file.write(b"\x01" * 13)
        with (work / "batches.jsonl").open("ab") as file:
            file.write(b'{"width": 2, "rows": [{"numb')
        built = build(rated(folder), killed, OwnEncoder(lmm), batch=3)
        np.testing.assert_allclose(built.references.features[:, 0], [20 * n / 255 for n in range(10)], rtol=1e-6)

    def test_a_duplicate_of_a_finished_picture_is_still_known(self, folder, killed, lmm):
        # The plan holds the pictures' paths; their content may be examined in different runs.
        (folder / "9.png").write_bytes((folder / "0.png").read_bytes())
        built = build(rated(folder), killed, OwnEncoder(lmm), batch=3)
        assert [problem.reason for problem in built.problems] == ["It has the same pixels as 0.png."]

    def test_other_settings_do_not_mix(self, folder, killed, lmm):
        with pytest.raises(ValueError, match="unfinished build with other"):
            build(rated(folder, low=0), killed, OwnEncoder(lmm), batch=3)
        built = build(rated(folder, low=0), killed, OwnEncoder(lmm), batch=3, restart=True)
        assert built.references.mos[0] == pytest.approx(0.2)

    def test_an_old_set_stays_until_the_new_one_is_whole(self, folder, tmp_path, lmm):
        build(rated(folder, 5), tmp_path / "set", OwnEncoder(lmm))
        with pytest.raises(Killed):
            build(rated(folder), tmp_path / "set", Mortal(lmm, 2), batch=3)
        assert len(ReferenceSet.load(tmp_path / "set")) == 5
        build(rated(folder), tmp_path / "set", OwnEncoder(lmm), batch=3)
        assert len(ReferenceSet.load(tmp_path / "set")) == 10


def test_an_encoder_that_gives_nan_is_stopped(folder, tmp_path, lmm):
    lmm.embed = lambda images: np.full((len(images), 2), np.nan, np.float32)
    with pytest.raises(ValueError, match="NaN"):
        build(rated(folder), tmp_path / "set", OwnEncoder(lmm))
