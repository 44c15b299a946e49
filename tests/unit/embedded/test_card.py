"""The card's numbers come from a report, and the pictures at the model's limits are what they are said to be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.embedded.lmm import card, other_kinds

WORTH = {"gain": 0.0123, "interval": [0.004, 0.021], "by references": {"1": 0.003, "5": 0.0123}, "error": [0.12, 0.09],
         "deals": 10, "references": 200, "tests": 199}
REPORT = {
    "five-level": {"srcc": 0.7812, "interval": [0.73, 0.82], "plcc": 0.8, "n": 399},
    "references": WORTH,
    "conditioned minus q-bench": "-0.002 (-0.006 to +0.002)",
    "correlation of flipped with straight": -0.71,
    "same object, AUC against strangers": 0.961,
    "same object, AUC against look-alikes": 0.93,
    "calibration of five-level": {"score and MOS by fifth": [[0.3, 0.31]], "expected calibration error": 0.01},
    "calibration of q-bench": {"score and MOS by fifth": [[0.3, 0.33]], "expected calibration error": 0.02},
    "held-out damage": {"srcc": 0.77, "interval": [0.74, 0.8], "n": 621, "by type": {"JPEG": [0.9, 23]}},
    "parts": {"inside": 0.4, "outside": 0.8, "ranked rightly": 0.87, "n": 48},
    "reasoning": {"named right": 0.73, "pictures": 621, "strength right where the name is": 0.7,
                  "by flaw": {"blur": [0.9, 60]}},
    "other damage": {"by damage": {"holes": 0.834}, "photos": 24, "by family": {"rendering faults": 0.81},
                     "unknown faults": {"srcc": 0.456, **WORTH}},
    "limits": {"screen": {"intact": 0.4, "falls with": {"GBLUR": 0.8}}},
}


def test_a_card_keeps_its_text_and_gets_its_numbers(tmp_path):
    path, report = tmp_path / "README.md", tmp_path / "report.json"
    path.write_text(f"# Model\nBy hand.\n{card.START}old 0.123\n{card.STOP}- Here.\n")
    report.write_text(json.dumps(REPORT))
    assert card.main([str(report), "--card", str(path)]) == 0
    text = path.read_text()
    assert text.startswith("# Model\nBy hand.\n")
    assert text.endswith("- Here.\n")
    assert "0.123" not in text
    for number in ("| five levels | 0.781 | 0.730 to 0.820 |", "+0.012 (+0.004 to +0.021); +0.003 with 1", "0.961",
                   "0.87 of 48 pairs", "| holes | 0.83 |", "SRCC 0.456", "| JPEG | 0.90 | 23 |",
                   "| screen | 0.40 | 0.80 |"):
        assert number in text
    assert card.card_with(text, REPORT) == text


def test_a_card_without_headings_is_left_alone():
    with pytest.raises(ValueError, match="needs the headings"):
        card.card_with("# Model\n", REPORT)


@pytest.mark.parametrize("draw", [other_kinds.page, other_kinds.screen])
def test_drawn_pictures_are_the_same_every_time(draw):
    first = draw(3)
    assert first.shape == (other_kinds.SIZE, other_kinds.SIZE, 3)
    np.testing.assert_array_equal(first, draw(3))
    assert not np.array_equal(first, draw(4))
    assert first.std() > 20


def test_water_takes_red_first():
    grey = np.full((40, 30, 3), 200, np.uint8)
    red, green, blue = other_kinds.under_water(grey).reshape(-1, 3).mean(axis=0)
    assert red < green < blue
    assert (grey == 200).all()


@pytest.mark.slow
def test_limits_are_measured_on_every_kind(tmp_path):
    from methods.lmm.loading import load_lmm

    rng = np.random.default_rng(0)
    photo = Path(tmp_path / "photo.png")
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    small.resize((320, 240), Image.Resampling.BICUBIC).save(photo)
    limits = other_kinds.measure(load_lmm("embedded"), [photo], count=1)
    assert set(limits) == {"photo", "text page", "screen", "under water"}
    for kind in limits.values():
        assert 0 <= kind["intact"] <= 1
        assert set(kind["falls with"]) == set(other_kinds.DAMAGES)
        assert all(-1 <= value <= 1 for value in kind["falls with"].values())
