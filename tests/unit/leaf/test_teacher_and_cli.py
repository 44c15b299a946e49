"""The teacher asks once, in both orders, and goes on after a kill; the command line does the rest."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.leaf import teacher
from methods.leaf.__main__ import main
from methods.leaf.teacher import PAIR_WORDS, TeacherError, choose_pairs, judge, recorded
from methods.levels import FIVE_LEVELS
from methods.lmm.base import LMM, LMMError
from ui.serving import visitors


class SharpnessLMM(LMM):
    """Answers from the pictures' own sharpness, a little in favour of whatever is shown first."""

    name, revision, image_budget = "sharpness", "1", 2

    def __init__(self, budget: int = 2, fails_after: int | None = None) -> None:
        self.image_budget, self.asked, self.left = budget, 0, fails_after

    def word_logits(self, prompts, words):
        rows = []
        for prompt in prompts:
            if self.left is not None and self.asked >= self.left:
                raise LMMError("The model stopped.")
            self.asked += 1
            sharpness = [min(float(np.abs(np.diff(np.asarray(image, dtype=float), axis=1)).mean()) / 40, 1.0)
                    for image in prompt.images]
            if tuple(words) == PAIR_WORDS:
                rows.append([5 * (sharpness[0] - sharpness[1]) + 0.2, 0.0])
            else:
                rows.append(-((sharpness[0] - np.asarray(FIVE_LEVELS.weights)) ** 2) / 0.05)
        return np.array(rows, dtype=np.float32)

    def generate(self, *arguments, **settings):
        raise NotImplementedError

    def stream(self, *arguments, **settings):
        raise NotImplementedError

    def embed(self, images):
        raise NotImplementedError


def test_pairs_are_few_distinct_and_near_as_well_as_far() -> None:
    scores = np.linspace(0, 1, 50)
    pairs = choose_pairs(scores, 4, seed=1)
    assert len(pairs) == 100
    assert len({tuple(sorted(pair)) for pair in pairs.tolist()}) == 100
    assert (pairs[:, 0] != pairs[:, 1]).all()
    distance = np.abs(pairs[:, 0] - pairs[:, 1])
    assert (distance == 1).sum() >= 45
    assert distance.max() > 20
    assert np.array_equal(pairs, choose_pairs(scores, 4, seed=1))
    assert choose_pairs(scores[:3], 10).shape == (3, 2)
    assert choose_pairs(scores[:1]).shape == (0, 2)


def test_both_orders_are_asked_and_their_bias_cancels(rated: tuple) -> None:
    lmm = SharpnessLMM()
    said = judge(lmm, rated[0], per_picture=4)
    assert lmm.asked == len(rated[0]) + 2 * len(said.pairs)
    assert (said.forward > said.backward).all()
    better = said.scores[said.pairs[:, 0]] > said.scores[said.pairs[:, 1]] + 0.05
    assert (said.preference[better] > 0.5).all()
    assert ((said.reliability >= 0) & (said.reliability <= 1)).all()
    part = said.subset([0, 1, 2, 3])
    assert part.scores == pytest.approx(said.scores[:4])
    assert part.pairs.size == 0 or part.pairs.max() < 4


def test_a_killed_run_goes_on_where_it_stopped(rated: tuple, tmp_path: Path) -> None:
    cache = tmp_path / "judgements.jsonl"
    with pytest.raises(LMMError, match="stopped"):
        judge(SharpnessLMM(fails_after=33), rated[0], cache=cache, batch=4)
    with cache.open("a") as file:
        file.write('{"key": "half')
    steps: list[tuple[str, int, int]] = []
    lmm = SharpnessLMM()
    again = judge(lmm, rated[0], cache=cache, batch=4, progress=lambda *news: steps.append(news))
    whole = judge(SharpnessLMM(), rated[0])
    assert again.scores == pytest.approx(whole.scores)
    assert again.preference == pytest.approx(whole.preference)
    assert lmm.asked == 24 + 2 * len(whole.pairs) - 32
    assert steps[-1] == ("comparisons", 2 * len(whole.pairs), 2 * len(whole.pairs))
    third = SharpnessLMM(fails_after=0)
    assert judge(third, rated[0], cache=cache).scores == pytest.approx(whole.scores)


