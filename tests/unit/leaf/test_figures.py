"""The label-budget figure draws what the report holds: a marker a point, its interval, and the paired gain."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import pytest

from methods.leaf import figures
from methods.leaf.report import Gain, Point, Report

SVG = "{http://www.w3.org/2000/svg}"


def point(budget: float, teacher: bool, srcc: float | None) -> Point:
    interval = None if srcc is None else (srcc - 0.1, srcc + 0.05)
    return Point(budget, 60 * budget, teacher, srcc, srcc, interval, interval, None if srcc is None else 0.02)


@pytest.fixture
def report() -> Report:
    points = (point(0.0, False, None), point(0.1, False, 0.3), point(1.0, False, 0.6),
              point(0.0, True, 0.62), point(0.1, True, 0.64), point(1.0, True, 0.7))
    return Report(points, (Gain(0.1, 0.34, 0.2, 0.5), Gain(1.0, 0.1, -0.02, 0.2)), "teacher@1", 60, 3)


def drawn(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(figures.svg(report))


def group(figure: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(one for one in figure.iter(f"{SVG}g") if one.get("id") == name)


def markers(figure: ElementTree.Element, name: str) -> list[float]:
    """Heights of a curve's markers, or of a bar's two ends."""
    return [float(one.get("y")) for one in group(figure, name).iter(f"{SVG}use")]


def test_every_point_has_a_marker_and_its_interval(report: Report) -> None:
    figure = drawn(report)
    for metric in ("srcc", "plcc"):
        assert len(markers(figure, f"{metric}-without")) == 2  # one of three points has no student
        assert len(markers(figure, f"{metric}-with")) == 3
    assert len(markers(figure, "gain")) == 2
    bars = [one.get("id") for one in figure.iter(f"{SVG}g") if "-bar-" in (one.get("id") or "")]
    assert len(bars) == len(set(bars)) == 2 * 5 + 2
    heights = markers(figure, "srcc-with")
    for number, at in enumerate(heights):
        low, high = markers(figure, f"srcc-with-bar-{number}")
        assert (low - at) / (at - high) == pytest.approx(2, abs=0.02)
    assert heights[2] < heights[1] < heights[0]


def test_axes_legend_and_sample_are_named(report: Report) -> None:
    words = " ".join("".join(text.itertext()) for text in drawn(report).iter(f"{SVG}text"))
    for said in ("SRCC", "PLCC", "SRCC that the teacher adds", "without teacher", "with teacher",
                 "60 images, 3 seeds", "95 % bootstrap intervals", "paired",
                 "share of labels used, and their number", "10 %"):
        assert said in words


def test_the_same_report_gives_the_same_files(report: Report, tmp_path) -> None:
    for name in ("a", "b"):
        figures.write(report, tmp_path / name)
    for name in (figures.TABLE, figures.FIGURE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / figures.TABLE).read_text().splitlines()[2] == (
        "0.1,6,,0.3000,0.2000,0.3500,0.0200,0.3000,0.2000,0.3500,,,,60,3")


def test_without_a_teacher_there_is_nothing_to_compare(report: Report) -> None:
    alone = dataclasses.replace(report, points=report.points[:3], gains=(), teacher=None)
    figure = figures.svg(alone)
    assert "with teacher" not in figure.replace("without teacher", "")
    assert "adds" not in figure
    assert "paired" not in figure
    nothing = dataclasses.replace(alone, points=alone.points[:1])
    # A point without a student has neither marker nor interval.
    for one, intervals in ((alone, 4), (nothing, 0)):
        assert sum("-bar-" in (part.get("id") or "") for part in drawn(one).iter(f"{SVG}g")) == intervals


def test_a_calibration_is_drawn_with_a_marker_per_number_of_labels() -> None:
    rows = [{"labels": labels, "start": start, "n": 30, **{f"{metric}{end}": value + shift
             for metric in ("srcc", "plcc") for end, shift in (("", 0), ("_low", -0.1), ("_high", 0.1))}}
            for labels, start, value in ((0, "BIQ2021", 0.7), (10, "BIQ2021", 0.75), (10, "nothing", 0.2))]
    figure = ElementTree.fromstring(figures.calibration_svg(rows))
    first, second = markers(figure, "srcc-BIQ2021"), markers(figure, "srcc-nothing")
    assert (len(first), len(second)) == (2, 1)
    assert first[1] < first[0] < second[0]  # higher values stand higher, where y is smaller
    assert [one.text for one in figure.iter(f"{SVG}text") if one.text and one.text.startswith("from ")] == [
        "from BIQ2021", "from nothing"]
