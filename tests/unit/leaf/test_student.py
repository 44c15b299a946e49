"""The student from file to score: what ships, what calibration changes, what a copy keeps, what it refuses."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file

from methods.agreement import metrics as stats
from methods.agreement.logistic import Logistic4
from methods.base import load_method
from methods.leaf.backbones import TowerBackbone, image_within, load_backbone
from methods.leaf.efficientnet import EfficientNetLite
from methods.leaf.heads import Head
from methods.leaf.maps import overlay, relative
from methods.leaf.method import LEAF
from methods.leaf.student import EMBEDDED, UNSEEN, Student, StudentError


def test_what_ships_is_small_and_says_how_good_it_is(student: Student) -> None:
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) < 12e6
    measured = student.card["measured"]
    for metric in ("srcc", "plcc", "plcc_logistic4"):
        assert measured[metric]["low"] < measured[metric]["value"] < measured[metric]["high"]
        assert measured[metric]["n"] == 399
    assert measured["srcc"]["value"] >= 0.83
    assert measured["plcc"]["value"] >= 0.85
    assert student.card["revision"] == student.revision
    assert "LIVE" in student.card["training"]["notice"]
    assert (student.root, student.calibrated_with) == ("embedded-biq2021", ("live-challenge-dev",))


@pytest.mark.slow
def test_the_student_that_saw_nothing_of_live_challenge(shared_data: Path) -> None:
    unseen = Student.load("embedded-biq2021")
    assert unseen.revision == unseen.card["revision"] == Student.load(UNSEEN).revision
    assert unseen.card["measured"]["srcc"]["value"] >= 0.79
    assert unseen.calibrated_with == ()
    with (shared_data / "live-challenge-dev" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))[::20]
    folder = shared_data / "live-challenge-dev" / "images"
    paths, mos = [folder / row["image"] for row in rows], [float(row["mos"]) for row in rows]
    assert stats.srcc(unseen.predict(paths), mos) > 0.7
    # None of these photos is one of its own, so a calibration on them is measured on all.
    assert unseen.calibrate(paths, mos, scale=(0, 100)).calibration.trained_on == 0


@pytest.mark.slow
def test_mirror_images_count_as_the_same_photo(rated: tuple, student: Student) -> None:
    views = student.views(rated[0])
    assert views.shape == (2, len(rated[0]), student.backbone.width)
    assert views[0] == pytest.approx(student.features(rated[0]), abs=1e-5)
    assert views[1, 0] == pytest.approx(student.features([ImageOps.mirror(Image.open(rated[0][0]))])[0], abs=1e-5)
    steps: list[tuple[int, int]] = []
    by_views = Student.load().calibrate(None, rated[1], features=views)
    by_images = Student.load().calibrate(rated[0], rated[1], progress=lambda *step: steps.append(step))
    assert by_views.predict(features=views[0]) == pytest.approx(by_images.predict(features=views[0]), abs=1e-5)
    assert (by_views.calibration.n, by_images.calibration.n) == (24, 24)
    assert steps[-1] == (48, 48)


def test_damage_lowers_the_score(student: Student, shared_data: Path) -> None:
    from methods.kadid.distortions import distort

    photo = np.asarray(Image.open(shared_data / "kodak24" / "05.png").convert("RGB"))
    for name in ("GBLUR", "JPEG", "AWGN", "Darken"):
        clean, spoilt = student.predict([Image.fromarray(photo), Image.fromarray(distort(photo, name, 5, rng=0))])
        assert spoilt < clean - 0.05, name


def test_scores_repeat_and_do_not_depend_on_company(rated: tuple, student: Student, features: np.ndarray) -> None:
    together, alone = student.predict(rated[0][:3]), [student.predict([path])[0] for path in rated[0][:3]]
    assert together == pytest.approx(alone, abs=1e-5)
    assert student.predict(features=features[:3]) == pytest.approx(together, abs=1e-6)
    assert ((together >= 0) & (together <= 1)).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (500, 500), (1201, 640)])
def test_any_size_has_a_score_and_a_map(student: Student, size: tuple[int, int]) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    assert np.isfinite(student.predict([picture])).all()
    local = student.local_scores(picture)
    assert local.ndim == 2
    assert ((local >= 0) & (local <= 1)).all()
    assert overlay(picture, local).size[0] <= 1024


def test_the_map_finds_the_blurred_half(student: Student, shared_data: Path) -> None:
    from methods.kadid.distortions import distort

    photo = np.asarray(Image.open(shared_data / "kodak24" / "08.png").convert("RGB").resize((500, 500)))
    spoilt = photo.copy()
    spoilt[:, :250] = distort(photo, "GBLUR", 5, rng=0)[:, :250]
    local = student.local_scores(Image.fromarray(spoilt))
    half = local.shape[1] // 2
    assert local[:, : half - 1].mean() < local[:, half + 1:].mean()
    assert np.abs(relative(local)).max() <= 1


def test_calibration_learns_in_place_and_measures_itself(rated: tuple, features: np.ndarray) -> None:
    own = Student.load()
    before = own.predict(features=features)
    own.calibrate(None, 1 + 4 * rated[1], features=features)
    assert own.scale == (1, 5)
    after = own.predict(features=features)
    assert stats.srcc(after, rated[1]) > stats.srcc(before, rated[1])
    assert own.calibration.n == 24
    assert own.calibration.srcc_interval[0] <= own.calibration.srcc <= own.calibration.srcc_interval[1]
    assert own.to_mos(after).min() >= 1
    assert own.percentile(0.5) is None
    # Cross-validated, so it cannot be the fit itself.
    assert own.calibration.srcc < stats.srcc(after, rated[1])


def test_a_saved_student_is_the_same_student(rated: tuple, features: np.ndarray, tmp_path: Path) -> None:
    own = Student.load().calibrate(None, rated[1], features=features)
    again = Student.load(own.save(tmp_path / "mine"))
    assert again.predict(rated[0][:4]) == pytest.approx(own.predict(rated[0][:4]), abs=1e-6)
    assert again.revision == own.revision != Student.load().revision
    card = json.loads((tmp_path / "mine" / "card.json").read_text())
    assert card["calibrated"]["ratings"] == 24
    assert own.card.get("population") is None


def test_images_that_a_student_was_trained_on_certify_nothing(rated: tuple, features: np.ndarray, tmp_path: Path
                                                              ) -> None:
    own = Student.load().calibrate(rated[0], rated[1], features=features)
    assert own.calibration.trained_on == 0
    assert own.calibration.caveat == ""
    own.save(tmp_path / "own")
    again = Student.load(tmp_path / "own").calibrate(rated[0], rated[1], features=features)
    assert again.calibration.trained_on == again.calibration.n == 24
    assert again.calibration.srcc is again.calibration.before_srcc is again.calibration.srcc_interval is None
    assert "trained on 24 of these 24 images" in again.calibration.caveat
    # Known by the pixels: another name and another format are the same image.
    copies = []
    for number, path in enumerate(rated[0]):
        copies.append(tmp_path / f"copy-{number}.bmp")
        Image.open(path).convert("RGB").save(copies[-1])
    assert Student.load(tmp_path / "own").calibrate(copies, rated[1]).calibration.trained_on == 24
    assert LEAF(student=tmp_path / "own").has_learnt(Image.open(copies[0]))
    assert not LEAF(student=tmp_path / "own").has_learnt(Image.new("RGB", (40, 30)))
    # Forgotten with what was learnt.
    scratch = Student.load(tmp_path / "own").calibrate(rated[0], rated[1], features=features, from_scratch=True)
    assert scratch.calibration.trained_on == 0
    assert scratch.calibration.srcc is not None


def test_accuracy_is_measured_on_the_images_that_are_new(rated: tuple, features: np.ndarray) -> None:
    own = Student.load().calibrate(rated[0][:10], rated[1][:10], features=features[:10])
    own.calibrate(rated[0], rated[1], features=features)
    fit = own.calibration
    assert (fit.n, fit.trained_on) == (24, 10)
    assert "trained on 10 of these 24 images; its accuracy is measured on the others" in fit.caveat
    assert np.isnan(fit.predicted[:10]).all()
    assert fit.srcc == pytest.approx(stats.srcc(fit.predicted[10:], rated[1][10:]))


@pytest.mark.slow
def test_the_student_that_ships_knows_what_it_was_trained_on(shared_data: Path) -> None:
    own = Student.load()
    assert len(own.trained_on) > len(Student.load("embedded-biq2021").trained_on) > 8000
    folder = shared_data / "live-challenge-dev" / "images"
    photos = sorted(folder.iterdir())[:12]
    own.calibrate(photos, np.linspace(0, 1, 12))
    assert own.calibration.trained_on == 12
    assert own.calibration.srcc is None


def test_a_link_is_saved_and_older_students_have_none(student: Student, features: np.ndarray, tmp_path: Path) -> None:
    link = Logistic4(upper=0.9, lower=0.1, midpoint=0.5, slope=0.1)
    own = Student(student.backbone, replace(student.head, link=link), student.card)
    again = Student.load(own.save(tmp_path / "linked"))
    assert again.predict(features=features) == pytest.approx(own.predict(features=features), abs=1e-6)
    assert again.revision == own.revision != student.revision
    card = json.loads((tmp_path / "linked" / "card.json").read_text())
    tensors = load_file(str(tmp_path / "linked" / "student.safetensors"))
    del tensors["head.link"]
    save_file(tensors, str(tmp_path / "linked" / "student.safetensors"))
    (tmp_path / "linked" / "card.json").write_text(json.dumps({**card, "format": 1}))
    assert Student.load(tmp_path / "linked").head.link is None


def test_what_cannot_be_calibrated_is_said(features: np.ndarray, student: Student) -> None:
    def refused(mos: list[float], sentence: str, **settings) -> None:
        with pytest.raises(StudentError, match=sentence):
            Student.load().calibrate(None, mos, features=features[: len(mos)], **settings)

    refused([0.1, 0.2, 0.3], "3 rated images are too few")
    refused([0.5] * 8, "All ratings are 0.5")
    refused([0.1, float("nan"), 0.3, 0.4, 0.5], "not numbers")
    refused([1, 2, 3, 4, 7], "outside the scale", scale=(1, 5))
    with pytest.raises(StudentError, match="one rating per image"):
        student.calibrate(None, [0.1] * 6, features=features[:5])


def test_damaged_and_foreign_folders_are_refused(tmp_path: Path, features: np.ndarray, rated: tuple) -> None:
    with pytest.raises(StudentError, match="holds no student"):
        Student.load(tmp_path)
    folder = Student.load().save(tmp_path / "one")
    (folder / "student.safetensors").write_bytes(b"nothing")
    with pytest.raises(StudentError, match="damaged"):
        Student.load(folder)
    folder = Student.load().save(tmp_path / "two")
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(StudentError, match="format 99"):
        Student.load(folder)


def test_the_tower_pools_what_it_says() -> None:
    torch.manual_seed(0)
    backbone = TowerBackbone(EfficientNetLite("lite0", 4), (2, 3), (1, 3), longest_side=64)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    with torch.inference_mode():
        wide, narrow = backbone.tower(backbone.input_of(picture), (2, 3), (1, 3))
    assert [maps.shape[1] for maps in wide] == [144, 144]
    assert [maps.shape[1] for maps in narrow] == [24, 40]
    row = backbone.features_of(picture)
    assert row[:144] ** 2 == pytest.approx(wide[0][0].mean((1, 2)).numpy(), abs=1e-4)
    assert row[144:288] ** 2 == pytest.approx(wide[0][0].std((1, 2), correction=0).numpy(), abs=1e-4)
    quarter = wide[0][0].unflatten(1, (2, 8)).unflatten(3, (2, 8)).mean((2, 4)).amin((1, 2))
    assert row[288:432] ** 2 == pytest.approx(quarter.numpy(), abs=1e-4)
    assert row[864:888] == pytest.approx(narrow[0][0].mean((1, 2)).numpy(), abs=1e-4)
    assert row[888:912] == pytest.approx(narrow[0][0].std((1, 2), correction=0).numpy(), abs=1e-4)
    assert row[912:952] == pytest.approx(narrow[1][0].mean((1, 2)).numpy(), abs=1e-4)
    assert len(row) == backbone.width == sum(backbone.widths().values()) == 992
    assert backbone.whole_and_local(picture)[1].shape == (8, 8, 992)
    same = load_backbone(backbone.config(), backbone.tensors())
    assert same.features_of(picture) == pytest.approx(backbone.features_of(picture), abs=1e-6)


@pytest.mark.parametrize(("taps", "narrow"), [((1,), (3,)), ((3,), (1,)), ((2,), (2,)), ((0, 3), ())])
def test_the_tower_gives_the_maps_asked_for(taps: tuple[int, ...], narrow: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    tower = EfficientNetLite("lite0", 4)
    pixels = torch.randn(1, 3, 40, 56)
    with torch.inference_mode():
        every_wide, every_narrow = tower(pixels, (0, 1, 2, 3), (0, 1, 2, 3))
        wide, outputs = tower(pixels, taps, narrow)
    for layers, every, numbers in ((wide, every_wide, taps), (outputs, every_narrow, narrow)):
        assert len(layers) == len(numbers)
        for maps, number in zip(layers, numbers, strict=True):
            assert torch.allclose(maps, every[number], atol=1e-5)


def test_pictures_are_scaled_down_and_never_vanish() -> None:
    assert image_within(Image.new("RGB", (2000, 1000)), 500).size == (500, 250)
    assert image_within(Image.new("RGB", (300, 200)), 500).size == (300, 200)
    assert image_within(Image.new("RGB", (5000, 10)), 500).size == (500, 64)


def test_the_method_explains_itself(rated: tuple) -> None:
    method = load_method("leaf")
    first, second = method.assess_batch(rated[0][:2])
    assert method.cost() == 0
    assert first.native_range == (0, 100)
    assert first.native_score == pytest.approx(100 * first.score)
    assert first.lmm.startswith("embedded@")
    assert "% of 399" in first.explanation
    assert 0 <= first.evidence.percentile <= 100
    assert json.dumps(second.to_dict())
    assert method.assess(rated[0][0], map=False).evidence.local is None
    assert method.assess(rated[0][0], map=False).score == pytest.approx(first.score, abs=1e-5)
    with pytest.raises(ValueError, match="brings its own network"):
        load_method("leaf", lmm="embedded")


@pytest.mark.parametrize(("shift", "score", "off"), [(-9.0, 0.0, True), (9.0, 1.0, True), (0.0, None, False)])
def test_a_number_beyond_the_scale_is_said(rated: tuple, shift: float, score: float | None, off: bool) -> None:
    own = Student.load()
    own.head = replace(own.head, bias=own.head.bias + shift, link=None)
    result = load_method("leaf", student=own, map=False).assess(rated[0][0])
    assert result.evidence.off_scale is off
    assert ("unlike those it learned from" in result.explanation) is off
    if score is not None:
        assert result.score == score


def test_a_percentile_follows_the_population(student: Student) -> None:
    assert student.percentile(0.0) == 0
    assert student.percentile(1.0) == 100
    assert student.percentile(0.4) < student.percentile(0.6)
    assert Student(student.backbone, Head(*[np.zeros(1)] * 3, 0.0)).percentile(0.5) is None


def test_score_and_map_come_from_one_pass(monkeypatch, rated):
    from methods.leaf.method import LEAF

    method, passes = LEAF(), []
    tower = method.student.backbone.tower
    forward = tower.forward
    monkeypatch.setattr(tower, "forward", lambda *given: passes.append(1) or forward(*given))
    photos = rated[0][:2]
    mapped = method.assess_batch(photos)
    assert len(passes) == 2
    plain = method.assess_batch(photos, map=False)
    assert [one.score for one in mapped] == [one.score for one in plain]
    assert all(one.evidence.local is not None for one in mapped)
    assert all(one.evidence.local is None for one in plain)


def test_a_table_of_scores_asks_for_no_map(monkeypatch, rated, capsys):
    from mean_opinion.cli import main
    from methods.leaf.backbones import TowerBackbone

    photos, mapped = [str(path) for path in rated[0][:2]], []
    monkeypatch.setattr(TowerBackbone, "_local", lambda *given: mapped.append(1))
    assert main(["score", *photos, "--method", "leaf", "--map"]) == 0
    assert not mapped
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["score", *photos, "--method", "leaf", "--format", "json"]) == 0
    assert len(mapped) == 2
