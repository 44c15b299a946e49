"""`evaluate --folds`: every picture meets the model that was trained without it, whatever the order, kill or limit."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from leaderboard import measured, schema
from leaderboard.__main__ import main
from leaderboard.runs.evaluation import Evaluation, load_run
from leaderboard.runs.folder import RunFolder
from leaderboard.runs.scoring import batches
from methods.base import load_method
from methods.data import deal_folds, deal_parts, folds, read_table
from methods.errors import InputError
from methods.lmm.transformers_lmm import TransformersLMM
from tests import tiny_lmm
from tests.unit.leaderboard.test_evaluate import make_pictures

COUNT = 14


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Two folds of different weights, laid out as training leaves them."""
    import torch

    folder = tmp_path_factory.mktemp("folds")
    folds.write(folder, [f"{number:03d}.png" for number in range(COUNT)], deal_folds(COUNT, 2))
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


def rated(data):
    return read_table(data[1], data[0])


def evaluate(data, out, cache, *more: str, method: str = "q-bench") -> int:
    return main(["evaluate", "--method", method, "--folds", str(cache), "--images", str(data[0]), "--scores",
                 str(data[1]), "--out", str(out), "--batch-size", "4", *more])


def alone(data, cache, fold: int) -> dict[str, float]:
    """Every picture's score by one fold's model."""
    method = load_method("q-bench", TransformersLMM(cache / f"fold-{fold}" / "model"))
    return {item.name: method.assess(item.path).score for item in rated(data)}


@pytest.mark.slow
def test_each_picture_is_scored_by_the_model_of_its_fold(data, cache, tmp_path):
    out = tmp_path / "run"
    assert evaluate(data, out, cache) == 0
    rows = load_run(out)
    assert len(rows) == COUNT
    expected = [alone(data, cache, fold) for fold in range(2)]
    deal = dict(zip(sorted(row.image for row in rows), deal_folds(COUNT, 2)))
    for row in rows:
        assert row.score == pytest.approx(expected[deal[row.image]][row.image], abs=1e-6)
        assert row.score != pytest.approx(expected[1 - deal[row.image]][row.image], abs=1e-3)
    metrics = json.loads((out / "metrics.json").read_text())
    assert schema.check_metrics(metrics) == []
    source = metrics["provenance"]
    assert (source["lmm"], source["folds"]) == ("embedded", 2)
    assert source["lmm_revision"].startswith("2 folds ")
    assert len(set(source["lmm_revision"].split()[2:])) == 2
    assert source["training_set"] == "biq2021+kadid-10k"
    assert source["training_free"] is False
    read = measured.read(out)
    assert {name: (estimate.low, estimate.high) for name, estimate in read.estimates.items()} == {
        name: (metrics[name]["low"], metrics[name]["high"]) for name in read.estimates}
    record = measured.rows(read)[0]
    assert "the one of 2 models that was trained without it" in record["protocol"]
    assert record["training_free"] == "false"


@pytest.mark.slow
def test_a_table_of_folds_is_followed_and_a_limit_raised_later_changes_nothing(data, cache, tmp_path):
    names = [item.name for item in rated(data)]
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
        scores = {row.image: row.score for row in load_run(out)}
        assert scores == pytest.approx({name: expected[fold][name] for name, fold in zip(names, deal)}, abs=1e-6)
    source = json.loads((whole / "metrics.json").read_text())["provenance"]
    assert source["lmm"] == "mine"
    assert "training_set" not in source, "nobody said what a model of this name was trained on"


def test_images_that_were_not_dealt_are_refused(data, cache, tmp_path):
    models = [cache / f"fold-{fold}" / "model" for fold in range(2)]
    with RunFolder(tmp_path / "run") as folder, pytest.raises(InputError, match=r"'000\.png' belongs to no fold"):
        Evaluation(folder, rated(data)).perform("q-bench", members=models)
    assert not (tmp_path / "run" / "predictions.csv").exists()


def test_other_weights_in_one_fold_are_another_run(data, cache, tmp_path, capsys):
    assert evaluate(data, tmp_path / "run", cache, "--limit", "4") == 0
    swapped = tmp_path / "swapped"
    folds.write(swapped, rated(data).names, deal_folds(COUNT, 2))
    for fold in range(2):
        (swapped / f"fold-{fold}").mkdir(parents=True)
        (swapped / f"fold-{fold}" / "model").symlink_to(cache / f"fold-{1 - fold}" / "model")
    assert evaluate(data, tmp_path / "run", swapped) == 2
    assert "lmm_revision was" in capsys.readouterr().err


