"""The tab's choices and its photo in the address: written at every choice, restored by Back, Forward, a reload and a
link; what a link says that is not there is one sentence."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.access import faults
from tests.e2e.steps import open_tab, sentence
from ui.components import EXAMPLES


def at(page, *parts, without=()):
    page.wait_for_function("""([parts, without]) => parts.every((part) => location.search.includes(part))
      && !without.some((part) => location.search.includes(part))""", arg=[list(parts), list(without)])


def photo(page, place, name):
    expect(page.locator(f"#{place} img[src*='{name}']")).to_be_visible()


def test_back_forward_and_reload_keep_choices_and_photo(open_page):
    page = open_page(path="/?tab=q_debias&aggregation=average&photo=rocket.jpg&pixels=17")
    photo(page, "q-debias-picture", "rocket")
    assert sentence(page) == "'17' is no choice for 'pixels' here; it was ignored."
    expect(page.locator(".dial[data-score]:visible")).to_have_count(1)  # a photo that a link brings is scored
    expect(page.get_by_text("your photo beside it")).to_have_count(4)
    assert faults(page) == []

    page.locator(".examples:visible button.gallery-item").first.click()
    at(page, "tab=q_debias", "aggregation=average", "photo=coffee.jpg", without=["pixels"])
    photo(page, "q-debias-picture", "coffee")
    page.go_back()
    photo(page, "q-debias-picture", "rocket")

    open_tab(page, "Score")
    at(page, "tab=score", "photo=rocket.jpg", without=["aggregation"])
    photo(page, "score-picture", "rocket")
    # A reload would cut off a score that is under way, of which the framework complains.
    dial = page.locator(".score-room .dial[data-score]")
    expect(dial).to_be_visible()
    method = page.locator("#score-method input")
    first = method.input_value()
    method.click()
    page.get_by_role("option", name="Q-Bench").click()
    at(page, "method=q-bench")
    expect(page.locator(".options:visible").get_by_label("five-level")).to_be_visible()
    page.go_back()
    expect(method).to_have_value(first)
    page.go_forward()
    expect(method).to_have_value("Q-Bench")
    page.reload()
    expect(page.locator("#score-method input")).to_have_value("Q-Bench")
    photo(page, "score-picture", "rocket")
    expect(dial).to_be_visible()

    # A photo of one's own is in no address, and the page says so when it is asked for.
    page.locator("#score-picture").get_by_role("button", name="Clear").or_(
        page.locator("#score-picture button[aria-label='Remove Image']")).first.click()
    at(page, "method=q-bench", without=["photo"])
    page.locator("#score-picture input[type=file]").set_input_files(EXAMPLES / "coffee.jpg")
    photo(page, "score-picture", "coffee")
    page.wait_for_function("history.state?.uploaded")
    at(page, "method=q-bench", without=["photo"])
    page.reload()
    assert sentence(page) == "The photo that was uploaded here is not part of the address; choose it again."
    expect(page.locator("#score-picture img")).to_have_count(0)


def test_a_link_to_a_tab_that_is_not_there_is_a_sentence(open_page):
    page = open_page(path="/?tab=nowhere&seed=1")
    assert sentence(page) == "There is no tab 'nowhere' here; this is the first one."
    expect(page.locator("#score-picture")).to_be_visible()


def test_a_tab_inside_a_tab_is_in_the_address(open_page):
    page = open_page(path="/?tab=compare&mode=folder")

    def mode(name):
        return page.get_by_role("tab", name=name, exact=True)

    expect(mode("A folder")).to_have_attribute("aria-selected", "true")
    mode("Side by side").click()
    at(page, "tab=compare", without=["mode"])
    page.go_back()
    expect(mode("A folder")).to_have_attribute("aria-selected", "true")
    open_tab(page, "VisualQuality-R1")
    at(page, "tab=visualquality_r1", without=["mode"])
    mode("Compare photos").click()
    at(page, "tab=visualquality_r1", "mode=several")
    open_tab(page, "API")
    at(page, "tab=api", without=["mode"])
    mode("curl").first.click()
    at(page, "tab=api", "mode=curl")
    page.reload()
    # One language holds for every endpoint.
    page.wait_for_function("""() => {
      const all = [...document.querySelectorAll('#api-page [data-tab-id=curl]')].filter((tab) => tab.offsetParent);
      return all.length > 3 && all.every((tab) => tab.ariaSelected === 'true'); }""")
