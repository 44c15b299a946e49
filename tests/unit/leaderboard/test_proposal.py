"""A proposal is what `add` would make of a run, and leaves the data as it is."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import pytest

from leaderboard import check
from leaderboard.runs.add import add
from leaderboard.runs.proposal import propose, run_of_predictions
from leaderboard.schema import SchemaError, load_board

from .conftest import make_run


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def unpacked(proposal, folder):
    with zipfile.ZipFile(io.BytesIO(proposal.archive)) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_the_files_are_those_that_add_would_write(data, tmp_path):
    submissions = tmp_path / "submissions"
    add(make_run(tmp_path / "earlier", n=399, failed=0, split="all", training_set="none"), data=data,
        submissions=submissions)
    before = everything(data), everything(submissions)
    run = make_run(tmp_path / "run", n=399, failed=0, split="all", method="q-debias", training_set="none")
    proposal = propose(run, data=data, submissions=submissions)
    assert (everything(data), everything(submissions)) == before
    assert not proposal.replaces
    assert proposal.row.entry.method == "Q-Debias"
    assert (proposal.row.position, proposal.row.group) == (1, "a"), "the scores are those of the earlier row"
    assert "place 1 (group a) among 2 rows" in proposal.sentence
    files = unpacked(proposal, tmp_path / "files")
    name, _ = add(run, data=data, submissions=submissions)
    assert everything(files / "leaderboard/submissions") == {
        path: content for path, content in everything(submissions).items() if path.parts[0] == name}
    for file in ("measured.csv", "revisions.csv"):
        assert (files / "leaderboard/data" / file).read_bytes() == (data / file).read_bytes()
    assert list(check.check(data, submissions)) == []
    text = (files / "PULL_REQUEST.md").read_text("utf-8")
    assert text == proposal.text
    assert f"Adds the measured result `{name}`" in text
    assert f"| srcc | {proposal.run.estimates['srcc'].value:.4f} |" in text
    again = propose(run, data=data, submissions=submissions)
    assert again.replaces
    assert again.title == f"Replace {name}"
    assert list(check.check(data, submissions)) == [], "the stored files are not touched"


def test_what_add_refuses_is_refused(data, run, tmp_path):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["srcc"]["value"] = 0.5
    metrics["srcc"]["low"] = 0.4
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(SchemaError, match=r"srcc claims 0\.500000, the predictions give"):
        propose(run, data=data)
    with pytest.raises(SchemaError, match="did you mean 'koniq-10k'"):
        propose(make_run(tmp_path / "other", dataset="koniq10k"), data=data)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"label_sets": 3}, "label_sets is a text; got 3"), ({"lmm": ["a"]}, r"lmm is a text; got \['a'\]"),
    ({"lmm_passes": "many"}, "lmm_passes is a number of 0 or more"), ({"scale": [1]}, r"scale is its two ends"),
    ({"training_set": "nowhere"}, "training set 'nowhere' is not known"),
])
def test_odd_provenance_is_a_sentence(data, tmp_path, changes, sentence):
    with pytest.raises(SchemaError, match=sentence):
        propose(make_run(tmp_path / "run", **changes), data=data)
    assert len(load_board(data).measured) == 0


def test_endless_json_is_a_sentence(data, run):
    (run / "metrics.json").write_text("[" * 100_000)
    with pytest.raises(SchemaError, match="lists inside lists"):
        propose(run, data=data)


def test_predictions_alone_become_a_run(data, run, tmp_path):
    table = tmp_path / "mine.csv"
    shutil.copyfile(run / "predictions.csv", table)
    facts = {"method": "My System", "dataset": "live-challenge-dev", "split": "test", "command": "python score.py"}
    run_of_predictions(table, tmp_path / "made", **facts, training_set="none")
    proposal = propose(tmp_path / "made", data=data)
    assert proposal.row.entry.label == "My System"
    assert proposal.row.entry.training == ()
    claimed = json.loads((run / "metrics.json").read_text())
    assert proposal.run.estimates["rmse"].value == pytest.approx(claimed["rmse"]["value"])
    with pytest.raises(SchemaError, match="does not say its command; fill that field in"):
        run_of_predictions(table, tmp_path / "made", **{**facts, "command": " "})
