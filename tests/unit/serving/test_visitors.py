"""What visitors make for themselves is built, used and deleted, and nothing of a refused upload stays."""

from __future__ import annotations

import os

import pytest

from methods.errors import InputError
from methods.iqarag import opened_sets
from methods.iqarag.method import IQARAG
from tests.brightness_lmm import BrightnessLMM, grey
from tests.unit.serving.made import png, zipped
from ui.serving import visitors


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setattr(visitors, "home", lambda: tmp_path / "home")


@pytest.fixture
def lmm():
    return BrightnessLMM()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_OPINION_CACHE", str(tmp_path / "cache"))
    opened_sets._sets.clear()


@pytest.fixture
def upload(tmp_path):
    archive = zipped(tmp_path / "set.zip", {f"photos/{n}.png": png(20 * n) for n in range(10)}
                     | {"photos/copy.png": png(40), "photos/broken.png": b"x", "photos/unrated.png": png(250)})
    table = tmp_path / "scores.csv"
    table.write_text("image,mos\n" + "".join(f"{n}.png,{10 * n}\n" for n in range(10))
                     + "copy.png,20\nbroken.png,50\ngone.png,3\n")
    return archive, str(table)


def test_a_set_is_built_used_and_deleted(upload, lmm, tmp_path):
    received = visitors.build_reference_set(lmm, *upload, scale=(0, 100))
    assert (received.count, sum(received.by_bin), received.by_bin) == (10, 10, (2, 2, 2, 2, 2))
    problems = " ".join(received.problems)
    assert all(word in problems for word in ("copy.png", "broken.png", "unrated.png"))
    assert any("gone.png" in note for note in received.notes)
    result = IQARAG(lmm).assess(grey(105), reference_set=received.folder)
    assert len(result.evidence.references) == 5
    assert result.evidence.reference_set == "your reference set"
    assert opened_sets._sets
    visitors.discard(received.folder)
    assert list((tmp_path / "home").iterdir()) == []
    assert not opened_sets._sets
    with pytest.raises(ValueError, match="holds no reference set"):
        IQARAG(lmm).assess(grey(105), reference_set=received.folder)


def test_the_table_may_lie_in_the_zip_and_run_the_other_way(tmp_path, lmm):
    table = b"image,dmos\na.png,5\nb.png,1\n"
    archive = zipped(tmp_path / "a.zip", {"a.png": png(10), "b.png": png(200), "s.csv": table})
    received = visitors.build_reference_set(lmm, archive, None, (1, 5))
    assert received.by_bin == (1, 0, 0, 0, 1)
    assert any("it is assumed that lower is better" in note for note in received.notes)
    assert visitors.build_reference_set(lmm, archive, None, (1, 5), lower_is_better=False).count == 2


def test_tables_are_spoken_of_with_the_fields_of_the_page(tmp_path, lmm):
    archive = zipped(tmp_path / "a.zip", {"a.png": png(10), "b.png": png(200)})
    table = tmp_path / "t.csv"
    table.write_text("image,dmos\na.png,5\nb.png,1\n")
    received = visitors.build_reference_set(lmm, archive, str(table))
    assert any("the field Scale" in note for note in received.notes)
    assert any("the direction higher is better" in note for note in received.notes)
    assert not any("--" in note for note in received.notes)
    table.write_text("image,mos\na.png,\nb.png,\n")
    with pytest.raises(InputError, match="choose another with the title mos"):
        visitors.build_reference_set(lmm, archive, str(table))


def test_what_is_no_zip(tmp_path, lmm):
    (tmp_path / "no.zip").write_bytes(b"hello")
    with pytest.raises(ValueError, match="not a zip"):
        visitors.build_reference_set(lmm, str(tmp_path / "no.zip"), None)
    with pytest.raises(ValueError, match="no photos"):
        visitors.build_reference_set(lmm, zipped(tmp_path / "e.zip", {"a.txt": b"x"}), None)
    with pytest.raises(ValueError, match="Add a CSV"):
        visitors.build_reference_set(lmm, zipped(tmp_path / "p.zip", {"a.png": png(1)}), None)
    # Nothing of a refused upload stays.
    assert list((tmp_path / "home").iterdir()) == []


def test_old_sets_are_swept_and_strange_folders_left_alone(upload, lmm, tmp_path):
    received = visitors.build_reference_set(lmm, *upload, scale=(0, 100))
    folder = tmp_path / "home"
    whole = next(folder.iterdir())
    visitors.sweep()
    assert whole.exists()
    os.utime(whole, (0, 0))
    visitors.sweep()
    assert not whole.exists()
    keep = tmp_path / "elsewhere" / "set"
    keep.mkdir(parents=True)
    visitors.discard(str(keep))
    visitors.discard(None)
    assert keep.exists()
    visitors.discard(received.folder)  # a second time is no error


def test_features_for_another_model_stay_out_of_the_cache(upload, lmm, tmp_path):
    received = visitors.build_reference_set(lmm, *upload, scale=(0, 100))
    other = BrightnessLMM()
    other.revision = "2"
    IQARAG(other).assess(grey(50), reference_set=received.folder)
    assert other.embedded == 11
    assert not (tmp_path / "cache").exists()
