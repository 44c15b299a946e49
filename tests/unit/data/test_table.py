"""Tables of opinions as the world has them: read with the right value, or refused with the place in one sentence."""

from __future__ import annotations

import csv
import errno
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.cli.score import places_of
from methods.data import RatedPictures, direction_question, find_images, read_table
from methods.errors import InputError, UserError

NAMES = ("img00.jpg", "img01.jpg", "img02.jpg", "img03.jpg", "img04.jpg", "img05.jpg")


def images(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / name, {".png": "PNG"}.get(Path(name).suffix.lower(), "JPEG"))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return images(tmp_path / "im", *NAMES)


@pytest.fixture
def table(tmp_path: Path):
    def write(content: str | bytes, encoding: str = "utf-8", name: str = "scores.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path
    return write


def opinions(pictures: RatedPictures) -> dict[str, float]:
    return {picture.name: picture.mos for picture in pictures}


def refusal(*arguments, **options) -> str:
    """The sentence with which a table is refused."""
    with pytest.raises(UserError) as caught:
        read_table(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_plain_table_and_what_was_understood(folder, table):
    pictures = read_table(table("image,mos,std\nimg00.jpg,1.5,0.1\nimg01.jpg,4,0.2\n"), folder)
    assert pictures.names == ("img00.jpg", "img01.jpg")
    assert pictures.paths == (folder / "img00.jpg", folder / "img01.jpg")
    assert pictures.mos.tolist() == [1.5, 4.0]
    assert [picture.std for picture in pictures] == [0.1, 0.2]
    assert (pictures.low, pictures.high, pictures.lower_is_better) == (1.0, 5.0, False)
    assert pictures.mos01.tolist() == [0.125, 0.75]
    assert pictures.notes == (
        "scores.csv: comma-separated, UTF-8; 2 images named in column 'image', opinions in column 'mos' from 1.5 to 4 "
        "on a scale from 1 to 5 (assumed; --scale LOW HIGH sets it), higher is better.",)


@pytest.mark.parametrize(("text", "encoding"), [
    ("image;mos\nimg00.jpg;1,5\nimg01.jpg;4,25\n", "utf-8"),
    ("img00.jpg;1,5\nimg01.jpg;4,25\n", "utf-8"),
    ("image\tmos\nimg00.jpg\t1.5\nimg01.jpg\t4.25\n", "utf-8"),
    ("image\tmos\nimg00.jpg\t1,5\nimg01.jpg\t4,25\n", "utf-8"),
    ("image|mos\nimg00.jpg|1.5\nimg01.jpg|4.25\n", "utf-8"),
    ("img00.jpg 1.5\nimg01.jpg 4.25\n", "utf-8"),
    ("img00.jpg   1.5\nimg01.jpg   4.25   \n", "utf-8"),
    ("1.5 img00.jpg\n4.25 img01.jpg\n", "utf-8"),
    ("img00.jpg,1.5\nimg01.jpg,4.25\n", "utf-8"),
    ("img00.jpg,1.5\nimg01.jpg,4.25", "utf-8"),
    ("\n\nimage,mos\n\nimg00.jpg,1.5\n,\nimg01.jpg,4.25\n\n", "utf-8"),
    ("sep=;\nname;rating\nimg00.jpg;1,5\nimg01.jpg;4,25\n", "utf-8"),
    ("sep=;\r\nname;rating\r\nimg00.jpg;1,5\r\nimg01.jpg;4,25\r\n", "utf-8-sig"),
    ("image,mos\r\nimg00.jpg,1.5\r\nimg01.jpg,4.25\r\n", "utf-8-sig"),
    ("image,mos\rimg00.jpg,1.5\rimg01.jpg,4.25\r", "utf-8"),
    ("image,mos\nimg00.jpg,1.5\nimg01.jpg,4.25\n", "utf-16"),
    ("image,mos\nimg00.jpg,1.5\nimg01.jpg,4.25\n", "utf-16-le"),
    ("image,mos\nimg00.jpg,1.5\nimg01.jpg,4.25\n", "utf-16-be"),
    ("image\tmos\r\nimg00.jpg\t1.5\r\nimg01.jpg\t4.25\r\n", "utf-16"),
    ("image,mos\nimg00.jpg,1.5\nimg01.jpg,4.25\n", "utf-32"),
    ("image,mos,r\u00e9alis\u00e9\nimg00.jpg,1.5,\u00e0\nimg01.jpg,4.25,\u00fc\n", "latin-1"),
    ('"image","mos"\n"img00.jpg","1,5"\n"img01.jpg","4,25"\n', "utf-8"),
    ('image,mos,prompt\nimg00.jpg,1.5,"a ""cat"", sitting"\nimg01.jpg,4.25,"a dog\non a mat"\n', "utf-8"),
    ("Image Name,prompt,MOS_quality\nimg00.jpg,x,1.5\nimg01.jpg,y,4.25\n", "utf-8"),
    ("dist_img,ref_img,mos\nimg00.jpg,img01.jpg,1.5\nimg01.jpg,img00.jpg,4.25\n", "utf-8"),
    ("ref_img,dist_img,mos\nimg02.jpg,img00.jpg,1.5\nimg02.jpg,img01.jpg,4.25\n", "utf-8"),
    (",image,mos\n0,img00.jpg,1.5\n1,img01.jpg,4.25\n", "utf-8"),
    ("Unnamed: 0,image,mos\n0,img00.jpg,1.5\n1,img01.jpg,4.25\n", "utf-8"),
    ("id,image,width,height,label,mos\n1,img00.jpg,640,480,3,1.5\n2,img01.jpg,640,480,1,4.25\n", "utf-8"),
    ("image,label,my_mos\nimg00.jpg,1,1.5\nimg01.jpg,0,4.25\n", "utf-8"),
    ("image,label,Average\nimg00.jpg,cat,1.5\nimg01.jpg,dog,4.25\n", "utf-8"),
    ("image,1,2,3,4,5,mos\nimg00.jpg,9,1,0,0,0,1.5\nimg01.jpg,0,0,1,5,4,4.25\n", "utf-8"),
    ("image,mos,votes,mos_std,ci95\nimg00.jpg,1.5,30,0.1,0.2\nimg01.jpg,4.25,31,0.2,0.2\n", "utf-8"),
    ("image,MOS,SD,MOS_zscore\nimg00.jpg,1.5,0.5,12\nimg01.jpg,4.25,0.4,80\n", "utf-8"),
    ("split,image,mos\ntrain,img00.jpg,1.5\ntest,img01.jpg,4.25\n", "utf-8"),
    ("image,mos\nimg00,1.5\nimg01,4.25\n", "utf-8"),
    ("image,mos\nC:\\data\\im\\img00.jpg,1.5\nC:\\data\\im\\img01.jpg,4.25\n", "utf-8"),
    ("image,mos\n./img00.jpg,1.5\n../im/img01.jpg,4.25\n", "utf-8"),
    ("image,mos\n/home/me/IMG00.JPG,1.5\nimg01.JPG,4.25\n", "utf-8"),
    ("image,mos\nimg00.jpg,1.5e0\nimg01.jpg,+4.25\n", "utf-8"),
    ("id,mos\nimg00,1.5\nimg01,4.25\n", "utf-8"),
    ("key,foto,mos\nx1,img00.jpg,1.5\nx2,img01.jpg,4.25\n", "utf-8"),
])
def test_ordinary_tables(folder, table, text, encoding):
    pictures = read_table(table(text, encoding), folder)
    assert [path.name for path in pictures.paths] == ["img00.jpg", "img01.jpg"]
    assert pictures.mos.tolist() == [1.5, 4.25]


@pytest.mark.parametrize(("encoding", "names"), [
    ("gbk", ("\u56fe\u50cf\u4e00.jpg", "\u56fe\u50cf\u4e8c.jpg")),
    ("gb18030", ("\u6d4b\u8bd5.jpg", "\u8d28\u91cf.jpg")),
    ("shift_jis", ("\u5199\u771f\u8868.jpg", "\u30bd\u30d5\u30c8.jpg")),
    ("big5", ("\u5716\u50cf.jpg", "\u529f\u8a31.jpg")),
    ("euc_kr", ("\uc0ac\uc9c4.jpg", "\ud488\uc9c8.jpg")),
    ("cp1252", ("caf\u00e9.jpg", "\u00fcber.jpg")),
    ("cp1251", ("\u0444\u043e\u0442\u043e.jpg", "\u043e\u0431\u0440\u0430\u0437.jpg")),
    ("utf-16", ("\u56fe\u50cf\u4e00.jpg", "caf\u00e9.jpg")),
])
def test_names_in_any_encoding(tmp_path, table, encoding, names):
    folder = images(tmp_path / "im", *names)
    pictures = read_table(table(f"image,mos\n{names[0]},1.5\n{names[1]},4\n", encoding), folder)
    assert opinions(pictures) == {names[0]: 1.5, names[1]: 4.0}


def test_pandas_and_excel_files(folder, tmp_path):
    import pandas

    frame = pandas.DataFrame({"image": ["img00.jpg", "img01.jpg"], "mos": [1.5, 4.25], "n": [30, 31]})
    expected = {"img00.jpg": 1.5, "img01.jpg": 4.25}
    frame.to_csv(tmp_path / "index.csv")
    frame.to_csv(tmp_path / "plain.csv", index=False)
    frame.to_csv(tmp_path / "excel.csv", index=False, sep=";", decimal=",", encoding="utf-8-sig")
    for name in ("index.csv", "plain.csv", "excel.csv"):
        assert opinions(read_table(tmp_path / name, folder)) == expected


def workbook(path: Path, sheets: dict[str, list[list]]) -> Path:
    from tests.unit.data.test_datasets import workbook as write

    write(path, sheets)
    return path


def test_spreadsheets(tmp_path):
    folder = images(tmp_path / "im", "img00.jpg", "7.png")
    rows = [["image", "mos"], ["img00.jpg", 1.5], ["7", 4]]
    pictures = read_table(workbook(tmp_path / "scores.xlsx", {"Ratings": rows}), folder)
    assert opinions(pictures) == {"img00.jpg": 1.5, "7": 4.0}
    assert "sheet 'Ratings'" in pictures.notes[0]
    numbers = [["image", "mos"], ["img00.jpg", 1.5], [7, 4]]
    more = {"About": [["Made by us"]], "Ratings": numbers, "Empty": []}
    assert opinions(read_table(workbook(tmp_path / "more.xlsx", more), folder)) == {"img00.jpg": 1.5, "7": 4.0}
    renamed = workbook(tmp_path / "scores.csv", {"Ratings": rows})
    assert len(read_table(renamed, folder)) == 2


def test_spreadsheets_that_can_be_read_two_ways(folder, tmp_path):
    rows = [["image", "mos"], ["img00.jpg", 1.5], ["img01.jpg", 4]]
    two = workbook(tmp_path / "two.xlsx", {"First": rows, "Second": rows})
    assert "2 sheets that may be the table ('First', 'Second')" in refusal(two, folder)
    wide = workbook(tmp_path / "wide.xlsx", {"A": [["image", "mos"], ["img00.jpg", 4, 5], ["img01.jpg", 3, 5]]})
    assert "line 2: '5' stands in column 3, which has no title" in refusal(wide, folder)
    (tmp_path / "broken.xlsx").write_bytes(b"PK\x03\x04rest")
    assert "not a spreadsheet that can be read" in refusal(tmp_path / "broken.xlsx", folder)


def test_an_open_document_sheet(folder, tmp_path):
    import zipfile

    cells = [["image", "mos"], ["img00.jpg", 1.5], ["img01.jpg", 4.25]]
    office = "urn:oasis:names:tc:opendocument:xmlns"

    def cell(value) -> str:
        kind = 'string"' if isinstance(value, str) else f'float" office:value="{value}"'
        return f'<table:table-cell office:value-type="{kind}><text:p>{value}</text:p></table:table-cell>'

    body = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in cells)
    spaces = " ".join(f'xmlns:{part}="{office}:{part}:1.0"' for part in ("office", "table", "text", "manifest"))
    with zipfile.ZipFile(tmp_path / "scores.ods", "w") as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr("META-INF/manifest.xml", f"<manifest:manifest {spaces}/>")
        book.writestr("content.xml", f"<office:document-content {spaces}><office:body><office:spreadsheet>"
                                     f'<table:table table:name="S">{body}</table:table></office:spreadsheet>'
                                     "</office:body></office:document-content>")
    assert read_table(tmp_path / "scores.ods", folder).mos.tolist() == [1.5, 4.25]


@pytest.mark.slow
def test_thousands_of_rows_and_huge_cells(tmp_path, table):
    folder = tmp_path / "im"
    folder.mkdir()
    names = [f"{number:05d}.jpg" for number in range(12_000)]
    for name in names:
        (folder / name).touch()
    text = "image,mos\n" + "".join(f"{name},{1 + number % 400 / 100}\n" for number, name in enumerate(names))
    pictures = read_table(table(text), folder)
    assert len(pictures) == 12_000
    assert pictures[11_999].mos == 4.99
    long = "x" * 300_000
    pictures = read_table(table(f'image,mos,note\n00000.jpg,1,"{long}"\n00001.jpg,2,{long}\n'), folder)
    assert pictures.mos.tolist() == [1.0, 2.0]


def test_rows_without_a_score_are_left_out_and_named(folder, table):
    text = "image,mos\nimg00.jpg,1\nimg01.jpg,NaN\nimg02.jpg,\nimg03.jpg,n/a\nimg04.jpg,2\n"
    pictures = read_table(table(text), folder)
    assert opinions(pictures) == {"img00.jpg": 1.0, "img04.jpg": 2.0}
    assert pictures.notes[1] == "3 rows without a score left out (line 3, 4, 5)."


def test_opinions_alone(table):
    pictures = read_table(table("image,mos\na.jpg,1\nb.jpg,4\n"), None)
    assert pictures.mos.tolist() == [1.0, 4.0]
    assert len(pictures.missing) == 2


def test_a_list_of_files_serves_instead_of_a_folder(tmp_path, folder, table):
    more = images(tmp_path / "more", "holiday/f.png") / "holiday" / "f.png"
    pictures = read_table(table("image,mos\nimg00.jpg,1\nholiday/f.png,2\n"), [folder / "img00.jpg", more])
    assert pictures.paths == (folder / "img00.jpg", more)


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "sentence"), [
    # Row numbers, widths and class labels are numbers, too.
    ("0,img00.jpg,4.5\n1,img01.jpg,4.25\n", "no header and numbers in the columns 1, 3"),
    ("img00.jpg,640,480,4\nimg01.jpg,640,480,3\n", "no header and numbers in the columns 2, 3, 4"),
    ("img00.jpg,4,0.5\nimg01.jpg,3,0.6\n", "no header and numbers in the columns 2, 3"),
    ("image,width,height\nimg00.jpg,640,480\n", "does not say which column holds the mean opinion scores"),
    ("image,label\nimg00.jpg,1\nimg01.jpg,2\n", "its columns are image, label"),
    ("foo,bar,baz\n1,2,3\n4,5,6\n", "its columns are foo, bar, baz"),
    ("image,mos_std,mos_var\nimg00.jpg,1,2\n", "does not say which column holds the mean opinion scores"),
    ("name,mos_quality,mos_align\nimg00.jpg,1,2\nimg01.jpg,2,3\n", "(mos_quality, mos_align); name one with --mos-col"),
    ("image,mos,mos\nimg00.jpg,1,2\n", "2 columns that may hold the mean opinion scores (mos, mos)"),
    ("image,mos,dmos\nimg00.jpg,1,2\n", "(mos, dmos)"),
    ("image,score,rating\nimg00.jpg,1,2\n", "(score, rating)"),
    ("img00.jpg,good\nimg01.jpg,bad\n", "does not say which column"),
    ("image,file,mos\nimg00.jpg,img01.jpg,1\nimg01.jpg,img00.jpg,2\n", "in column 'image' or 'file'"),
    ("a,b,mos\nimg00.jpg,img01.jpg,1\nimg01.jpg,img00.jpg,2\n", "in column 'a' or 'b'; name one with --name-column"),
    ("image,mos,\nimg00.jpg,4,5\nimg01.jpg,3,25\n", "line 2: '5' stands in column 3, which has no title"),
])
def test_columns_in_doubt_are_named(folder, table, text, sentence):
    assert sentence in refusal(table(text), folder)


