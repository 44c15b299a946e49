"""The direction of imports that `make lint` checks: kept as it is, broken by one import the wrong way."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package.test_wheel import PACKAGES, REPOSITORY

CONTRACTS = ("import sys; from importlinter.cli import lint_imports_command; "
             "sys.exit(lint_imports_command(['--no-cache']))")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Python files of the packages and the contracts."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    for path in (path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")):
        copy = tmp_path / path.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


@pytest.mark.parametrize(("file", "line", "sentence"), [
    ("methods/__init__.py", "", "3 kept, 0 broken"),
    ("methods/leaf/__init__.py", "import leaderboard.tables", "methods is not allowed to import leaderboard"),
    ("leaderboard/__init__.py", "from ui.header import header", "leaderboard is not allowed to import ui"),
    ("methods/images/__init__.py", "import methods.lmm", "methods.images is not allowed to import methods.lmm"),
    ("methods/lmm/__init__.py", "import methods.leaf.method", "methods.lmm is not allowed to import methods.leaf"),
    ("leaderboard/links.py", "import leaderboard.figures.view", "No cycles are allowed in leaderboard"),
])  # fmt: skip
def test_an_import_the_wrong_way_fails(checkout: Path, file: str, line: str, sentence: str):
    path = checkout / file
    path.write_text(f"{path.read_text()}\n\ndef later():\n    {line or 'pass'}\n")
    done = subprocess.run([sys.executable, "-c", CONTRACTS], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == (1 if line else 0)
    assert sentence in done.stdout
