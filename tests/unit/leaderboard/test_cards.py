"""Cards: one for every dataset and model in the table, with sources, and nothing filled in by guess."""

from __future__ import annotations

import re

import pytest

from leaderboard import cards
from leaderboard.cards import NOT_KNOWN
from leaderboard.entries import catalogue
from leaderboard.schema import read_text


def test_every_column_and_row_has_a_card_with_all_its_facts(board):
    every = cards.cards(board)
    known = catalogue(board)
    for dataset in known.datasets:
        facts = dict(every[f"dataset:{dataset.slug}"].facts)
        assert {"What is in it", "Raters", "Scale", "Licence", "Overlaps", "Reference", "How to get it"} <= set(facts)
        assert all(facts.values())
        assert facts["What is in it"] != NOT_KNOWN
    for entry in known.entries:
        facts = dict(every[f"model:{cards.model_name(entry, board)}"].facts)
        assert {"Parameters, billions", "Weights, GB", "Licence", "Date", "Where it is", "Paper"} <= set(facts)
        assert all(facts.values())


def test_facts_have_a_source_and_names_occur(board):
    for name, columns in (("models", cards.MODELS), ("datasets", cards.DATASETS)):
        table = read_text(cards.FOLDER / f"{name}.csv")
        assert tuple(table.columns) == columns
        assert (table["source"] != "").all()
        assert all(re.match(r"https://[^\s]+$", link) for link in table["link"] if link)
    used = {cards.model_name(entry, board) for entry in catalogue(board).entries}
    named = [name for text in read_text(cards.FOLDER / "models.csv")["names"] for name in text.split("|")]
    assert len(named) == len(set(named))
    assert set(named) <= used | {"embedded-student"}
    assert set(read_text(cards.FOLDER / "datasets.csv")["dataset"]) == {one.slug for one in catalogue(board).datasets}


def test_overlaps_follow_from_the_data(board):
    every = cards.cards(board)
    dev = dict(every["dataset:live-challenge-dev"].facts)
    assert "shares images with LIVE Challenge" in dev["Overlaps"]
    whole = dict(every["dataset:live-challenge"].facts)
    assert "LIVE-C dev" in whole["Overlaps"]
    assert "IQARAG-4" in whole["Overlaps"]
    assert "may share images with" in dict(every["dataset:aigciqa-20k"].facts)["Overlaps"]
    assert dict(every["dataset:siqad"].facts)["Scale"].endswith("lower is better (DMOS)")
    assert dict(every["dataset:min19-dehazing"].facts)["Raters"] == NOT_KNOWN


def test_what_a_row_costs(board):
    known = {entry.label: cards.cost(board, entry) for entry in catalogue(board).entries}
    owned = known["Q-Debias (embedded)"]
    assert (owned.parameters, owned.weights, owned.passes) == (0.00778, 0.0157, 9.0)
    assert owned.seconds > 0
    both = [cards.cost(board, entry) for entry in catalogue(board).entries if entry.label == "Q-Debias (embedded)"]
    machines = {(cost.hardware, cost.memory) for cost in both}
    assert machines == {("2 cores of AMD EPYC", 1.49), ("2 cores of AMD EPYC", 3.32)}, "what each of its runs recorded"
    unmeasured = known["LEAF (trained on BIQ2021)"]
    assert (unmeasured.hardware, unmeasured.memory) == ("", None), "an older run, which recorded neither"
    leaf = known["LEAF (trained on BIQ2021)"]
    assert leaf.parameters == 0.00239, "counted from the weights"
    assert leaf.passes == 0
    qwen = next(cost for label, cost in known.items() if label.startswith("IQARAG (Qwen3-VL-8B"))
    assert (qwen.parameters, qwen.licence, qwen.released) == (8.77, "Apache-2.0", "2025-11")
    assert qwen.weights == pytest.approx(17.5, abs=0.05)
    assert qwen.link == "https://huggingface.co/Qwen/Qwen3-VL-8B-Instruct"
    assert qwen.seconds is None
    niqe = next(cost for label, cost in known.items() if label == "NIQE")
    assert (niqe.parameters, niqe.weights, niqe.licence) == (None, None, "")
