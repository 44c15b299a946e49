"""How the two students that ship are trained, on made populations."""

from __future__ import annotations

import numpy as np
import pytest

from methods.data import RatedPicture, RatedPictures
from methods.embedded import damages
from methods.embedded import student as training
from methods.kadid.distortions import DISTORTIONS
from methods.leaf.heads import fit_ridge
from methods.leaf.student import UNSEEN, Student
from tests.rated_pictures import draw


def test_contrasts_are_of_the_better_half_and_never_of_what_is_held_out() -> None:
    mos = np.linspace(0, 1, 50)
    pairs = training.pairs_of(mos)
    assert pairs == training.pairs_of(mos)
    assert len(pairs) == 25 * (len(training.DAMAGES) + training.OTHERS)
    assert min(mos[pair.row] for pair in pairs) >= 0.5
    names = {pair.name for pair in pairs}
    assert not names & set(damages.RENDERED_HELD_OUT)
    assert names <= set(DISTORTIONS) | set(damages.NAMES)
    assert all(0 < pair.left < 1.01 for pair in pairs)


def test_features_are_kept_and_taken_up_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training, "_PART", 4)
    backbone = Student.load().backbone
    paths = list(draw(tmp_path))[:6]
    asked: list[int] = []

    def image(number: int):
        asked.append(number)
        return paths[number]

    first = training.cached_features(backbone, 6, image, "photos", tmp_path / "cache", "")
    (tmp_path / "cache" / "photos-4.npy").unlink()
    asked.clear()
    again = training.cached_features(backbone, 6, image, "photos", tmp_path / "cache", "")
    assert asked == [4, 5]
    assert (again == first).all()


def test_across_subsets_each_is_scored_by_the_others() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((120, 8)).astype(np.float32)
    mos = np.clip(0.5 + 0.1 * features[:, 0], 0, 1)
    subset = np.repeat(["a", "b"], 60)
    mos[subset == "b"] = 1 - mos[subset == "b"]
    assert training.across_subsets(features, mos, subset, [0.1])[0.1] < -0.9


def test_no_labels_is_the_first_student_as_it_is() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40, 6)).astype(np.float32)
    mos = rng.random(40)
    prior = fit_ridge(features, mos).head
    assert training.cross_validate(features[None], mos, prior, 1, labels=0)[0] == pytest.approx(prior(features))
    with pytest.raises(ValueError, match="nothing to score by"):
        training.cross_validate(features[None], mos, None, 1, labels=0)


def test_a_calibrated_student_says_whose_labels_it_read_and_leaves_the_first_as_it_was(tmp_path) -> None:
    scores = draw(tmp_path)
    opinions = RatedPictures(tuple(RatedPicture(path.name, path, 100 * mos) for path, mos in scores.items()), 0, 100)
    unseen = Student.load(UNSEEN)
    before = unseen.revision
    student = training.calibrated(unseen, unseen.views(opinions.paths), opinions, "embedded")
    assert unseen.revision == before != student.revision
    assert (student.name, student.root, student.calibrated_with) == (
        "embedded", "embedded-biq2021", ("live-challenge-dev",))
    assert student.scale == (0, 100)
    assert len(student.trained_on) == len(unseen.trained_on) + len(opinions)
