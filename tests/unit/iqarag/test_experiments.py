"""The experiments on made data: splits, conditions, resuming, and the numbers against a hand-made metric."""

from __future__ import annotations

import numpy as np
import pytest

from methods.agreement.metrics import srcc
from methods.data import DatasetError
from methods.errors import InputError
from methods.iqarag import experiments, results
from methods.iqarag.__main__ import main
from methods.iqarag.experiments import Run, find_data, split

from .conftest import BrightnessLMM, grey


@pytest.fixture
def data(tmp_path):
    """Two datasets whose MOS is brightness with noise."""
    rng = np.random.default_rng(0)
    specs = []
    for name, count in (("first", 24), ("second", 20)):
        folder = tmp_path / name / "images"
        folder.mkdir(parents=True)
        rows = ["image,mos"]
        for number in range(count):
            value = (10 * number + (3 if name == "second" else 0)) % 256
            grey(value, (20 + number, 16)).save(folder / f"{number}.png")
            rows.append(f"{number}.png,{min(max(value / 2.56 + rng.normal(0, 8), 0), 100):.3f}")
        (tmp_path / name / "scores.csv").write_text("\n".join(rows) + "\n")
        specs.append(str(tmp_path / name))
    return specs


def run(tmp_path, lmm, **settings) -> Run:
    return Run(lmm, tmp_path / "out", samples=40, tell=lambda sentence: None, **settings)


@pytest.mark.parametrize(("ratio", "expected"), [("1:9", 10), ("1:4", 20), ("3:7", 30), ("1:1", 50)])
def test_splits(ratio, expected):
    references, tests = split(100, ratio, seed=0)
    assert len(references) == expected
    assert sorted(references + tests) == list(range(100))
    assert split(100, ratio, seed=0) == (references, tests)
    assert split(100, ratio, seed=1) != (references, tests)


def test_contents_stay_together():
    groups = [f"source {n // 5}" for n in range(100)]
    references, tests = split(100, "3:7", 0, groups)
    assert len(references) == 30
    assert not {groups[n] for n in references} & {groups[n] for n in tests}
    loose, _ = split(100, "3:7", 0, [""] * 100)
    assert len(loose) == 30


@pytest.mark.parametrize("ratio", ["0:1", "1", "a:b", "1:-2", "1:1000"])
def test_ratios_that_do_not_work(ratio):
    with pytest.raises(ValueError, match=r"ratio|split"):
        split(10, ratio, 0)


def test_only_named_pictures_are_tested_and_never_shown(data, tmp_path, lmm):
    names = frozenset(f"{number}.png" for number in (1, 4, 9, 16))
    settings = run(tmp_path, lmm, tests=names)
    (part,) = experiments.ratios(settings, [find_data(data[0])], ["1:1"])
    references, _ = part.conditions["with"]
    assert {part.tests.names[number] for number in part.chosen} == names
    assert len(references) == 12
    assert not names & set(references.names)
    with pytest.raises(ValueError, match="None of the 24"):
        experiments.ratios(run(tmp_path, lmm, tests=frozenset({"x"})), [find_data(data[0])], ["1:1"])


def test_ratios_without_and_with(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    rows = experiments.perform(settings, experiments.ratios(settings, [find_data(data[0])], ["1:1"]))
    assert [(row["part"], row["condition"], row["n"]) for row in rows] == [
        ("first-1to1", "without", 12), ("first-1to1", "with", 12)]
    with_ = rows[1]
    assert with_["srcc_gain"]["value"] == pytest.approx(with_["srcc"] - rows[0]["srcc"])
    assert with_["mean_gain"]["low"] <= with_["mean_gain"]["value"] <= with_["mean_gain"]["high"]
    assert (tmp_path / "out" / "results.md").read_text() == results.table(rows)
    lines = (tmp_path / "out" / "first-1to1.csv").read_text().splitlines()
    assert lines[0] == "image,mos,without,with"
    cells = np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines[1:]])
    assert srcc(cells[:, 2], cells[:, 0]) == pytest.approx(with_["srcc"])


