"""Every dataset layout in miniature, made as its authors distribute it: names, scores, direction, range, splits."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from methods.data import LAYOUTS, DatasetError, detect, kadid_part, read_dataset


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, "PNG" if path.suffix == ".png" else "BMP" if path.suffix == ".bmp" else "JPEG")


def workbook(path: Path, sheets: dict[str, list[list]]) -> None:
    """The smallest xlsx that a spreadsheet program opens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cell(column: int, row: int, value) -> str:
        at = f"{chr(65 + column)}{row}"
        if value is None:
            return ""
        if isinstance(value, str):
            return f'<c r="{at}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f'<c r="{at}"><v>{value}</v></c>'

    with zipfile.ZipFile(path, "w") as book:
        listed = "".join(f'<Override PartName="/xl/worksheets/s{n}.xml" ContentType="{kind}.worksheet+xml"/>'
                         for n in range(len(sheets)))
        book.writestr("[Content_Types].xml",
                      f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.'
                      f'openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" '
                      f'ContentType="{kind}.sheet.main+xml"/>{listed}</Types>')
        book.writestr("_rels/.rels", f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
                                     f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>')
        book.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>' + "".join(
            f'<sheet name="{escape(name)}" sheetId="{n + 1}" r:id="r{n}"/>' for n, name in enumerate(sheets))
            + "</sheets></workbook>")
        book.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">' + "".join(
            f'<Relationship Id="r{n}" Type="{relations}/worksheet" Target="worksheets/s{n}.xml"/>'
            for n in range(len(sheets))) + "</Relationships>")
        for n, rows in enumerate(sheets.values()):
            body = "".join(f'<row r="{r}">{"".join(cell(c, r, v) for c, v in enumerate(row))}</row>'
                           for r, row in enumerate(rows, 1))
            book.writestr(f"xl/worksheets/s{n}.xml",
                          f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>')


def koniq(root: Path) -> None:
    (root / "koniq10k_scores_and_distributions.csv").write_text(
        '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"\n'
        '"10004473376.jpg",0,0,25,73,7,105,3.828,0.527,73.0\n"10007357496.jpg",0,3,45,47,1,96,1.0,0.6,1.1\n')
    for size in ("512x384", "1024x768"):
        for name in ("10004473376", "10007357496"):
            picture(root / size / f"{name}.jpg")


def kadid(root: Path) -> None:
    (root / "kadid10k").mkdir()
    (root / "kadid10k" / "dmos.csv").write_text(
        "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\nI02_01_05.png,I02.png,1.0,0.1\n")
    for name in ("I01", "I01_01_01", "I02", "I02_01_05"):
        picture(root / "kadid10k" / "images" / f"{name}.png")


def spaq(root: Path) -> None:
    workbook(root / "Annotations" / "MOS and Image attribute scores.xlsx", {"Sheet1": [
        ["Image name", "MOS", "Brightness", "Colorfulness"], ["00001.jpg", 48.86, 1.0, 2.0], ["00002.jpg", 100, 3, 4]]})
    workbook(root / "Annotations" / "EXIF_tags.xlsx", {"Sheet1": [["Image name", "Time"], ["00001.jpg", 1.0]]})
    for name in ("00001", "00002"):
        picture(root / "TestImage" / f"{name}.jpg")


def live_challenge(root: Path) -> None:
    data, names = root / "ChallengeDB_release" / "Data", ["t1.bmp", "t2.bmp", "3.bmp", "10.bmp"]
    data.mkdir(parents=True)
    cells = np.empty((4, 1), dtype=object)
    cells[:, 0] = names
    savemat(data / "AllImages_release.mat", {"AllImages_release": cells})
    savemat(data / "AllMOS_release.mat", {"AllMOS_release": np.array([[50.0, 60.0, 25.0, 80.0]])})
    savemat(data / "AllStdDev_release.mat", {"AllStdDev_release": np.array([[1.0, 2.0, 3.0, 4.0]])})
    for name in names:
        inside = root / "ChallengeDB_release" / "Images"
        picture(inside / "trainingImages" / name if name.startswith("t") else inside / name)


def agiqa(root: Path) -> None:
    (root / "data.csv").write_text(
        "name,prompt,adj1,adj2,style,mos_quality,std_quality,mos_align,std_align\n"
        'AttnGAN_normal_000.jpg,"a cat, sitting",,,,1.25,0.2,2.5,0.4\nglide_low_001.jpg,dog,,,,5,0.1,3,0.2\n')
    for name in ("AttnGAN_normal_000", "glide_low_001"):
        picture(root / "images" / f"{name}.jpg")


def siqad(root: Path) -> None:
    """Two sources instead of twenty."""
    dmos = np.full((49, 2), 50.0)
    dmos[0, 0], dmos[2 * 7 + 6, 1] = 25, 80
    savemat(root / "DMOS_SIQAD.mat", {"DMOS": dmos})
    for source in (1, 2):
        picture(root / "references" / f"cim{source}.bmp")
        for kind in range(1, 8):
            for level in range(1, 8):
                picture(root / "DistortedImages" / f"cim{source}_{kind}_{level}.bmp")


def bid(root: Path) -> None:
    workbook(root / "DatabaseGrades.xlsx", {"Plan1": [
        ["Image Number", "Average Subjective Grade"], [1, 3.75], [585, 0.5], [None, None], ["Notes", "x"]]})
    for number in (1, 585):
        picture(root / "ImageDatabase" / f"DatabaseImage{number:04d}.JPG")


def tid2013(root: Path) -> None:
    (root / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\n4.5 i02_24_5.bmp\n")
    (root / "mos_std.txt").write_text("0.13013\n0.1545\n")
    # The archive itself mixes upper and lower case.
    for name in ("i01_01_1.bmp", "I02_24_5.BMP"):
        picture(root / "distorted_images" / name)
    picture(root / "reference_images" / "I01.BMP")


def csiq(root: Path) -> None:
    header = [None, None, None, "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
    workbook(root / "csiq.DMOS.xlsx", {
        "overview": [["CSIQ"]],
        "all_by_image": [["CSIQ DMOS"], [], [], header,
                         [None, None, None, 1600, 1, "noise", 1, 0.02, 0.25],
                         [None, None, None, "trolley", 4, "jpeg 2000", 5, 0.02, 1.0]]})
    picture(root / "dst_imgs" / "awgn" / "1600.AWGN.1.png")
    picture(root / "dst_imgs" / "jpeg2000" / "trolley.jpeg2000.5.png")


def biq2021(root: Path) -> None:
    """The training table has two empty columns; one name ends in .JPG there and in .jpg on the disk."""
    (root / "Train (Images and MOS).csv").write_text("Image Name,MOS,,\nss03 (3753).jpg,0.8471,,\nss01 (4).JPG,0,,\n")
    (root / "Test (Images and MOS).csv").write_text("Image Name,MOS\nss02 (7).jpg,0.7321\n")
    for name in ("ss03 (3753).jpg", "ss01 (4).jpg", "ss02 (7).jpg"):
        picture(root / "Images" / name)


def flive(root: Path) -> None:
    (root / "labels_image.csv").write_text(
        "name,mos,is_valid\nvoc_emotic_ava/a.jpg,75,False\nblur_dataset/a.jpg,50,True\n")
    for name in ("voc_emotic_ava", "blur_dataset"):
        picture(root / "database" / name / "a.jpg")


EXPECTED = {
    # slug: (maker, names, scores, MOS in [0, 1])
    "koniq-10k": (koniq, ["10004473376.jpg", "10007357496.jpg"], [3.828, 1.0], [0.707, 0.0]),
    "kadid-10k": (kadid, ["I01_01_01.png", "I02_01_05.png"], [4.57, 1.0], [0.8925, 0.0]),
    "spaq": (spaq, ["00001.jpg", "00002.jpg"], [48.86, 100], [0.4886, 1.0]),
    "live-challenge": (live_challenge, ["3.bmp", "10.bmp"], [25, 80], [0.25, 0.8]),
    "agiqa-3k": (agiqa, ["AttnGAN_normal_000.jpg", "glide_low_001.jpg"], [1.25, 5], [0.25, 1.0]),
    "siqad": (siqad, [f"cim{source}_{kind}_{level}.bmp" for source in (1, 2) for kind in range(1, 8)
                      for level in range(1, 8)],
              [25, *[50] * 48, *[50] * 20, 80, *[50] * 28], [0.75, *[0.5] * 48, *[0.5] * 20, 0.2, *[0.5] * 28]),
    "bid": (bid, ["DatabaseImage0001.JPG", "DatabaseImage0585.JPG"], [3.75, 0.5], [0.75, 0.1]),
    "tid2013": (tid2013, ["I01_01_1.bmp", "i02_24_5.bmp"], [5.51429, 4.5], [0.6127, 0.5]),
    "csiq": (csiq, ["1600.AWGN.1.png", "trolley.jpeg2000.5.png"], [0.25, 1.0], [0.75, 0.0]),
    "biq2021": (biq2021, ["ss03 (3753).jpg", "ss01 (4).JPG", "ss02 (7).jpg"], [0.8471, 0, 0.7321],
                [0.8471, 0, 0.7321]),
    "flive": (flive, ["voc_emotic_ava/a.jpg", "blur_dataset/a.jpg"], [75, 50], [0.75, 0.5]),
}


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_layout(slug, tmp_path):
    make, names, scores, mos = EXPECTED[slug]
    make(tmp_path)
    rated = read_dataset(slug, tmp_path)
    assert [item.name for item in rated] == names
    published = [rated.low + rated.high - mos if rated.lower_is_better else mos for mos in rated.mos]
    np.testing.assert_allclose(published, scores)
    np.testing.assert_allclose(rated.mos01, mos, atol=1e-4)
    assert all(item.path.is_file() for item in rated)
    assert rated.missing == ()
    assert all(type(picture.mos) is float and type(picture.std) in (float, type(None)) for picture in rated)
    assert detect(tmp_path) == slug


def test_all_ten_are_covered():
    assert set(EXPECTED) == set(LAYOUTS)


def test_koniq_takes_the_large_pictures(tmp_path):
    koniq(tmp_path)
    assert all("1024x768" in item.path.parts for item in read_dataset("koniq-10k", tmp_path))


def test_koniq_rescaled_to_100_with_the_authors_split(tmp_path):
    (tmp_path / "koniq10k_distributions_sets.csv").write_text(
        "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\na.jpg,0,0,1,2,3,6,75.5,0.5,training\nb.jpg,1,0,0,0,0,1,3.9,0.5,test\n")
    for name in "ab":
        picture(tmp_path / "512x384" / f"{name}.jpg")
    rated = read_dataset("koniq-10k", tmp_path)
    np.testing.assert_allclose(rated.mos01, [0.755, 0.039])
    assert [item.split for item in rated] == ["training", "test"]
    assert rated[0].std == 0.5


def test_contents_are_known(tmp_path):
    for make, slug, groups in ((kadid, "kadid-10k", ["I01.png", "I02.png"]), (tid2013, "tid2013", ["I01", "I02"]),
                               (csiq, "csiq", ["1600", "trolley"])):
        (tmp_path / slug).mkdir()
        make(tmp_path / slug)
        assert [item.group for item in read_dataset(slug, tmp_path / slug)] == groups


def test_live_challenge_leaves_the_raters_training_out_and_knows_the_spread(tmp_path):
    live_challenge(tmp_path)
    rated = read_dataset("live-challenge", tmp_path / "ChallengeDB_release")
    assert [item.std for item in rated] == [3.0, 4.0]


def test_flive_tells_equal_names_apart_by_their_folder(tmp_path):
    flive(tmp_path)
    rated = read_dataset("flive", tmp_path)
    assert [item.path.parent.name for item in rated] == ["voc_emotic_ava", "blur_dataset"]
    assert [item.split for item in rated] == ["training", "validation"]


def test_siqad_from_copies_of_it(tmp_path):
    """One column of all scores, or a table of names."""
    siqad(tmp_path)
    expected = read_dataset("siqad", tmp_path)
    assert expected[49 + 20].name == "cim2_3_7.bmp"
    assert expected[49].group == "cim2"
    savemat(tmp_path / "DMOS_SIQAD.mat", {"DMOS": 100 - expected.mos[:, None]})
    assert read_dataset("siqad", tmp_path).pictures == expected.pictures
    savemat(tmp_path / "DMOS_SIQAD.mat", {"DMOS": np.zeros((20, 49))})
    with pytest.raises(DatasetError, match=r"not 49 x 20"):
        read_dataset("siqad", tmp_path)
    (tmp_path / "DMOS_SIQAD.mat").unlink()
    (tmp_path / "DMOS.csv").write_text("image,DMOS\ncim1_1_1,25\ncim2_7_7.bmp,80\n")
    rated = read_dataset("siqad", tmp_path)
    assert [item.name for item in rated] == ["cim1_1_1.bmp", "cim2_7_7.bmp"]
    np.testing.assert_allclose(rated.mos01, [0.75, 0.2])


def test_tid2013_knows_the_spread_where_the_file_fits(tmp_path):
    tid2013(tmp_path)
    assert [item.std for item in read_dataset("tid2013", tmp_path)] == [0.13013, 0.1545]
    (tmp_path / "mos_std.txt").write_text("0.1\n")
    assert [item.std for item in read_dataset("tid2013", tmp_path)] == [None, None]


def test_csiq_from_its_text_file(tmp_path):
    (tmp_path / "csiq_label.txt").write_text("1600.AWGN.1.png 0.062\n")
    picture(tmp_path / "dst_imgs_all" / "1600.AWGN.1.png")
    np.testing.assert_allclose(read_dataset("csiq", tmp_path).mos01, [0.938])


def test_missing_pictures_end_it_unless_they_may_be_missing(tmp_path):
    kadid(tmp_path)
    (tmp_path / "kadid10k" / "images" / "I02_01_05.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of the 2 images of dmos\.csv are not below .*: I02_01_05\.png"):
        read_dataset("kadid-10k", tmp_path)
    rated = read_dataset("kadid-10k", tmp_path, allow_missing=True)
    assert [picture.name for picture in rated.missing] == ["I02_01_05.png"]
    assert rated.present.names == ("I01_01_01.png",)
    assert any("I02_01_05.png" in note for note in rated.notes)


def test_a_picture_that_is_there_twice_is_refused(tmp_path):
    kadid(tmp_path)
    picture(tmp_path / "kadid10k" / "images" / "copy" / "I02_01_05.png")
    with pytest.raises(DatasetError, match=r"I02_01_05\.png is there twice"):
        read_dataset("kadid-10k", tmp_path)


def test_thumbnails_are_no_pictures(tmp_path):
    kadid(tmp_path)
    picture(tmp_path / "kadid10k" / "images" / "@eaDir" / "I02_01_05.png")
    assert len(read_dataset("kadid-10k", tmp_path)) == 2


def test_the_authors_split(tmp_path):
    flive(tmp_path)
    assert read_dataset("flive", tmp_path, "validation").names == ("blur_dataset/a.jpg",)
    with pytest.raises(DatasetError, match="no part 'test'; its parts are training, validation"):
        read_dataset("flive", tmp_path, "test")


def kadid_names() -> list[str]:
    return [f"I{content:02d}_{kind:02d}_{level:02d}.png"
            for content in range(1, 82) for kind in range(1, 26) for level in range(1, 6)]


def test_visualquality_r1_splits_kadid_as_its_authors_published():
    parts = {name: kadid_part(name) for name in kadid_names()}
    assert Counter(parts.values()) == {"training": 6125, "validation": 2000, "test": 2000}
    of: dict[str, set[str]] = {}
    for name, part in parts.items():
        of.setdefault(name[:3], set()).add(part)
    assert all(len(part) == 1 for part in of.values())
    # The first content of each of the three published lists, and the last.
    assert [of[content] for content in ("I01", "I79")] == [{"training"}] * 2
    assert [of[content] for content in ("I07", "I70")] == [{"validation"}] * 2
    assert [of[content] for content in ("I19", "I81")] == [{"test"}] * 2
    assert kadid_part("images/i19_25_05.BMP") == "test"
    strange = ("I01.png", "I00_01_01.png", "I82_01_01.png", "I01_26_01.png", "I01_01_06.png", "i01_01_1.bmp",
               "xI01_01_01")
    assert not any(map(kadid_part, strange))


def test_a_part_of_the_published_split_of_kadid_is_read_by_its_name(tmp_path):
    folder = tmp_path / "kadid10k"
    folder.mkdir()
    names = [name for name in kadid_names() if name.endswith("_01_01.png")]
    (folder / "dmos.csv").write_text("dist_img,ref_img,dmos,var\n" + "".join(
        f"{name},{name[:3]}.png,{1 + index / 20},0.1\n" for index, name in enumerate(names)))
    for name in names:
        picture(folder / "images" / name)
    parts = {part: read_dataset("kadid-10k", tmp_path, f"visualquality-r1-{part}")
             for part in ("training", "validation", "test")}
    assert [len(part) for part in parts.values()] == [49, 16, 16]
    assert parts["test"].names[:3] == ("I19_01_01.png", "I29_01_01.png", "I30_01_01.png")
    assert parts["test"].split == "visualquality-r1-test"
    with pytest.raises(DatasetError, match="no part 'test'; its parts are visualquality-r1-test, visualquality-r1-"):
        read_dataset("kadid-10k", tmp_path, "test")


@pytest.mark.parametrize("slug", list(EXPECTED))
def test_what_is_written_of_a_dataset_reads_back(slug, tmp_path):
    """Numbers reach predictions.csv as plain decimals, whatever the reader of a layout works with."""
    from leaderboard.runs.evaluation import load_run
    from leaderboard.runs.folder import Prediction, RunFolder

    EXPECTED[slug][0](tmp_path)
    pictures = read_dataset(slug, tmp_path)
    with RunFolder(tmp_path / "run") as folder:
        folder.append(Prediction(picture.name, picture.mos, 0.5, 0.5, 0.1) for picture in pictures)
    rows = load_run(tmp_path / "run")
    assert [(row.image, row.mos) for row in rows] == [(picture.name, picture.mos) for picture in pictures]
    assert "float64" not in (tmp_path / "run" / "predictions.csv").read_text()


@pytest.mark.parametrize(("prepare", "sentence"), [
    (lambda root: None, "holds no dmos.csv"),
    (lambda root: (root / "dmos.csv").write_text("a,b\n1,2\n"), "not the label file"),
    (lambda root: (root / "dmos.csv").write_text("dist_img,ref_img,dmos,var\nx.png,y.png,3,1\n"), "None of the 1"),
])
def test_what_is_no_dataset_is_a_sentence(tmp_path, prepare, sentence):
    prepare(tmp_path)
    with pytest.raises(DatasetError, match=sentence):
        read_dataset("kadid-10k", tmp_path)


def test_unknown_names_and_folders(tmp_path):
    with pytest.raises(DatasetError, match="did you mean 'kadid-10k'"):
        read_dataset("kadid10k", tmp_path)
    with pytest.raises(DatasetError, match="There is no folder"):
        read_dataset("kadid-10k", tmp_path / "nowhere")
    assert detect(tmp_path) is None


def test_biq2021_keeps_its_authors_parts_and_wants_both_tables(tmp_path):
    biq2021(tmp_path)
    test = read_dataset("biq2021", tmp_path, "test")
    assert test.names == ("ss02 (7).jpg",)
    assert read_dataset("biq2021", tmp_path, "training").names == ("ss03 (3753).jpg", "ss01 (4).JPG")
    assert test.notes[0].startswith("Train and Test (Images and MOS).csv of BIQ2021: 1 images")
    (tmp_path / "Test (Images and MOS).csv").unlink()
    with pytest.raises(DatasetError, match=r"Test \(Images and MOS\)\.csv does not lie beside it"):
        read_dataset("biq2021", tmp_path)
