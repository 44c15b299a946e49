"""Reading and checking the data: what is there is complete, and what is wrong is named."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest

from leaderboard import check, schema
from leaderboard.__main__ import main
from leaderboard.schema import SchemaError, check_metrics, load
from tests.conftest import shared_folder


def test_all_published_results_are_here(board):
    assert len(board.published) == 1302
    assert len(board.ablations) == 636
    assert board.published["value"].notna().all()
    assert not board.published.duplicated(list(schema.KEY)).any()
    assert (board.published["printed"].str.len() >= 3).all()
    row = board.published[(board.published["paper"] == "iqarag") & (board.published["dataset"] == "kadid-10k")].iloc[0]
    assert (row["printed"], row["value"], row["metric"]) == ("0.7280", 0.7280, "srcc")


def test_nothing_was_changed_on_the_way():
    facts = shared_folder() / "facts"
    if not facts.is_dir():
        pytest.skip("the transcribed tables are not here (set MEAN_OPINION_SHARED)")
    for name, ours, corrected in (("published_results.csv", "published", 22), ("ablations.csv", "ablations", 6)):
        theirs, mine = load(facts / name), getattr(schema.load_board(), ours)
        columns = [column for column in theirs.columns if column not in ("note", "doubtful")]
        # The one correction: Table 2 and Figure 5 of LLM-IQA, and exp 9 of Table 3, whose values they equal, are its
        # ensemble and not the one model that the transcription names.
        ensemble = (theirs["paper"] == "llm-iqa") & (theirs["method"] == "LLM-IQA") & (
            theirs["table"].str.match("Table 2|Figure 5") if ours == "published"
            else theirs["setting"].str.startswith("exp 9:"))
        assert ensemble.sum() == corrected
        assert set(theirs.loc[ensemble, "backbone"]) == {"mPLUG-Owl3 + SAM2"}
        theirs.loc[ensemble, "backbone"] = "LMM ensemble + SAM2"
        assert theirs[columns].equals(mine[columns])
        assert (mine["doubtful"] | ~theirs["doubtful"]).all()


def test_doubts_travel_with_their_cells(board):
    doubtful = board.results[board.results["doubtful"]]
    suspect = board.results[board.results["protocol"].str.contains("SUSPECT|conflicts")]
    assert set(suspect.index) <= set(doubtful.index)
    cell = doubtful[(doubtful["method"] == "Q-Debias") & (doubtful["dataset"] == "siqad")]
    assert "0.326" in cell["note"].iloc[0]


@pytest.mark.slow
def test_the_data_passes_its_own_check(capsys):
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "1302 published results" in said
    assert "all well" in said


def edit(data: Path, file: str, old: str, new: str) -> None:
    text = (data / file).read_text("utf-8")
    assert old in text
    (data / file).write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize(("file", "old", "new", "sentence"), [
    ("published.csv", "srcc,0.7280,", "srcc,1.7280,", "line 2: the value '1.7280' is outside"),
    ("published.csv", "kadid-10k,srcc", "kadid-11k,srcc", "dataset 'kadid-11k' is not known"),
    ("published.csv", "true,none,kadid-10k", "maybe,none,kadid-10k", "training_free 'maybe' is not known"),
    ("published.csv", "true,none,kadid-10k", "true,imagenet,kadid-10k", "training set 'imagenet' is not known"),
    ("published.csv", ",paper,arXiv:2601.08311v1", ",paper,", "line 2: source is empty"),
    ("published.csv", "kadid-10k,plcc,0.7171", "kadid-10k,srcc,0.7171", "line 3: another row has the same"),
    ("datasets.csv", "synthetic", "artificial", "the kind is one of"),
    ("papers.csv", "@article{fu2026iqarag,", "{fu2026iqarag,", "not a BibTeX entry"),
    ("costs.csv", "Q-Bench,1,", "Q-Bench,many,", "lmm_passes is not a number"),
])
def test_every_mistake_is_named(data, tmp_path, file, old, new, sentence):
    edit(data, file, old, new)
    assert any(sentence in problem for problem in check.check(data, tmp_path)), list(check.check(data, tmp_path))


def test_unrecorded_changes_are_found_and_recorded(data, tmp_path, capsys):
    edit(data, "published.csv", "srcc,0.7280,", "srcc,0.7281,")
    assert any("has changed since the last revision" in problem for problem in check.check(data, tmp_path))
    assert main(["check", "--data", str(data), "--record", "a corrected cell"]) == 0
    assert schema.load_board(data).revision == "2"
    assert "data revision 2" in capsys.readouterr().out


def test_unreadable_files_are_sentences(tmp_path):
    with pytest.raises(SchemaError, match="There is no file"):
        load(tmp_path / "nothing.csv")
    odd = tmp_path / "odd.csv"
    odd.write_text("a,b\n1,2\n")
    with pytest.raises(SchemaError, match="none of the leaderboard's tables"):
        load(odd)
    odd.write_text(",".join(schema.PUBLISHED) + "\n" + "x," * 9 + "high,p,paper,s,\n")
    with pytest.raises(SchemaError, match="line 2: value is 'high', which is not a number"):
        load(odd)


def test_notes_may_be_missing_from_a_file(tmp_path):
    file = tmp_path / "results.csv"
    file.write_text(",".join(schema.PUBLISHED[:-1]) + "\np,T,m,,,true,none,spaq,srcc,0.50,x; SUSPECT: y,paper,s\n")
    frame = load(file)
    assert frame["note"].iloc[0] == "SUSPECT: y"
    assert frame["doubtful"].iloc[0]
    assert frame["printed"].iloc[0] == "0.50"


def test_metrics_as_documented_pass(run):
    assert check_metrics(json.loads((run / "metrics.json").read_text())) == []


@pytest.mark.parametrize(("path", "value", "sentence"), [
    (("srcc",), None, "lacks the entry srcc"),
    (("srcc", "value"), 1.5, r"srcc lies in \[-1, 1\]"),
    (("srcc", "value"), "0.8", "numbers or null"),
    (("srcc", "value"), math.nan, "numbers or null"),
    (("plcc", "value"), None, "no note that says why"),
    (("krcc", "n"), 3.5, "n is a count"),
    (("rmse", "low"), -1.0, "rmse lies in"),
    (("rmse", "low"), 1e9, "is above high"),
    (("provenance", "date"), "yesterday", "date is ISO"),
    (("provenance", "n_failed"), -1, "n_failed is a count"),
    (("provenance", "options"), "none", "options is an object"),
    (("provenance", "training_free"), "perhaps", "training_free is true or false"),
])
def test_every_wrong_metric_is_named(run, path, value, sentence):
    import re

    metrics = copy.deepcopy(json.loads((run / "metrics.json").read_text()))
    target = metrics
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    assert any(re.search(sentence, problem) for problem in check_metrics(metrics)), check_metrics(metrics)
