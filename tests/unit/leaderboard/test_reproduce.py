"""Manifests: every one fits the transcribed tables and the methods' options, and a table is run as far as it can be."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import io

import pytest

from leaderboard.__main__ import main
from leaderboard.reproduce import manifest, models
from leaderboard.reproduce.perform import Cell, Reproduction
from leaderboard.reproduce.tables import render
from methods.agreement import metrics as stats
from methods.base import METHODS, method_class
from methods.lmm.catalogue import find
from tests import tiny_lmm
from tests.unit.leaderboard import quick
from tests.unit.leaderboard.test_evaluate import make_pictures


def table(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


@pytest.fixture
def koniq(tmp_path):
    """Twelve noise pictures in the layout of KonIQ-10k."""
    root = tmp_path / "koniq"
    pictures, _ = make_pictures(root, 12)
    pictures.rename(root / "1024x768")
    lines = ["image_name,set,MOS,SD", *(f"{number:03d}.png,test,{1 + number / 3},0.5" for number in range(12))]
    (root / "koniq10k_distributions_sets.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("name", manifest.names())
def test_every_manifest_fits_the_tables_and_the_methods(name):
    made = manifest.load(name)
    used = {id(made.row_of(cell)) for _, cell in made.cells.iterrows()}
    for row in made.rows:
        assert id(row) in used, f"no cell of {name} fits {row.match}"
        assert set(row.match) <= set(made.cells.columns)
        if row.lmm:
            assert (find(row.lmm) is None) == bool(row.missing or row.ensemble), row.lmm
        if row.runs:
            kind = method_class(row.runs)
            kind.options.updated(**row.options)
            assert kind.needs_lmm == bool(row.lmm)


def test_every_paper_has_its_tables():
    assert {name.rpartition("-table")[0].rpartition("-figure")[0] or name.partition("-table")[0]
            for name in manifest.names()} >= {"iqarag", "llm-iqa", "visualquality-r1", "q-debias", "leaf"}


def test_tables_are_listed_and_unknown_ones_suggested(capsys):
    assert main(["reproduce"]) == 0
    assert "iqarag-table-1" in capsys.readouterr().out
    assert main(["reproduce", "iqarag-tabel-1"]) == 2
    assert "did you mean 'iqarag-table-" in capsys.readouterr().err


def test_what_is_missing_is_said_cell_by_cell(tmp_path, capsys):
    assert main(["reproduce", "q-debias-table-1", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "add --data koniq-10k=FOLDER" in output
    assert "quoted only:" in output
    assert "NIQE" in output
    assert main(["reproduce", "leaf", "--csv", "--out", str(tmp_path)]) == 0
    rows = table(capsys.readouterr().out)
    assert rows
    assert all("mean-opinion leaf train" in row["reason"] and row["ours"] == "" for row in rows)


def test_levels_need_opinions_alone(koniq, tmp_path, capsys):
    assert main(["reproduce", "llm-iqa-table-1", "--data", f"koniq-10k={koniq}", "--csv", "--out", str(tmp_path)]) == 0
    rows = {row["row"]: row for row in table(capsys.readouterr().out) if row["dataset"] == "koniq-10k"}
    from methods.llm_iqa.aggregation import quantise

    mos = [1 + number / 3 for number in range(12)]
    levels = quantise(mos, 7)
    seven = next(row for name, row in rows.items() if "K=7" in name)
    assert float(seven["ours"]) == pytest.approx((stats.srcc(levels, mos) + stats.plcc(levels, mos)) / 2)
    assert seven["n"] == "12"


def test_a_model_is_put_in_the_place_of_the_papers(koniq, tmp_path, capsys):
    tiny = tiny_lmm.build("fast_vlm", tmp_path / "tiny")
    words = ["reproduce", "q-debias-table-5", "--data", f"koniq-10k={koniq}", "--lmm", f"mplug-owl3-7b={tiny}",
             "--limit", "6", "--csv", "--out", str(tmp_path / "runs")]
    assert main(words) == 0
    rows = [row for row in table(capsys.readouterr().out) if row["dataset"] == "koniq-10k" and row["metric"] == "srcc"]
    done = [row for row in rows if not row["reason"]]
    assert any("full" in row["row"] for row in done)
    assert any("Winner" in row["row"] for row in done)
    assert all(row["n"] == "6" and -1 <= float(row["ours"]) <= 1 for row in done)
    # A model that has no way to run is a reason, and names the nearest that does.
    assert main([*words[:4], "--csv", "--out", str(tmp_path / "other")]) == 0
    reasons = {row["reason"] for row in table(capsys.readouterr().out) if row["dataset"] == "koniq-10k"}
    assert all("has no way to run here" in reason and "llava-onevision-7b" in reason for reason in reasons)


def test_models_may_be_named_or_stand_for_all():
    assert models(["bakllava=/models/b", "server:http://h:1/v1?images=2#m"]) == {
        "bakllava": ["/models/b"], "": ["server:http://h:1/v1?images=2#m"]}
    assert models(["a", "ensemble=b", "ensemble=c", "d"]) == {"": ["a", "d"], "ensemble": ["b", "c"]}


def test_a_line_a_cell_and_every_reason_once():
    text = render([Cell("A", "spaq", "srcc", 0.9, 0.85, 0.8, 0.88, 100, marks=("not the paper's",)),
                   Cell("A", "koniq-10k", "mean_srcc_plcc", 0.7, reason="no GPU"),
                   Cell("B", "spaq", "srcc", 0.7, reason="no GPU"), Cell("B", "bid", "plcc", 0.6, reason="no data")])
    assert "0.9000  0.8500  -0.0500   0.8000 to 0.8800" in text
    lines = text.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "A", "B", "", "(a) not the paper's", "", "[1] 2 cells: no GPU", "[2] 1 cell: no data"]
    assert lines[2].split()[-2:] == ["100", "a"]
    assert lines[3].split() == ["koniq-10k", "mean", "0.7000", "[1]"]
    assert lines[6].split() == ["bid", "PLCC", "0.6000", "[2]"]


def test_a_table_of_opinions_is_enough_where_no_model_takes_part(tmp_path, capsys):
    mos = [1 + number / 3 for number in range(12)]
    opinions = tmp_path / "koniq.csv"
    opinions.write_text("image,mos\n" + "".join(f"{number}.png,{value!r}\n" for number, value in enumerate(mos)))
    data = ["--data", f"koniq-10k={opinions}", "--csv", "--out", str(tmp_path)]
    assert main(["reproduce", "llm-iqa-table-1", *data]) == 0
    rows = table(capsys.readouterr().out)
    assert {row["n"] for row in rows if row["dataset"] == "koniq-10k"} == {"12"}
    assert main(["reproduce", "q-debias-table-5", *data]) == 0
    reasons = {row["reason"] for row in table(capsys.readouterr().out) if row["dataset"] == "koniq-10k"}
    assert all("is a table without images" in reason for reason in reasons)
    opinions.write_text("image,niceness\n1.png,3\n")
    assert main(["reproduce", "llm-iqa-table-1", *data]) == 0
    reasons = {row["reason"] for row in table(capsys.readouterr().out) if row["dataset"] == "koniq-10k"}
    assert len(reasons) == 1
    assert "its columns are image, niceness. Name one with --mos-column" in reasons.pop()


def test_a_dataset_that_no_reader_knows_is_a_folder_with_a_table(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, quick.NAME, "tests.unit.leaderboard.quick:Quick")
    printed = manifest.load("visualquality-r1-table-2")
    cells = printed.cells[(printed.cells["dataset"] == "min19-dehazing") & (printed.cells["metric"] == "srcc")][:1]
    made = dataclasses.replace(printed, rows=(manifest.Row({}, method=quick.NAME),), cells=cells)
    [cell] = Reproduction(made, {}, tmp_path / "runs", {}).cells()
    assert cell.reason == ("the dataset min19-dehazing is not here, and there is no reader for its layout; add --data "
                           "min19-dehazing=FOLDER, a folder of its images with scores.csv (image,mos)")
    make_pictures(tmp_path / "set", 12)
    [cell] = Reproduction(made, {"min19-dehazing": tmp_path / "set"}, tmp_path / "runs", {}).cells()
    assert (cell.reason, cell.n) == ("", 12)
    assert cell.low < cell.ours < cell.high
    assert cell.paper == float(cells["value"].iloc[0])


def reproduce(capsys, *words: str) -> list[dict[str, str]]:
    assert main(["reproduce", *words, "--csv"]) == 0
    return table(capsys.readouterr().out)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_lmm.build("fast_vlm", tmp_path_factory.mktemp("tiny") / "tiny", image_budget=8)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return tiny_lmm.build("smolvlm", tmp_path_factory.mktemp("other") / "other", image_budget=8)


def test_what_ran_and_what_is_not_the_papers_stands_with_every_cell(koniq, tiny, tmp_path, capsys):
    words = ["q-debias-table-5", "--data", f"koniq-10k={koniq}", "--lmm", str(tiny), "--limit", "4", "--out",
             str(tmp_path / "runs"), "--option", "temperature=2"]
    rows = [row for row in reproduce(capsys, *words) if row["ours"]]
    assert rows
    for row in rows:
        assert row["model"].startswith("tiny@")
        assert "by tiny, not by the paper's mPLUG-Owl3 7B" in row["marks"]
        assert "nothing is known here of what tiny was trained on" in row["marks"]
        assert "temperature is 2.0, not the paper's 1.0" in row["marks"]
        assert ("SSIM" in row["marks"]) == ("Quality Similarity" in row["row"])
        assert float(row["low"]) <= float(row["high"])
    assert main(["reproduce", *words]) == 0
    output = capsys.readouterr().out
    head = output[: output.index("paper    ours")]
    assert f"Model: {rows[0]['model']} ({len(rows)} cells)" in head
    assert "the first 4 images of each dataset only" in head
    assert "--lmm mplug-owl3-7b=llava-onevision-7b" in output  # the paper's model has no way to run


def test_a_model_that_was_trained_on_the_dataset_is_marked():
    from leaderboard.reproduce.origin import training_marks

    assert training_marks("Qwen/Qwen3-VL-8B-Instruct", ["koniq-10k"]) == []
    assert training_marks("TianheWu/VisualQuality-R1-7B", ["spaq"]) == [
        "TianheWu/VisualQuality-R1-7B was trained on opinions, and its authors do not say of which sets"]
    [mark] = training_marks("server:http://host:8000/v1#q-future/Q-ReAlign-Lite-4B", ["koniq-10k", "live-challenge"])
    assert mark.endswith("was trained on opinions of KonIQ-10k")
    for name in ("embedded", "embedded-biq2021"):  # the student that ships beside the first has seen other labels
        assert training_marks(name, ["kadid-10k", "spaq"]) == [f"{name} was trained on opinions of KADID-10k"]
    assert training_marks("my-model", ["spaq"]) == ["nothing is known here of what my-model was trained on"]


def test_two_models_never_share_a_run(koniq, tiny, other, tmp_path, capsys):
    """The same table by one model after the other, into the same folder."""
    words = ["q-debias-table-1", "--data", f"koniq-10k={koniq}", "--limit", "4", "--out", str(tmp_path)]
    first = [row["ours"] for row in reproduce(capsys, *words, "--lmm", str(tiny)) if row["ours"]]
    second = [row["ours"] for row in reproduce(capsys, *words, "--lmm", str(other)) if row["ours"]]
    assert len(first) == len(second) > 0
    assert first != second
    assert first == [row["ours"] for row in reproduce(capsys, *words, "--lmm", str(tiny)) if row["ours"]]


def test_an_ensemble_takes_several_models_and_a_row_of_one_does_not(koniq, tiny, other, tmp_path, capsys):
    words = ["--data", f"koniq-10k={koniq}", "--limit", "4", "--out", str(tmp_path), "--option",
             "segmenter=felzenszwalb", "--option", "reading=expectation"]
    alone = {row["reason"] for row in reproduce(capsys, "llm-iqa-table-2", *words, "--lmm", str(tiny))
             if row["dataset"] == "koniq-10k"}
    assert alone == {"the paper names no model of its ensemble; give at least two, as --lmm A --lmm B or as "
                     "--lmm ensemble=A --lmm ensemble=B"}
    both = ["--lmm", str(tiny), "--lmm", str(other)]
    rows = [row for row in reproduce(capsys, "llm-iqa-table-2", *words, *both) if row["dataset"] == "koniq-10k"]
    assert all(row["ours"] and row["model"].count("@") == 2 for row in rows)
    assert all("the paper does not name the models of its ensemble" in row["marks"] for row in rows)
    koniq_only = [row for row in reproduce(capsys, "q-debias-table-1", *words[:-4], *both)
                  if row["dataset"] == "koniq-10k"]
    assert {row["reason"] for row in koniq_only} == {
        "several models are given for a row of one; say which with --lmm mplug-owl3-7b=MODEL"}


def test_a_row_of_a_trained_model_runs_once_the_model_is_named(koniq, tmp_path, capsys):
    words = ["visualquality-r1-table-3", "--data", f"koniq-10k={koniq}", "--limit", "3", "--out", str(tmp_path),
             "--option", "max_new_tokens=120"]
    rows = [row for row in reproduce(capsys, *words, "--lmm", "embedded") if row["dataset"] == "koniq-10k"]
    assert all("and give it as --lmm rl2r-kadid-k" in row["reason"] for row in rows)
    named = reproduce(capsys, *words, "--lmm", "rl2r-kadid-k4=embedded")
    rows = [row for row in named if row["dataset"] == "koniq-10k"]
    assert [bool(row["ours"]) for row in rows] == ["K=4" in row["row"] for row in rows]
    assert all("taken to be rl2r-kadid-k4 because --lmm says so" in row["marks"] for row in rows if row["ours"])


def test_one_encoder_that_cannot_be_had_empties_its_own_cells_only(koniq, tiny, tmp_path, capsys):
    from leaderboard.reproduce import miniature

    made = miniature.encoders(tmp_path / "encoders")
    made["DINOv2"] = str(tmp_path / "nothing")
    rows = reproduce(capsys, "iqarag-table-3", "--data", f"koniq-10k={koniq}", "--lmm", str(tiny), "--limit", "4",
                     "--out", str(tmp_path / "runs"),
                     *(word for name, folder in made.items() for word in ("--encoder", f"{name}={folder}")))
    rows = [row for row in rows if row["dataset"] == "koniq-10k"]
    assert len(rows) == 6
    assert [row["row"] for row in rows if not row["ours"]] == [row["row"] for row in rows if "DINOv2" in row["row"]]
    assert all(row["low"] and row["high"] and row["n"] == "4" for row in rows if row["ours"])


def test_an_option_that_no_method_has_is_refused(koniq, tmp_path, capsys):
    words = ["q-debias-table-5", "--data", f"koniq-10k={koniq}", "--out", str(tmp_path), "--option", "lam=2"]
    assert main(["reproduce", *words]) == 2
    assert "--option lam=2: no method that runs here has it (q-debias); leave it out." in capsys.readouterr().err
    assert main(["reproduce", "--all", "iqarag-table-1"]) == 2
    assert "not both" in capsys.readouterr().err
    assert main(["reproduce", "leaf", "--data", "a=b", "--data", "a=c"]) == 2
    assert "--data names a twice" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "by_content", "min_max", "ray", "heading_says"), [
    ([], False, True, None, ("from the lowest to the highest", "splits by image")),
    (["--by-content"], True, True, None, ("from the lowest to the highest", "splits by content")),
    (["--no-min-max"], False, False, None, ("nominal scale", "splits by image")),
    (["--ray"], False, True, "local", ("splits by image",)),
    (["--ray", "auto", "--min-max"], False, True, "auto", ("from the lowest to the highest",)),
])
def test_what_the_command_line_says_of_a_run_reaches_it(words, by_content, min_max, ray, heading_says):
    from leaderboard import reproduce as command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["iqarag-table-1", "--limit", "7", "--seed", "3", *words])
    made = command._reproduction(manifest.load("iqarag-table-1"), args)
    assert (made.by_content, made.min_max, made.limit, made.seed) == (by_content, min_max, 7, 3)
    assert (made.spread.address if made.spread else None) == ray
    settings = command.heading(made)[-1]
    assert all(part in settings for part in (*heading_says, "the first 7 images", "seed 3"))
