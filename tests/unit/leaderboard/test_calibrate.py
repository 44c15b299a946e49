"""From a finished run to what a score means: `calibrate`, what it refuses, and the tables of what ships."""

from __future__ import annotations

import json

import pytest

from leaderboard.__main__ import main
from leaderboard.measured import without_machine
from leaderboard.runs import shipped
from leaderboard.runs.calibrate import table_of_run
from methods import meaning
from methods.base import METHODS, load_method
from methods.cli import score
from methods.errors import InputError, UserError
from methods.iqarag.method import IQARAG
from tests.unit.leaderboard import quick
from tests.unit.leaderboard.conftest import make_run
from tests.unit.leaderboard.test_evaluate import evaluate, make_pictures

FREE = {"training_set": "none", "scale": [0.0, 100.0], "weights": "tiny@abc"}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A folder of one's own tables, and the quick method evaluated on 120 images."""
    monkeypatch.setitem(METHODS, quick.NAME, "tests.unit.leaderboard.quick:Quick")
    monkeypatch.setenv(meaning.ENVIRONMENT, str(tmp_path / "measured"))
    data = make_pictures(tmp_path / "my-set", 120)
    assert evaluate(data, tmp_path / "run", "--scale", "1", "5") == 0
    return data


def test_a_run_becomes_the_meaning_of_its_method_s_scores(measured, tmp_path, capsys):
    one = load_method(quick.NAME).assess(measured[0] / "007.png")
    assert meaning.explain(one) is None
    assert main(["calibrate", str(tmp_path / "run")]) == 0
    assert "of left-out opinions" in capsys.readouterr().out
    known = meaning.explain(one)
    assert known.n == 120
    # The opinions are 1 + 4 score on 1 to 5, which is 100 score on 0 to 100.
    assert known.mos == pytest.approx(100 * one.score, abs=12)
    assert known.population == "120 images of my-set"
    assert meaning.explain(load_method(quick.NAME, gain=0.5).assess(measured[0] / "007.png")) is None


def test_evaluate_says_how_well_scores_tell_opinions(measured, tmp_path, capsys):
    evaluate(measured, tmp_path / "run")
    said = capsys.readouterr().out
    assert "of left-out opinions" in said
    assert "mean-opinion calibrate" in said


def test_score_explains_in_every_form(measured, tmp_path, capsys):
    main(["calibrate", str(tmp_path / "run")])
    capsys.readouterr()
    photo = measured[0] / "003.png"
    known = meaning.explain(load_method(quick.NAME).assess(photo))
    def printed(form, *more):
        assert score_main(["--method", quick.NAME, str(photo), "--format", form, *more]) == 0
        return capsys.readouterr().out
    header, line = printed("csv", "--explain").splitlines()
    assert header.split(",")[5:] == ["mos", "mos_low", "mos_high", "percentile", "meaning"]
    assert [float(cell) for cell in line.split(",")[5:9]] == pytest.approx(
        [known.mos, known.low, known.high, known.percentile], abs=0.01)
    (record,) = json.loads(printed("json", "--explain"))
    assert record["meaning"] == known.to_dict()
    assert "meaning" not in json.loads(printed("json"))[0]
    text = printed("text", "--explain")
    assert known.sentence() in text
    assert known.below.name in text
    assert printed("csv").splitlines()[0] == "path,score,native_score,seconds,error"


