"""Cards, costs, and a measured row from the inside, in a browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.e2e.access import faults
from tests.e2e.steps import expect_no_sideways_scrolling
from tests.e2e.test_leaderboard import opened


def test_a_row_opens_by_key_and_by_click_and_is_compared(open_page):
    page = opened(open_page, "?tab=leaderboard&show=comparable&costs=1&fig=cost")
    result = page.locator("#leaderboard-table td.lb-num").first
    result.click()
    tip = page.locator(".lb-tip")
    for card in ("Dataset: LIVE Challenge, development part", "Model: ", "Raters", "Licence"):
        expect(tip.get_by_text(card).first).to_be_visible()
    # The box goes with its cell when the window scrolls.
    page.evaluate("scrollBy(0, 40)")
    page.wait_for_function("""() => { const box = document.querySelector('.lb-tip').getBoundingClientRect();
      const cell = document.querySelector('#leaderboard-table td.lb-num').getBoundingClientRect();
      return scrollY > 0 && Math.abs(box.top - cell.bottom - 6) < 2 || box.bottom <= cell.top; }""")
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.locator("#leaderboard-table td.lb-none").first.click()
    expect(tip.get_by_text("Memory, GiB: not known")).to_be_visible()
    page.keyboard.press("Escape")
    name = page.locator("#leaderboard-table tbody th button").first
    name.focus()
    page.keyboard.press("Enter")
    expect(tip).to_be_focused()
    expect(tip.locator("details")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    expect(name).to_be_focused()
    page.locator("#leaderboard-table button[data-sort=seconds]").click()
    expect(page.locator("#leaderboard-table th[aria-sort=ascending] button[data-sort=seconds]")).to_be_visible()
    expect(page.locator("#leaderboard-figure").get_by_text("front, measured here")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#leaderboard-figure .figure-save").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    page.get_by_role("button", name="Columns").click()
    page.locator("#leaderboard-columns").get_by_label("Weights").focus()
    page.keyboard.press("Space")
    expect(page.locator("#leaderboard-table button[data-sort=weights]")).to_have_count(0)
    expect(page.locator("#leaderboard-table button[data-sort=passes]")).to_have_count(1)
    page.wait_for_function("location.search.includes('without=weights')")
    first, second = page.locator("button.lb-look").nth(0), page.locator("#leaderboard-table tbody tr").nth(1)
    first.focus()
    page.keyboard.press("Enter")
    heading = page.locator("#leaderboard-look h2")
    expect(heading).to_have_attribute("data-run", first.get_attribute("data-look"))
    expect(heading).to_be_focused()
    page.wait_for_function("run => location.search.includes(`row=${run}`)", arg=first.get_attribute("data-look"))
    figure = page.locator("#leaderboard-look-figure")
    expect(figure.locator(".scatterlayer .trace")).to_have_count(4)
    page.get_by_label("Calibration", exact=True).click()
    expect(figure.get_by_text("expected opinion, of images")).to_be_visible()
    expect(page.locator("#leaderboard-look .lb-photos figure")).to_have_count(8)
    expect(page.locator("#leaderboard-look .lb-facts dd").first).to_contain_text("mean-opinion evaluate")
    with page.expect_download() as download:
        page.get_by_role("button", name="All images as CSV").click()
    assert download.value.suggested_filename == f"{first.get_attribute('data-look')}.csv"
    second.locator("td.lb-rank").click()
    expect(heading).to_have_attribute("data-run", second.get_attribute("data-row"))
    expect(figure.get_by_text("expected opinion, of images")).to_be_visible()
    page.locator("#leaderboard-look-other input").click()
    page.get_by_role("option").first.click()
    difference = page.locator("#leaderboard-look-difference")
    expect(difference).to_contain_text("95 % interval")
    expect(page.locator("#leaderboard-look-deciding .scatterlayer .trace").first).to_be_visible()
    page.locator("#leaderboard-look").get_by_text("All images", exact=True).click()
    page.get_by_role("button", name="Cite").click()
    expect(page.locator(".cm-content:visible").first).to_contain_text("@")
    assert faults(page, themes=("light",)) == []
    page.set_viewport_size({"width": 390, "height": 844})
    expect_no_sideways_scrolling(page)
    assert faults(page, themes=("dark",)) == []
    page.locator("#leaderboard-look").get_by_role("button", name="Close").click()
    expect(heading).to_be_hidden()
    page.wait_for_function("!location.search.includes('row=')")
    page.go_back()
    expect(heading).to_have_attribute("data-run", second.get_attribute("data-row"))
    expect(heading).to_be_visible()
    page.wait_for_function("location.search.includes('inside=calibration&beside=')")
    # What a reload does, which would cut off what is under way.
    page = opened(open_page, page.evaluate("location.search").replace("&__theme=light", ""))
    heading, figure = page.locator("#leaderboard-look h2"), page.locator("#leaderboard-look-figure")
    difference = page.locator("#leaderboard-look-difference")
    expect(heading).to_be_visible()
    expect(figure.get_by_text("expected opinion, of images")).to_be_visible()
    expect(difference).to_contain_text("95 % interval")
    expect(page.locator("#leaderboard-table button[data-sort=weights]")).to_have_count(0)
