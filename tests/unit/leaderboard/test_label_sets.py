"""Whose opinions a run rests on: labels that were read, sets that were trained on, and every model of an ensemble."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leaderboard.entries import catalogue
from leaderboard.runs.add import add
from leaderboard.runs.evaluation import Evaluation
from leaderboard.runs.folder import RunFolder
from leaderboard.runs.scoring import Scorer
from leaderboard.schema import load_board
from methods.base import load_method
from methods.data import RatedPicture, RatedPictures
from methods.iqarag.build import build
from methods.leaf.method import LEAF
from methods.leaf.student import Student
from tests import tiny_lmm


def rated(folder, slug: str, seed: int, count: int = 6) -> RatedPictures:
    folder.mkdir(parents=True)
    noise = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    pictures = []
    for number in range(count):
        path = folder / f"{10 * seed + number}.png"
        noise.filter(ImageFilter.GaussianBlur(count - number)).save(path)
        pictures.append(RatedPicture(path.name, path, 10.0 + 10 * number))
    return RatedPictures(tuple(pictures), 0.0, 100.0, dataset=slug, split="test")


@pytest.fixture
def others(tmp_path) -> RatedPictures:
    """Rated images that are references, or calibrate a student."""
    return rated(tmp_path / "others", "live-challenge", seed=1)


def cells(method, data, tmp_path, dataset: str = "live-challenge-dev"):
    """The result of a method on made images, as the leaderboard shows it, and its provenance."""
    test = rated(tmp_path / f"test-{dataset}", dataset, seed=2)
    with RunFolder(tmp_path / f"run-{dataset}") as folder:
        metrics = Evaluation(folder, test).perform(method, command="a test")
    add(folder.path, data=data, submissions=tmp_path / "submissions")
    [entry] = [one for one in catalogue(load_board(data)).entries if one.origin == "measured"]
    return entry.cells["srcc"][dataset], metrics["provenance"]


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "sees"),
                         [("live-challenge-dev", True), ("live-challenge", True), ("sriqa-bench", False)])
def test_references_are_labels_of_their_set_and_of_its_parts(dataset, sees, others, data, tmp_path):
    method = load_method("iqarag", "embedded")
    references = build(others, tmp_path / "set", method.encoder()).references
    assert references.datasets == ("live-challenge",)
    cell, provenance = cells(load_method("iqarag", method.lmm, options={"reference_set": str(tmp_path / "set")}), data,
                             tmp_path, dataset)
    assert provenance["label_sets"] == "live-challenge"
    assert "reads labels of live-challenge" in cell.protocol
    assert cell.labels == sees


def test_the_plain_question_reads_no_labels_and_the_shipped_set_says_whose_it_bears():
    assert load_method("iqarag", "embedded", options={"P": 0}).label_sets == ()
    assert load_method("iqarag", "embedded").label_sets == ("live-challenge-dev",)
    assert load_method("q-debias", "embedded").label_sets == ()


def test_a_calibrated_student_says_what_it_was_calibrated_with_and_what_it_grew_from(others, data, tmp_path):
    student = Student.load("embedded-biq2021").calibrate(others.paths, others.mos01, scale=(0.0, 1.0), dataset="spaq")
    student.calibrate(others.paths, others.mos01, scale=(0.0, 1.0), dataset=others.dataset)
    student.card["name"] = "mine"
    student.save(tmp_path / "mine")
    again = LEAF(student=str(tmp_path / "mine"), options={"map": False})
    assert again.label_sets == ("live-challenge", "spaq")
    cell, provenance = cells(again, data, tmp_path)
    assert provenance["label_sets"] == "live-challenge+spaq"
    assert provenance["training_set"] == Scorer("leaf").about()["training_set"]
    assert cell.labels
    # What it grew from was trained on another set; only its labels are of this one.
    assert provenance["training_set"] == "biq2021+kadid-10k"
    assert cell.overlap == ""
    fresh = Student.load(tmp_path / "mine").calibrate(others.paths, others.mos01, scale=(0.0, 1.0), from_scratch=True)
    assert fresh.calibrated_with == ()
    assert LEAF(student="embedded-biq2021").label_sets == ()
    assert LEAF().label_sets == ("live-challenge-dev",)


def test_every_model_of_an_ensemble_is_named(tmp_path):
    first, second = (tiny_lmm.build(family, tmp_path / family, image_budget=8) for family in ("fast_vlm", "smolvlm"))
    scorer = Scorer("llm-iqa", f"{first},{second}", {"segmenter": "felzenszwalb"})
    identity, about = scorer.identity(), scorer.about()
    revisions = [model.revision for model in scorer.method.lmms]
    assert identity["lmm"] == "fast_vlm, smolvlm"
    assert identity["lmm_revision"] == ", ".join(revisions)
    assert identity["weights"] == f"fast_vlm@{revisions[0]}, smolvlm@{revisions[1]}"
    alone = [Scorer("llm-iqa", str(one), {"segmenter": "felzenszwalb"}).about() for one in (first, second)]
    assert about["parameters_billion"] == pytest.approx(sum(one["parameters_billion"] for one in alone), rel=0.01)
    assert about["lmm_passes"] == sum(one["lmm_passes"] for one in alone)
    # Of one of them nobody says what it was trained on, so nothing is said of all.
    mixed = Scorer("llm-iqa", f"embedded,{first}", {"segmenter": "felzenszwalb"}).about()
    assert "training_set" not in mixed
    assert mixed["training_free"] is False


def test_a_note_of_a_run_stands_with_its_row(data, tmp_path):
    from tests.unit.leaderboard.conftest import make_run

    run = make_run(tmp_path / "noted", note="measured on a Tuesday")
    add(run, data=data, submissions=tmp_path / "submissions")
    board = load_board(data)
    assert set(board.measured["note"]) == {"measured on a Tuesday"}
    assert json.loads((run / "metrics.json").read_text())["provenance"]["note"] == "measured on a Tuesday"
