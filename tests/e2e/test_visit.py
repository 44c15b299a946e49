"""What belongs to a visit: photos that arrive anywhere on the page, and its last results."""

from __future__ import annotations

import base64
import json

from playwright.sync_api import expect

from methods import load_method
from tests.e2e.steps import open_tab, sentence
from ui.components import EXAMPLES

ARRIVE = """({kind, target, photos, text}) => {
  const transfer = new DataTransfer();
  for (const [name, content] of photos) {
    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
    transfer.items.add(new File([bytes], name, {type: 'image/jpeg'}));
  }
  if (text) transfer.setData('text/plain', text);
  const goes = {bubbles: true, cancelable: true};
  const event = kind === 'paste' ? new ClipboardEvent('paste', {clipboardData: transfer, ...goes})
    : new DragEvent('drop', {dataTransfer: transfer, ...goes});
  document.querySelector(target).dispatchEvent(event);
}"""


def arrive(page, kind, *names, target="body", text=""):
    photos = [(name, base64.b64encode((EXAMPLES / name).read_bytes()).decode()) for name in names]
    page.evaluate(ARRIVE, {"kind": kind, "target": target, "photos": photos, "text": text})


def photo_named(page, place, name):
    """The input holds this very photo."""
    expect(page.locator(f"#{place} img[src*='{name.removesuffix('.jpg')}']")).to_be_visible()


def kept(page):
    return json.loads(page.evaluate("sessionStorage.getItem('mean-opinion-results')"))


def test_photos_arrive_anywhere_and_results_stay_in_the_browser(open_page, screenshot):
    page = open_page()
    open_tab(page, "LEAF")
    arrive(page, "paste", "rocket.jpg")
    photo_named(page, "leaf-picture", "rocket.jpg")
    page.click("#leaf-run")
    expect(page.locator("#visit li")).to_have_count(1)
    arrive(page, "drop", "coffee.jpg", target="#leaf-picture img")  # in the place of the first
    photo_named(page, "leaf-picture", "coffee.jpg")
    expect(page.locator(".dial[data-score]:visible")).to_have_count(0)
    page.click("#leaf-run")
    expect(page.locator("#visit li")).to_have_count(2)
    newest, first = kept(page)
    assert newest["thumbnail"].startswith("data:image/jpeg;base64,")
    assert newest["thumbnail"] != first["thumbnail"]
    assert (newest["title"], newest["record"]["method"]) == ("LEAF", "leaf")
    shown = page.locator(".dial-score strong:visible").inner_text()
    assert newest["value"] == shown
    assert "evidence" not in newest["record"]

    arrive(page, "paste", "rocket.jpg")  # scored once more, it is the newest, and stands there once
    photo_named(page, "leaf-picture", "rocket.jpg")
    page.click("#leaf-run")
    expect(page.locator("#visit li img").first).to_have_attribute("src", first["thumbnail"])
    expect(page.locator("#visit li")).to_have_count(2)
    first = kept(page)[-1]

    page.locator("#visit li button").last.click()
    record = page.locator("dialog[open]")
    expect(record.locator(".dial-score strong")).to_have_text(first["value"])
    expect(record.locator("pre")).to_contain_text('"method": "leaf"')
    screenshot(page, "visit-record")
    page.get_by_role("button", name="Close").click()

    open_tab(page, "Score")
    photo_named(page, "score-picture", "rocket.jpg")
    # It is scored there too, by LEAF again, which must not come after the rest.
    expect(page.locator(".score-room .verdict[data-kept]")).to_be_visible()
    expect(page.locator("#visit li")).to_have_count(2)
    arrive(page, "paste", text="http://127.0.0.1:9/photo.jpg")  # no photo of the machine's own network is fetched
    assert sentence(page).startswith("The address of a photo could not be fetched")

    arrive(page, "drop", "coffee.jpg", "rocket.jpg")
    expect(page.locator("#folder-files a")).to_have_count(2)
    page.get_by_role("button", name="Clear", exact=True).last.click()
    expect(page.locator("#visit li")).to_have_count(0)
    assert kept(page) == []


def scores(page, expected):
    """The page comes to this score."""
    page.wait_for_function("""(expected) => {
      const dial = document.querySelector('.score-room .dial[data-score]');
      return dial && Math.abs(Number(dial.dataset.score) - expected) < 1e-5; }""", arg=expected)


def test_a_result_is_of_the_photo_and_the_choices_in_sight(open_page):
    page = open_page(path="/?tab=score&method=q-bench")
    examples = page.locator(".examples:visible button.gallery-item")
    with page.expect_request("**/queue/join*"):
        examples.nth(0).click()
    examples.nth(2).click()  # before the first has come, on most machines
    method, photo = load_method("q-bench"), EXAMPLES / "rocket.jpg"
    scores(page, method.assess(photo).score)
    expect(page.locator("#score-picture img[src*='rocket']")).to_be_visible()
    # A click while a score is under way counts, with what was chosen before it.
    page.click("#score-run")
    page.locator(".options:visible").get_by_label("five-level").check()
    page.click("#score-run")
    scores(page, method.assess(photo, question="five-level").score)


def test_what_is_ended_before_the_queue_has_answered_is_ended(open_page):
    page = open_page(path="/?tab=score&method=q-bench&photo=coffee.jpg")
    method = load_method("q-bench")
    scores(page, method.assess(EXAMPLES / "coffee.jpg").score)
    held = []
    page.route("**/queue/join*", lambda route: held.append(route))
    with page.expect_request("**/queue/join*"):
        page.click("#score-run")
    page.evaluate("meanOpinion.drop('score')")
    with page.expect_response("**/cancel") as ended:
        held.pop().continue_()
    page.unroute("**/queue/join*")
    assert ended.value.status == 200
    assert ended.value.request.post_data_json["event_id"]
    page.locator(".examples:visible button.gallery-item").nth(2).click()
    scores(page, method.assess(EXAMPLES / "rocket.jpg").score)
