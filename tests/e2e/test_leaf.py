"""The LEAF tab in a browser: an instant score with its map and standing, and a student of the visitor's own."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from methods.leaf.student import Student
from tests.e2e.steps import expect_no_sideways_scrolling, open_tab, sentence
from tests.rated_pictures import draw
from ui.components import EXAMPLES

COFFEE = EXAMPLES / "coffee.jpg"
HEADER = "image,mos\n"


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """24 pictures of three scenes in eight qualities, and their ratings from 1 to 5."""
    return {path: 1 + 4 * score for path, score in draw(tmp_path_factory.mktemp("rated")).items()}


def open_leaf(page):
    open_tab(page, "LEAF")
    expect(page.locator("#leaf-run")).to_be_visible()


def add_photo(page):
    page.set_input_files("#leaf-picture input[type=file]", COFFEE)
    expect(page.locator("#leaf-picture img")).to_be_visible()


def score(page, scale: str = "0 to 100") -> float:
    """The score on the dial once a student with ratings on that scale has answered."""
    page.click("#leaf-run")
    return shown_score(page, scale)


def shown_score(page, scale: str) -> float:
    expect(page.locator(".block.result-explanation:visible")).to_contain_text(f"scale from {scale}")
    dial = page.locator(".dial[data-score]:visible")
    expect(dial).to_be_visible()
    return float(dial.get_attribute("data-score"))


def open_calibration(page):
    page.locator("#leaf-calibrate button.label-wrap").click()
    expect(page.locator("#leaf-make")).to_be_visible()


def add_rated(page, pictures):
    page.set_input_files("#leaf-photos input[type=file]", list(pictures))
    expect(page.locator("#leaf-photos a")).to_have_count(len(pictures))


def give_table(page, text: str, name: str = "ratings.csv"):
    if page.locator("#leaf-table a").count():
        page.locator("#leaf-table button[aria-label='Clear']").first.click()
        expect(page.locator("#leaf-table a")).to_have_count(0)
    page.set_input_files("#leaf-table input[type=file]",
                         {"name": name, "mimeType": "text/csv", "buffer": text.encode("utf-8")})
    expect(page.locator("#leaf-table a")).to_have_count(1)
    page.click("#leaf-make")


@pytest.mark.parametrize(("theme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_a_photo_gets_score_standing_and_map(open_page, screenshot, theme, size):
    page = open_page(theme, size)
    open_leaf(page)
    add_photo(page)
    value = score(page)
    student = Student.load()
    assert value == pytest.approx(student.predict([COFFEE])[0], abs=0.002)
    standing = page.locator("#leaf-standing")
    expect(standing).to_contain_text(re.compile(r"Better than \d+ % of 399 camera photos of the LIVE In the Wild"))
    share = int(re.search(r"than (\d+) %", standing.inner_text())[1])
    assert share == pytest.approx(student.percentile(value), abs=2)
    quality_map = page.locator("#leaf-map")
    expect(quality_map.locator("svg image")).to_be_visible()
    worst, best = (float(quality_map.locator(f".map-{which} text").text_content()) for which in ("worst", "best"))
    local = student.to_mos(student.local_scores(COFFEE))
    assert (worst, best) == pytest.approx((local.min(), local.max()), abs=0.2)
    for said in (f"{worst:g} worst part", f"{best:g} best part", "on 0 to 100"):
        expect(quality_map).to_contain_text(said)
    expect_no_sideways_scrolling(page)
    screenshot(page, f"leaf-{size}-{theme}", full_page=True)


def test_a_student_of_ones_own_is_measured_used_and_downloaded(open_page, screenshot, rated, tmp_path):
    page = open_page()
    open_leaf(page)
    page.get_by_label("Mine", exact=True).check()
    add_photo(page)
    page.click("#leaf-run")
    assert sentence(page) == "Calibrate your student first."
    open_calibration(page)
    page.click("#leaf-make")
    assert sentence(page) == "Add rated photos first."
    page.get_by_label("The one that ships").check()
    shipped = score(page)
    add_rated(page, rated)
    # What can be read in one way only is read and said: semicolons, decimal commas, Windows paths, a picture without a
    # rating and one without a file.
    names = [path.name for path in rated]
    lines = [f"C:\\photos\\{name};{rating:.3f}".replace(".", ",").replace(",png", ".png")
             for name, rating in zip(names[:-1], rated.values())]
    lines += [f"{names[-1]};NaN", "never-uploaded.png;3,5"]
    give_table(page, "image;mos\n" + "\n".join(lines) + "\n")
    status = page.locator("#leaf-status")
    expect(status).to_contain_text("Calibrated to 23 ratings")
    for told in (r"SRCC -?[01]\.\d{3} \[", "never-uploaded.png", "1 row without a score",
                 r"on a scale from 1 to 5 \(assumed"):
        expect(status).to_contain_text(re.compile(told))
    expect(page.locator("#leaf-fit .js-plotly-plot")).to_be_visible()

    # The photo on the page is scored again by the new student, which is also the one that is downloaded.
    expect(page.get_by_label("Mine", exact=True)).to_be_checked()
    own = shown_score(page, "1 to 5")
    expect(page.locator("#leaf-standing")).to_contain_text("of the 23 photos you rated")
    with page.expect_download() as download:
        page.locator("#leaf-keep").click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    archive.extractall(tmp_path / "student")
    kept = Student.load(tmp_path / "student")
    assert kept.scale == (1, 5)
    assert json.loads(archive.read("card.json"))["calibrated"]["ratings"] == 23
    assert own == pytest.approx(kept.predict([COFFEE])[0], abs=0.002)
    screenshot(page, "leaf-calibrated-light", full_page=True)

    page.get_by_label("The one that ships").check()
    assert score(page) == shipped


def test_wrong_tables_are_a_sentence_each_and_cost_nothing(open_page, screenshot, rated):
    page = open_page("dark")
    open_leaf(page)
    open_calibration(page)
    add_rated(page, rated)
    names = [path.name for path in rated]
    student = Student.load()
    # Opposite to what the student thinks: taken as the table says, with a word of warning.
    against = "".join(f"{name},{100 * (1 - value):.2f}\n" for name, value in zip(names, student.predict(list(rated))))
    status = page.locator("#leaf-status")
    give_table(page, HEADER + against)
    expect(status).to_contain_text("It was assumed that higher is better in the table; is lower, as with DMOS, better?")
    give_table(page, "image,dmos\n" + against)
    expect(status).to_contain_text("it is assumed that lower is better")
    expect(status).to_contain_text("higher is better")
    told = status.inner_text()

    for table, said in (
        (HEADER + "no.png,1\nnone.png,2\n", "None of the 2 names"),
        (HEADER + "".join(f"{name},NaN\n" for name in names), "holds no score"),
        (HEADER + "".join(f"{name},3\n" for name in names), "All 24 scores"),
        (HEADER + "".join(f"{name},{rating:.2f}\n" for name, rating in list(zip(names, rated.values()))[:3]),
         "rates 3 images"),
        ("\n".join(names), "one column only"),
        ("", "empty"),
    ):
        give_table(page, table)
        assert said in sentence(page)
        assert status.inner_text() == told, "a wrong table took away what the visitor had"
        assert status.locator(".error").count() == 0
        expect(page.locator("#leaf-photos a")).to_have_count(24)
    screenshot(page, "leaf-refused-dark", full_page=True)
    expect(page.locator("#leaf-keep")).to_be_visible()
    expect(page.get_by_label("Mine", exact=True)).to_be_checked()
    add_photo(page)
    score(page)
    expect(page.locator("#leaf-standing")).to_contain_text("of the 24 photos you rated")
