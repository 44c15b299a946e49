"""What a score means: the fit, the interval, the percentile and the neighbours, and the tables that ship."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from methods import meaning
from methods.base import Assessment, Evidence, load_method
from methods.errors import InputError
from methods.meaning import Calibration, Estimate, Table, folds_of, neighbours
from scripts.measure_intervals import common, rows, subset


def made(count=400, seed=0, noise=10.0, **changes):
    """A method whose scores run from 0 to 1 and stand for opinions of 10 to 90, bent, with more noise in the middle."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0, 1, count)
    mos = 10 + 80 * scores**2 + rng.normal(size=count) * noise * (0.4 + 2 * scores * (1 - scores))
    facts = {"method": "q-bench", "options": {"question": "two-word", "temperature": 1.0}, "weights": "tiny@abc",
             "basis": {}, "max_pixels": None, "dataset": "own", "population": "400 made images",
             "images": tuple(f"{number}.png" for number in range(count)),
             "mos": tuple(np.clip(mos, 0, 100).tolist()), "scores": tuple(scores.tolist()),
             "srcc": Estimate(0.9, 0.88, 0.92)}
    return Table(**{**facts, **changes})


def assessed(table, score=0.5, **changes):
    facts = {"score": score, "native_score": score, "native_range": (0.0, 1.0), "explanation": "", "seed": 3,
             "evidence": Evidence(), "seconds": 0.1, "lmm": table.weights, "method": table.method,
             "options": {**table.options, "seed": 3}}
    return Assessment(**{**facts, **changes})


@pytest.fixture
def own_tables(tmp_path, monkeypatch):
    monkeypatch.setenv(meaning.ENVIRONMENT, str(tmp_path))
    return tmp_path


def test_the_expected_opinion_follows_the_true_curve_and_never_falls():
    table = made()
    grid = np.linspace(0, 1, 101)
    expected, low, high = table.calibration.intervals(grid)
    assert np.all(np.diff(expected) >= 0)
    assert np.abs(expected - (10 + 80 * grid**2))[5:-5].max() < 6
    assert np.all((low >= 0) & (low <= expected) & (expected <= high) & (high <= 100))


def test_nine_of_ten_new_opinions_lie_inside_also_where_opinions_scatter_more():
    table, new = made(seed=1), made(count=4000, seed=2)
    _, low, high = table.calibration.intervals(np.array(new.scores))
    inside = (low <= new.mos) & (new.mos <= high)
    assert 0.87 < inside.mean() < 0.93
    parts = np.digitize(new.scores, [0.2, 0.4, 0.6, 0.8])
    assert all(0.82 < inside[parts == part].mean() < 0.97 for part in range(5))
    share, width = table.calibration.held_out
    assert 0.88 <= share <= 0.92
    assert width == pytest.approx(float(np.median(high - low)), rel=0.15)


def test_a_useless_method_gets_an_interval_as_wide_as_the_opinions():
    rng = np.random.default_rng(0)
    scores, mos = rng.uniform(size=300), rng.uniform(0, 100, 300)
    expected, low, high = Calibration(scores, mos, folds_of([str(n) for n in range(300)])).intervals(np.array([0.5]))
    assert 35 < expected[0] < 65
    assert high[0] - low[0] > 75


def test_scores_that_run_against_the_opinions_say_nothing_rather_than_the_reverse():
    scores = np.linspace(0, 1, 200)
    expected, _, _ = Calibration(scores, 100 * (1 - scores), folds_of([str(n) for n in range(200)])).intervals(scores)
    assert np.ptp(expected) == 0


def test_percentile_and_neighbours():
    table = made(count=50, scores=tuple(np.arange(50) / 50), mos=tuple(np.arange(50) * 2.0))
    known = table.meaning(0.25)  # above 0 .. 0.24, below 0.26 ...; no equal one
    assert known.percentile == pytest.approx(100 * 13 / 50)
    assert known.below.mos <= known.mos < known.above.mos
    assert known.above.mos - known.below.mos == pytest.approx(2)
    assert table.meaning(0.24).percentile == pytest.approx(100 * 12.5 / 50)
    assert neighbours([("a", 10.0), ("b", 20.0)], 5.0)[0] is None
    assert neighbours([("a", 10.0), ("b", 20.0)], 20.0) == (meaning.RatedImage("b", 20.0), None)


def test_a_table_is_found_by_all_that_decides_a_score_and_by_nothing_else(own_tables):
    table = made()
    meaning.save(table, own_tables)
    assert meaning.explain(assessed(table)) == table.meaning(0.5)
    assert meaning.explain(assessed(table, seed=9, options={**table.options, "seed": 9})) is not None
    for other in ({"lmm": "tiny@abd"}, {"options": {**table.options, "question": "five-level"}},
                  {"method": "iqarag", "options": {}}, {"max_pixels": 1000}, {"basis": {"reference_set": "x"}}):
        assert meaning.explain(assessed(table, **other)) is None, other