def test_columns_are_asked_for_by_title_or_number(folder, table):
    good = table("image,mos,Other,mos_1\nimg00.jpg,1,5,8\nimg01.jpg,3,6,9\n")
    assert read_table(good, folder, mos_column="other").mos.tolist() == [5.0, 6.0]
    assert read_table(good, folder, mos_column="mos_1").mos.tolist() == [8.0, 9.0]
    assert read_table(good, folder, mos_column="3").mos.tolist() == [5.0, 6.0]
    assert "no column 'quality' for --mos-column; choose from image, mos, Other, mos_1" in refusal(
        good, folder, mos_column="quality")
    assert "did you mean 'image'" in refusal(good, folder, name_column="imge")
    assert "cannot hold names and scores" in refusal(
        good, folder, name_column="mos", mos_column="2")
    bare = table("0,img00.jpg,4.5\n1,img01.jpg,4.25\n")
    assert read_table(bare, folder, mos_column="3").mos.tolist() == [4.5, 4.25]
    assert read_table(bare, folder, name_column="2", mos_column="3").mos.tolist() == [4.5, 4.25]
    assert "has no header; give --mos-column the number of the column, from 1 to 3" in refusal(
        bare, folder, mos_column="mos")
    either = table("a,b,mos\nimg00.jpg,img01.jpg,1\nimg01.jpg,img00.jpg,2\n")
    assert opinions(read_table(either, folder, name_column="b")) == {"img01.jpg": 1.0, "img00.jpg": 2.0}