def test_another_teachers_cache_is_refused(rated: tuple, tmp_path: Path) -> None:
    cache = tmp_path / "judgements.jsonl"
    judge(SharpnessLMM(), rated[0][:3], cache=cache)
    other = SharpnessLMM()
    other.revision = "2"
    with pytest.raises(TeacherError, match="sharpness@1 and not of sharpness@2"):
        judge(other, rated[0][:3], cache=cache)
    cache.write_text("photo,score\n")
    with pytest.raises(TeacherError, match="no cache"):
        judge(other, rated[0][:3], cache=cache)


def test_what_was_said_is_read_without_the_teacher(rated: tuple, tmp_path: Path) -> None:
    cache = tmp_path / "judgements.jsonl"
    said = judge(SharpnessLMM(), rated[0], cache=cache)
    again = recorded(rated[0], cache)
    assert again.teacher == "sharpness@1"
    assert again.scores == pytest.approx(said.scores)
    preferred = {tuple(pair): value for pair, value in zip(again.pairs.tolist(), again.preference)}
    for (i, j), value in zip(said.pairs.tolist(), said.preference):
        assert preferred.get((i, j), 1 - preferred.get((j, i), np.nan)) == pytest.approx(value)
    assert len(preferred) == len(said.pairs)
    assert again.pair_reliability.sum() == pytest.approx(said.pair_reliability.sum())
    # Some of the pictures, in another order, under other names.
    moved = tmp_path / "other-name.png"
    moved.write_bytes(rated[0][5].read_bytes())
    part = recorded([rated[0][7], moved], cache)
    assert part.scores == pytest.approx(said.scores[[7, 5]])
    new = tmp_path / "new.png"
    Image.new("RGB", (8, 8)).save(new)
    with pytest.raises(TeacherError, match="lacks judgements of 1 of 2 images, such as new"):
        recorded([rated[0][0], new], cache)
    with pytest.raises(TeacherError, match="There is no file none"):
        recorded(rated[0], tmp_path / "none.jsonl")


def test_a_kill_while_the_cache_is_opened_loses_nothing(rated: tuple, tmp_path: Path, monkeypatch) -> None:
    cache = tmp_path / "judgements.jsonl"
    judge(SharpnessLMM(), rated[0][:4], cache=cache)
    before = cache.read_text()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        judge(SharpnessLMM(), rated[0][:4], cache=cache)
    assert cache.read_text() == before


def test_a_teacher_of_one_picture_gives_no_pairs(rated: tuple) -> None:
    lmm = SharpnessLMM(budget=1)
    assert judge(lmm, rated[0][:5]).pairs.shape == (0, 2)
    assert lmm.asked == 5


def test_the_pair_prompt_shows_pictures_before_the_question() -> None:
    transcript = teacher.pair_prompt(Image.new("RGB", (2, 2)), Image.new("RGB", (2, 2))).transcript()
    assert transcript.startswith("user: <image><image>Which image")
    assert transcript.endswith("assistant: The image with better quality is the")


