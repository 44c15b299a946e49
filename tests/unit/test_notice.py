"""NOTICE names every photograph that ships, and what stands behind the weights."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NOTICE = (REPOSITORY / "NOTICE").read_text("utf-8")
PHOTOGRAPHS = {"cat": "chelsea"}
"""File names that differ from the photograph's own."""


def test_every_example_is_named():
    pictures = sorted((REPOSITORY / "assets" / "examples").iterdir())
    names = {picture.name.split(".")[0].split("-")[0] for picture in pictures}
    assert names
    missing = {name for name in names if PHOTOGRAPHS.get(name, name) not in NOTICE}
    assert not missing


@pytest.mark.parametrize("name", ["EfficientNet-Lite", "ImageNet", "University of Texas at Austin", "KADID-10k",
                                  "Kodak", "MIT License"])
def test_what_the_weights_stand_on_is_named(name: str):
    assert name in NOTICE
