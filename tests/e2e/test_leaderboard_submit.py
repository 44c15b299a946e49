"""Submitting a result in a browser."""

from __future__ import annotations

import zipfile

from playwright.sync_api import expect

from leaderboard.measured import SUBMISSIONS
from tests.e2e.access import faults
from tests.e2e.steps import sentence
from tests.e2e.test_leaderboard import opened

RUN = "leaf_trained-on-biq2021_live-challenge-dev_all_2026-11-27"


def test_a_run_is_checked_and_handed_back(open_page, tmp_path):
    page = opened(open_page, "?tab=leaderboard")
    panel = page.locator("#leaderboard-submit")
    panel.get_by_role("button", name="Submit a result").click()
    check = page.locator("#leaderboard-submit-check")
    check.click()
    assert sentence(page) == "Add a run first."
    archive = tmp_path / "run.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in (SUBMISSIONS / RUN).iterdir():
            zipped.write(file, f"run/{file.name}")
    panel.locator("input[type=file]").first.set_input_files(archive)
    # The name alone stands there while it is uploaded, too.
    expect(panel.locator("a[href$='/run.zip']").first).to_be_visible()
    check.click()
    verdict = page.locator("#leaderboard-submit-verdict")
    expect(verdict).to_contain_text("Nothing has been added")
    expect(verdict.locator("tr.lb-marked")).to_contain_text("LEAF")
    expect(page.locator("#leaderboard-submit-text")).to_contain_text("Replaces the measured result")
    expect(page.locator(f"#leaderboard-submit-files a[href$='{RUN}.zip']").first).to_be_attached()
    assert faults(page) == []