def test_what_is_not_measured_is_said_with_the_command(measured, capsys):
    assert score_main(["--method", quick.NAME, str(measured[0] / "003.png"), "--explain"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].endswith(",,,,,not calibrated yet")
    assert "mean-opinion evaluate --method quick" in err


def score_main(words):
    from methods.cli.running import Command, run_one

    return run_one("score", Command(score.__name__, "score"), words)


@pytest.mark.parametrize(("facts", "sentence"), [
    ({"training_set": "live-challenge+kadid-10k"}, "was trained on live-challenge,"),
    ({"label_sets": "live-challenge"}, "was calibrated on live-challenge;"),
    ({"folds": 5}, "Name with --stands-for"),
    ({"scale": None}, "on which scale"),
])
def test_scores_that_a_model_has_learned_are_refused(tmp_path, facts, sentence):
    folder = make_run(tmp_path / "run", n=60, **{**FREE, "dataset": "live-challenge", **facts})
    with pytest.raises(InputError, match=sentence):
        table_of_run(folder)


def test_fold_predictions_stand_for_the_model_that_is_named(tmp_path):
    folder = make_run(tmp_path / "run", n=60, **{**FREE, "training_set": "live-challenge", "dataset": "live-challenge",
                                                 "folds": 5})
    table = table_of_run(folder, stands_for="embedded@123")
    assert (table.weights, table.folds) == ("embedded@123", 5)
    with pytest.raises(InputError, match="for runs with --folds alone"):
        table_of_run(make_run(tmp_path / "other", n=60, **FREE), stands_for="embedded@123")


def test_photos_that_are_references_are_refused(tmp_path):
    names = sorted(IQARAG.images_in_use(IQARAG.options))
    folder = make_run(tmp_path / "run", n=60, **{**FREE, "method": "iqarag", "options": {"reference_set": "shipped"},
                                                 "label_sets": "live-challenge-dev", "dataset": "live-challenge-dev"})
    assert table_of_run(folder).method == "iqarag"
    rows = (folder / "predictions.csv").read_text().replace("000.webp", names[0])
    (folder / "predictions.csv").write_text(rows)
    with pytest.raises(InputError, match=f"1 images of this run, such as {names[0]}, are references"):
        table_of_run(folder)


def test_opinions_and_settings_reach_the_table(tmp_path):
    folder = make_run(tmp_path / "run", n=60, **{**FREE, "lmm_max_pixels": [900, 500], "basis": {"segmenter": "x"},
                                                 "parameters_billion": 8.77})
    table = table_of_run(folder, population="60 made images")
    assert (table.max_pixels, table.basis, table.parameters_billion) == (500, {"segmenter": "x"}, 8.77)
    assert table.options == {"question": "two-word", "temperature": 1.0}


def test_everything_that_ships_is_measured_by_one_command():
    wanted = {one.name: one for one in shipped.measurements(None)}
    assert set(wanted) == {"leaf-biq2021", *METHODS} - {"leaf"}
    assert "leaf" in {one.name for one in shipped.measurements("students")}


def test_a_shipped_measurement_goes_on_and_leaves_references_out(tmp_path, monkeypatch, capsys):
    names = sorted(IQARAG.images_in_use(IQARAG.options))[:5]
    data = make_pictures(tmp_path / "set", 60)
    rows = data[1].read_text().splitlines()
    for number, name in enumerate(names):
        (data[0] / f"{number:03}.png").rename(data[0] / name)
        rows[number + 1] = rows[number + 1].replace(f"{number:03}.png", name)
    data[1].write_text("\n".join(rows) + "\n")
    path, rest = shipped._without(data[0], data[1], frozenset(names), tmp_path)
    assert len(path.read_text().splitlines()) == 1 + 55
    assert rest
    monkeypatch.setitem(METHODS, quick.NAME, "tests.unit.leaderboard.quick:Quick")
    one = shipped.Measurement("quick", quick.NAME)
    table = shipped.measure(one, data[0], data[1], tmp_path / "runs")
    assert table == shipped.measure(one, data[0], data[1], tmp_path / "runs")
    assert len(table.images) == 60
    assert table.population.startswith("60 photos of LIVE Challenge")


def test_the_embedded_lmm_is_not_measured_on_what_it_was_trained_on(tmp_path, monkeypatch):
    monkeypatch.setitem(shipped.EMBEDDED_TRAINED_ON, "embedded", "live-challenge-dev+kadid-10k")
    with pytest.raises(UserError, match="was trained on live-challenge-dev"):
        shipped.measure(shipped.Measurement("q-bench", "q-bench"), tmp_path, tmp_path / "none.csv", tmp_path)


def test_what_ships_names_no_place_of_the_machine_that_measured_it():
    command = "mean-opinion evaluate --images /home/me/live/images --scores scores.csv --variant 'two words' --out /x"
    assert without_machine(command) == (
        "mean-opinion evaluate --images live/images --scores scores.csv --variant 'two words' --out /x")
    shipped_tables = list(meaning.SHIPPED.glob("*.json"))
    assert shipped_tables
    for path in shipped_tables:
        command = meaning.Table.from_json(path.read_text("utf-8")).command
        assert command
        assert without_machine(command) == command
