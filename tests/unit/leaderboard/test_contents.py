"""A run knows the content of its images, without reading them again."""

from __future__ import annotations

import os

import pytest

from leaderboard.runs.contents import CONTENTS, Contents, read_contents
from leaderboard.runs.folder import RunError
from methods import files


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    paths = {f"{number}.png": folder / f"{number}.png" for number in range(3)}
    for name, path in paths.items():
        path.write_bytes(name.encode() * 100)
    return paths


def test_the_same_files_are_not_read_again(tmp_path, images, monkeypatch):
    Contents(tmp_path).record(images)
    known = read_contents(tmp_path)
    assert {name: content.hash for name, content in known.items()} == {
        name: files.hash_file(path) for name, path in images.items()}
    assert {content.size for content in known.values()} == {500}
    monkeypatch.setattr(files, "hash_file", lambda path: pytest.fail(f"{path} was read"))
    assert Contents(tmp_path).check(images) == 0


def test_other_content_under_the_same_name_is_refused(tmp_path, images):
    Contents(tmp_path).record(images)
    images["1.png"].write_bytes(b"other")
    with pytest.raises(RunError, match=r"^1 image of this run had another content when scored, '1.png' first"):
        Contents(tmp_path).check(images)
    # Of the same size, and elsewhere.
    other = tmp_path / "other"
    other.mkdir()
    for name in images:
        (other / name).write_bytes(b"x" * 500)
    with pytest.raises(RunError, match="3 images of this run"):
        Contents(tmp_path).check({name: other / name for name in images})


def test_a_copy_or_a_touched_file_is_the_same_image(tmp_path, images, monkeypatch):
    Contents(tmp_path).record(images)
    copies = tmp_path / "copies"
    copies.mkdir()
    moved = {}
    for name, path in images.items():
        moved[name] = copies / name
        moved[name].write_bytes(path.read_bytes())
        os.utime(moved[name], ns=(1, 1))
    assert Contents(tmp_path).check(moved) == 0
    # They were read once, and are known by their looks now.
    monkeypatch.setattr(files, "hash_file", lambda path: pytest.fail(f"{path} was read"))
    assert Contents(tmp_path).check(moved) == 0


def test_what_nothing_is_known_of_is_counted(tmp_path, images):
    contents = Contents(tmp_path)
    contents.record({"0.png": images["0.png"], "gone.png": None, "lost.png": tmp_path / "lost.png"})
    assert contents.check({**images, "gone.png": None}) == 2
    assert contents.digest(["0.png"]) == Contents(tmp_path).digest(["0.png"])
    assert contents.digest(["0.png", "1.png"]) is None
    assert contents.digest([]) is None


def test_a_torn_row_is_passed_over_and_a_strange_file_is_refused(tmp_path, images):
    Contents(tmp_path).record(images)
    path = tmp_path / CONTENTS
    with path.open("ab") as file:
        file.write(b"3.png,abc")
    assert set(read_contents(tmp_path)) == set(images)
    path.write_text("image,hash\n")
    with pytest.raises(RunError, match="does not begin with image,hash,size"):
        read_contents(tmp_path)