def test_the_rated_pictures_are_those_that_differ_from_row_to_row(tmp_path, table):
    folder = images(tmp_path / "im", "ref.jpg", *NAMES)
    text = "".join(f"ref.jpg {name} {mos}\n" for name, mos in zip(NAMES, ("100.0", 90, 70, 60, 50, 20)))
    assert read_table(table(text, name="scores.txt"), folder).mos.tolist() == [100, 90, 70, 60, 50, 20]


@pytest.mark.parametrize(("text", "sentence"), [
    ("image,mos\nimg00.jpg,great\nimg01.jpg,2\n", "line 2: 'great' in column 'mos' is not a score"),
    ("image,mos\nimg00.jpg,4.5/5\nimg01.jpg,2\n", "line 2: '4.5/5'"),
    ("image,mos\nimg00.jpg,inf\nimg01.jpg,2\n", "line 2: 'inf'"),
    ("image,mos\nimg00.jpg,1_0\nimg01.jpg,2\n", "line 2: '1_0'"),
    ("image;mos\nimg00.jpg;4,5\nimg01.jpg;3.5\n", "writes 3.5 in line 3 and 4,5 in line 2"),
    ("image;mos\nimg00.jpg;1,234\nimg01.jpg;987\n", "can be a decimal or a thousand"),
    ("image;mos\nimg00.jpg;1.234,5\nimg01.jpg;2,5\n", "'1.234,5'"),
    ("image,mos\n,3\nimg01.jpg,2\n", "line 2: a score without a name"),
    ("image,mos\nimg00.jpg,\nimg01.jpg,nan\n", "no score in column 'mos'"),
])
def test_cells_that_are_no_scores_are_named(folder, table, text, sentence):
    assert sentence in refusal(table(text), folder)


