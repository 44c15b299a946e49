"""The stand-in LMM, and a cache of its own for every test."""

from __future__ import annotations

import pytest

from tests.brightness_lmm import BrightnessLMM, grey

__all__ = ["BrightnessLMM", "grey"]


@pytest.fixture
def lmm() -> BrightnessLMM:
    return BrightnessLMM()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Features that a test computes must not reach the user's cache, nor another test."""
    from methods.iqarag import opened_sets

    monkeypatch.setenv("MEAN_OPINION_CACHE", str(tmp_path / "cache"))
    opened_sets._sets.clear()
