"""The project as an installed package: built into a wheel, installed, and used from a folder far from the checkout.

Nothing is downloaded. The new environment finds the dependencies in the environment that runs the tests, by a .pth
file; the project itself it has from the wheel alone.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from methods.version import VERSION

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("mean_opinion", "methods", "leaderboard", "ui", "assets")
BUILT_FROM = (*PACKAGES, "app.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
OPTIONAL = ("gradio", "spaces", "mcp", "plotly", "matplotlib", "sam2", "trl", "ray", "timm", "sklearn", "kaleido")
"""What the extras bring; scoring has to do without it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, because a build leaves its own folders beside the sources."""
    source = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    out = tmp_path_factory.mktemp("wheel")
    _pip("wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(out))
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    interpreter = folder / "bin" / "python"
    own = Path(_run(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    folders = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (own / "dependencies.pth").write_text("\n".join(folders) + "\n")
    _pip("--python", str(interpreter), "install", "--no-deps", "--no-index", str(wheel))
    return interpreter


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments], check=True,
                   cwd="/", capture_output=True)


def _run(*command: str | Path, cwd: Path | str = "/") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MEAN_OPINION"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_all_code_and_data_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, "app.py"}
    for package in PACKAGES:
        # A picture at the top of assets/ or in a method's folder is for README files alone.
        expected = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / package).rglob("*")
                    if path.is_file() and "__pycache__" not in path.parts
                    and not (path.suffix == ".png" and (package == "methods" or path.parent.name == "assets"))}
        assert {name for name in names if name.startswith(f"{package}/")} == expected


def test_the_command_scores_and_lists_far_from_the_checkout(python: Path, photo: Path, tmp_path: Path):
    command = python.with_name("mean-opinion")
    printed = _run(command, "score", "photo.png", "--method", "q-bench", "--lmm", "embedded", cwd=tmp_path)
    (row,) = csv.DictReader(io.StringIO(printed))
    assert row["path"] == "photo.png"
    assert 0 <= float(row["score"]) <= 1
    assert row["error"] == ""
    listed = _run(command, "list", cwd=tmp_path)
    assert "visualquality-r1" in listed
    assert "embedded" in listed
    assert "LEAF" in _run(python, "-m", "leaderboard", "table", "--format", "csv", cwd=tmp_path)


def test_scoring_from_python_needs_none_of_the_extras(python: Path, photo: Path, tmp_path: Path):
    code = f"""
import json, sys
for name in {OPTIONAL!r}:
    sys.modules[name] = None
import mean_opinion
assert "torch" not in sys.modules
import methods
scores = [mean_opinion.score("photo.png", name, "embedded" if name != "leaf" else None)[0].item()
          for name in mean_opinion.list_methods()]
print(json.dumps({{"version": mean_opinion.__version__, "from": [mean_opinion.__file__, methods.__file__],
                   "scores": scores}}))
"""
    answer = json.loads(_run(python, "-c", code, cwd=tmp_path).splitlines()[-1])
    assert answer["version"] == VERSION
    assert all(Path(origin).is_relative_to(python.parents[1]) for origin in answer["from"])
    assert len(answer["scores"]) == 6
    assert all(0 <= score <= 1 for score in answer["scores"])


def test_the_page_is_built_from_the_installed_package(python: Path, tmp_path: Path):
    code = "import app; page = app.build(); print(len(page.fns), app.__file__)"
    count, origin = _run(python, "-c", code, cwd=tmp_path).split()[-2:]
    assert int(count) > 10
    assert Path(origin).is_relative_to(python.parents[1])


# --- the lists of requirements ----------------------------------------------------------------------------------------


def _listed(name: str) -> set[str]:
    lines = (line.partition("#")[0].strip() for line in (REPOSITORY / name).read_text().splitlines())
    return {line for line in lines if line and not line.startswith("-r")}


def test_the_requirements_files_say_what_the_extras_say():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = {name: set(entries) for name, entries in project["optional-dependencies"].items()}
    space = set(project["dependencies"]) | extras["ui"] | extras["sam2"]
    assert _listed("requirements.txt") == space
    assert _listed("requirements-train.txt") == extras["train"] - space
    assert _listed("requirements-ray.txt") == extras["ray"]
    own = {entry for entry in extras["dev"] if not entry.startswith("mean-opinion[")}
    assert _listed("requirements-dev.txt") == own


def test_every_requirement_is_pinned_in_the_constraints():
    # A package's own tools are no part of what pip freezes.
    pinned = {_name(line) for line in _listed("constraints.txt")} | {"setuptools"}
    for name in ("requirements.txt", "requirements-train.txt", "requirements-ray.txt", "requirements-dev.txt"):
        assert {_name(line) for line in _listed(name)} <= pinned, name


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()
