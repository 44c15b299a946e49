"""What a visitor does first: add a photo, read its score, and see why."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from methods.base import METHODS
from methods.levels import FIVE_LEVELS
from tests.e2e.conftest import PATIENCE
from tests.e2e.steps import (
    expect_figure_without_background,
    expect_no_sideways_scrolling,
    open_tab,
    sentence,
)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo-like JPEG that lies on its side by EXIF, as phones write them."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[0:480, 0:640] / 480
    waves = np.stack([np.sin(9 * columns + 3 * rows), np.cos(7 * rows), np.sin(5 * rows * columns)], axis=-1)
    pixels = (waves * 90 + 128 + rng.normal(scale=6, size=waves.shape)).clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path_factory.mktemp("photo") / "phone.jpg"
    Image.fromarray(pixels).save(path, quality=90, exif=exif)
    return path


def upload(page, path):
    page.set_input_files("#score-picture input[type=file]", path)
    expect(page.locator("#score-picture img")).to_be_visible()


def read_score(page) -> float:
    dial = page.locator(".score-room .dial[data-score]")
    expect(dial).to_be_visible()
    return float(dial.get_attribute("data-score"))


def choose(page, method):
    page.locator("#score-method input").click()
    page.get_by_role("option", name=method).click()
    expect(page.locator("#score-model")).to_be_visible()


def walk(page, screenshot, look: str) -> None:
    """Through all tabs and back to the first."""
    names = page.locator(".rooms [role=tab]").all_inner_texts()
    assert names[0] == "Score"
    assert names[-1] == "About"
    for name in names:
        open_tab(page, name)
        screenshot(page, f"tab-{re.sub('[^a-z0-9]+', '-', name.lower())}-{look}")
    open_tab(page, "Score")


COUNT_FRAMES = """
  const request = window.requestAnimationFrame;
  window.frames_asked = 0;
  window.requestAnimationFrame = (callback) => { frames_asked++; return request.call(window, callback); };"""


def expect_rest(page):
    """Half a second in which the page asks for no frame."""
    page.wait_for_function("() => { const asked = frames_asked; frames_asked = 0; return asked === 0; }", polling=500)


def test_every_tab_opens_and_a_photo_is_scored(open_page, screenshot, photo):
    page = open_page("light", before=lambda page: page.add_init_script(COUNT_FRAMES))
    walk(page, screenshot, "light")
    expect_rest(page)
    upload(page, photo)
    page.click("#score-run")
    assert 0 <= read_score(page) <= 1
    opinion = float(page.locator(".score-room .dial-score strong").inner_text())
    low, high = (float(text) for text in page.locator(".score-room .dial-mos strong").all_inner_texts())
    assert 0 <= low <= opinion <= high <= 100
    word = page.locator(".score-room .dial-word").inner_text().lower()
    nearest = (max(opinion - 0.5, 0) / 100, min(opinion + 0.5, 100) / 100)
    assert word in {FIVE_LEVELS.word_for(value) for value in nearest}
    expect(page.locator(".score-room .neighbours img")).to_have_count(2)
    expect(page.locator(".score-room .badge")).to_contain_text(re.compile(r"SRCC 0\.\d\d \[.*LIVE Challenge"))
    expect(page.locator(".score-room .block.result-explanation")).to_contain_text("expects people to rate")
    expect(page.locator(".score-room .block.result-notes")).to_contain_text("90 degrees")
    expect(page.locator(".score-room .block.result-cost")).to_contain_text(re.compile(r"\d\.\d\d s · raw score 0"))
    screenshot(page, "score-desktop-light")


def test_a_phone_shows_all_of_it_without_sideways_scrolling(open_page, screenshot, photo):
    page = open_page("dark", "phone")
    walk(page, screenshot, "dark")
    upload(page, photo)
    page.click("#score-run")
    read_score(page)
    expect(page.locator(".score-room .block.result-dial")).to_be_in_viewport()
    page.evaluate("window.scrollTo(0, 0)")
    for place in ("#score-picture img", "#score-all", ".score-room .dial svg"):
        box = page.locator(place).bounding_box()
        assert box["y"] + box["height"] <= 844, place
    expect_no_sideways_scrolling(page)
    screenshot(page, "score-phone-dark", full_page=True)
    dial = page.locator(".score-room .dial[data-score]")
    before = dial.get_attribute("data-score")
    page.locator(".examples:visible .gallery-item").nth(1).click()
    expect(dial).not_to_have_attribute("data-score", before)
    expect(dial.locator("svg").first).to_be_in_viewport(ratio=0.9)


def test_from_an_empty_page_to_a_meaning_to_all_methods_and_through_the_tabs(open_page):
    page = open_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator(".examples:visible .gallery-item").nth(1).click()
    read_score(page)
    expect(page.locator("#score-picture img")).to_be_visible()
    expect(page.locator(".score-room .dial-known")).to_be_visible()
    page.click("#score-all")
    rows = page.locator(".together tbody tr")
    expect(rows).to_have_count(len(METHODS))
    expect(page.locator(".together tbody tr", has_text="…")).to_have_count(0, timeout=4 * PATIENCE)
    assert {row.get_attribute("data-method") for row in rows.all()} == set(METHODS)
    expect(page.locator(".score-room .dial-known")).to_be_visible()

    for name, title in (("iqarag", "IQARAG"), ("llm-iqa", "LLM-IQA"), ("visualquality-r1", "VisualQuality-R1"),
                        ("leaf", "LEAF"), ("q-debias", "Q-Debias")):
        open_tab(page, title)
        expect(page.locator(f"#{name}-picture img[src*='coffee-dark-and-noisy']")).to_be_visible()
        expect(page.locator(".dial-known[data-score]:visible")).to_be_visible()  # scored without a click
        expect(page.locator(".verdict .badge:visible")).to_be_visible()
        place = f"#{name}-where" if name != "leaf" else "#leaf-map a[download]"
        expect(page.locator(place)).to_be_visible()
        box = page.locator(f"#{name}-run").bounding_box()
        assert box["y"] + page.evaluate("window.scrollY") + box["height"] < 900, name
    page.click("#q-debias-where")
    expect(page.locator("#q-debias-map img")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#q-debias-map").get_by_label("Download").click()
    with Image.open(download.value.path()) as kept:
        assert kept.format == "PNG"


def test_no_photo_is_a_sentence_options_change_what_is_asked_and_a_new_photo_clears_the_score(open_page, photo,
                                                                                                tmp_path):
    page = open_page()
    page.click("#score-run")
    assert sentence(page) == "Add a photo first."
    path = tmp_path / "page.jpg"
    path.write_bytes(b"<html>not a photo</html>")
    page.set_input_files("#score-picture input[type=file]", path)
    expect(page.locator("#score-picture .cannot-be-drawn")).to_be_visible()
    expect(page.locator("#score-picture img")).to_be_hidden()  # the browser's sign for a broken picture
    page.click("#score-run")
    assert "web page" in sentence(page)
    page.wait_for_function("spoken.at(-1)?.includes('web page')")  # and it is read out
    expect(page.get_by_role("alert")).to_be_empty()
    choose(page, "Q-Bench")
    page.locator(".options:visible").get_by_label("five-level").check()
    page.locator(".examples:visible .gallery-item").first.click()
    read_score(page)
    expect_figure_without_background(page, ".score-room .block.evidence")
    expect(page.locator(".score-room .block.evidence")).to_contain_text("excellent")
    page.locator("#score-picture button[aria-label='Clear'], #score-picture button[aria-label='Remove Image']").click()
    expect(page.locator(".score-room figure.dial-empty")).to_be_visible()
    upload(page, photo)
    expect(page.locator(".score-room figure.dial-empty")).to_be_visible()


def test_an_error_leaves_the_last_result_in_sight(open_page):
    page = open_page()
    open_tab(page, "IQARAG")
    page.locator(".examples:visible .gallery-item").first.click()
    expect(page.locator(".dial[data-score]:visible")).to_be_visible()
    page.get_by_label("My own").check()
    page.click("#iqarag-run")
    assert "Build your reference set first" in sentence(page)
    expect(page.locator(".dial[data-score]:visible")).to_be_visible()
    expect(page.locator("[data-testid=status-tracker]:visible .error")).to_have_count(0)
