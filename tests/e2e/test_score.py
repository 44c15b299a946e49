"""What a visitor does first: add a photo, read its score, and see why."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from methods.levels import FIVE_LEVELS
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
    dial = page.locator(".score-room .dial-score strong")
    expect(dial).to_be_visible()
    return float(dial.inner_text())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_photo_is_scored(open_page, screenshot, photo, theme):
    page = open_page(theme)
    upload(page, photo)
    page.click("#score-run")
    score = read_score(page)
    assert 0 <= score <= 1
    word = page.locator(".score-room .dial-word").inner_text().lower()
    assert word in {FIVE_LEVELS.word_for(max(score - 0.0005, 0)), FIVE_LEVELS.word_for(min(score + 0.0005, 1))}
    assert float(page.locator(".score-room .dial-mos strong").inner_text()) == pytest.approx(1 + 4 * score, abs=0.006)
    expect(page.locator(".score-room .block.result-explanation")).to_contain_text(re.compile("probability"))
    expect(page.locator(".score-room .block.result-notes")).to_contain_text("90 degrees")
    expect(page.locator(".score-room .block.result-cost")).to_contain_text(re.compile(r"\d\.\d\d s · 1 LMM pass"))
    expect_figure_without_background(page, ".score-room .block.evidence")
    screenshot(page, f"score-desktop-{theme}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_sideways_scrolling(open_page, screenshot, photo, theme):
    page = open_page(theme, "phone")
    upload(page, photo)
    page.click("#score-run")
    read_score(page)
    expect(page.locator(".score-room .block.result-dial")).to_be_in_viewport()
    expect(page.locator(".score-room .block.evidence .js-plotly-plot")).to_be_visible()
    expect_no_sideways_scrolling(page)
    screenshot(page, f"score-phone-{theme}", full_page=True)


def test_an_example_is_scored_with_one_click(open_page):
    page = open_page()
    page.locator(".examples .gallery-item").nth(1).click()
    read_score(page)
    expect(page.locator("#score-picture img")).to_be_visible()


def test_a_new_photo_clears_the_old_one_s_score(open_page, photo):
    page = open_page()
    page.locator(".examples .gallery-item").first.click()
    read_score(page)
    page.locator("#score-picture button[aria-label='Clear'], #score-picture button[aria-label='Remove Image']").click()
    expect(page.locator(".score-room .dial-empty")).to_be_visible()
    expect(page.locator(".score-room .block.evidence .js-plotly-plot")).to_have_count(0)
    upload(page, photo)
    expect(page.locator(".score-room .dial-empty")).to_be_visible()


def test_options_change_what_is_asked(open_page):
    page = open_page()
    page.locator(".options:visible").get_by_label("five-level").check()
    page.locator(".examples .gallery-item").first.click()
    read_score(page)
    expect(page.locator(".score-room .block.evidence")).to_contain_text("excellent")


def test_a_file_that_is_no_picture_is_one_sentence(open_page, tmp_path):
    page = open_page()
    path = tmp_path / "page.jpg"
    path.write_bytes(b"<html>not a photo</html>")
    upload(page, path)
    page.click("#score-run")
    assert "web page" in sentence(page)


def test_no_photo_is_one_sentence(open_page):
    page = open_page()
    page.click("#score-run")
    assert sentence(page) == "Add a photo first."


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_tab_opens(open_page, screenshot, theme):
    page = open_page(theme)
    names = page.locator(".rooms [role=tab]").all_inner_texts()
    assert names[0] == "Score"
    assert names[-1] == "About"
    for name in names:
        open_tab(page, name)
        expect(page.locator(".rooms [role=tab][aria-selected=true]").first).to_have_text(name)
        screenshot(page, f"tab-{re.sub('[^a-z0-9]+', '-', name.lower())}-{theme}")


def test_the_methods_and_models_that_can_be_chosen_are_named(open_page):
    page = open_page()
    page.locator("#score-method input").click()
    expect(page.get_by_role("option", name="Q-Bench")).to_be_visible()
