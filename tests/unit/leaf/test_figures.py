"""The label-budget figure draws what the report holds: a marker a point, its interval, and the paired gain."""

from __future__ import annotations

import dataclasses
import re
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


def test_every_point_has_a_marker_and_its_interval(report: Report) -> None:
    figure = drawn(report)
    # Two of three points without a teacher and three with one, in two panels; two gains; one of each in the legend.
    assert len(figure.findall(f"{SVG}rect[@class='without']")) == 2 * 2 + 1
    assert len(figure.findall(f"{SVG}circle[@class='with']")) == 2 * 3 + 2 + 1
    bars = [bar for bar in figure.iter(f"{SVG}path") if "bar" in bar.get("class")]
    assert len(bars) == 2 * 5 + 2
    markers = [float(one.get("cy")) for one in figure.findall(f"{SVG}circle[@class='with']")[1:4]]
    ends = [tuple(map(float, re.match(r"M\S+ (\S+?)V(\S+?)M", bar.get("d")).groups())) for bar in bars[2:5]]
    for at, (low, high) in zip(markers, ends):
        assert (low - at) / (at - high) == pytest.approx(2, abs=0.02)
    assert markers[2] < markers[1] < markers[0]


def test_axes_legend_and_sample_are_named(report: Report) -> None:
    words = " ".join("".join(text.itertext()) for text in drawn(report).iter(f"{SVG}text"))
    for said in ("SRCC", "PLCC", "SRCC that the teacher adds", "without teacher", "with teacher",
                 "60 pictures, 3 seeds", "95 % bootstrap intervals", "paired",
                 "share of labels used, and their number", "10 %"):
        assert said in words
    assert "prefers-color-scheme:dark" in figures.svg(report)


def test_without_a_teacher_there_is_nothing_to_compare(report: Report) -> None:
    alone = dataclasses.replace(report, points=report.points[:3], gains=(), teacher=None)
    figure = figures.svg(alone)
    assert "with teacher" not in figure.replace("without teacher", "")
    assert "adds" not in figure
    assert "paired" not in figure
    nothing = dataclasses.replace(alone, points=alone.points[:1])
    assert drawn(nothing) is not None