# --- the form of a file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "is empty"),
    (b" \n\n", "is empty"),
    (b"image,mos\n", "has a header but no rows"),
    (b"\x00\x01\x02", "not a text file"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a text file"),
    (b"image\nimg00.jpg\n", "one column only"),
    (b"image,mos,note\nimg00.jpg,5,ok\nimg01.jpg,4.5,\"good\nimg02.jpg,4,ok\n",
     "line 3: a quotation mark is never closed"),
    (b"image,mos,note\nimg00.jpg,5,\"ok\nimg01.jpg,4.5,ok\nimg02.jpg,4,ok\"\n",
     "line 2: a quotation mark is closed only in line 4"),
    (b"image,mos,note\nimg00.jpg,5,\"ok\nimg01.jpg,4.5,\"ok\n", "line 2: text follows the quotation mark"),
    (b"image,mos\nimg00.jpg,4,5\nimg01.jpg,4,25\n", "line 2: 3 cells under 2 in line 1 (img00.jpg,4,5)"),
    (b"image,mos\nimg00.jpg,4\nimg01.jpg\n", "line 3: 1 cell under 2 in line 1"),
    (b"image,mos\nroom,1,4.5\nimg01.jpg,3\n", "line 2: 3 cells under 2 in line 1 (room,1,4.5)"),
    (b"image;mos\nimg00.jpg;4,5\nimg01.jpg;3,1\nEnd of table\n", "line 4: 1 cell under 2 in line 1 (End of table)"),
    (b"My ratings\nimage,mos\nimg00.jpg,4\n", "line"),
    (b"sep=;\nimage;mos\nimg00.jpg;4;5\n", "line 3: 3 cells under 2 in line 2"),
    (b"# made by me\nimage,mos\nimg00.jpg,4\n", "line"),
])
def test_files_that_are_no_table_are_refused_with_the_line(folder, table, content, sentence):
    assert sentence in refusal(table(content), folder)