def test_students_are_folds_of_leaf_and_their_table_is_a_must(data, tmp_path, capsys):
    from methods.leaf.student import Student

    student = Student.load()
    for fold in range(2):
        student.head = dataclasses.replace(student.head, bias=student.head.bias - 0.2 * fold)
        student.save(tmp_path / "students" / f"fold-{fold}" / "student")
    command = ("--limit", "6", "--option", "map=false")
    assert evaluate(data, tmp_path / "run", tmp_path / "students", *command, method="leaf") == 2, \
        "nobody knows which pictures the students were trained on"
    assert "holds no folds.csv" in capsys.readouterr().err
    assert not (tmp_path / "run" / "predictions.csv").exists()
    folds.write(tmp_path / "students", rated(data).names, deal_folds(COUNT, 2))
    assert evaluate(data, tmp_path / "run", tmp_path / "students", *command, method="leaf") == 0
    first, second = (Student.load(tmp_path / "students" / f"fold-{fold}" / "student") for fold in range(2))
    deal = dict(zip((item.name for item in rated(data)), deal_folds(COUNT, 2)))
    for row in load_run(tmp_path / "run"):
        expected = float((second if deal[row.image] else first).predict([data[0] / row.image])[0])
        assert row.score == pytest.approx(expected, abs=1e-6)
    source = json.loads((tmp_path / "run" / "metrics.json").read_text())["provenance"]
    assert source["lmm"] is None
    assert (source["training_set"], source["label_sets"]) == ("biq2021+kadid-10k", "live-challenge-dev")


def test_batches_never_mix_folds(data, tmp_path):
    folds.write(tmp_path, rated(data).names, deal_folds(COUNT, 3))
    items = folds.with_folds(rated(data), tmp_path, 3)
    cut = batches(items, 4)
    assert all(len({item.fold for item in batch}) == 1 for batch in cut)
    assert sorted(item.name for batch in cut for item in batch) == sorted(item.name for item in items)
    np.testing.assert_array_equal([item.fold for item in items], deal_folds(COUNT, 3))


def test_folds_are_even_and_follow_the_seed():
    fold = deal_folds(23, 5, seed=3)
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    np.testing.assert_array_equal(fold, deal_folds(23, 5, seed=3))
    assert (fold != deal_folds(23, 5, seed=4)).any()


def test_a_table_never_speaks_of_models_of_another_deal(tmp_path):
    names = [f"{number}.png" for number in range(6)]
    folds.write(tmp_path, names, deal_folds(6, 2))
    folds.write(tmp_path, names, deal_folds(6, 3))
    (tmp_path / "fold-0" / "model").mkdir(parents=True)
    assert folds.write(tmp_path, names, deal_folds(6, 3)).is_file()
    with pytest.raises(folds.FoldError, match="another deal"):
        folds.write(tmp_path, names, deal_folds(6, 2))
    with pytest.raises(folds.FoldError, match="the same name"):
        folds.write(tmp_path / "other", ["a", "a"], [0, 1])


def test_parts_keep_contents_together_and_are_never_empty():
    groups = [f"content {number // 3}" for number in range(30)]
    part = deal_parts(groups, (6, 2, 2), seed=1)
    assert np.bincount(part).tolist() == [18, 6, 6]
    assert all(len(set(part[start : start + 3])) == 1 for start in range(0, 30, 3))
    assert set(deal_parts(["a"] * 7 + ["b", "c"], (6, 2, 2))) == {0, 1, 2}
    assert np.bincount(deal_parts([""] * 10, (3, 7))).tolist() == [3, 7]
    with pytest.raises(InputError, match="2 contents cannot be dealt into 3 parts"):
        deal_parts(["a", "a", "b"], (6, 2, 2))


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
                           ("image,fold\n000.png,0\n000.png,1\n", "names an image twice"),
                           ("image,part\n000.png,0\n", "needs the columns image and fold")):
        (listed / "folds.csv").write_text(text)
        assert evaluate(data, tmp_path / "run", listed) == 2
        assert sentence in capsys.readouterr().err
