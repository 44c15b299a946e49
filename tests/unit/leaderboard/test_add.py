"""A run is added only if its own predictions confirm it."""

from __future__ import annotations

import csv
import json

import pytest

from leaderboard import check
from leaderboard.__main__ import main
from leaderboard.measured import predictions, read
from leaderboard.runs.add import add
from leaderboard.schema import SchemaError, load_board
from methods.agreement import metrics as stats
from tests.unit.leaderboard.conftest import make_run


def change(folder, edit):
    metrics = json.loads((folder / "metrics.json").read_text())
    edit(metrics)
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_a_run_becomes_rows_that_check_confirms(data, run, tmp_path, capsys):
    submissions = tmp_path / "submissions"
    code = main(["add", str(run), "--data", str(data), "--submissions", str(submissions)])
    assert code == 0
    assert "revision 2" in capsys.readouterr().out
    board = load_board(data)
    assert board.revision == "2"
    assert set(board.measured["metric"]) == set(stats.METRICS)
    claimed = json.loads((run / "metrics.json").read_text())
    for record in board.measured.to_dict("records"):
        assert record["value"] == pytest.approx(claimed[record["metric"]]["value"])
        assert record["low"] == pytest.approx(claimed[record["metric"]]["low"], rel=1e-4)
    first = board.measured.iloc[0]
    assert (first["method"], first["backbone"], first["n"], first["n_failed"]) == ("Q-Bench", "embedded", 40, "1")
    assert (first["commit"], first["lmm_revision"], first["seed"]) == ("e45be4c", "abc123", "0")
    assert first["training_free"] == "true"
    assert list(check.check(data, submissions)) == []


def test_the_same_run_is_not_added_twice(data, run, tmp_path):
    add(run, data=data, submissions=tmp_path / "s")
    with pytest.raises(SchemaError, match="--replace"):
        add(run, data=data, submissions=tmp_path / "s")
    add(run, data=data, submissions=tmp_path / "s", replace=True)
    assert len(load_board(data).measured) == 5


def test_two_runs_live_side_by_side(data, tmp_path):
    add(make_run(tmp_path / "a"), data=data, submissions=tmp_path / "s")
    other = make_run(tmp_path / "b", seed=3, method="q-debias", training_set="none", lmm_passes=9.0)
    name, revision = add(other, data=data, submissions=tmp_path / "s")
    board = load_board(data)
    assert revision == "3"
    assert set(board.measured["method"]) == {"Q-Bench", "Q-Debias"}
    assert board.measured.set_index("run").loc[name, "lmm_passes"].iloc[0] == 9.0
    assert list(check.check(data, tmp_path / "s")) == []


@pytest.mark.parametrize(("edit", "sentence"), [
    (lambda m: m["srcc"].update(value=0.99, high=1.0), "srcc claims 0.990000, the predictions give"),
    (lambda m: m["plcc_logistic4"].update(value=0.5, low=0.4), "plcc_logistic4 claims"),
    (lambda m: m["krcc"].update(n=41), "krcc claims n = 41"),
    (lambda m: m["provenance"].update(n_failed=0), "provenance counts"),
    (lambda m: m["provenance"].pop("command"), "lacks command"),
    (lambda m: m.pop("provenance"), "lacks the object provenance"),
])
def test_claims_that_predictions_contradict_are_refused(data, run, tmp_path, edit, sentence):
    change(run, edit)
    before = (data / "measured.csv").read_bytes()
    with pytest.raises(SchemaError, match=sentence):
        add(run, data=data, submissions=tmp_path / "s")
    assert (data / "measured.csv").read_bytes() == before


def test_an_unknown_dataset_is_refused_with_a_suggestion(data, tmp_path):
    with pytest.raises(SchemaError, match="did you mean 'koniq-10k'"):
        add(make_run(tmp_path / "x", dataset="koniq10k"), data=data, submissions=tmp_path / "s")


def test_tampered_predictions_are_found_later(data, run, tmp_path):
    name, _ = add(run, data=data, submissions=tmp_path / "s")
    file = tmp_path / "s" / name / "predictions.csv"
    lines = file.read_text().splitlines()
    fields = lines[1].split(",")
    lines[1] = ",".join([*fields[:2], "0.123456", *fields[3:]])
    file.write_text("\n".join(lines) + "\n")
    assert any("contradicts its own predictions" in problem for problem in check.check(data, tmp_path / "s"))
    file.unlink()
    assert any("There is no predictions.csv" in problem for problem in check.check(data, tmp_path / "s"))


