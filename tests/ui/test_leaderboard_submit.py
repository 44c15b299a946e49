"""Submitting a result, without a browser: what is read of a visitor's file, and what is said."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from leaderboard.measured import SUBMISSIONS
from leaderboard.schema import DATA
from methods.errors import InputError
from ui.serving.zips import members_by_name
from ui.tabs.leaderboard import submit

RUN = "leaf_trained-on-biq2021_live-challenge-dev_all_2026-11-27"
EMPTY = ("", "", "", None, "all", "", "")


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def run_files():
    return {f"run/{name}": (SUBMISSIONS / RUN / name).read_bytes() for name in submit.FILES}


def test_a_zipped_run_comes_back_as_its_row_and_files(run_files, tmp_path):
    before = (DATA / "measured.csv").read_bytes()
    archive = packed(tmp_path / "run.zip", {**run_files, "run/contents.csv": b"x", "run/run.json": b"{}"})
    proposal = submit._proposal(archive, *EMPTY)
    assert proposal.run.name == RUN
    assert proposal.replaces
    html = submit.verdict_html(proposal)
    assert 'class="lb-marked"' in html
    assert "<button" not in html, "nothing listens to this table"
    assert "Nothing has been added" in html
    assert Path(submit._file(proposal)).name == f"{RUN}.zip"
    assert (DATA / "measured.csv").read_bytes() == before


def test_predictions_alone_need_what_they_do_not_say(tmp_path):
    table = tmp_path / "predictions.csv"
    table.write_bytes((SUBMISSIONS / RUN / "predictions.csv").read_bytes())
    with pytest.raises(InputError, match="does not say its method; fill that field in"):
        submit._proposal(table, *EMPTY)
    proposal = submit._proposal(table, "Mine", "", "", "live-challenge-dev", "all", "none", "python mine.py")
    assert proposal.row.entry.label == "Mine"
    assert not proposal.replaces


@pytest.mark.parametrize(("files", "sentence"), [
    ({"photo.png": b""}, "The zip holds no metrics.json"),
    ({"metrics.json": b"{}"}, "The zip holds no predictions.csv"),
    ({"a/metrics.json": b"{}", "b/metrics.json": b"{}"}, "more than one metrics.json"),
    ({"metrics.json": b"{", "predictions.csv": b""}, "metrics.json is not JSON"),
    ({"metrics.json": b"{}", "predictions.csv": b"image,mos,score\n"}, "your-run/metrics.json cannot be added: "),
    ({"metrics.json": b"{}", "predictions.csv": b"a\n" * 50_001}, "more than 50,000 images"),
    ({"metrics.json": b" " * 1_100_000, "predictions.csv": b""}, "metrics.json unpacks to more than"),
])
def test_what_is_no_run_is_one_sentence(files, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        submit._proposal(packed(tmp_path / "run.zip", files), *EMPTY)


def test_a_file_that_is_no_zip_is_one_sentence(tmp_path):
    (tmp_path / "run.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"run\.zip is not a zip file"):
        members_by_name(tmp_path / "run.zip", submit.FILES, 100)
