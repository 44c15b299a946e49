"""A real Chromium on the running app. Every page that a test opens must stay silent: no console error, no failed
request, nothing fetched from another site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app_server import REPOSITORY, running_app
from tests.e2e.steps import REMEMBER

SCREENSHOTS = REPOSITORY / "screenshots"
SIZES = {"desktop": (1440, 1000), "phone": (390, 844)}

PATIENCE = 120_000
"""Milliseconds to wait for something that has to come; on a busy machine a plot's script takes its time to start."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


def chromium() -> str | None:
    """Path of a system Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return os.environ.get("MEAN_OPINION_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def app_url() -> str:
    return running_app()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A context of a real Chromium. Closed with its module: while playwright runs, nothing else in the process can use
    an event loop."""
    path = chromium()
    if path is None:
        reason = "no Chromium found: install one (Debian: apt-get install chromium) or set MEAN_OPINION_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        # One for all pages, so that the second finds the scripts of the first; no page keeps anything in it. Its empty
        # page keeps the window, which the browser would draw again for the next one.
        context = browser.new_context()
        context.add_init_script(f"({REMEMBER})()")
        context.new_page()
        yield context
        browser.close()


class Complaints(list):
    """What a page complained about, as text."""

    def watch(self, page, site: str) -> None:
        page.on("console", lambda message: message.type == "error" and self.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: self._failed(request))
        page.on("response", lambda answer: answer.status >= 400 and self.append(f"{answer.status}: {answer.url}"))
        page.on("request", lambda request: self._elsewhere(request.url, site))

    def _failed(self, request) -> None:
        # What the page itself gives up: streams of results that are complete, a picture that another one replaces.
        if request.failure != "net::ERR_ABORTED":
            self.append(f"failed: {request.url} {request.failure}")

    def _elsewhere(self, url: str, site: str) -> None:
        if not url.startswith((site, "data:", "blob:")):
            self.append(f"from another site: {url}")


@pytest.fixture
def open_page(browser, app_url) -> Iterator[Callable]:
    """`open_page(theme="light", size="desktop", path="/")` -> a page that shows its tabs; complaints fail the test at
    its end. A fragment of the path stays its end; `before(page)` is called before anything is loaded."""
    complaints, pages = Complaints(), []

    def open_one(theme: str = "light", size: str = "desktop", path: str = "/", before: Callable = lambda page: None):
        width, height = SIZES[size]
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=theme)
        page.set_default_timeout(PATIENCE)
        complaints.watch(page, app_url)
        before(page)
        path, hash_sign, fragment = path.partition("#")
        separator = "&" if "?" in path else "?"
        page.goto(f"{app_url}{path}{separator}__theme={theme}{hash_sign}{fragment}")
        # Which tab is in sight is up to the path: a link brings its reader to another one than the first.
        page.wait_for_selector(".rooms [role=tab][aria-selected=true]")
        return page

    yield open_one
    # Before the pages are closed: what is under way then is cut off, which is no fault of theirs.
    heard = list(complaints)
    for page in pages:
        page.close()
    assert not heard, "\n".join(heard)


@pytest.fixture
def screenshot() -> Callable:
    """`screenshot(page, name)` writes screenshots/<name>.png, where a person can look at it."""
    SCREENSHOTS.mkdir(exist_ok=True)

    def take(page, name: str, **settings) -> None:
        page.mouse.move(0, 0)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled", **settings)

    return take