def test_a_quotation_mark_that_swallows_a_large_file(folder, table):
    rows = "".join(f"some_longer_name_{number}.jpg,3\n" for number in range(10_000))
    assert "line 2: a quotation mark is never closed" in refusal(table('image,mos\n"img00.jpg,5\n' + rows), folder)


def test_files_and_folders_that_are_not_there(folder, table, tmp_path):
    good = table("image,mos\nimg00.jpg,1\nimg01.jpg,3\n")
    assert "There is no file" in refusal(tmp_path / "none.csv", folder)
    assert "is a folder" in refusal(tmp_path, folder)
    assert "There is no folder" in refusal(good, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "There is no image" in refusal(good, tmp_path / "empty")


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "rows", "expected"), [
    (("A.jpg", "a.jpg", "b.jpg"), {"A.jpg": 4.5, "a.jpg": 3, "b.jpg": 2}, None),
    (("sub/A.jpg", "sub/a.jpg"), {"A.jpg": 4.5, "a.jpg": 3}, {"A.jpg": "sub/A.jpg", "a.jpg": "sub/a.jpg"}),
    (("#1.jpg", "#2.jpg", "b.jpg"), {"#1.jpg": 4.5, "#2.jpg": 3, "b.jpg": 2}, None),
    (("one/x.jpg", "two/x.jpg"), {"one/x.jpg": 1, "two/x.jpg": 2}, None),
    (("holiday/f.png", "a.jpg"), {"C:\\data\\holiday\\f.png": 1, "a": 2},
     {"C:\\data\\holiday\\f.png": "holiday/f.png", "a": "a.jpg"}),
    (("holiday/f.png", "f.png"), {"/x/holiday/f.png": 1, "/x/f.png": 2},
     {"/x/holiday/f.png": "holiday/f.png", "/x/f.png": "f.png"}),
    (("v1.5.jpg", "v1.6.jpg"), {"v1.5": 1, "v1.6": 2}, {"v1.5": "v1.5.jpg", "v1.6": "v1.6.jpg"}),
    (("room,1.jpg", "room.jpg"), {'"room,1"': 1, "room": 2}, {"room,1": "room,1.jpg", "room": "room.jpg"}),
    (("c d.png", "E.PNG"), {"c d.png": 1, "e.png": 2}, {"c d.png": "c d.png", "e.png": "E.PNG"}),
    (("7.png", "8.png"), {"7": 1, "8": 2}, {"7": "7.png", "8": "8.png"}),
])
def test_names_are_matched_with_files(tmp_path, table, files, rows, expected):
    folder = images(tmp_path / "im", *files)
    pictures = read_table(table("image,mos\n" + "".join(f"{name},{mos}\n" for name, mos in rows.items())), folder)
    places = {picture.name: picture.path.relative_to(folder).as_posix() for picture in pictures}
    assert places == (expected or {name: name for name in rows})
    assert pictures.mos.tolist() == list(rows.values())


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_in_another_unicode_form(tmp_path, table, form, other):
    names = ("caf\u00e9.jpg", "\u00fcber.jpg", "b.jpg")
    folder = images(tmp_path / "im", *(unicodedata.normalize(form, name) for name in names))
    rows = "".join(f"{unicodedata.normalize(other, name)},{mos}\n" for name, mos in zip(names, (4.5, 3, 2)))
    assert read_table(table("image,mos\n" + rows), folder).mos.tolist() == [4.5, 3.0, 2.0]


