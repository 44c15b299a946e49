"""A visitor's zip: what may be written where, how much, and that nothing of it stays."""

from __future__ import annotations

import io
import os
import zipfile

import pytest

from methods.iqarag import shelf
from methods.iqarag.method import IQARAG
from ui.serving import reference_sets as uploads

from .conftest import BrightnessLMM, grey


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "home", lambda: tmp_path / "home")


def png(value: int) -> bytes:
    file = io.BytesIO()
    grey(value).save(file, "PNG")
    return file.getvalue()


def zipped(path, entries: dict[str, bytes]):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return str(path)


@pytest.fixture
def upload(tmp_path):
    archive = zipped(tmp_path / "set.zip", {f"photos/{n}.png": png(20 * n) for n in range(10)}
                     | {"photos/copy.png": png(40), "photos/broken.png": b"x", "photos/unrated.png": png(250)})
    table = tmp_path / "scores.csv"
    table.write_text("image,mos\n" + "".join(f"{n}.png,{10 * n}\n" for n in range(10))
                     + "copy.png,20\nbroken.png,50\ngone.png,3\n")
    return archive, str(table)


def test_a_set_is_built_used_and_deleted(upload, lmm, tmp_path):
    received = uploads.receive(lmm, *upload, low=0, high=100)
    assert (received.count, sum(received.by_bin), received.by_bin) == (10, 10, (2, 2, 2, 2, 2))
    problems = " ".join(received.problems)
    assert all(word in problems for word in ("copy.png", "broken.png", "unrated.png"))
    assert any("gone.png" in note for note in received.notes)
    result = IQARAG(lmm).assess(grey(105), reference_set=received.folder)
    assert len(result.evidence.references) == 5
    assert result.evidence.reference_set == "your reference set"
    assert shelf._sets
    uploads.discard(received.folder)
    assert list((tmp_path / "home").iterdir()) == []
    assert not shelf._sets
    with pytest.raises(ValueError, match="holds no reference set"):
        IQARAG(lmm).assess(grey(105), reference_set=received.folder)


def test_the_table_may_lie_in_the_zip_and_run_the_other_way(tmp_path, lmm):
    table = b"image,dmos\na.png,5\nb.png,1\n"
    archive = zipped(tmp_path / "a.zip", {"a.png": png(10), "b.png": png(200), "s.csv": table})
    received = uploads.receive(lmm, archive, None, 1, 5)
    assert received.by_bin == (1, 0, 0, 0, 1)
    assert any("lower is taken as better" in note for note in received.notes)
    assert uploads.receive(lmm, archive, None, 1, 5, lower_is_better=False).count == 2


def test_nothing_is_written_outside_the_folder(tmp_path):
    names = ["../../up.png", "/abs.png", "C:\\win.png", "a/../../b.png", "..\\back.png", "deep/" * 20 + "x.png",
             "x" * 250 + ".png", "__MACOSX/._a.png", ".hidden/a.png", "run.sh", "page.html", "good/a.png"]
    archive = zipped(tmp_path / "evil.zip", {name: png(3) for name in names})
    folder = tmp_path / "in" / "out"
    uploads.unpack(archive, folder)
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert written == ["a/b.png", "abs.png", "back.png", "good/a.png", "up.png", "win.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.zip", "in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


def test_a_link_becomes_a_plain_file(tmp_path):
    entry = zipfile.ZipInfo("link.png")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    uploads.unpack(tmp_path / "l.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "link.png").is_symlink()
    assert (tmp_path / "out" / "link.png").read_text() == "/etc/passwd"


@pytest.mark.parametrize(("limit", "value", "sentence"), [
    ("MOST_BYTES_A_PICTURE", 1 << 20, "larger than 1 MB"), ("MOST_BYTES", 2 << 20, "more than 2 MB"),
    ("MOST_PICTURES", 2, "more than 2 pictures"),
])
def test_a_bomb_is_stopped_by_what_comes_out(tmp_path, monkeypatch, limit, value, sentence):
    monkeypatch.setattr(uploads, limit, value)
    archive = zipped(tmp_path / "bomb.zip", {f"{n}.png": bytes(1_500_000) for n in range(3)})
    assert os.path.getsize(archive) < 20_000
    with pytest.raises(ValueError, match=sentence):
        uploads.unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 4_500_000


def test_too_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_PICTURES", 1)
    archive = zipped(tmp_path / "many.zip", {f"{n}.txt": b"" for n in range(30)})
    with pytest.raises(ValueError, match="more than 20 files"):
        uploads.unpack(archive, tmp_path / "out")


def test_what_is_no_zip(tmp_path, lmm):
    (tmp_path / "no.zip").write_bytes(b"hello")
    with pytest.raises(ValueError, match="not a zip"):
        uploads.receive(lmm, str(tmp_path / "no.zip"), None)
    with pytest.raises(ValueError, match="no pictures"):
        uploads.receive(lmm, zipped(tmp_path / "e.zip", {"a.txt": b"x"}), None)
    with pytest.raises(ValueError, match="Add a CSV"):
        uploads.receive(lmm, zipped(tmp_path / "p.zip", {"a.png": png(1)}), None)
    # Nothing of a refused upload stays.
    assert list((tmp_path / "home").iterdir()) == []


def test_old_sets_are_swept_and_strange_folders_left_alone(upload, lmm, tmp_path):
    received = uploads.receive(lmm, *upload, low=0, high=100)
    folder = tmp_path / "home"
    whole = next(folder.iterdir())
    uploads.sweep()
    assert whole.exists()
    os.utime(whole, (0, 0))
    uploads.sweep()
    assert not whole.exists()
    keep = tmp_path / "elsewhere" / "set"
    keep.mkdir(parents=True)
    uploads.discard(str(keep))
    uploads.discard(None)
    assert keep.exists()
    uploads.discard(received.folder)  # a second time is no error


def test_features_for_another_model_stay_out_of_the_cache(upload, lmm, tmp_path):
    received = uploads.receive(lmm, *upload, low=0, high=100)
    other = BrightnessLMM()
    other.revision = "2"
    IQARAG(other).assess(grey(50), reference_set=received.folder)
    assert other.embedded == 11
    assert not (tmp_path / "cache").exists()
