"""A visitor's zip: what may be written where, how much, and by which names."""

from __future__ import annotations

import contextlib
import os
import zipfile

import pytest

from methods.errors import InputError
from tests.unit.serving.made import named, png, zipped
from ui.serving import zips
from ui.serving.zips import Limits, contents, unpack


def test_nothing_is_written_outside_the_folder(tmp_path):
    names = ["../../up.png", "/abs.png", "C:\\win.png", "a/../../b.png", "..\\back.png",
             "__MACOSX/._a.png", ".hidden/a.png", "run.sh", "page.html", "good/a.png"]
    archive = zipped(tmp_path / "evil.zip", {name: png(3) for name in names})
    folder = tmp_path / "in" / "out"
    unpack(archive, folder)
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert written == ["a/b.png", "abs.png", "back.png", "good/a.png", "up.png", "win.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.zip", "in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


def test_a_link_becomes_a_plain_file(tmp_path):
    entry = zipfile.ZipInfo("link.png")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    unpack(tmp_path / "l.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "link.png").is_symlink()
    assert (tmp_path / "out" / "link.png").read_text() == "/etc/passwd"


@pytest.mark.parametrize(("limits", "sentence"), [
    (Limits(bytes_per_file=1 << 20), "more than 1 MB"), (Limits(bytes=2 << 20), "more than 2 MB"),
    (Limits(pictures=2), "more than 2 photos"),
])
def test_a_bomb_is_stopped_by_what_comes_out(tmp_path, limits, sentence):
    archive = zipped(tmp_path / "bomb.zip", {f"{n}.png": bytes(1_500_000) for n in range(3)})
    assert os.path.getsize(archive) < 20_000
    with pytest.raises(InputError, match=sentence):
        unpack(archive, tmp_path / "out", limits)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 4_500_000


def test_too_many_entries(tmp_path):
    archive = zipped(tmp_path / "many.zip", {f"{n}.txt": b"" for n in range(30)})
    with pytest.raises(InputError, match="more than 20 files"):
        unpack(archive, tmp_path / "out", Limits(pictures=1))


NAMES = [
    ("gbk", ["照片/风景01.jpg", "照片/人物02.jpg"]), ("gbk", ["图片.png"]), ("gbk", ["新建文件夹/截图（夜晚）.png"]),
    ("gbk", ["北京.jpg", "IMG_0001.JPG"]), ("cp932", ["写真/風景01.jpg", "写真/人物02.jpg"]), ("cp932", ["テスト.png"]),
    ("cp932", ["日本語ファイル名.jpg", "さくら.png"]), ("cp932", ["花.jpg"]),
    ("big5", ["照片/風景.jpg", "測試圖片.png"]),
    ("cp437", ["été.jpg", "Müller.png"]), ("cp1252", ["été.jpg", "Müller.png"]), ("cp866", ["фото.jpg", "закат.png"]),
    ("utf-8", ["照片.jpg"]), ("utf-8", ["кино.jpg"]), ("utf-8", ["テスト.png", "été.png"]), ("ascii", ["a.png"]),
]


@pytest.mark.parametrize(("encoding", "names"), NAMES)
def test_names_are_read_in_their_packer_s_encoding(tmp_path, encoding, names):
    path = named(tmp_path / "other.zip", {name.encode(encoding): png(9) for name in names})
    assert {member.name for member in contents([path])} == set(names)
    assert all(member.read() == png(9) for member in contents([path]))
    unpack(path, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {file.relative_to(tmp_path / "out").as_posix() for file in files} == set(names)


def test_a_table_finds_pictures_by_such_names(tmp_path):
    table = "image,mos\n风景.png,3\n".encode("gbk")
    path = named(tmp_path / "other.zip", {"照片/风景.png".encode("gbk"): png(1), "评分.csv".encode("gbk"): table})
    assert unpack(path, tmp_path / "out") == tmp_path / "out" / "评分.csv"
    assert (tmp_path / "out" / "照片" / "风景.png").is_file()


def test_names_with_the_flag_are_utf_8(tmp_path):
    path = named(tmp_path / "flag.zip", {"写真/花.png".encode(): png(1)}, flag=0x800)
    assert [member.name for member in contents([path])] == ["写真/花.png"]


@pytest.mark.parametrize(("entries", "flag", "sentence"), [
    ({b"\xff\xfe\x80.png": b"x"}, 0x800, "names of the files in broken.zip are damaged"),
    ({b"\x81\xff\x8d\x90\x9d.png": b"x"}, 0, "cannot be told|cannot be shown"),
    ({b"a\nb.png": b"x"}, 0, "cannot be shown"), ({b"a\x00b.png": b"x"}, 0, "cannot be shown"),
    ({b"a/b.png": b"x", b"a\\b.png": b"y"}, 0, "two files called a/b.png"),
])
def test_broken_names_are_refused_in_a_sentence(tmp_path, entries, flag, sentence):
    path = named(tmp_path / "broken.zip", entries, flag)
    for read in (lambda: contents([path]), lambda: unpack(path, tmp_path / "out")):
        with pytest.raises(InputError, match=sentence):
            read()


@pytest.mark.parametrize("name", ["deep/" * 20 + "x.png", "x" * 250 + ".png", "../..", "/.png"])
def test_paths_that_cannot_be_written_are_refused(tmp_path, name):
    archive = zipped(tmp_path / "long.zip", {name: png(3)})
    with pytest.raises(InputError, match=r"too long a path|no photos"):
        unpack(archive, tmp_path / "out")


def test_two_files_of_one_place_are_refused(tmp_path):
    archive = zipped(tmp_path / "twice.zip", {"a.png": png(3), "../a.png": png(4)})
    with pytest.raises(InputError, match=r"two files that would both be a\.png"):
        unpack(archive, tmp_path / "out")


def damaged(path, place: int, byte: int) -> str:
    content = bytearray(path.read_bytes())
    content[place] ^= byte
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("place", range(0, 160, 3))
def test_whatever_is_damaged_is_one_sentence(tmp_path, place):
    zipped(tmp_path / "a.zip", {"a.png": png(3) * 3})
    path = damaged(tmp_path / "a.zip", place, 0xFF)
    for read in (lambda: [member.read() for member in contents([path])], lambda: unpack(path, tmp_path / "out")):
        with contextlib.suppress(InputError):  # anything else fails the test
            read()


def test_an_encrypted_member_is_one_sentence(tmp_path):
    zipped(tmp_path / "a.zip", {"a.png": png(3)})
    content = (tmp_path / "a.zip").read_bytes()
    start = content.index(b"PK\x01\x02")
    damaged(tmp_path / "a.zip", 6, 1)
    path = damaged(tmp_path / "a.zip", start + 8, 1)
    (member,) = contents([path])
    with pytest.raises(InputError, match="encrypted"):
        member.read()
    with pytest.raises(InputError, match="encrypted"):
        unpack(path, tmp_path / "out")
    assert zipfile.ZipFile(path).infolist()[0].flag_bits & 1


def test_a_zip_is_opened_once_however_often_it_is_named_and_read(tmp_path, monkeypatch):
    path, opened = zipped(tmp_path / "a.zip", {f"{n}.png": png(n) for n in range(3)}), []
    original = zipfile.ZipFile

    class Counted(original):
        def __init__(self, *given, **settings):
            opened.append(given[0])
            super().__init__(*given, **settings)

    monkeypatch.setattr(zips.zipfile, "ZipFile", Counted)
    members = contents([path] * 200)
    assert [member.read() for member in members] == [png(n) for n in range(3)]
    assert opened == [path]


def test_a_folder_s_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(zips, "MOST_FILES", 2)
    with pytest.raises(InputError, match="more than 2 photos"):
        contents([zipped(tmp_path / "a.zip", {f"{n}.png": png(n) for n in range(3)})])
