"""The VisualQuality-R1 tab in a browser: reasoning that streams and can be stopped, and photos compared and ranked."""

from __future__ import annotations

import re
from itertools import pairwise

from playwright.sync_api import expect

from tests.app_server import fake_lmm
from tests.e2e.steps import expect_no_sideways_scrolling, open_tab, sentence
from ui.components import EXAMPLES

CAT = EXAMPLES / "cat-blurred.jpg"
FOUR = [EXAMPLES / name for name in ("coffee.jpg", "coffee-dark-and-noisy.jpg", "astronaut.jpg",
                                     "astronaut-compressed.jpg")]

WATCH = """() => {
  const stream = document.querySelector('#visualquality-r1-stream');
  window.written = [];
  new MutationObserver(() => {
    const text = stream.querySelector('.writing')?.innerText;
    if (text && text !== window.written.at(-1)) window.written.push(text);
  }).observe(stream, {subtree: true, childList: true, characterData: true});
}"""
"""Keeps every state of the text, however fast they follow each other."""


def room(page):
    open_tab(page, "VisualQuality-R1")
    expect(page.locator("#visualquality-r1-run")).to_be_visible()
    return page


def upload(page):
    page.set_input_files("#visualquality-r1-picture input[type=file]", CAT)
    expect(page.locator("#visualquality-r1-picture img")).to_be_visible()


def choose(page, model):
    box = page.get_by_role("listbox", name="Model").or_(page.get_by_label("Model")).locator("visible=true").first
    box.click()
    page.get_by_role("option", name=model, exact=True).click()
    expect(box).to_have_value(model)


def scored(page):
    expect(page.locator("#visualquality-r1-dots .js-plotly-plot")).to_be_visible()
    panel = page.locator(".block.result-explanation:visible").first
    expect(panel).to_contain_text(re.compile(r"Asked 6 times, the model gives [1-5]\.\d\d of 5 on average"))


def compare(page, photos):
    page.get_by_role("tab", name="Compare photos").click()
    page.set_input_files("#visualquality-r1-pictures input[type=file]", photos)
    expect(page.locator("#visualquality-r1-pictures a")).to_have_count(len(photos))
    page.click("#visualquality-r1-compare")


def test_the_reasoning_is_written_word_by_word_and_four_photos_are_ranked(open_page, screenshot):
    page = room(open_page("dark", "phone"))
    upload(page)
    page.evaluate(WATCH)
    page.click("#visualquality-r1-run")
    scored(page)
    written = page.evaluate("window.written")
    if written[0] == "…":
        del written[0]
    # A busy page skips states, but hardly all that lie before the last.
    assert len(written) >= 2, written
    assert all(later.startswith(earlier) for earlier, later in pairwise(written)), written
    expect(page.locator("#visualquality-r1-stream .writing")).to_have_count(0)
    page.get_by_text("Every answer").click()
    expect(page.locator("#visualquality-r1-answers strong")).to_have_count(6)
    expect(page.locator("#visualquality-r1-answers")).to_contain_text(written[-1].split(".")[0])
    expect_no_sideways_scrolling(page)
    screenshot(page, "visualquality-r1-one-phone-dark", full_page=True)

    compare(page, FOUR)
    expect(page.locator("#visualquality-r1-verdict")).to_contain_text(
        re.compile(r"Best to worst: (astronaut|coffee), .*\. "))
    expect(page.locator("#visualquality-r1-difference")).not_to_be_visible()
    page.locator("#visualquality-r1-ranking").scroll_into_view_if_needed()
    cells = page.locator("#visualquality-r1-ranking [role=gridcell]")
    for cell in (r"[1-5]\.\d\d", r"[1-5]\.\d\d to [1-5]\.\d\d", r"[1-4]( to [1-4])?"):
        expect(cells.filter(has_text=re.compile(rf"^\s*{cell}\s*$"))).to_have_count(len(FOUR))
    expect_no_sideways_scrolling(page)
    screenshot(page, "visualquality-r1-four-phone-dark", full_page=True)


def test_stop_ends_the_writing_and_keeps_what_was_there(open_page, screenshot):
    page = room(open_page())
    with page.expect_response(lambda answer: "/gradio_api/run/" in answer.url) as answer:
        page.click("#visualquality-r1-stop")
    assert "data" in answer.value.json()
    assert "Stopped" not in answer.value.text(), "nothing was under way"
    upload(page)
    choose(page, "Fake-VL")
    # Two words, and no more before Stop was pressed, however fast or slow the machine is.
    fake_lmm().hold(1)
    page.click("#visualquality-r1-run")
    stream = page.locator("#visualquality-r1-stream")
    expect(stream.locator(".writing")).to_contain_text(re.compile(r"\w+ \w+"))
    page.click("#visualquality-r1-stop")
    expect(stream).to_contain_text("Stopped; no score.")
    fake_lmm().released.release()
    expect(page.locator("#visualquality-r1-stream .caret")).to_have_count(0)
    kept = stream.locator(".writing").inner_text().removesuffix("Stopped; no score.").strip()
    assert " " in kept
    expect(page.locator(".error:visible")).to_have_count(0)
    expect(page.locator("#visualquality-r1-dots")).not_to_be_visible()
    screenshot(page, "visualquality-r1-stopped-light")

    choose(page, "Embedded")
    page.click("#visualquality-r1-run")
    scored(page)


def test_what_cannot_be_used_is_one_sentence_and_two_photos_get_a_curve_and_a_table(open_page, screenshot, tmp_path):
    page = room(open_page())
    wrong = tmp_path / "page.jpg"
    wrong.write_bytes(b"<html>not a photo</html>")
    page.set_input_files("#visualquality-r1-picture input[type=file]", wrong)
    expect(page.locator("#visualquality-r1-picture .cannot-be-drawn")).to_be_visible()
    page.click("#visualquality-r1-run")
    assert "This is a web page" in sentence(page)
    upload(page)
    page.click("#visualquality-r1-run")
    scored(page)
    compare(page, FOUR[:1])
    assert sentence(page) == "Add two to 8 photos; there are 1."
    # What was scored before is still there.
    page.get_by_role("tab", name="One photo").click()
    expect(page.locator("#visualquality-r1-dots .js-plotly-plot")).to_be_visible()

    page.get_by_role("tab", name="Compare photos").click()
    page.locator("#visualquality-r1-pictures button[aria-label='Clear']").first.click()
    expect(page.locator("#visualquality-r1-pictures a")).to_have_count(0)
    compare(page, FOUR[:2])
    expect(page.locator("#visualquality-r1-verdict")).to_contain_text(
        re.compile(r"^\s*coffee is .* better than coffee-dark-and-noisy: probability .* with other samples\), "
                   r"\d\.\d\d points apart\."))
    expect(page.locator("#visualquality-r1-difference .js-plotly-plot")).to_be_visible()
    expect(page.locator("#visualquality-r1-ranking [role=gridcell]").first).to_have_text("coffee")
    screenshot(page, "visualquality-r1-two-light", full_page=True)
