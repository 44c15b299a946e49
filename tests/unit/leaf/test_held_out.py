"""Teachers of folds judge only what they were trained without, and students stay within one fold."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.leaf import held_out, report
from methods.leaf.__main__ import main
from tests.unit.leaf.test_heads_and_distil import judged, made
from tests.unit.leaf.test_teacher_and_cli import SharpnessLMM

FOLDS, EACH = 2, 22


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """44 pictures of growing sharpness, their ratings, and the folders of two teachers."""
    folder = tmp_path_factory.mktemp("held-out")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    rows = ["image,mos"]
    for number in range(FOLDS * EACH):
        sharpness = number / (FOLDS * EACH)
        pixels = 128 + sharpness * 80 * rng.choice([-1, 1], (64, 72, 1)) * np.ones(3)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number:02d}.png")
        rows.append(f"{number:02d}.png,{100 * sharpness:.2f}")
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")
    for fold in range(FOLDS):
        (folder / "teachers" / f"fold-{fold}" / "model").mkdir(parents=True)
        (folder / "teachers" / f"fold-{fold}" / "model" / "config.json").write_text("{}")
    (folder / "teachers" / "folds.csv").write_text(
        "image,fold\n" + "".join(f"{number:02d}.png,{number % FOLDS}\n" for number in range(FOLDS * EACH)))
    return folder


@pytest.mark.slow
def test_each_teacher_judges_its_own_fold_and_a_second_run_asks_nothing(data: Path, tmp_path, monkeypatch, capsys):
    asked: list[tuple[str, SharpnessLMM]] = []

    def load(name: str) -> SharpnessLMM:
        asked.append((Path(name).parent.name, SharpnessLMM()))
        asked[-1][1].revision = asked[-1][0]
        return asked[-1][1]

    monkeypatch.setattr("methods.lmm.loading.load_lmm", load)
    command = ["budget", "--folds", str(data / "teachers"), "--images", str(data / "images"), "--mos",
               str(data / "scores.csv"), "--pairs", "2", "--seeds", "1", "--out", str(tmp_path)]
    assert main(command) == 0
    assert [name for name, _ in asked] == ["fold-0", "fold-1"]
    # Each picture once and each of 22 pairs in both orders.
    assert [lmm.asked for _, lmm in asked] == [EACH + 2 * EACH] * FOLDS
    said = capsys.readouterr().out
    assert len(re.findall(rf"Fold \d: the teacher has SRCC 0\.9\d+ on {EACH} images", said)) == FOLDS
    assert "At 10% of the labels the teacher adds" in said
    with (tmp_path / "label-budget.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["pictures"] for row in rows} == {str(FOLDS * EACH)}
    assert rows[-1]["teacher"] == "sharpness@fold-0 sharpness@fold-1"
    assert json.loads((tmp_path / "fold-1.jsonl").read_text().splitlines()[0])["teacher"] == "sharpness@fold-1"
    asked.clear()
    assert main([*command, "--only", "1"]) == 0
    assert [(name, lmm.asked) for name, lmm in asked] == [("fold-1", 0)]
    assert main([*command, "--only", "5"]) == 2
    assert "There is no fold 5" in capsys.readouterr().err


@pytest.mark.slow
def test_students_of_one_pool_never_see_another() -> None:
    features, quality = made(60)
    pools = np.repeat([0, 1], 30)
    judgements = held_out.joint_judgements([judged(quality[:30]), judged(quality[30:])])
    assert (pools[judgements.pairs[:, 0]] == pools[judgements.pairs[:, 1]]).all()
    assert judgements.teacher == "made@1 made@1"
    both = report.label_budget(features, quality, judgements, pools=pools, budgets=(0.5,), seeds=2)
    # With the second pool's labels and features spoilt, nothing changes for the first one.
    spoilt, wrong = features.copy(), quality.copy()
    spoilt[30:] = np.random.default_rng(1).normal(size=spoilt[30:].shape)
    wrong[30:] = wrong[30:][::-1]
    other = report.label_budget(spoilt, wrong, judgements, pools=pools, budgets=(0.5,), seeds=2)
    for one, two in zip(both.predicted, other.predicted):
        assert one[:, :30] == pytest.approx(two[:, :30])
        assert np.abs(one[:, 30:] - two[:, 30:]).max() > 0.1
    with pytest.raises(ValueError, match="at least 20 rated images; got 10"):
        report.label_budget(features, quality, None, pools=np.repeat([0, 1], [50, 10]))


def test_a_handful_of_labels_does_not_overrule_the_teacher() -> None:
    features, quality = made(60)
    opposite = judged(1 - quality)
    curve = report.label_budget(features, quality, opposite, budgets=(0.0, 0.05, 0.3), seeds=1)
    assert [point.labels for point in curve.points[:3]] == [0, 2, 14]
    none, two, many = curve.predicted[3:]
    assert np.array_equal(none, two)
    assert np.abs(none - many).max() > 0.01


def test_agreement_counts_the_pairs_that_go_the_way_of_people() -> None:
    said = judged(np.array([0.9, 0.1, 0.5, 0.4]), noise=0.0)
    assert held_out.agreement(said, np.array([0.9, 0.1, 0.5, 0.4])) == 1
    assert held_out.agreement(said, np.array([0.1, 0.9, 0.4, 0.5])) == 0
    assert held_out.agreement(said, np.full(4, 0.5)) == 0.5
