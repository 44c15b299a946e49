"""Files are written by `methods.files` alone, so that a kill leaves the old one or the new one; ruff holds the rest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ELSEWHERE = {
    "leaderboard/runs/proposal.py": "a folder of its own that goes with the call",
    "ui/serving/zips.py": "a visitor's fresh folder, removed whole if unpacking ends early",
    "ui/tabs/leaderboard/submit.py": "a folder of its own that goes with the call",
}
"""Modules that write by themselves, and where to."""
PLACES = ("partial", "scratch")
"""How a place is called that `methods.files` puts in its own place when it is whole, or that is removed."""


def writes(tree: ast.AST) -> Iterator[str]:
    """Calls that write a file, as source."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [one.value for one in [*node.args, *(keyword.value for keyword in node.keywords)]
                 if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        opens = name == "open" and any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)
        if opens or (name in ("write_text", "write_bytes") and isinstance(node.func, ast.Attribute)):
            yield ast.unparse(node)


@pytest.mark.parametrize(("source", "count"), [
    ("path.write_text('x')", 1), ("open(path, 'w')", 1), ("path.open('ab')", 1), ("path.open(mode='x')", 1),
    ("path.open('rb')", 0), ("path.open(newline='')", 0), ("write_text(row)", 0), ("Image.open(path)", 0),
])
def test_a_write_is_recognised(source, count):
    assert len(list(writes(ast.parse(source)))) == count


def test_files_are_written_by_one_module():
    paths = [path for folder in ("methods", "leaderboard", "ui", "mean_opinion")
             for path in (REPOSITORY / folder).rglob("*.py")]
    alone = {path.relative_to(REPOSITORY).as_posix(): [
        call for call in writes(ast.parse(path.read_text("utf-8"))) if not any(place in call for place in PLACES)]
        for path in paths}
    assert alone.pop("methods/files.py")
    assert {name for name, calls in alone.items() if calls} == set(ELSEWHERE), alone
