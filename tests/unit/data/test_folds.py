"""`evaluate --folds`: every picture meets the model that was trained without it, whatever the order, kill or limit."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from leaderboard import measured, schema
from leaderboard.__main__ import main
from leaderboard.runs.evaluation import load_run
from leaderboard.runs.scoring import batches
from methods.base import load_method
from methods.data import folds
from methods.data.rated import from_table
from methods.embedded.lmm.pipeline import fold_of
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm
from tests.unit.leaderboard.test_evaluate import make_pictures

COUNT = 14


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Two folds of different weights, laid out as training leaves them."""
    import torch

    folder = tmp_path_factory.mktemp("folds")
    for fold in range(2):
        place = tiny_lmm.build("fast_vlm", folder / f"fold-{fold}" / "model")
        if fold:
            lmm = TransformersLMM(place)
            with torch.no_grad():
                lmm.model.lm_head.weight.mul_(-1)
            lmm.model.save_pretrained(place)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("data") / "set", COUNT)


def evaluate(data, out, cache, *more: str, method: str = "q-bench") -> int:
    return main(["evaluate", "--method", method, "--folds", str(cache), "--images", str(data[0]), "--scores",
                 str(data[1]), "--out", str(out), "--batch-size", "4", *more])


def alone(data, cache, fold: int) -> dict[str, float]:
    """Every picture's score by one fold's model."""
    method = load_method("q-bench", TransformersLMM(cache / f"fold-{fold}" / "model"))
    return {item.name: method.assess(item.path).score for item in from_table(*data).items}


def test_each_picture_is_scored_by_the_model_of_its_fold(data, cache, tmp_path):
    out = tmp_path / "run"
    assert evaluate(data, out, cache) == 0
    rows = load_run(out)
    assert len(rows) == COUNT
    expected = [alone(data, cache, fold) for fold in range(2)]
    deal = dict(zip(sorted(row.image for row in rows), fold_of(COUNT, 2)))
    for row in rows:
        assert row.score == pytest.approx(expected[deal[row.image]][row.image], abs=1e-6)
        assert row.score != pytest.approx(expected[1 - deal[row.image]][row.image], abs=1e-3)
    metrics = json.loads((out / "metrics.json").read_text())
    assert schema.check_metrics(metrics) == []
    source = metrics["provenance"]
    assert (source["lmm"], source["folds"]) == ("embedded", 2)
    assert source["lmm_revision"].startswith("2 folds ")
    assert len(set(source["lmm_revision"].split()[2:])) == 2
    assert source["training_set"] == "live-challenge-dev+kadid-10k"
    assert source["training_free"] is False
    read = measured.read(out)
    assert {name: (found.low, found.high) for name, found in read.estimates.items()} == {
        name: (metrics[name]["low"], metrics[name]["high"]) for name in read.estimates}
    record = measured.rows(read)[0]
    assert "the one of 2 models that was trained without it" in record["protocol"]
    assert record["training_free"] == "false"


def test_a_table_of_folds_is_followed_and_a_limit_raised_later_changes_nothing(data, cache, tmp_path):
    names = [item.name for item in from_table(*data).items]
    other = tmp_path / "folds"
    other.mkdir()
    for fold in range(2):
        (other / f"fold-{fold}").symlink_to(cache / f"fold-{fold}" / "model")
    deal = [number % 3 == 0 for number in range(COUNT)]
    folds.write(other, names, deal)
    whole, raised = tmp_path / "whole", tmp_path / "raised"
    assert evaluate(data, whole, other, "--lmm", "mine") == 0
    assert evaluate(data, raised, other, "--lmm", "mine", "--limit", "5") == 0
    assert {row.image for row in load_run(raised)} == set(names[:5])
    assert evaluate(data, raised, other, "--lmm", "mine") == 0
    expected = [alone(data, cache, fold) for fold in range(2)]
    for out in (whole, raised):
        found = {row.image: row.score for row in load_run(out)}
        assert found == pytest.approx({name: expected[fold][name] for name, fold in zip(names, deal)}, abs=1e-6)
    source = json.loads((whole / "metrics.json").read_text())["provenance"]
    assert source["lmm"] == "mine"
    assert "training_set" not in source, "nobody said what a model of this name was trained on"