@pytest.mark.parametrize(("files", "rows", "missing"), [
    # Two rows would become one picture.
    (("img00.jpg", "img01.jpg"), {"train/img00.jpg": 1, "test/img00.jpg": 5, "img01.jpg": 2},
     ("train/img00.jpg", "test/img00.jpg")),
    (("img00.jpg", "img01.jpg"), {"img00.png": 5, "img00.jpg": 1, "img01.jpg": 2}, ("img00.png",)),
    (("img00.jpg", "img01.jpg"), {"img00": 5, "img00.jpg": 1, "img01.jpg": 2}, ("img00",)),
    (("a.jpg", "b.jpg"), {"A.jpg": 5, "a.jpg": 1, "b.jpg": 2}, ("A.jpg",)),
    (("scene.jpg", "img00.jpg"), {"scene.1": 5, "scene.2": 1, "img00.jpg": 3}, ("scene.1", "scene.2")),
    # The folders that are written contradict.
    (("test/x.jpg", "test/y.jpg"), {"train/x.jpg": 5, "test/y.jpg": 1}, ("train/x.jpg",)),
    # Another ending is another picture.
    (("f.png", "a.jpg"), {"f.jpg": 1, "a.jpg": 2}, ("f.jpg",)),
    (("a.jpg", "b.jpg"), {"a.jpg": 1, "zz.jpg": 2, "b.jpg": 3}, ("zz.jpg",)),
])
def test_names_that_are_no_picture_end_it_unless_they_may_be_missing(tmp_path, table, files, rows, missing):
    folder = images(tmp_path / "im", *files)
    path = table("image,mos\n" + "".join(f"{name},{mos}\n" for name, mos in rows.items()))
    sentence = refusal(path, folder)
    for name in missing:
        line = 2 + list(rows).index(name)
        assert f"'{name}' in line {line}" in sentence
    assert "--allow-missing" in sentence
    pictures = read_table(path, folder, allow_missing=True)
    assert tuple(picture.name for picture in pictures.missing) == missing
    assert opinions(pictures) == rows
    assert len({picture.path for picture in pictures.present}) == len(rows) - len(missing)


def test_five_missing_names_are_listed(folder, table):
    rows = "".join(f"gone{number}.jpg,{number}\n" for number in range(8))
    sentence = refusal(table("image,mos\nimg00.jpg,1\n" + rows), folder)
    assert "8 images of the 9" in sentence
    assert "'gone4.jpg' in line 7 and 3 more" in sentence
    none = refusal(table("image,mos\n" + rows), folder, allow_missing=True)
    assert "None of the 8 names in column 'image'" in none


def test_a_name_that_fits_two_pictures_is_refused(tmp_path, table):
    folder = images(tmp_path / "im", "one/x.png", "two/x.png", "a.png", "a.jpg")
    for row in ("x.png,1", "a,1", "X.png,1"):
        sentence = refusal(table(f"image,mos\n{row}\none/x.png,2\n"), folder, allow_missing=True)
        assert "line 2" in sentence
        assert "fits 2 images" in sentence


def test_a_picture_that_is_rated_twice_is_refused(folder, table):
    assert "rates 'img00.jpg' in line 2 and in line 4" in refusal(
        table("image,mos\nimg00.jpg,1\nimg01.jpg,3\nimg00.jpg,2\n"), folder)