def test_an_undefined_metric_is_left_out(data, tmp_path):
    add(make_run(tmp_path / "few", n=4), data=data, submissions=tmp_path / "s")
    assert set(load_board(data).measured["metric"]) == {"srcc", "plcc", "krcc"}


@pytest.mark.parametrize(("text", "sentence"), [
    ("image,mos\na,1\n", "lacks the columns score"),
    ("image,mos,score\na,1,1\na,1,1\n", "'a' more than once"),
    ("image,mos,score\na,1,high\n", "line 2: score is 'high'"),
    ("image,mos,score,error\na,1,,\n", "line 2: score is ''"),
    ("image,mos,score\na,1,nan\n", "line 2: score is 'nan'"),
    ("image,mos,score\na,inf,0.5\n", "line 2: mos is 'inf'"),
    ("image,mos,score,score\na,1,0.5,0.6\n", "has the column score more than once"),
    ("", "has no rows"),
    ("image,mos,score\n", "has no rows"),
    ('image,mos,score\n"a,1,0.5\n', r"is not a CSV table \(unexpected end of data in line 2\)"),
    ("image,mos,score\n" + "a" * 200_000 + ",1,high\n", "line 2: score is 'high'"),
    ("image,mos,score\na,np.float64(1.0),0.5\n", r"line 2: mos is 'np\.float64"),
])
def test_broken_predictions_are_sentences(tmp_path, text, sentence):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(SchemaError, match=sentence):
        predictions(tmp_path / "p.csv")


def test_a_part_of_a_dataset_is_not_the_whole(data, tmp_path):
    with pytest.raises(SchemaError, match=r"development part has 399 images, this run has 41; .* --split NAME"):
        add(make_run(tmp_path / "few", split="all"), data=data, submissions=tmp_path / "s")
    with pytest.raises(SchemaError, match=r"has 399 images, this run has 400\.$"):
        add(make_run(tmp_path / "many", n=400, failed=0), data=data, submissions=tmp_path / "s")
    assert len(load_board(data).measured) == 0


def test_names_of_another_dataset_are_refused(data, tmp_path):
    with pytest.raises(SchemaError, match=r"41 of 41 images are not named as those of KADID-10k are, '000\.webp'"):
        add(make_run(tmp_path / "other", dataset="kadid-10k"), data=data, submissions=tmp_path / "s")


@pytest.mark.slow
def test_a_dataset_has_one_list_of_images_and_one_scale(data, tmp_path):
    """An earlier result on the whole set says which images and opinions it has."""
    submissions = tmp_path / "s"
    whole = {"n": 398, "split": "all"}
    add(make_run(tmp_path / "first", **whole), data=data, submissions=submissions)
    add(make_run(tmp_path / "second", **whole, method="q-debias"), data=data, submissions=submissions)
    scaled = make_run(tmp_path / "scaled", **whole, method="iqarag", seed=1)
    with pytest.raises(SchemaError, match="398 opinions differ from those of q-bench"):
        add(scaled, data=data, submissions=submissions)
    renamed = make_run(tmp_path / "renamed", **whole, method="llm-iqa")
    table = renamed / "predictions.csv"
    table.write_text(table.read_text().replace("\n007.webp", "\n700.webp"))
    with pytest.raises(SchemaError, match=r"not on the same images: 1 are in one of them only, '700\.webp' first"):
        add(renamed, data=data, submissions=submissions)


def test_a_file_from_a_spreadsheet_is_added_by_its_name(data, run, tmp_path):
    table = run / "predictions.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().rstrip())
    add(table, data=data, submissions=tmp_path / "s")
    assert list(check.check(data, tmp_path / "s")) == []


def test_the_columns_of_datasets_that_an_earlier_version_lacks_are_filled(data, run, tmp_path):
    table = data / "datasets.csv"
    rows = list(csv.DictReader(table.open(newline="")))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name != "names"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert set(load_board(data).datasets["names"]) == {""}


def test_a_folder_that_is_no_run_is_a_sentence(tmp_path):
    with pytest.raises(SchemaError, match="evaluate has finished"):
        read(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(SchemaError, match="not JSON"):
        read(tmp_path)
