"""`evaluate` end to end with a method that takes no time: what it writes, what it refuses, what it keeps."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leaderboard import schema
from leaderboard.__main__ import main
from leaderboard.runs import provenance
from leaderboard.runs.evaluation import Evaluation, load_run
from leaderboard.runs.folder import Prediction, RunError, RunFolder
from methods import files
from methods.agreement import metrics as stats
from methods.base import METHODS
from methods.data import read_table
from methods.images import MAX_PIXELS
from tests.unit.leaderboard import quick


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(METHODS, quick.NAME, "tests.unit.leaderboard.quick:Quick")


def make_pictures(folder: Path, count: int) -> tuple[Path, Path]:
    """`count` noise pictures and a table image,mos,std whose opinions follow the quick method's score with noise."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    rng = np.random.default_rng(5)
    lines = ["image,mos,std"]
    for number in range(count):
        image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        image.save(pictures / f"{number:03d}.png")
        mos = np.clip(1 + 4 * quick.share(image) + rng.normal(0, 0.6), 1, 5)
        lines.append(f"{number:03d}.png,{mos:.4f},0.5")
    table = folder / "scores.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return pictures, table


@pytest.fixture
def data(tmp_path) -> tuple[Path, Path]:
    return make_pictures(tmp_path / "my-set", 40)


def evaluate(data, out, *more: str, method: str = quick.NAME) -> int:
    return main(["evaluate", "--method", method, "--images", str(data[0]), "--scores", str(data[1]), "--out", str(out),
                 *more])


