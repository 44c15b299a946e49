"""A short soak: many visitors of every kind at once, a kill in the middle, nothing that nobody can explain, and no more
memory than is promised."""

from __future__ import annotations

import pytest

from tests.soak.__main__ import soak

SECONDS, VISITORS = 30.0, 12


@pytest.mark.slow
def test_everything_at_once_for_half_a_minute(tmp_path):
    # Nothing of it needs a home, which a container may not have.
    report = soak(tmp_path / "app", SECONDS, VISITORS, kills=1, HOME="/proc/no-home")
    print(report.text())
    assert report.broken == []
    assert report.calls["answered"] > 10
    assert report.opened > 0
    assert report.beside > 0, "the system did not count"