def test_an_option_that_only_explains_does_not_count(own_tables):
    table = made(method="leaf", options={}, weights="student@1")
    meaning.save(table, own_tables)
    for explained in (True, False):
        assert meaning.explain(assessed(table, options={"seed": 0, "map": explained})) is not None


def test_a_table_survives_its_file_and_a_new_one_takes_its_place(own_tables):
    table = made()
    path = meaning.save(table, own_tables)
    assert Table.from_json(path.read_text("utf-8")) == table
    later = dataclasses.replace(table, date="2030-01-01")
    assert meaning.save(later, own_tables) == path
    assert meaning.tables()[table.key].date == "2030-01-01"


@pytest.mark.parametrize("damage", [
    lambda record: record.pop("rows"), lambda record: record["rows"].pop(), lambda record: record.update(strange=1),
    lambda record: record["rows"].__setitem__(0, ["0.png", 120.0, 0.5]), lambda record: record.pop("srcc"),
    lambda record: record["rows"].__setitem__(0, record["rows"][1]),
])
def test_a_damaged_table_is_named(own_tables, damage):
    record = json.loads(made(count=50).to_json())
    damage(record)
    (own_tables / "damaged.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"damaged\.json: "):
        meaning.tables()


def test_too_few_images_say_nothing():
    with pytest.raises(InputError, match="49 rated images are too few"):
        made(count=49)


def test_the_advice_names_the_command():
    one = assessed(made())
    assert "mean-opinion evaluate --method q-bench --lmm tiny --images" in meaning.advice(one)
    assert "--lmm" not in meaning.advice(dataclasses.replace(one, method="leaf", lmm="embedded@1", options={}))


def test_several_methods_agree_on_an_opinion_with_an_interval_of_its_own():
    first, second = made(seed=1), made(seed=2)
    # The same images: their opinions are the first one's, scored with another noise.
    rng = np.random.default_rng(5)
    second = dataclasses.replace(first, method="leaf", options={},
                                 scores=tuple(np.clip(np.array(first.scores) + rng.normal(0, 0.05, 400), 0, 1)))
    together = meaning.consensus([first, second], [0.5, 0.6])
    alone = [table.meaning(score).mos for table, score in ((first, 0.5), (second, 0.6))]
    assert together.mos == pytest.approx(np.mean(alone))
    assert (together.methods, together.n) == (2, 400)
    assert together.low < together.mos < together.high
    assert meaning.consensus([], []) is None
    assert meaning.consensus([first, dataclasses.replace(second, dataset="other")], [0.5, 0.6]) is None


def shipped():
    return sorted(meaning._read((meaning.SHIPPED,)).values(), key=lambda table: table.key)


@pytest.mark.parametrize("table", shipped(), ids=lambda table: f"{table.method}, {table.weights}")
def test_intervals_of_what_ships_hold_nine_of_ten_left_out_opinions(table):
    share, width = table.calibration.held_out
    assert 0.88 <= share <= 0.92
    assert width < 60
    from methods.agreement import metrics

    assert metrics.srcc(np.array(table.scores), np.array(table.mos)) == pytest.approx(table.srcc.value, abs=1e-3)
    assert table.srcc.low < table.srcc.value < table.srcc.high
    assert "LIVE Challenge" in table.population
    assert str(len(table.images)) in table.population


@pytest.mark.parametrize("student", ["embedded", "embedded-biq2021"])
def test_the_students_that_ship_are_calibrated(student):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    known = meaning.explain(load_method("leaf", student=student).assess(image))
    assert known is not None
    assert known.n == 399


def test_intervals_hold_nine_of_ten_opinions_that_no_calibration_has_seen():
    """Of every table that ships and of the consensus: 100 photos held out, ten deals."""
    measured = rows(100, 10, 1)
    assert len(measured) == len(meaning.tables()) + 1
    for name, photos, inside, width in measured:
        assert photos >= 249, name
        assert 0.87 <= inside.mean() <= 0.93, (name, inside.mean())
        assert 20 < np.median(width) < 50, name


def test_a_part_of_a_table_keeps_its_rows_together():
    table = made(80)
    part = subset(table, np.array([7, 3, *range(20, 80)]))
    assert (part.images[:2], part.mos[1], part.scores[1]) == (("7.png", "3.png"), table.mos[3], table.scores[3])
    assert len(part.images) == len(part.mos) == len(part.scores) == 62
    one, other = common([table, part])
    assert one.images == other.images
    assert one.mos == other.mos
