"""Spreadsheets of ratings as people have them: mended with a note, or refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.data.opinions import OpinionError, direction_warning, read_opinions


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "holiday").mkdir()
    for name in ("a.png", "b.png", "c d.png", "E.PNG", "holiday/f.png", "7.png"):
        Image.new("RGB", (4, 4), "red").save(folder / name, format="PNG")
    return folder


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "ratings.csv"
        path.write_text(text, encoding=encoding)
        return path
    return write


def test_a_plain_table(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,mos,std\na.png,1.5,0.1\nb.png,4,0.2\n"), pictures)
    assert [image.name for image in opinions.images] == ["a.png", "b.png"]
    assert opinions.names == ("a.png", "b.png")
    assert opinions.mos.tolist() == [1.5, 4.0]
    assert opinions.scale == (1.0, 5.0)
    assert opinions.mos01.tolist() == pytest.approx([0.125, 0.75])
    assert not opinions.lower_is_better
    assert len(opinions.notes) == 1
    assert "scale from 1 to 5" in opinions.notes[0]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image;mos\na.png;1,5\nb.png;4,25\n", "utf-8"),
        ("image\tmos\na.png\t1.5\nb.png\t4.25\n", "utf-8"),
        ("image|mos\na.png|1.5\nb.png|4.25\n", "utf-8"),
        ("a.png 1.5\nb.png 4.25\n", "utf-8"),
        ("a.png,1.5\nb.png,4.25\n", "utf-8"),
        ("sep=;\nname;rating\na.png;1,5\nb.png;4,25\n", "utf-8"),
        ("image,mos\r\na.png,1.5\r\nb.png,4.25\r\n", "utf-8-sig"),
        ("image,mos\na.png,1.5\nb.png,4.25\n", "utf-16"),
        ("# r\u00e9alis\u00e9\nimage,mos\na.png,1.5\nb.png,4.25\n", "latin-1"),
        ('"image","mos"\n"a.png","1,5"\n"b.png","4,25"\n', "utf-8"),
        ("Image Name,prompt,MOS_quality\na.png,x,1.5\nb.png,y,4.25\n", "utf-8"),
        ("dist_img,ref_img,mos\na.png,b.png,1.5\nb.png,a.png,4.25\n", "utf-8"),
    ],
)
def test_separators_decimals_encodings_and_headers(pictures: Path, table, text: str, encoding: str) -> None:
    opinions = read_opinions(table(text, encoding), pictures)
    assert [image.name for image in opinions.images] == ["a.png", "b.png"]
    assert opinions.mos.tolist() == [1.5, 4.25]


@pytest.mark.parametrize("name", ["C:\\data\\mine\\holiday\\f.png", "holiday/f.png", "holiday\\f.png", "f.png", "f",
                                  "/home/me/F.PNG", "F.jpg", "../../f.png"])
def test_paths_of_other_machines_are_understood(pictures: Path, table, name: str) -> None:
    opinions = read_opinions(table(f"image,mos\n{name},1\na.png,2\n"), pictures)
    assert opinions.images[0] == pictures / "holiday" / "f.png"


def test_blanks_case_and_bare_numbers_in_names(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,mos\nc d.png,1\ne.png,2\n7,3\n"), pictures)
    assert [image.name for image in opinions.images] == ["c d.png", "E.PNG", "7.png"]


def test_nothing_outside_the_folder_is_opened(pictures: Path, table, tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(outside)
    opinions = read_opinions(table(f"image,mos\n{outside},1\na.png,2\nb.png,3\n"), pictures)
    assert all(pictures in image.parents for image in opinions.images)
    assert any("secret.png" in note for note in opinions.notes)


def test_missing_pictures_are_named(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,mos\na.png,1\nzz.png,2\nb.png,3\n"), pictures)
    assert len(opinions) == 2
    assert "1 picture of ratings.csv not found and left out: zz.png." in opinions.notes
    with pytest.raises(OpinionError, match=r"None of the 2 names .* the first is 'zz.png'"):
        read_opinions(table("image,mos\nzz.png,2\nyy.png,3\n"), pictures)


def test_rows_without_a_score_are_left_out_and_counted(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,mos\na.png,1\nb.png,NaN\nE.PNG,\n7.png,inf\nf.png,great\nc d.png,2\n"),
                             pictures)
    assert len(opinions) == 2
    assert "3 rows without a finite score left out (row 3, 4, 5)." in opinions.notes
    assert "1 row without a name or with text for a score left out (row 6)." in opinions.notes
    with pytest.raises(OpinionError, match="no row with both"):
        read_opinions(table("image,mos\na.png,nan\nb.png,\n"), pictures)


def test_duplicates_are_averaged_and_told(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,mos\na.png,1\nb.png,3\nA.png,2\n"), pictures)
    assert opinions.mos.tolist() == [1.5, 3.0]
    assert any("1 picture rated in more than one row" in note and "a.png" in note for note in opinions.notes)


def test_a_name_that_fits_two_pictures_is_refused(table, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / "p" / folder).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "p" / folder / "x.png")
    with pytest.raises(OpinionError, match="fits 2 pictures"):
        read_opinions(table("image,mos\nx.png,1\n"), tmp_path / "p")
    opinions = read_opinions(table("image,mos\none/x.png,1\ntwo/x.png,2\n"), tmp_path / "p")
    assert opinions.mos.tolist() == [1.0, 2.0]


def test_constant_and_few_ratings_are_refused(pictures: Path, table) -> None:
    with pytest.raises(OpinionError, match=r"All 2 opinion scores in ratings\.csv are 3"):
        read_opinions(table("image,mos\na.png,3\nb.png,3\n"), pictures)
    assert len(read_opinions(table("image,mos\na.png,3\nb.png,3\n"), pictures, allow_constant=True)) == 2
    with pytest.raises(OpinionError, match=r"Only 3 rated pictures .* at least 5"):
        read_opinions(table("image,mos\na.png,1\nb.png,2\n7.png,4\n"), pictures, minimum=5)


def test_dmos_is_turned_round_and_told(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,DMOS\na.png,0\nb.png,80\n"), pictures, scale=(0, 100))
    assert opinions.lower_is_better
    assert opinions.mos01.tolist() == pytest.approx([1.0, 0.2])
    assert any("lower is taken as better" in note for note in opinions.notes)
    opinions = read_opinions(table("image,DMOS\na.png,0\nb.png,80\n"), pictures, lower_is_better=False)
    assert opinions.mos01.tolist() == pytest.approx([0.0, 0.8])
    assert not any("lower" in note for note in opinions.notes)


def test_ratings_against_the_model_raise_a_warning() -> None:
    scores = np.linspace(0, 1, 20)
    assert direction_warning(scores, scores) is None
    assert "-1.00" in direction_warning(1 - scores, scores)
    assert direction_warning([1, 0, 1], [0, 1, 0]) is None


@pytest.mark.parametrize(("values", "scale"), [((0.1, 0.9), (0, 1)), ((1, 4), (1, 5)), ((0, 4.5), (0, 5)),
                                               ((2, 9), (1, 10)), ((0, 9), (0, 10)), ((3.4, 91), (0, 100)),
                                               ((-2, 250), (-2, 250))])
def test_the_scale_is_guessed(pictures: Path, table, values: tuple, scale: tuple) -> None:
    opinions = read_opinions(table(f"image,mos\na.png,{values[0]}\nb.png,{values[1]}\n"), pictures)
    assert opinions.scale == scale


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"image,mos\n", "no rows"),
        (b"PK\x03\x04rest", "save it as CSV"),
        (b"\x00\x01\x02", "not a text file"),
        (b"image\na.png\nb.png\n", "one column only"),
        (b"foo,bar,baz\n1,2,3\n4,5,6\n", "does not say which column"),
        (b"a.png,good\nb.png,bad\n", "does not say which column|no column of numbers"),
    ],
)
def test_unreadable_tables(pictures: Path, tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(content)
    with pytest.raises(OpinionError, match=sentence) as caught:
        read_opinions(path, pictures)
    assert "\n" not in str(caught.value)


def test_wrong_columns_scales_and_places(pictures: Path, table, tmp_path: Path) -> None:
    good = table("image,mos,other\na.png,1,5\nb.png,3,6\n")
    assert read_opinions(good, pictures, score_column="Other").mos.tolist() == [5.0, 6.0]
    with pytest.raises(OpinionError, match=re.escape("no column 'quality'; its columns are image, mos, other")):
        read_opinions(good, pictures, score_column="quality")
    with pytest.raises(OpinionError, match="outside the scale from 0 to 1"):
        read_opinions(good, pictures, scale=(0, 1))
    with pytest.raises(OpinionError, match="lower to a higher"):
        read_opinions(good, pictures, scale=(5, 1))
    with pytest.raises(OpinionError, match="no file"):
        read_opinions(tmp_path / "none.csv", pictures)
    with pytest.raises(OpinionError, match="no folder"):
        read_opinions(good, tmp_path / "nowhere")


def test_a_list_of_files_serves_instead_of_a_folder(pictures: Path, table) -> None:
    opinions = read_opinions(table("image,mos\na.png,1\nholiday/f.png,2\n"),
                             [pictures / "a.png", pictures / "holiday" / "f.png"])
    assert len(opinions) == 2