def table(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_writes_predictions_and_metrics_that_follow_from_them(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert evaluate(data, out, "--seed", "7", "--option", "gain=0.5") == 0
    rows = table(out)
    assert [row["image"] for row in rows] == [f"{number:03d}.png" for number in range(40)]
    assert list(rows[0]) == ["image", "mos", "score", "native_score", "seconds", "error"]
    assert float(rows[3]["score"]) == quick.share(Image.open(data[0] / "003.png")) * 0.5
    metrics = json.loads((out / "metrics.json").read_text())
    assert schema.check_metrics(metrics) == []
    scores, mos = [[float(row[name]) for row in rows] for name in ("score", "mos")]
    assert metrics["srcc"]["value"] == pytest.approx(stats.srcc(scores, mos), abs=1e-12)
    assert metrics["plcc_logistic4"]["value"] == pytest.approx(stats.plcc_logistic4(scores, mos), abs=1e-12)
    assert metrics["srcc"]["low"] < metrics["srcc"]["value"] < metrics["srcc"]["high"]
    assert {entry["n"] for name, entry in metrics.items() if name != "provenance"} == {40}
    source = metrics["provenance"]
    assert source["dataset"] == "my-set"
    assert source["seed"] == 7
    assert source["options"] == {"seed": 7, "gain": 0.5, "inverted": False}
    assert source["lmm"] is None
    assert source["weights"] == "quick@1"
    assert (source["n_images"], source["n_failed"]) == (40, 0)
    assert re.match(r"(.+, )?\d+ cores? of .+", source["hardware"])
    assert 0.01 < source["peak_memory_gib"] < 1000
    assert source["seconds_per_image"] == pytest.approx(sum(float(row["seconds"]) for row in rows) / 40, abs=1e-6)
    assert source["command"].startswith("mean-opinion evaluate --method quick --option gain=0.5 --seed 7")
    assert "srcc" in capsys.readouterr().out


def test_what_a_run_took_outlives_a_resume_on_another_machine(data, tmp_path, monkeypatch):
    """Machines are named in the order in which they took part, and the largest of the peaks is kept."""
    def on(hardware, peak):
        monkeypatch.setattr(provenance, "footprint", lambda lmm=None: {"hardware": hardware, "peak_memory_gib": peak})

    out = tmp_path / "run"

    def machine_and_seconds():
        source = json.loads((out / "metrics.json").read_text())["provenance"]
        return source["hardware"], source.get("peak_memory_gib")

    on("one", 3.0)
    assert evaluate(data, out, "--limit", "16") == 0
    on("two", 2.0)
    assert evaluate(data, out, "--limit", "16") == 0
    assert machine_and_seconds() == ("one", 3.0), "nothing was scored on the second machine"
    assert evaluate(data, out) == 0
    assert machine_and_seconds() == ("one; two", 3.0)
    (out / "metrics.json").unlink()  # as after a kill
    on("three", 1.0)
    assert evaluate(data, out, "--retry-failed") == 0
    assert machine_and_seconds() == ("one", None), "of the others nothing is left"
    two = {"hardware": "a; b", "device_memory_gib": 5.0}
    assert provenance.sum_of(two, {"hardware": "b", "peak_memory_gib": 1.0}) == {**two, "peak_memory_gib": 1.0}


def test_bad_pictures_are_rows_with_an_error_and_do_not_spoil_their_batch(data, tmp_path, capsys):
    (data[0] / "004.png").write_bytes(b"no picture at all")
    Image.new("RGB", (13, 13)).save(data[0] / "009.png")
    with data[1].open("a") as file:
        file.write("gone.png,3.0,0.5\n")
    out = tmp_path / "run"
    assert evaluate(data, out) == 2
    assert "'gone.png' in line 42" in capsys.readouterr().err
    assert evaluate(data, out, "--allow-missing") == 0
    rows = {row["image"]: row for row in table(out)}
    assert len(rows) == 41
    failed = {name: row["error"] for name, row in rows.items() if row["error"]}
    assert set(failed) == {"004.png", "009.png", "gone.png"}
    assert failed["009.png"] == "RuntimeError: an unlucky size"
    assert "no file of this name" in failed["gone.png"]
    assert all(rows[name]["score"] == "" for name in failed)
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["provenance"]["n_images"], metrics["provenance"]["n_failed"]) == (41, 3)
    assert metrics["srcc"]["n"] == 38
    # Kept on resume; scored again only when asked.
    picture = Image.new("RGB", (8, 8), "red")
    picture.save(data[0] / "009.png")
    before = (out / "predictions.csv").read_bytes()
    assert evaluate(data, out, "--allow-missing") == 0
    assert (out / "predictions.csv").read_bytes() == before
    assert evaluate(data, out, "--allow-missing", "--retry-failed") == 0
    again = {row["image"]: row for row in table(out)}
    assert float(again["009.png"]["score"]) == quick.share(picture)
    assert {name for name, row in again.items() if row["error"]} == {"004.png", "gone.png"}
    assert len(table(out)) == 41


def test_no_picture_that_can_be_scored_is_exit_status_1(tmp_path, capsys):
    data = make_pictures(tmp_path / "set", 3)
    for path in data[0].iterdir():
        path.write_bytes(b"")
    assert evaluate(data, tmp_path / "run") == 1
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["srcc"]["value"] is None
    assert schema.check_metrics(metrics) == []


def test_limit_takes_the_first_and_may_be_raised(data, tmp_path):
    out = tmp_path / "run"
    assert evaluate(data, out, "--limit", "10") == 0
    assert [row["image"] for row in table(out)] == [f"{number:03d}.png" for number in range(10)]
    assert evaluate(data, out, "--limit", "25") == 0
    assert len(table(out)) == 25
    assert evaluate(data, out, "--limit", "10") == 0
    assert json.loads((out / "metrics.json").read_text())["srcc"]["n"] == 10


@pytest.mark.parametrize(("change", "said"), [
    (("--option", "gain=0.25"), "gain was 1.0 and now is 0.25"),
    (("--seed", "3"), "seed was 0 and now is 3"),
    (("--split", "test"), "split was 'all' and now is 'test'"),
    (("--dataset", "other"), "dataset was 'my-set' and now is 'other'"),
])
def test_a_folder_keeps_to_its_settings(data, tmp_path, capsys, change, said):
    out = tmp_path / "run"
    assert evaluate(data, out) == 0
    before = (out / "predictions.csv").read_bytes()
    assert evaluate(data, out, *change) == 2
    assert said in capsys.readouterr().err
    assert (out / "predictions.csv").read_bytes() == before


def test_changed_opinions_are_refused(data, tmp_path, capsys):
    assert evaluate(data, tmp_path / "run") == 0
    lines = data[1].read_text().splitlines()
    data[1].write_text("\n".join([lines[0], "000.png,1.5,0.5", *lines[2:]]))
    assert evaluate(data, tmp_path / "run") == 2
    assert "the images or their opinions have changed" in capsys.readouterr().err


def test_dmos_is_turned_round(data, tmp_path, capsys):
    text = data[1].read_text().replace("mos", "dmos")
    data[1].write_text(text)
    out = tmp_path / "run"
    assert evaluate(data, out) == 0
    published = [float(line.split(",")[1]) for line in text.splitlines()[1:]]
    assert [float(row["mos"]) for row in table(out)] == pytest.approx([6 - score for score in published])
    assert "it is assumed that lower is better" in capsys.readouterr().err


def test_a_dataset_as_distributed_with_its_split(tmp_path):
    root = tmp_path / "koniq"
    pictures, _ = make_pictures(root, 12)
    pictures.rename(root / "1024x768")
    lines = ["image_name,set,MOS,SD"]
    lines += [f"{number:03d}.png,{'test' if number % 3 else 'training'},{1 + number / 4},0.5" for number in range(12)]
    (root / "koniq10k_distributions_sets.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "run"
    words = ["evaluate", "--method", quick.NAME, "--dataset", "koniq-10k", "--root", str(root), "--out", str(out)]
    assert main([*words, "--split", "test"]) == 0
    rows = table(out)
    assert [(row["image"], float(row["mos"])) for row in rows[:2]] == [("001.png", 1.25), ("002.png", 1.5)]
    assert len(rows) == 8
    source = json.loads((out / "metrics.json").read_text())["provenance"]
    assert (source["dataset"], source["split"], source["scale"]) == ("koniq-10k", "test", [1, 5])
    assert main([*words[:-1], str(tmp_path / "other"), "--split", "tset"]) == 2


@pytest.mark.parametrize(("words", "said"), [
    (["--option", "gian=1"], "did you mean 'gain'"),
    (["--option", "gain"], "NAME=VALUE"),
    (["--option", "gain=much"], "not a number"),
    (["--option", "gain=7"], "between 0.0 and 1.0"),
    (["--option", "inverted=perhaps"], "true or false"),
    (["--limit", "0"], "argument --limit: must be at least 1"),
    (["--lmm", "embedded"], "leave --lmm out"),
    (["--root", "x"], "--dataset and --root alone"),
])
def test_a_wrong_command_line_is_exit_status_2(data, tmp_path, capsys, words, said):
    assert evaluate(data, tmp_path / "run", *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unknown_method_is_suggested(data, tmp_path, capsys):
    assert evaluate(data, tmp_path / "run", method="quik") == 2
    assert "did you mean 'quick'" in capsys.readouterr().err


def test_truth_values_and_options_reach_the_method(data, tmp_path):
    assert evaluate(data, tmp_path / "run", "--option", "inverted=true") == 0
    plain = quick.share(Image.open(data[0] / "000.png"))
    assert float(table(tmp_path / "run")[0]["score"]) == 1 - plain


def test_two_runs_cannot_write_to_one_folder(data, tmp_path, capsys):
    with RunFolder(tmp_path / "run"):
        assert evaluate(data, tmp_path / "run") == 2
        assert f"process {os.getpid()} on" in capsys.readouterr().err
    assert evaluate(data, tmp_path / "run") == 0


@pytest.mark.parametrize("content", ["{", "[]", '{"provenance": 3}'])
def test_a_damaged_summary_is_a_sentence(data, tmp_path, capsys, content):
    out = tmp_path / "run"
    assert evaluate(data, out, "--limit", "4") == 0
    (out / "metrics.json").write_text(content)
    assert evaluate(data, out, "--limit", "8") == 2
    assert capsys.readouterr().err.rstrip().endswith("metrics.json cannot be read; delete it and run again.")


def test_rows_without_settings_and_foreign_rows_are_refused(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert evaluate(data, out, "--limit", "8") == 0
    kept = (out / "predictions.csv").read_bytes()
    (out / "predictions.csv").write_bytes(kept + b"stranger.png,3.0,0.5,0.5,0.1,\n")
    assert evaluate(data, out) == 2
    assert "'stranger.png'" in capsys.readouterr().err
    (out / "predictions.csv").write_bytes(kept + kept.splitlines(keepends=True)[1])
    assert evaluate(data, out) == 2
    assert "line 10 has '000.png' more than once" in capsys.readouterr().err
    (out / "predictions.csv").write_bytes(kept + b"010.png,3.0,good,0.5,0.1,\n")
    assert evaluate(data, out) == 2
    assert "line 10: score is 'good', which is not a number" in capsys.readouterr().err
    (out / "predictions.csv").write_bytes(kept)
    (out / "run.json").unlink()
    assert evaluate(data, out) == 2
    assert "no run.json" in capsys.readouterr().err


@pytest.mark.parametrize("cut", [1, 33])
def test_what_a_kill_or_a_power_cut_left_is_mended(data, tmp_path, cut):
    out = tmp_path / "run"
    assert evaluate(data, out) == 0
    whole = [row | {"seconds": ""} for row in table(out)]
    raw = (out / "predictions.csv").read_bytes()
    for left in (raw[:-cut], raw[:-cut] + b"\0" * cut, raw[:cut], b""):
        (out / "predictions.csv").write_bytes(left)
        assert load_run(out) == load_run(out)
        assert evaluate(data, out) == 0
        rows = [row | {"seconds": ""} for row in table(out)]
        assert sorted(rows, key=lambda row: row["image"]) == whole


def test_metrics_never_outlive_the_rows_they_describe(data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    assert evaluate(data, out, "--limit", "10") == 0
    monkeypatch.setattr(quick.Quick, "_assess", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert evaluate(data, out) == 130
    assert len(table(out)) == 10
    original = RunFolder.append

    def full(self, rows):
        original(self, [])
        raise OSError(28, "No space left on device")

    monkeypatch.undo()
    monkeypatch.setitem(METHODS, quick.NAME, "tests.unit.leaderboard.quick:Quick")
    monkeypatch.setattr(RunFolder, "append", full)
    assert evaluate(data, out) == 2
    assert not (out / "metrics.json").exists()


def test_names_with_commas_quotes_and_other_scripts_survive(tmp_path):
    data = make_pictures(tmp_path / "set", 3)
    names = ['a,"b".png', "写真.png", "with space.png"]
    lines = ["image\tmos"]
    for number, name in enumerate(names):
        (data[0] / f"{number:03d}.png").rename(data[0] / name)
        lines.append(f'"{name.replace(chr(34), chr(34) * 2)}"\t{number + 1}')
    data[1].write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert evaluate(data, tmp_path / "run") == 0
    assert [row.image for row in load_run(tmp_path / "run")] == names
    before = (tmp_path / "run" / "predictions.csv").read_bytes()
    assert evaluate(data, tmp_path / "run") == 0
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == before


def test_predictions_read_back_as_the_same_floats(tmp_path):
    values = [0.1 + 0.2, 1 / 3, 5e-324, 0.9999999999999999]
    with RunFolder(tmp_path / "run") as folder:
        folder.append(Prediction(str(value), value, value, value, 0.5) for value in values)
    assert [row.score for row in load_run(tmp_path / "run")] == values


def test_another_folder_with_the_same_names_is_refused(data, tmp_path, capsys):
    """Names and opinions are the same, and what was scored is not: the first folder's metrics would be the second's."""
    out = tmp_path / "run"
    other = make_pictures(tmp_path / "other", 40)[0]
    for number in range(40):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(other / f"{number:03d}.png")
    assert evaluate(data, out, "--limit", "4") == 0
    before = (out / "predictions.csv").read_bytes()
    capsys.readouterr()
    assert evaluate((other, data[1]), out) != 0
    errors = capsys.readouterr().err
    assert "4 images of this run had another content when scored, '000.png' first" in errors
    assert "Traceback" not in errors
    assert (out / "predictions.csv").read_bytes() == before
    # A copy of the folder is the same images.
    copy = tmp_path / "copy"
    shutil.copytree(data[0], copy)
    assert evaluate((copy, data[1]), out) == 0
    assert len(table(out)) == 40
    assert json.loads((out / "metrics.json").read_text())["provenance"]["images"]


def test_a_resumed_run_reads_no_scored_image_again(data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    assert evaluate(data, out) == 0
    monkeypatch.setattr(files, "hash_file", lambda path: pytest.fail(f"{path} was read"))
    assert evaluate(data, out) == 0


def test_the_pixel_limit_belongs_to_a_run(data, tmp_path):
    out = tmp_path / "run"
    rated = read_table(data[1], data[0])
    with RunFolder(out) as folder:
        Evaluation(folder, rated, limit=4).perform(quick.Quick())
    assert json.loads((out / "run.json").read_text())["settings"]["max_pixels"] == MAX_PIXELS
    with RunFolder(out) as folder, pytest.raises(RunError, match="max_pixels was 24000000 and now is 16"):
        Evaluation(folder, rated).perform(quick.Quick(max_pixels=16))


def test_a_cluster_takes_names_and_no_loaded_model(data, tmp_path):
    class Nowhere:
        def score(self, *given):
            pytest.fail("a loaded model was sent to a cluster")

    rated = read_table(data[1], data[0])
    for method, lmm in ((quick.Quick(), None), ("q-bench", object())):
        with RunFolder(tmp_path / "run") as folder, pytest.raises(RunError, match="give their names"):
            Evaluation(folder, rated).perform(method, lmm, spread=Nowhere())
    assert not (tmp_path / "run" / "run.json").exists()


def test_the_models_pixel_limit_belongs_to_a_run_and_how_it_ran_is_recorded(data, tmp_path, capsys):
    out = tmp_path / "run"
    settings = ("--limit", "2", "--lmm", "embedded", "--device", "cpu", "--dtype", "float32")
    assert evaluate(data, out, *settings, "--max-pixels", "5000", method="q-bench") == 0
    provenance = json.loads((out / "metrics.json").read_text())["provenance"]
    assert (provenance["lmm"], provenance["lmm_max_pixels"], provenance["max_pixels"]) == ("embedded", 5000, MAX_PIXELS)
    assert provenance["lmm_settings"] == {"device": "cpu", "dtype": "float32", "attn_implementation": "sdpa",
                                          "quantisation": None, "device_map": None, "word_logits": "float32"}
    assert "--max-pixels 5000 --device cpu --dtype float32" in provenance["command"]
    capsys.readouterr()
    assert evaluate(data, out, *settings, method="q-bench") == 2
    assert "lmm_max_pixels was 5000 and now is None" in capsys.readouterr().err
    assert evaluate(data, out, *settings, "--max-pixels", "5000", method="q-bench") == 0


def test_the_settings_of_a_model_are_refused_where_there_is_none(data, tmp_path, capsys):
    assert evaluate(data, tmp_path / "run", "--max-pixels", "5000") == 2
    assert "brings its own network; leave --max-pixels out." in capsys.readouterr().err


def test_a_run_of_an_earlier_version_still_opens_and_says_what_is_not_known(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert evaluate(data, out, "--limit", "10") == 0
    (out / "contents.csv").unlink()
    run = json.loads((out / "run.json").read_text())
    del run["settings"]["max_pixels"]
    (out / "run.json").write_text(json.dumps(run))
    capsys.readouterr()
    assert evaluate(data, out) == 0
    errors = capsys.readouterr().err
    assert "10 images of this run were scored before contents were recorded" in errors
    assert "began before max_pixels was recorded" in errors
    assert len(table(out)) == 40
    assert json.loads((out / "metrics.json").read_text())["provenance"]["images"] is None


@pytest.mark.parametrize("row", [
    ("a", float("nan"), 0.5, 0.5, 0.1), ("a", 3.0, float("inf"), 0.5, 0.1), ("a", 3.0, 0.5, float("nan"), 0.1),
    ("a", 3.0, None, None, None), ("a", 3.0, 0.5, 0.5, 0.1, "broken"),
])
def test_a_prediction_is_a_finite_score_or_an_error(row):
    with pytest.raises(ValueError, match=r"finite number|score or an error"):
        Prediction(*row)


def test_numbers_are_written_as_plain_decimals():
    cells = Prediction("a", np.float64(3.1), np.float32(0.25), np.float64(1) / 3, np.float64(0.1)).cells()
    assert cells == ("a", "3.1", "0.25", "0.3333333333333333", "0.100000", "")


def test_eight_copies_of_one_image_have_no_correlation(tmp_path):
    """Whatever the last bits of their scores do from batch to batch."""
    images, scores = tmp_path / "images", tmp_path / "scores.csv"
    images.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for number in range(8):
        Image.fromarray(picture).save(images / f"{number}.png")
    scores.write_text("image,mos\n" + "".join(f"{number}.png,{1 + number / 2}\n" for number in range(8)))
    assert evaluate((images, scores), tmp_path / "run", "--lmm", "embedded", "--batch-size", "3",
                    method="q-debias") == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["srcc"]["value"] is None
    assert "All scores are equal" in metrics["srcc"]["note"]