@pytest.fixture
def table(rated: tuple, tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text("image,mos\n" + "".join(f"{file.name},{1 + 4 * score:.3f}\n" for file, score in zip(*rated)))
    return path


@pytest.mark.slow
def test_train_distils_calibrates_and_reports(rated: tuple, table: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("methods.lmm.loading.load_lmm", lambda name: SharpnessLMM())
    out = tmp_path / "student"
    assert main(["train", "--teacher", "sharpness", "--images", str(rated[0][0].parent), "--mos", str(table),
                 "--budget", "0.5", "--report", "--seeds", "1", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "the teacher adds" in said.out
    assert "comparisons" in said.err
    card = json.loads((out / "card.json").read_text())
    assert card["scale"] == [1, 5]
    assert card["training"]["teacher"] == "sharpness@1"
    assert card["calibrated"]["ratings"] == 12
    assert (out / "label-budget.csv").read_text().count("\n") == 13
    assert (out / "label-budget.svg").is_file()
    assert main(["predict", str(rated[0][0]), "--student", str(out)]) == 0
    row = next(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert 1 <= float(row["mos"]) <= 5


@pytest.mark.slow
def test_label_once_and_train_elsewhere(rated: tuple, table: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    asked = []

    def load(name: str) -> SharpnessLMM:
        asked.append(SharpnessLMM())
        return asked[-1]

    monkeypatch.setattr("methods.lmm.loading.load_lmm", load)
    images, labels = str(rated[0][0].parent), tmp_path / "labels"
    assert main(["label", "--images", images, "--out", str(labels), "--pairs", "2"]) == 0
    assert "sharpness@1 judged 24 images and compared 24 pairs" in capsys.readouterr().out
    assert asked[-1].asked == 24 + 2 * 24
    scores = list(csv.DictReader((labels / "pictures.csv").open()))
    assert [row["image"] for row in scores] == sorted(path.name for path in rated[0])
    assert sum(float(scores[0][word]) for word in FIVE_LEVELS.words) == pytest.approx(1, abs=1e-4)
    pairs = list(csv.DictReader((labels / "comparisons.csv").open()))
    assert len(pairs) == 24
    for row in pairs:
        both = (float(row["first_shown_first"]) + float(row["first_shown_second"])) / 2
        assert float(row["preference"]) == pytest.approx(both, abs=1e-5)
    # Once more: nothing is asked twice.
    assert main(["label", "--images", images, "--out", str(labels), "--pairs", "2"]) == 0
    assert asked[-1].asked == 0

    def refuse(name: str) -> None:
        raise AssertionError("training from judgements needs no teacher")

    monkeypatch.setattr("methods.lmm.loading.load_lmm", refuse)
    train = ["train", "--judgements", str(labels / "judgements.jsonl"), "--images", images]
    assert main([*train, "--out", str(tmp_path / "none")]) == 0
    assert main([*train, "--mos", str(table), "--budget", "0.05", "--out", str(tmp_path / "few")]) == 0
    assert "leaves too few ratings to calibrate with (1;" in capsys.readouterr().err
    none, few = (json.loads((tmp_path / name / "card.json").read_text()) for name in ("none", "few"))
    assert none["revision"] == few["revision"]
    assert none["training"]["teacher"] == "sharpness@1"
    assert few["scale"] == [1, 5]
    assert "calibrated" not in few
    assert main([*train, "--mos", str(table), "--out", str(tmp_path / "all")]) == 0
    card = json.loads((tmp_path / "all" / "card.json").read_text())
    assert card["calibrated"]["ratings"] == 24
    assert card["calibrated"]["from"] == f"all@{none['revision']}"


def test_a_damaged_rated_picture_is_left_out_and_named(rated: tuple, table: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in rated[0]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / rated[0][0].name).write_bytes(rated[0][0].read_bytes()[:400])
    for command in (["calibrate"], ["train"]):
        assert main([*command, "--images", str(folder), "--mos", str(table), "--out", str(tmp_path / "x")]) == 0
        said = capsys.readouterr()
        assert "Cross-validated on 23 ratings" in said.out
        assert said.err.count(f"{rated[0][0].name} is left out: ") == 1
    for path in rated[0][4:]:
        (folder / path.name).write_bytes(b"spoilt")
    assert main(["calibrate", "--images", str(folder), "--mos", str(table), "--out", str(tmp_path / "y")]) == 2
    assert "3 of the 24 rated images of ratings.csv can be read and at least 5 are needed" in capsys.readouterr().err


@pytest.mark.slow
def test_the_direction_and_scale_of_ratings_can_be_said(rated: tuple, tmp_path: Path, capsys) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("image,dmos\n" + "".join(f"{file.name},{1 + 4 * score:.3f}\n" for file, score in zip(*rated)))
    images = ["--images", str(rated[0][0].parent), "--mos", str(path), "--out", str(tmp_path / "x")]
    assert main(["calibrate", *images]) == 0
    assert "it is assumed that lower is better" in capsys.readouterr().err
    for command in ("calibrate", "train"):
        assert main([command, *images, "--no-lower-is-better", "--scale", "0", "10"]) == 0
        assert "lower" not in capsys.readouterr().err
        assert json.loads((tmp_path / "x" / "card.json").read_text())["scale"] == [0, 10]
    assert main(["calibrate", *images, "--scale", "2", "5"]) == 2
    assert "outside the scale" in capsys.readouterr().err


def test_calibrate_and_predict(rated: tuple, table: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "mine"
    assert main(["calibrate", "--images", str(rated[0][0].parent), "--mos", str(table), "--out", str(out)]) == 0
    assert "Cross-validated on 24 ratings: SRCC" in capsys.readouterr().out
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert main(["predict", str(rated[0][0]), str(broken), "--student", str(out)]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows[0]["error"] == ""
    assert rows[1]["score"] == ""
    assert rows[1]["error"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["predict", str(empty)]) == 1  # as `score` does
    assert "1 of 1 could not be scored" in (told := capsys.readouterr()).err
    assert "holds no image files" in told.out


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("image,mos\nno.png,1\nnone.png,2\n", "None of the 2 names"),
        ("image,mos\n0-GBLUR-1.png,NaN\n0-GBLUR-2.png,nan\n", "holds no score in column 'mos'"),
        ("image,mos\n" + "".join(f"0-GBLUR-{level}.png,3\n0-AWGN-{level}.png,3\n" for level in (1, 2, 4, 5)),
         "All 8 scores in wrong.csv are 3"),
        ("image,mos\n0-GBLUR-1.png,1\n0-GBLUR-2.png,2\n0-GBLUR-4.png,3\n",
         "rates 3 images that can be used; at least 5"),
    ],
)
def test_wrong_tables_get_one_sentence(rated: tuple, tmp_path: Path, capsys, rows: str, sentence: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(rows)
    assert main(["calibrate", "--images", str(rated[0][0].parent), "--mos", str(path),
                 "--out", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err.strip()
    assert sentence in said
    assert "\n" not in said.replace("Features", "")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_ratings_that_run_the_other_way_are_noticed(rated: tuple, features, student, tmp_path: Path, capsys) -> None:
    scores = student.predict(features=features)
    path = tmp_path / "dmos.csv"
    path.write_text("image,mos\n" + "".join(f"{file.name},{100 * (1 - score):.2f}\n"
                                            for file, score in zip(rated[0], scores)))
    assert main(["calibrate", "--images", str(rated[0][0].parent), "--mos", str(path),
                 "--out", str(tmp_path / "x")]) == 0
    assert "--lower-is-better" in capsys.readouterr().err


def test_train_refuses_what_makes_no_sense(rated: tuple, tmp_path: Path, capsys) -> None:
    images = ["--images", str(rated[0][0].parent), "--out", str(tmp_path / "x")]
    assert main(["train", *images]) == 2
    assert "nothing to learn from" in capsys.readouterr().err
    assert main(["train", *images, "--mos", "none.csv", "--budget", "2"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err
    table = tmp_path / "ratings.csv"
    table.write_text("image,mos\n" + "".join(f"{path.name},{row}\n" for row, path in enumerate(rated[0][:10])))
    assert main(["train", *images, "--mos", str(table), "--budget", "0.1"]) == 2
    assert "needs at least 5 ratings, and --budget 0.1 leaves 1" in capsys.readouterr().err
    assert main(["train", *images, "--mos", str(table), "--report"]) == 2
    assert "at least 20 rated images; got 10" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_calibrating_again_on_the_same_images_says_so(rated: tuple, table: Path, tmp_path: Path, capsys) -> None:
    own, again = tmp_path / "own", tmp_path / "again"
    command = ["calibrate", "--images", str(rated[0][0].parent), "--scores", str(table)]
    assert main([*command, "--out", str(own)]) == 0
    assert "Cross-validated on 24 ratings" in capsys.readouterr().out
    assert main([*command, "--student", str(own), "--out", str(again)]) == 0
    output = capsys.readouterr().out
    assert "The student was trained on 24 of these 24 images" in output
    assert "SRCC" not in output


def test_a_visitors_student_comes_as_a_zip_and_is_deleted(rated: tuple, table: Path) -> None:
    made = visitors.calibrate_student([str(path) for path in rated[0]], str(table))
    assert made.count == 24
    assert made.srcc is not None
    assert len(made.predicted) == len(made.rated) == 24
    own = visitors.assess_with_student(str(rated[0][0]), made.folder)
    assert own.native_range == (1, 5)
    assert visitors.assess_with_student(str(rated[0][0])).native_range == (0, 100)
    assert Path(made.archive).stat().st_size > 1e6
    visitors.discard(str(rated[0][0].parent))
    assert rated[0][0].exists()
    visitors.discard(made.folder)
    assert not Path(made.archive).exists()
    with pytest.raises(ValueError, match="has been deleted"):
        visitors.assess_with_student(str(rated[0][0]), made.folder)
    with pytest.raises(ValueError, match="At most 300"):
        visitors.calibrate_student(["x.png"] * 301, str(table))
