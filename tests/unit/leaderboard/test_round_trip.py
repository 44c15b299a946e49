"""What every method writes with the models that ship is read back by resume, `compare` and `add`."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leaderboard import check
from leaderboard.__main__ import main
from leaderboard.predictions import read_predictions
from leaderboard.runs.add import add
from leaderboard.runs.evaluation import Evaluation
from leaderboard.runs.folder import RunFolder
from methods.base import METHODS
from methods.data import RatedPicture, RatedPictures

COUNT = 6
NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
QUICK = {"visualquality-r1": {"samples": 1}, "llm-iqa": {}, "leaf": {"map": False}}


@pytest.fixture(scope="module")
def rated(tmp_path_factory) -> RatedPictures:
    """Six images, sharper and sharper, whose opinions are numpy's numbers, as a MATLAB file gives them."""
    folder = tmp_path_factory.mktemp("images")
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    pictures = []
    for number in range(COUNT):
        path = folder / f"{number}.png"
        noise.filter(ImageFilter.GaussianBlur(COUNT - number)).save(path)
        pictures.append(RatedPicture(path.name, path, np.float64(10.0) + np.float64(1) / 3 * number))
    return RatedPictures(tuple(pictures), 0.0, 100.0, dataset="live-challenge-dev", split="test")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
def test_what_a_method_writes_is_read_back(method, rated, data, tmp_path, monkeypatch):
    out = tmp_path / "run"
    lmm = None if method == "leaf" else "embedded"

    def perform() -> dict:
        with RunFolder(out) as folder:
            return Evaluation(folder, rated, batch_size=4).perform(method, lmm, dict(QUICK.get(method, {})),
                                                                   command="a test")

    metrics = perform()
    lines = (out / "predictions.csv").read_text().splitlines()[1:]
    assert len(lines) == COUNT
    for line in lines:
        name, *numbers, error = line.split(",")
        assert error == "", line
        assert all(NUMBER.fullmatch(number) for number in numbers), line
    rows = read_predictions(out)
    assert [row.mos for row in rows] == [float(picture.mos) for picture in rated]
    assert all(math.isfinite(row.score) and math.isfinite(row.native_score) for row in rows)
    # Resumed, nothing is scored and nothing changes.
    before = (out / "predictions.csv").read_bytes()
    again = perform()
    assert (out / "predictions.csv").read_bytes() == before
    assert {name: again[name] for name in ("srcc", "rmse")} == {name: metrics[name] for name in ("srcc", "rmse")}
    assert "NaN" not in (out / "metrics.json").read_text()
    assert main(["compare", str(out), str(out / "predictions.csv"), "--samples", "20", "--metric", "srcc"]) == 0
    name, _ = add(out, data=data, submissions=tmp_path / "submissions")
    assert list(check.check(data, tmp_path / "submissions")) == []
    assert json.loads((tmp_path / "submissions" / name / "metrics.json").read_text())["provenance"]["images"]