def test_other_weights_in_one_fold_are_another_run(data, cache, tmp_path, capsys):
    assert evaluate(data, tmp_path / "run", cache, "--limit", "4") == 0
    swapped = tmp_path / "swapped"
    for fold in range(2):
        (swapped / f"fold-{fold}").mkdir(parents=True)
        (swapped / f"fold-{fold}" / "model").symlink_to(cache / f"fold-{1 - fold}" / "model")
    assert evaluate(data, tmp_path / "run", swapped) == 2
    assert "lmm_revision was" in capsys.readouterr().err


def test_students_are_folds_of_leaf(data, tmp_path):
    from methods.leaf.student import Student

    student = Student.load()
    for fold in range(2):
        student.head = dataclasses.replace(student.head, bias=student.head.bias - 0.2 * fold)
        student.save(tmp_path / "students" / f"fold-{fold}" / "student")
    assert evaluate(data, tmp_path / "run", tmp_path / "students", "--limit", "6", "--option", "map=false",
                    method="leaf") == 0
    first, second = (Student.load(tmp_path / "students" / f"fold-{fold}" / "student") for fold in range(2))
    deal = dict(zip((item.name for item in from_table(*data).items), fold_of(COUNT, 2)))
    for row in load_run(tmp_path / "run"):
        expected = float((second if deal[row.image] else first).predict([data[0] / row.image])[0])
        assert row.score == pytest.approx(expected, abs=1e-6)
    source = json.loads((tmp_path / "run" / "metrics.json").read_text())["provenance"]
    assert source["lmm"] is None
    assert source["training_set"] == "live-challenge-dev+kadid-10k"


def test_batches_never_mix_folds(data):
    items = folds.dealt(from_table(*data), data[0], 3).items
    cut = batches(items, 4)
    assert all(len({item.fold for item in batch}) == 1 for batch in cut)
    assert sorted(item.name for batch in cut for item in batch) == sorted(item.name for item in items)
    np.testing.assert_array_equal([item.fold for item in items], fold_of(COUNT, 3))


def test_what_is_no_folder_of_folds_is_a_sentence(data, cache, tmp_path, capsys):
    assert evaluate(data, tmp_path / "run", tmp_path) == 2
    assert "holds 0 folders fold-0, fold-1 and so on" in capsys.readouterr().err
    for number in (0, 2):
        (tmp_path / "gap" / f"fold-{number}").mkdir(parents=True)
    assert evaluate(data, tmp_path / "run", tmp_path / "gap") == 2
    assert "lacks fold-1; its folds are 0, 2" in capsys.readouterr().err
    (tmp_path / "gap" / "fold-2").rename(tmp_path / "gap" / "fold-1")
    assert evaluate(data, tmp_path / "run", tmp_path / "gap") == 2
    assert "fold-0 holds no model/config.json" in capsys.readouterr().err
    listed = tmp_path / "listed"
    listed.mkdir()
    for fold in range(2):
        (listed / f"fold-{fold}").symlink_to(cache / f"fold-{fold}")
    for text, sentence in (("image,fold\n000.png,0\n", "does not say without which fold '001.png'"),
                           ("image,fold\n000.png,2\n", "puts '000.png' into fold 2; there are folds 0 to 1"),
                           ("image,part\n000.png,0\n", "needs the columns image and fold")):
        (listed / "folds.csv").write_text(text)
        assert evaluate(data, tmp_path / "run", listed) == 2
        assert sentence in capsys.readouterr().err
    with data[1].open(newline="") as file:
        lines = list(csv.reader(file))
    table = tmp_path / "more.csv"
    table.write_text("\n".join(",".join(line) for line in [*lines, ["gone.png", "2", "1"]]) + "\n")
    assert evaluate((data[0], table), tmp_path / "run", cache) == 2
    assert "'gone.png' has no file" in capsys.readouterr().err