def test_nothing_outside_the_folder_is_opened(tmp_path, folder, table):
    outside = images(tmp_path / "out", "secret.jpg") / "secret.jpg"
    for name in (str(outside), "../out/secret.jpg"):
        pictures = read_table(table(f"image,mos\n{name},1\nimg00.jpg,2\n"), folder, allow_missing=True)
        assert [picture.name for picture in pictures.missing] == [name]


def test_thumbnails_and_hidden_files_are_no_images(tmp_path):
    folder = images(tmp_path / "im", "a.jpg", "sub/b.png", "@eaDir/a.jpg", "__MACOSX/a.jpg", ".thumbnails/a.jpg",
                    "Thumbs/a.jpg", ".a.jpg", "._b.png")
    (folder / "notes.txt").touch()
    assert find_images(folder) == [folder / "a.jpg", folder / "sub" / "b.png"]
    with pytest.raises(InputError, match="There is no folder"):
        find_images(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_read_is_named_and_not_passed_over(tmp_path, monkeypatch):
    folder = images(tmp_path / "im", "a.jpg", "locked/b.png", "z/c.png")

    def scandir(path, real=os.scandir):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"The folder .*locked cannot be read; change its permissions\."):
        find_images(folder)
    rows = [(Path(place.path).name, bool(place.error)) for place in places_of([str(folder)])]
    assert rows == [("a.jpg", False), ("c.png", False), ("locked", True)]


# --- scale and direction ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "scale"), [((0.1, 0.9), (0, 1)), ((1, 4), (1, 5)), ((0, 4.5), (0, 5)),
                                               ((2, 9), (1, 10)), ((0, 9), (0, 10)), ((3.4, 91), (0, 100)),
                                               ((-2, 250), (-2, 250))])
def test_the_usual_scale_is_assumed_and_said(folder, table, values, scale):
    pictures = read_table(table(f"image,mos\nimg00.jpg,{values[0]}\nimg01.jpg,{values[1]}\n"), folder)
    assert pictures.scale == scale
    assert "assumed; --scale LOW HIGH sets it" in pictures.notes[0]


def test_scales_that_do_not_fit(folder, table):
    good = table("image,mos\nimg00.jpg,1\nimg01.jpg,3\n")
    assert "line 3: the score 3 is outside the scale from 0 to 1" in refusal(good, folder, scale=(0, 1))
    assert "lower to a higher" in refusal(good, folder, scale=(5, 1))
    assert read_table(good, folder, scale=(0, 4)).mos01.tolist() == [0.25, 0.75]


def test_constant_and_few_opinions_are_refused(folder, table):
    same = table("image,mos\nimg00.jpg,3\nimg01.jpg,3\n")
    assert "All 2 scores in scores.csv are 3" in refusal(same, folder)
    assert len(read_table(same, folder, allow_constant=True)) == 2
    assert "rates 2 images that can be used; at least 5" in refusal(same, folder, minimum=5)


def test_dmos_is_turned_and_the_option_that_changes_it_is_named(folder, table):
    path = table("image,DMOS\nimg00.jpg,0\nimg01.jpg,80\n")
    pictures = read_table(path, folder, scale=(0, 100))
    assert pictures.lower_is_better
    assert pictures.mos.tolist() == [100.0, 20.0]
    assert pictures.mos01.tolist() == [1.0, 0.2]
    assert "--no-lower-is-better" in pictures.notes[1]
    pictures = read_table(path, folder, lower_is_better=False)
    assert pictures.mos.tolist() == [0.0, 80.0]
    assert not any("lower" in note for note in pictures.notes)
    plain = table("image,mos\nimg00.jpg,0\nimg01.jpg,80\n")
    assert read_table(plain, folder, scale=(0, 100), lower_is_better=True).mos.tolist() == [100.0, 20.0]


def test_the_dmos_of_kadid_is_higher_for_better_pictures(tmp_path, table):
    names = [f"I01_01_{number:02d}.jpg" for number in range(12)]
    folder = images(tmp_path / "im", "I01.jpg", *names)
    mos = [4.8 - 0.3 * number for number in range(12)]
    rows = "".join(f"{name},I01.jpg,{score:.1f},0.5\n" for name, score in zip(names, mos))
    pictures = read_table(table("dist_img,ref_img,dmos,var\n" + rows, name="dmos.csv"), folder)
    np.testing.assert_allclose(pictures.mos, mos)
    assert pictures.names == tuple(names)
    assert not pictures.lower_is_better
    assert "--lower-is-better" in pictures.notes[1]


