"""A short soak: many visitors of every kind at once, a kill in the middle, and nothing that nobody can explain."""

from __future__ import annotations

import pytest

from tests.soak.__main__ import soak

SECONDS, VISITORS = 60.0, 12
MOST_GB = 3.0
"""With the embedded model a page takes 0.9 GB before its first visitor, and promises to stay within 2 GB beside it."""


@pytest.mark.slow
def test_everything_at_once_for_a_minute(tmp_path):
    report = soak(tmp_path / "app", SECONDS, VISITORS, kills=1)
    print(report.text())
    assert report.broken == []
    assert report.calls["answered"] > 20
    assert max(size for _, size in report.memory) < MOST_GB
