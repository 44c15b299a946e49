"""The teacher asks once, in both orders, and goes on after a kill; the command line does the rest."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from methods.leaf import teacher, visitors
from methods.leaf.__main__ import main
from methods.leaf.teacher import PAIR_WORDS, TeacherError, choose_pairs, judge
from methods.levels import FIVE_LEVELS
from methods.lmm.base import LMM, LMMError


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
            seen = [min(float(np.abs(np.diff(np.asarray(image, dtype=float), axis=1)).mean()) / 40, 1.0)
                    for image in prompt.images]
            if tuple(words) == PAIR_WORDS:
                rows.append([5 * (seen[0] - seen[1]) + 0.2, 0.0])
            else:
                rows.append(-((seen[0] - np.asarray(FIVE_LEVELS.weights)) ** 2) / 0.05)
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
    told: list[tuple[str, int, int]] = []
    lmm = SharpnessLMM()
    again = judge(lmm, rated[0], cache=cache, batch=4, progress=lambda *news: told.append(news))
    whole = judge(SharpnessLMM(), rated[0])
    assert again.scores == pytest.approx(whole.scores)
    assert again.preference == pytest.approx(whole.preference)
    assert lmm.asked == 24 + 2 * len(whole.pairs) - 32
    assert told[-1] == ("comparisons", 2 * len(whole.pairs), 2 * len(whole.pairs))
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


def test_a_teacher_of_one_picture_gives_no_pairs(rated: tuple) -> None:
    lmm = SharpnessLMM(budget=1)
    assert judge(lmm, rated[0][:5]).pairs.shape == (0, 2)
    assert lmm.asked == 5


def test_the_pair_prompt_shows_pictures_before_the_question() -> None:
    from PIL import Image

    shown = teacher.pair_prompt(Image.new("RGB", (2, 2)), Image.new("RGB", (2, 2))).transcript()
    assert shown.startswith("user: <image><image>Which image")
    assert shown.endswith("assistant: The image with better quality is the")


@pytest.fixture
def table(rated: tuple, tmp_path: Path) -> Path:
    path = tmp_path / "ratings.csv"
    path.write_text("image,mos\n" + "".join(f"{file.name},{1 + 4 * score:.3f}\n" for file, score in zip(*rated)))
    return path


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


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("image,mos\nno.png,1\nnone.png,2\n", "None of the 2 names"),
        ("image,mos\n0-GBLUR-1.png,NaN\n0-GBLUR-2.png,nan\n", "no row with both"),
        ("image,mos\n" + "".join(f"0-GBLUR-{level}.png,3\n0-AWGN-{level}.png,3\n" for level in (1, 2, 4, 5)),
         "All 8 opinion scores"),
        ("image,mos\n0-GBLUR-1.png,1\n0-GBLUR-2.png,2\n0-GBLUR-4.png,3\n", "Only 3 rated pictures"),
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


def test_ratings_that_run_the_other_way_are_noticed(rated: tuple, features, student, tmp_path: Path, capsys) -> None:
    scores = student.predict(features=features)
    path = tmp_path / "dmos.csv"
    path.write_text("image,mos\n" + "".join(f"{file.name},{100 * (1 - score):.2f}\n"
                                            for file, score in zip(rated[0], scores)))
    assert main(["calibrate", "--images", str(rated[0][0].parent), "--mos", str(path),
                 "--out", str(tmp_path / "x")]) == 0
    assert "DMOS" in capsys.readouterr().err


def test_train_refuses_what_makes_no_sense(rated: tuple, tmp_path: Path, capsys) -> None:
    images = ["--images", str(rated[0][0].parent), "--out", str(tmp_path / "x")]
    assert main(["train", *images]) == 2
    assert "nothing to learn from" in capsys.readouterr().err
    assert main(["train", *images, "--mos", "none.csv", "--budget", "2"]) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_a_visitors_student_comes_as_a_zip_and_is_deleted(rated: tuple, table: Path) -> None:
    made = visitors.calibrate([str(path) for path in rated[0]], str(table))
    assert made.count == 24
    assert made.srcc is not None
    assert len(made.predicted) == len(made.rated) == 24
    own = visitors.assess(str(rated[0][0]), made.folder)
    assert own.native_range == (1, 5)
    assert visitors.assess(str(rated[0][0])).native_range == (0, 100)
    assert Path(made.archive).stat().st_size > 1e6
    visitors.discard(str(rated[0][0].parent))
    assert rated[0][0].exists()
    visitors.discard(made.folder)
    assert not Path(made.archive).exists()
    with pytest.raises(ValueError, match="has been deleted"):
        visitors.assess(str(rated[0][0]), made.folder)
    with pytest.raises(ValueError, match="At most 300"):
        visitors.calibrate(["x.png"] * 301, str(table))
