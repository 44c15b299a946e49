"""Which tabs the page has, and in which order."""

from __future__ import annotations

import importlib

from app import TABS, tabs_of


def test_each_paper_has_its_tab_between_the_scores_and_the_comparison():
    assert TABS == ("score", "iqarag", "llm_iqa", "visualquality_r1", "leaf", "q_debias", "compare", "leaderboard",
                    "api", "about")
    for name in TABS:
        tab = importlib.import_module(f"ui.tabs.{name}")
        assert tab.TITLE
        assert callable(tab.build)


def test_a_method_without_a_tab_gets_none():
    assert "q_bench" not in TABS
    assert tabs_of(["q-bench", "q-debias", "nobody"]) == ("score", "q_debias", "compare", "leaderboard", "api", "about")