def test_a_killed_run_goes_on(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    whole = experiments.perform(settings, experiments.ratios(settings, [find_data(data[0])], ["1:1"]))
    path = tmp_path / "out" / "first-1to1.csv"
    text = path.read_text()
    path.write_text(text[:len(text) // 2])
    before = lmm.calls
    again = experiments.perform(settings, experiments.ratios(settings, [find_data(data[0])], ["1:1"]))
    assert 0 < lmm.calls - before <= 2
    assert sorted(path.read_text().splitlines()) == sorted(text.splitlines())
    assert [row["srcc"] for row in again] == pytest.approx([row["srcc"] for row in whole])


def test_folds_are_pooled(data, tmp_path, lmm):
    dataset, files = find_data(data[0]), []
    for fold in range(2):
        names = frozenset(f"{number}.png" for number in range(24) if number % 2 == fold)
        settings = Run(lmm, tmp_path / f"fold-{fold}", tests=names, samples=40, tell=lambda sentence: None)
        experiments.perform(settings, experiments.ratios(settings, [dataset], ["1:4"]))
        files.append(settings.out / "first-1to4.csv")
    plain, with_ = results.pooled_rows(files, samples=40)
    assert (plain["n"], with_["condition"]) == (24, "with")
    with pytest.raises(ValueError, match="every image once"):
        results.pooled_rows([files[0], files[0]])


@pytest.mark.parametrize(("content", "said"), [
    (None, "holds no predictions"), ("image,mos,without\n", "holds no predictions"),
    ("image,mos,without\na.png,0.5\n", "Line 2 of .* is not a name and a number per condition"),
    ("image,mos,without\na.png,0.5,good\n", "Line 2 of"), ("image,mos,without\na.png,0.5,0.5,0.5\n", "Line 2 of"),
])
def test_a_file_that_cannot_be_pooled_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "part.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said):
        results.pooled_rows([path])


def test_other_conditions_do_not_mix(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    parts = experiments.ratios(settings, [find_data(data[0])], ["1:1"])
    (tmp_path / "out" / "first-1to1.csv").write_text("image,mos,without,P=1\n")
    with pytest.raises(ValueError, match="another --out"):
        experiments.perform(settings, parts)


def test_number_of_references(data, tmp_path, lmm):
    settings = run(tmp_path, lmm, limit=5)
    rows = experiments.perform(settings, experiments.references(settings, [find_data(data[0])], "1:1"))
    assert [row["condition"] for row in rows] == ["without", "P=1", "P=2", "P=3", "P=4", "P=5"]
    assert {row["n"] for row in rows} == {5}


def test_cross_dataset_takes_references_from_the_first_only(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    (part,) = experiments.cross(settings, [find_data(spec) for spec in data])
    references, _ = part.conditions["with"]
    assert (len(references), len(part.chosen)) == (24, 20)
    assert part.name == "second-from-first"
    with pytest.raises(ValueError, match="two datasets"):
        experiments.cross(settings, [find_data(data[0])])


def test_cross_dataset_tests_only_what_is_named(data, tmp_path, lmm):
    settings = run(tmp_path, lmm, tests=frozenset({"1.png", "4.png"}))
    (part,) = experiments.cross(settings, [find_data(folder) for folder in data[:2]])
    assert {part.tests.names[number] for number in part.chosen} == {"1.png", "4.png"}
    with pytest.raises(ValueError, match="None of the"):
        experiments.cross(run(tmp_path, lmm, tests=frozenset({"x"})), [find_data(folder) for folder in data[:2]])


def test_the_combined_set_keeps_names_apart(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    (part,) = experiments.combined(settings, [find_data(spec) for spec in data], ["1:9"])
    assert len(part.tests) == 44
    assert len(set(part.tests.names)) == 44
    rows = experiments.perform(settings, [part])
    assert rows[0]["n"] == 40


def test_encoders_share_one_split(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    (part,) = experiments.encoders(settings, [find_data(data[0])], "1:1", ["VE"])
    assert set(part.conditions) == {"VE"}
    assert experiments.perform(settings, [part])[1]["condition"] == "VE"


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        find_data(str(tmp_path / "nothing"))
    with pytest.raises(DatasetError, match=r"scores\.csv"):
        find_data(str(tmp_path))
    with pytest.raises(DatasetError, match="did you mean 'koniq-10k'"):
        find_data(f"koniq10k={tmp_path}")


class TestCommandLine:
    @pytest.fixture(autouse=True)
    def _lmm(self, monkeypatch):
        monkeypatch.setattr("methods.lmm.loading.load_lmm", lambda name, **settings: BrightnessLMM())
        monkeypatch.setattr("methods.lmm.loading.default_lmm", lambda method: "brightness")

    def test_build_info_and_encode(self, data, tmp_path, capsys):
        arguments = ["build", "--images", data[0], "--scores", f"{data[0]}/scores.csv", "--out", str(tmp_path / "set")]
        assert main([*arguments, "--scale", "0", "100", "--copy"]) == 0
        assert "24 references" in capsys.readouterr().out
        assert main(["info", str(tmp_path / "set")]) == 0
        assert "24 references, VE features of 2 numbers" in capsys.readouterr().out
        assert main(["encode", str(tmp_path / "set"), "--out", str(tmp_path / "encoded")]) == 0
        assert main(["info", str(tmp_path / "encoded")]) == 0

    @pytest.mark.slow
    def test_an_experiment(self, data, tmp_path, capsys):
        assert main(["experiment", "ratios", "--data", data[0], "--ratio", "1:1", "--out", str(tmp_path / "o"),
                     "--option", "K=8", "--option", "order=worst first"]) == 0
        out = capsys.readouterr().out
        assert out.count("first-1to1") == 2

    @pytest.mark.parametrize(("arguments", "sentence"), [
        (["info", "/nowhere"], "no reference set"), (["build", "--out", "x"], "--images DIR --scores TABLE"),
        (["build", "--out", "x", "--dataset", "koniq", "--root", "."], "did you mean 'koniq-10k'"),
        (["build", "--out", "x", "--dataset", "spaq"], "--root"),
        (["experiment", "references", "--data", ".", "--out", "x", "--option", "k=3"], "choose from K"),
    ])
    def test_failures_are_one_sentence(self, arguments, sentence, capsys):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("\n") == 1

    def test_usage(self):
        assert main(["build"]) == 2


def test_min_max_runs_from_the_lowest_to_the_highest_opinion(data, tmp_path, lmm):
    """(MOS - min) / (max - min): both ends of Eq. 6's range are reached, which the nominal scale does not do."""
    dataset = find_data(data[0])
    mos = dataset.mos
    np.testing.assert_allclose(experiments.min_max(dataset).mos01, (mos - mos.min()) / (mos.max() - mos.min()))
    for scaled, highest in ((True, 1.0), (False, mos.max() / 100)):
        settings = run(tmp_path / str(scaled), lmm, min_max=scaled)
        [part] = experiments.references(settings, [dataset])
        assert part.tests.mos.max() == pytest.approx(highest)
        assert part.tests.mos.min() == pytest.approx(0.0 if scaled else mos.min() / 100)
    [combined] = experiments.combined(run(tmp_path / "both", lmm), [find_data(spec) for spec in data], ["3:7"])
    assert sorted(combined.tests.mos)[:2] == [0, 0]
    assert sorted(combined.tests.mos)[-2:] == [1, 1]


def test_every_number_has_an_interval(data, tmp_path, lmm):
    settings = run(tmp_path, lmm)
    for row in experiments.perform(settings, experiments.references(settings, [find_data(data[0])])):
        for metric in ("srcc", "plcc", "mean"):
            assert row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"]
        assert row["mean"] == pytest.approx((row["srcc"] + row["plcc"]) / 2)


def test_a_folder_of_other_settings_is_refused(data, tmp_path, lmm):
    dataset = find_data(data[0])

    def performed(**settings):
        made = run(tmp_path, lmm, **settings)
        return experiments.perform(made, experiments.ratios(made, [dataset], ["3:7"]))

    assert performed(limit=5) != performed()  # a limit may be raised
    for other, sentence in (({"seed": 1}, "seed was 0 and now is 1"), ({"min_max": False}, "min_max was True"),
                            ({"by_content": True}, "by_content was False"), ({"options": {"K": 5}}, "options was")):
        with pytest.raises(InputError, match=f"holds a run with other settings: {sentence}"):
            performed(**other)
    for content in ("{", "3"):
        (tmp_path / "out" / "settings.json").write_text(content)
        with pytest.raises(InputError, match="cannot be read; restore it or choose another --out"):
            performed()
