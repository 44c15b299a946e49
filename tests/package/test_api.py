"""The public names: their examples run as printed, and importing them is cheap."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mean_opinion
from methods import registry
from methods.errors import InputError
from methods.images import ImageError
from methods.lmm import loading
from tests.package.test_wheel import REPOSITORY

COFFEE = REPOSITORY / "assets" / "examples" / "coffee.jpg"


@pytest.mark.parametrize("module", [mean_opinion, registry, loading], ids=lambda module: module.__name__)
def test_the_examples_run_as_printed(module, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(REPOSITORY)
    done = doctest.testmod(module)
    assert done.failed == 0
    assert done.attempted > 0


def test_every_public_name_is_documented():
    documented = f"{mean_opinion.__doc__} {mean_opinion.score.__doc__} {mean_opinion.list_methods.__doc__}"
    for name in set(mean_opinion.__all__) - {"__version__"}:
        assert getattr(mean_opinion, name).__doc__
        assert f"mean_opinion.{name}(" in documented


def test_the_import_loads_no_heavy_library():
    code = ("import sys, mean_opinion; mean_opinion.list_methods(); "
            "print(sorted({'torch', 'transformers', 'gradio', 'pandas', 'cv2', 'faiss'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_kind_of_image_gives_the_same_score():
    several = [COFFEE, str(COFFEE), COFFEE.read_bytes(), Image.open(COFFEE), mean_opinion.decode(COFFEE)]
    alone = [mean_opinion.score(one) for one in several]
    together = mean_opinion.score(several, batch_size=2)
    assert together.shape == (5,)
    assert together.dtype == np.float64
    assert all(one.shape == (1,) for one in alone)
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6)
    np.testing.assert_allclose(together, together[0], atol=1e-6)
    assert mean_opinion.score([]).shape == (0,)
    with COFFEE.open("rb") as file:
        np.testing.assert_allclose(mean_opinion.score(file), together[:1], atol=1e-6)


def test_a_ready_method_is_used_as_it_is():
    ready = mean_opinion.load_method("leaf", max_pixels=10_000)
    limited = mean_opinion.score(COFFEE, "leaf", max_pixels=10_000)
    assert mean_opinion.score(COFFEE, ready, map=False) == pytest.approx(limited)
    assert limited != pytest.approx(mean_opinion.score(COFFEE), abs=1e-6)
    with pytest.raises(InputError, match="give them to load_method"):
        mean_opinion.score(COFFEE, ready, max_pixels=1)


def test_what_cannot_be_scored_is_named(tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png: "):
        mean_opinion.score([COFFEE, broken])
    with pytest.raises(InputError, match="did you mean 'leaf'"):
        mean_opinion.score(COFFEE, "leave")
    with pytest.raises(InputError, match="batch_size must be at least 1"):
        mean_opinion.score(COFFEE, batch_size=0)