def test_known_datasets_know_their_direction_and_scale(folder, table):
    dmos = table("image,dmos\nimg00.jpg,0.1\nimg01.jpg,0.7\n")
    pictures = read_table(dmos, folder, dataset="csiq")
    assert (pictures.lower_is_better, pictures.scale, pictures.dataset) == (True, (0.0, 1.0), "csiq")
    assert read_table(dmos, folder, dataset="kadid-10k").lower_is_better is False
    assert "publishes scores where higher is better" in refusal(dmos, folder, dataset="koniq-10k")
    mos = table("image,mos\nimg00.jpg,0.1\nimg01.jpg,0.7\n")
    assert "--no-lower-is-better" in refusal(mos, folder, dataset="csiq")
    assert read_table(mos, folder, dataset="csiq", lower_is_better=False).mos.tolist() == [0.1, 0.7]
    assert read_table(mos, folder, dataset="spaq").scale == (0.0, 100.0)


def test_opinions_against_the_scores_are_a_question():
    scores = np.linspace(0, 1, 20)
    assert direction_question(scores, scores) is None
    question = direction_question(1 - scores, scores)
    assert "SRCC -1.00 on 20 images" in question
    assert "assumed that higher is better" in question
    assert question.endswith("give --lower-is-better.")
    assert direction_question(1 - scores, scores, lower_is_better=True).endswith("give --no-lower-is-better.")
    assert direction_question([1, 0, 1], [0, 1, 0]) is None


# --- rated pictures ---------------------------------------------------------------------------------------------------


def test_rated_pictures_hold_plain_numbers():
    from methods.data import RatedPicture

    picture = RatedPicture("a", "a.png", np.float64(3.5), np.float32(0.5), fold=np.int64(2))
    assert (repr(picture.mos), repr(picture.std), repr(picture.fold)) == ("3.5", "0.5", "2")
    assert picture.path == Path("a.png")


def test_rated_pictures_are_a_sequence_on_one_scale(tmp_path):
    from methods.data import RatedPicture

    pictures = RatedPictures([RatedPicture("a", tmp_path / "a", 1), RatedPicture("b", None, 5)], 1, 5, "mine")
    assert (len(pictures), pictures[1].name, [one.name for one in pictures]) == (2, "b", ["a", "b"])
    assert pictures.mos01.tolist() == [0.0, 1.0]
    assert pictures.rescale(3) == 0.5
    assert pictures.subset([1]).names == ("b",)
    assert pictures.digest != pictures.subset([0]).digest
    with pytest.raises(InputError, match="'b' has no file"):
        _ = pictures.paths
    with pytest.raises(InputError, match="opinion 6 is outside the scale 1 to 5"):
        pictures.rescale(6)
    with pytest.raises(InputError, match="opinion 7 of 'c' is outside"):
        RatedPictures([RatedPicture("c", None, 7)], 1, 5)
    with pytest.raises(InputError, match="rated twice"):
        RatedPictures([RatedPicture("c", None, 2)] * 2, 1, 5)
    with pytest.raises(InputError, match="same file"):
        RatedPictures([RatedPicture("c", "x", 2), RatedPicture("d", "x", 2)], 1, 5)
    with pytest.raises(InputError, match="lower to a higher"):
        RatedPictures([], 5, 1)


@pytest.mark.parametrize(("ends", "mos", "share"), [
    ((1, 5), 1, 0), ((1, 5), 5, 1), ((1, 5), 3, 0.5), ((0, 100), 75, 0.75), ((-10, 10), 0, 0.5),
    ((0, 1), 1 + 1e-12, 1)])
def test_any_scale(ends, mos, share):
    assert RatedPictures((), *ends).rescale(mos) == share


@pytest.mark.parametrize("mos", [0.9, 5.1, float("nan"), float("inf")])
def test_an_opinion_off_the_scale_is_refused(mos):
    with pytest.raises(InputError, match="outside the scale 1 to 5"):
        RatedPictures((), 1, 5).rescale(mos)


@pytest.mark.parametrize("ends", [(1, 1), (5, 1), (0, float("inf"))])
def test_a_scale_has_two_ends(ends):
    with pytest.raises(InputError, match="from a lower to a higher"):
        RatedPictures((), *ends)


def test_the_tables_of_real_data_read(shared_data):
    pictures = read_table(shared_data / "live-challenge-dev" / "scores.csv",
                          shared_data / "live-challenge-dev" / "images")
    with (shared_data / "live-challenge-dev" / "scores.csv").open(newline="") as file:
        rows = {row["image"]: float(row["mos"]) for row in csv.DictReader(file)}
    assert opinions(pictures) == rows
    assert pictures.scale == (0.0, 100.0)
    for path in (shared_data / "mos-tables").glob("*.csv"):
        if "level" not in path.name:
            assert len(read_table(path, None)) > 1000


def test_the_sentences_name_no_python(folder, table):
    assert not re.search(r"Error|Exception|Traceback|None\b(?! of)", refusal(table("image,mos\nx.jpg,1\n"), folder))
