"""Takes the README's screenshot from the running page with the first example picture.

    python -m scripts.make_screenshot

Needs requirements-dev.txt and a system Chromium, like the browser tests.
"""

from __future__ import annotations

from pathlib import Path

from tests.app_server import running_app
from tests.e2e.conftest import chromium

TARGET = Path(__file__).resolve().parents[1] / "assets" / "screenshot.png"


def main() -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"{running_app()}/?__theme=light")
        page.locator(".examples:visible .gallery-item").first.click()
        page.wait_for_selector(".score-room .dial-known")
        page.click("#score-all")
        page.wait_for_function("!document.querySelector('.together')?.innerText.includes('…')"
                               " && document.querySelector('.together') !== null", timeout=300_000)
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=TARGET)
        browser.close()


if __name__ == "__main__":
    main()
