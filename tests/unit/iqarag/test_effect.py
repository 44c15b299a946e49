"""What references changed is read from measured scores alone, and a photo that they moved the other way is told so."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from methods import meaning
from methods.agreement import paired_difference
from methods.base import json_safe
from methods.iqarag.effect import effect
from methods.iqarag.method import IQARAG
from methods.meaning import Estimate, Table

N = 120
PLAIN = np.linspace(0.3, 0.8, N)
MOS = 100 * np.clip(PLAIN - 0.1 + 0.05 * np.sin(np.arange(N)), 0, 1)
# They lower what is above the middle and raise what is below it.
WITH = np.where(PLAIN > 0.55, PLAIN - 0.06, PLAIN + 0.02)


def table(method: str, options: dict, scores: np.ndarray, first: int = 0, **others) -> Table:
    rows = range(first, N)
    return Table(method=method, options=options, weights="made@1", basis=others.get("basis", {}), max_pixels=None,
                 dataset=others.get("dataset", "made"), population="120 made photos",
                 images=tuple(f"{row}.jpg" for row in rows), mos=tuple(MOS[first:]), scores=tuple(scores[first:]),
                 srcc=Estimate(0.9, 0.8, 1.0))


@pytest.fixture
def measured(monkeypatch):
    own = table("iqarag", {}, WITH, first=20, basis={"reference_set": "abc"})
    plain = table("q-bench", {"question": "five-level"}, PLAIN)
    tables = {one.key: one for one in (own, plain)}
    monkeypatch.setattr(meaning, "tables", lambda: tables)
    return tables


def assessment(without: float, with_them: float, **changes):
    evidence = SimpleNamespace(references=changes.pop("references", ("one",)), score_without=without,
                               score_with=with_them)
    options = json_safe(IQARAG.options.updated(**changes.pop("options", {})))
    return SimpleNamespace(method="iqarag", options=options, lmm="made@1", basis={"reference_set": "abc"},
                           max_pixels=None, evidence=evidence, **changes)


def test_the_effect_is_that_of_the_photos_that_both_have_scored(measured):
    known = effect(assessment(0.7, 0.65))
    order = sorted(range(20, N), key=lambda row: f"{row}.jpg")
    assert known.srcc == paired_difference(WITH[order], PLAIN[order], MOS[order])
    assert known.error_without == pytest.approx(np.abs(100 * PLAIN - MOS)[20:].mean())
    assert known.error_with == pytest.approx(np.abs(100 * WITH - MOS)[20:].mean())
    assert (known.alike, known.raised, known.lowered) == (16, 0, 16)
    text = " ".join(known.sentences())
    assert "nearer to people's opinions" in text
    assert "lowered 16" in text


@pytest.mark.parametrize(("without", "with_them", "against", "says"), [
    (0.7, 0.65, False, "Here they lowered it."), (0.7, 0.71, True, "Here they raised it, against that effect"),
    (0.45, 0.44, True, "Here they lowered it, against"), (0.45, 0.47, False, "Here they raised it."),
    (0.7, 0.7, False, "Here they left it."),
    (0.55, 0.6, False, "Here they raised it."),  # half of those alike went either way
])
def test_a_photo_that_was_moved_the_other_way_is_told_so(measured, without, with_them, against, says):
    known = effect(assessment(without, with_them))
    assert known.against == against
    assert known.sentences()[-1].startswith(says)


def test_nothing_is_said_where_nothing_was_measured(measured, monkeypatch):
    assert effect(assessment(0.7, 0.6, references=())) is None
    assert effect(assessment(0.7, 0.6, options={"P": 3})) is None
    assert effect(assessment(0.7, 0.6, options={"temperature": 2.0})) is None
    other = {key: one for key, one in measured.items() if one.method == "iqarag"}
    monkeypatch.setattr(meaning, "tables", lambda: other)
    assert effect(assessment(0.7, 0.6)) is None


def test_what_ships_was_measured_both_ways():
    (own,) = [one for one in meaning.tables().values() if one.method == "iqarag"]
    shipped = assessment(0.757, 0.679)
    shipped.lmm, shipped.basis = own.weights, own.basis
    known = effect(shipped)
    assert known.srcc.n == 249
    assert known.srcc.value == pytest.approx(-0.0222, abs=1e-4)
    assert (known.error_without, known.error_with) == (pytest.approx(11.56, abs=0.01), pytest.approx(9.72, abs=0.01))
    assert not known.against
