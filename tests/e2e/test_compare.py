"""Comparing, sharing and deleting in a browser; a folder beside another visitor's photo; the API and About tabs."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from concurrent.futures import wait

import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from PIL import Image
from playwright.sync_api import expect

from tests.app_server import fake_lmm
from tests.e2e.access import AXE, faults
from tests.e2e.steps import expect_figure_without_background, expect_no_sideways_scrolling, open_tab
from tests.fake_server import MODEL
from ui.components import EXAMPLES

COFFEE = EXAMPLES / "coffee.jpg"


def compare(page, *photos, methods=("Q-Bench", "VisualQuality-R1", "LEAF")):
    open_tab(page, "Compare")
    page.set_input_files("#compare-pictures input[type=file]", photos)
    expect(page.locator("#compare-pictures a")).to_have_count(len(photos))
    for box in page.locator("#compare-methods label:has(input)").all():
        box.locator("input").set_checked(box.inner_text().strip() in methods)
    page.click("#compare-run")
    expect(page.locator("#compare-share")).to_be_visible()


def numbers(page):
    """What the table says: name -> score as shown."""
    rows = page.locator("#compare-table tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("strong").inner_text() for row in rows}


def field(page, name):
    box = page.locator(f"#{name} textarea, #{name} input").first
    expect(box).to_have_value(re.compile(r"^http.*\?share=[a-z2-7]{26}"))
    return box.input_value()


def test_three_methods_on_one_photo_shared_opened_and_deleted(open_page, screenshot):
    page = open_page()
    compare(page, COFFEE)
    before = numbers(page)
    assert set(before) == {"Q-Bench", "VisualQuality-R1", "LEAF"}
    assert all(0 <= int(opinion) <= 100 for opinion in before.values())
    expect(page.locator("#compare-verdict")).to_contain_text(re.compile("call it|choose"))
    expect(page.locator("#compare-dots .js-plotly-plot")).to_be_visible()
    expect(page.locator("#compare-terms")).to_contain_text("without EXIF")
    expect(page.locator("#compare-link")).not_to_be_visible()
    screenshot(page, "compare-one-photo-light", full_page=True)
    address = page.url
    page.click("#compare-share")
    link, deletion = field(page, "compare-link"), field(page, "compare-delete-link")
    assert page.url == address
    expect(page.locator("#compare-delete-link textarea, #compare-delete-link input").first).to_have_value(
        re.compile(r"#delete=[\w-]{32}$"))
    assert deletion.startswith(link)
    assert faults(page) == []
    path = link[link.index("/?") :]

    # Whoever opens the link reads a report, also on a phone: results first, nothing to fill in.
    reader = page.context.new_page()
    reader.set_viewport_size({"width": 390, "height": 844})
    reader.goto(f"{link}&__theme=dark")
    expect(reader.locator("h1")).to_have_text("Q-Bench, VisualQuality-R1 and LEAF on coffee")
    assert {row.locator("th").inner_text(): row.locator("strong").inner_text()
            for row in reader.locator(".comparison tbody tr").all()} == before
    assert reader.locator(".comparison").bounding_box()["y"] < 400
    expect_no_sideways_scrolling(reader)
    reader.evaluate(AXE_SCRIPT)
    assert reader.evaluate(AXE) == []
    screenshot(reader, "compare-shared-phone-dark", full_page=True)
    reader.close()

    # A link that deletes goes on to the app, with the methods that were shared.
    owner = open_page(path=path + deletion[len(link) :])
    expect(owner.locator("#compare-notice")).to_contain_text("delete link")
    expect(owner.locator("#compare-share")).not_to_be_visible()
    assert numbers(owner) == before
    owner.click("#compare-delete")
    expect(owner.locator("#compare-notice")).to_contain_text("Deleted.")
    assert page.request.get(link).status == 404


def test_several_photos_are_preferred_and_laid_over_each_other(open_page, screenshot):
    page = open_page("dark", "phone")
    open_tab(page, "Compare")
    page.click("#compare-examples")
    expect(page.locator("#compare-pictures a")).to_have_count(3)
    page.click("#compare-run")
    expect(page.locator("#compare-share")).to_be_visible()
    expect(page.locator("#compare-table tbody tr")).to_have_count(3)
    expect(page.locator("#compare-table tbody tr").first).to_contain_text("coffee")
    expect(page.locator("#compare-slider img").first).to_be_visible()
    expect(page.locator("#compare-preferences .js-plotly-plot")).to_be_visible()
    expect(page.locator("#compare-agreement .js-plotly-plot")).to_be_visible()
    expect_figure_without_background(page, "#compare-dots")
    expect_no_sideways_scrolling(page)
    screenshot(page, "compare-photos-phone-dark", full_page=True)
    assert faults(page, themes=("dark",)) == []
    with page.expect_download() as download:
        page.click("#compare-export")
        page.locator("#compare-file a").first.click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_click_while_a_comparison_runs_starts_it_anew(open_page):
    page = open_page(path="/?tab=compare&methods=q-bench")
    page.set_input_files("#compare-pictures input[type=file]", COFFEE)
    expect(page.locator("#compare-pictures a")).to_have_count(1)
    page.locator("#compare-models input").click()
    page.get_by_role("option", name="Fake-VL", exact=True).click()
    fake_lmm().hold(1)
    page.click("#compare-run")
    page.wait_for_function("""() => document.querySelector('#compare-table th')?.innerText""")
    page.locator("#compare-methods").get_by_label("Q-Bench").uncheck()
    page.locator("#compare-methods").get_by_label("LEAF").check()
    with page.expect_request("**/cancel"):
        page.click("#compare-run")
    fake_lmm().released.release()
    expect(page.locator("#compare-share")).to_be_visible()
    assert set(numbers(page)) == {"LEAF"}


def test_a_link_to_nothing_says_so_in_the_app_and_not_in_green(open_page):
    page = open_page(path="/?share=" + "a" * 26 + "&tab=compare")
    expect(page.locator("#compare-notice")).to_contain_text("gone")
    expect(page.locator("#compare-notice")).to_have_class(re.compile(r"\bgone\b"))
    expect(page.locator("#compare-run")).to_be_visible()


@pytest.fixture
def fifty(tmp_path):
    """A zip of fifty pictures that differ, and a broken one."""
    base = np.asarray(Image.open(COFFEE).convert("RGB").resize((240, 160)), dtype=float)
    rng = np.random.default_rng(1)
    path = tmp_path / "fifty.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(50):
            noisy = (base + rng.normal(scale=1.6 * number, size=base.shape)).clip(0, 255).astype(np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(noisy).save(buffer, "PNG")
            archive.writestr(f"photo-{number:02d}.png", buffer.getvalue())
        archive.writestr("photo-99.jpg", b"<html>not a photo</html>")
    return path


def test_a_folder_of_fifty_does_not_keep_another_visitor_waiting(open_page, app_url, fifty, screenshot):
    from gradio_client import Client, handle_file

    from methods import load_method

    visitor = Client(app_url, verbose=False)
    page = open_page()
    open_tab(page, "Compare")
    page.get_by_role("tab", name="A folder").click()
    page.set_input_files("#folder-files input[type=file]", fifty)
    expect(page.locator("#folder-files a")).to_have_count(1)
    for box in page.locator("#folder-methods label:has(input)").all():
        box.locator("input").set_checked(box.inner_text().strip() == "Q-Bench")
    page.locator("#folder-model input").click()
    page.get_by_role("option", name="Fake-VL", exact=True).click()
    expect(page.locator("#folder-model input")).to_have_value("Fake-VL")
    # From the tenth photo on the model answers when it is told to, so the folder is under way however fast the machine
    # is: whoever asks meanwhile has the next turn.
    fake_lmm().hold(42, after=9)
    page.click("#folder-run")
    expect(page.locator("#folder-status")).to_contain_text(re.compile(r"\d+ of 51"))
    job = visitor.submit(handle_file(str(EXAMPLES / "rocket.jpg")), "leaf", None, {}, api_name="/score")
    answered = 0
    while not wait([job.future], timeout=5).done:
        fake_lmm().released.release()
        answered += 1
        assert answered < 41, "the other visitor waits until the folder is done"
    result = job.result()
    expect(page.locator("#folder-status")).to_contain_text(re.compile(r"\b([1-9]|[1-4]\d) of 51"))
    fake_lmm().faults.clear()
    fake_lmm().released.release()
    expect(page.locator("#folder-status")).to_contain_text("51 of 51")
    expect(page.locator("#folder-status")).to_contain_text("1 could not be scored")
    expect(page.locator("#folder-photos tbody tr")).to_have_count(51)
    expect(page.locator("#folder-photos img").first).to_be_visible()
    expect(page.locator("#folder-histogram .main-svg").first).to_be_visible()
    screenshot(page, "compare-folder-light")
    assert faults(page) == []
    expect(page.locator("#folder-sheet-file")).to_be_hidden()
    with page.expect_download() as download:
        page.click("#folder-sheet")
    assert download.value.path().read_bytes().startswith(b"%PDF")
    with page.expect_download() as download:
        page.click("#folder-csv")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"))))
    assert [row["path"] for row in rows] == [*(f"photo-{number:02d}.png" for number in range(50)), "photo-99.jpg"]
    assert rows[-1]["error"].endswith(".")
    student = load_method("leaf")
    assert result["score"] == pytest.approx(student.assess(EXAMPLES / "rocket.jpg").score, abs=1e-6)
    method = load_method("q-bench", lmm=f"server:{fake_lmm().url}#{MODEL}")
    with zipfile.ZipFile(fifty) as archive:
        for number in (0, 24, 49):
            expected = method.assess(archive.read(f"photo-{number:02d}.png")).score
            assert float(rows[number]["score"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("theme", "size"), [("light", "desktop"), ("dark", "phone")])
def test_the_api_names_this_address_and_every_method_is_drawn(open_page, app_url, screenshot, theme, size):
    page = open_page(theme, size)
    open_tab(page, "API")
    expect(page.locator("#api-page .cm-content").first).to_contain_text(app_url)
    screenshot(page, f"api-{size}-{theme}", full_page=True)
    open_tab(page, "About")
    drawings = page.locator(".pipeline svg")
    expect(drawings.first).to_be_visible()
    expect(drawings).to_have_count(page.locator(".about h3:visible").count())
    ink = drawings.first.evaluate("node => getComputedStyle(node).color")
    light = int(re.search(r"\d+", ink)[0]) > 128
    assert light is (theme == "dark")
    expect_no_sideways_scrolling(page)
    screenshot(page, f"about-{size}-{theme}", full_page=True)
