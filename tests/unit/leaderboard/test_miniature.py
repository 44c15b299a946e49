"""Every table of every paper, from start to end, on made images in the datasets' real layouts."""

from __future__ import annotations

import csv
import io
from collections import Counter

import pytest

from leaderboard.__main__ import main
from leaderboard.reproduce import manifest, miniature
from methods.data import LAYOUTS, detect, read_dataset, read_table
from methods.iqarag.encoders import CATALOGUE
from tests import tiny_lmm

ANSWERS_IN_WORDS = ("visualquality-r1", "qwen2.5-vl-7b", "rl2r-kadid", "rl2r-kadid-k4", "rl2r-kadid-k5",
                    "rl2r-kadid-k6", "rl2r-kadid-binary", "rl2r-kadid-average", "rl2r-kadid-fixed")
"""Models that write their score: random weights write none, so the embedded one stands in for them."""


def test_miniatures_are_read_as_the_datasets_that_they_are(tmp_path):
    made = miniature.datasets(tmp_path, count=6)
    for slug, root in made.items():
        if slug in LAYOUTS:
            pictures = read_dataset(slug, root)
            assert detect(root) == slug
        else:
            pictures = read_table(root / "scores.csv", root)
        assert len(pictures) == 6
        assert pictures.missing == ()
        assert len(set(pictures.mos01)) == 6


def test_every_dataset_of_the_tables_has_a_miniature():
    tables = [manifest.load(name) for name in manifest.names()]
    named = {cell["dataset"] for table in tables for _, cell in table.cells.iterrows() if table.row_of(cell)}
    assert {slug for slug in named if not slug.startswith("combined:")} <= set(miniature.MAKERS)


@pytest.mark.slow
def test_every_table_runs_and_fills_every_cell_that_can_be_filled(tmp_path, capsys):
    first, second = (tiny_lmm.build(family, tmp_path / family, image_budget=8) for family in ("fast_vlm", "smolvlm"))
    words = ["reproduce", "--all", "--miniature", "--limit", "4", "--lmm", str(first),
             "--lmm", f"ensemble={first}", "--lmm", f"ensemble={second}",
             *(word for name in ANSWERS_IN_WORDS for word in ("--lmm", f"{name}=embedded")),
             # Random weights prefer the same digit everywhere, and a constant score has no correlation.
             "--option", "reading=expectation", "--option", "max_new_tokens=120", "--out", str(tmp_path / "runs")]
    assert main([*words, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["table"] for row in rows} == set(manifest.names())
    assert len(set(manifest.names())) == 19
    empty = Counter(row["table"] for row in rows if row["ours"] == "")
    # LEAF's students are trained first; a random model states no number from 0 to 100 (Table 3, exp 1).
    assert set(empty) <= {"leaf", "llm-iqa-table-3"}, empty
    assert empty["llm-iqa-table-3"] <= 6
    for row in rows:
        assert (row["ours"] == "") == bool(row["reason"]), row
        if row["ours"]:
            assert -1 <= float(row["low"]) <= float(row["high"]) <= 1
            assert 3 <= int(row["n"]) <= 10
            assert row["model"] or row["table"] == "llm-iqa-table-1"
            assert row["marks"] or not row["model"], "made images and a random model are never the paper's"
    # The same command goes on with what is there, and the summary counts the same cells.
    assert main(words) == 0
    output = capsys.readouterr().out
    total = next(line for line in output.splitlines() if line.startswith("19 tables")).split()
    assert (int(total[2]), int(total[3])) == (len(rows), len(rows) - sum(empty.values()))
    assert "leaf, 26 cells: needs a student" in output


def test_the_made_encoders_are_table_iiis(tmp_path):
    assert set(miniature.encoders(tmp_path)) == set(CATALOGUE)
