"""A method of another package: found by its entry point, on the command line, from Python and on the page."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from methods import registry
from methods.base import load_method, method_class, method_names
from methods.errors import InputError, UserError
from tests.app_server import running_app
from tests.package.test_wheel import REPOSITORY

METHOD = '''
from dataclasses import dataclass

import numpy as np

from methods.base import Evidence, Method, Options, Verdict, option


@dataclass(frozen=True)
class LightOptions(Options):
    gain: float = option(1.0, "Multiplies the brightness.", low=0.0, high=2.0)


@dataclass(frozen=True)
class LightEvidence(Evidence):
    brightness: float

    def reason(self, score):
        return f"its brightness is {self.brightness:.2f}"


class Light(Method):
    """The brighter the better."""

    name, title, summary, citation = "light", "Light", "Scores by brightness.", "@misc{light}"
    needs_lmm = False
    lmm_id = "light@1"
    options = LightOptions()

    def _assess(self, images, options):
        levels = [float(np.asarray(image).mean() / 255) for image in images]
        scores = [min(level * options.gain, 1.0) for level in levels]
        return [Verdict(score, score, "It is bright.", LightEvidence(level)) for score, level in zip(scores, levels)]
'''


def install(site: Path, package: str, entry_point: str, code: str | None = METHOD) -> Path:
    """A package as pip would leave it: its code and the folder that describes it."""
    module = site / package.replace("-", "_")
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    if code is not None:
        (module / "method.py").write_text(code)
    (module / "about.md").write_text("Light is all.\n\n**Keep in mind:** Night is dark.\n")
    about = site / f"{module.name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[mean_opinion.methods]\n{entry_point}\n")
    return site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("site"), "light-iqa", "light = light_iqa.method:Light")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    Image.new("RGB", (40, 30), (51, 51, 51)).save(path)
    return path


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Packages that are put on the path of this process are seen, and forgotten afterwards."""
    registry._entry_points.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    registry._entry_points.cache_clear()


def mean_opinion(*arguments: str, site: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    return subprocess.run([sys.executable, "-m", "mean_opinion", *arguments], cwd=REPOSITORY, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": path})


def test_the_command_lists_and_scores_with_it(site: Path, photo: Path):
    listed = mean_opinion("list", site=site)
    assert "light: Light" in listed.stdout
    assert "--gain" in listed.stdout
    done = mean_opinion("score", str(photo), "--method", "light", "--gain", "2", site=site)
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert float(row["score"]) == pytest.approx(0.4)


def test_the_page_offers_it_describes_it_and_scores_with_it(site: Path, photo: Path):
    from gradio_client import Client, handle_file

    client = Client(running_app(str(site)), verbose=False)
    components = {part["props"].get("elem_id"): part["props"] for part in client.config["components"]}
    for picker in ("score-method", "compare-methods"):
        assert ["Light", "light"] in [list(choice) for choice in components[picker]["choices"]]
    texts = [str(part["props"].get("value")) for part in client.config["components"]]
    assert any("Light is all." in text for text in texts)
    assert any("Night is dark." in text for text in texts)
    answer = client.predict(handle_file(str(photo)), "light", None, {"gain": 2.0}, api_name="/score")
    assert answer["score"] == pytest.approx(0.4)
    compared = client.predict([handle_file(str(photo))], ["light"], None, None, api_name="/compare")
    assert compared["cells"][0]["why"] == "its brightness is 0.20"


def test_python_finds_it_without_importing_it_for_a_list(site: Path, photo: Path, here):
    here.syspath_prepend(site)
    assert method_names()[-1] == "light"
    assert "light_iqa.method" not in sys.modules
    assert load_method("Light", gain=2.0).assess(photo).score == pytest.approx(0.4)


@pytest.mark.parametrize(("code", "entry_point", "words"), [
    (None, "dim = dim_iqa.method:Dim", "ModuleNotFoundError"),
    (METHOD, "dim = dim_iqa.method:Dim", "AttributeError"),
    ("raise RuntimeError('out of order')", "dim = dim_iqa.method:Dim", "out of order"),
    (METHOD, "dim = dim_iqa.method:Light", "no subclass of methods.base.Method with this name"),
    ("Dim = print", "dim = dim_iqa.method:Dim", "no subclass of methods.base.Method with this name"),
])
def test_a_broken_package_is_named_when_its_method_is_asked_for(code, entry_point, words, tmp_path, here):
    here.syspath_prepend(install(tmp_path, "dim-iqa", entry_point, code))
    here.delitem(sys.modules, "dim_iqa.method", raising=False)
    here.delitem(sys.modules, "dim_iqa", raising=False)
    assert "dim" in method_names()
    assert method_class("q-bench").name == "q-bench"
    with pytest.raises(UserError, match="package dim-iqa") as refused:
        load_method("dim")
    assert words in str(refused.value)


def test_a_broken_package_leaves_the_list_and_the_page_whole(tmp_path, here, caplog):
    from methods.cli.listing import listing
    from ui.serving import models

    here.syspath_prepend(install(tmp_path, "gone-iqa", "gone = gone_iqa.method:Gone", None))
    assert "gone: The method 'gone' cannot be loaded from the package gone-iqa" in listing()
    names = models.available_methods.__wrapped__()
    assert "q-bench" in names
    assert "gone" not in names
    assert "gone-iqa" in caplog.text


def test_a_name_that_is_taken_is_refused(tmp_path, here):
    here.syspath_prepend(install(tmp_path / "one", "leaf-iqa", "leaf = leaf_iqa.method:Light"))
    for ask in (method_names, lambda: load_method("leaf")):
        with pytest.raises(InputError, match="'leaf' ships with Mean Opinion, and the package leaf-iqa"):
            ask()
    assert method_class("q-bench").name == "q-bench"


def test_two_packages_with_one_name_are_refused(tmp_path, here):
    here.syspath_prepend(install(tmp_path / "one", "bright-iqa", "bright = bright_iqa.method:Light"))
    here.syspath_prepend(install(tmp_path / "two", "shiny-iqa", "bright = shiny_iqa.method:Light"))
    with pytest.raises(InputError, match=r"(bright|shiny)-iqa and the package (bright|shiny)-iqa"):
        load_method("bright")
