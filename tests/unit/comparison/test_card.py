"""The card's text stands in its columns, and every name is drawn or spelled, in whatever script."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import warnings

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from tests.unit.comparison.made import compared
from tests.unit.sharing.made import picture
from ui.comparison import lettering
from ui.comparison.card import draw, preview
from ui.share.entry import copy_for_sharing

NAMES = ("咖啡杯与勺子 コーヒー 커피 a very long name that does not fit its column 0001", "prix $5_a$ Ünïcödé",
         "قهوة ☕ मछली")


def made(pictures: int, systems: int, error: float | None = 12.0):
    table = [[0.9 - 0.1 * system - 0.05 * index for system in range(systems)] for index in range(pictures)]
    comparison = compared(table, error)
    return dataclasses.replace(comparison, pictures=tuple(
        dataclasses.replace(one, name=NAMES[index % len(NAMES)]) for index, one in enumerate(comparison.pictures)))


@pytest.mark.slow
@pytest.mark.parametrize(("pictures", "systems"), [(1, 1), (1, 4), (3, 1), (2, 2), (5, 3), (12, 4)])
def test_no_text_lies_on_another_or_runs_over_the_edge(pictures, systems):
    copies = [copy_for_sharing(picture(index)) for index in range(pictures)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that no font has
        sheet = draw(made(pictures, systems), copies, link="https://example.org/?share=" + "a" * 26)
        sheet.encoded("png")
    boxes = [(text.get_text(), text.get_window_extent()) for text in sheet.axes.texts]
    width, height = sheet.figure.canvas.get_width_height()
    for text, box in boxes:
        inside = min(box.x0, box.y0) >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, f"{text!r} runs over the edge"
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        apart = (first.x1 <= second.x0 + 1 or second.x1 <= first.x0 + 1
                 or first.y1 <= second.y0 + 2 or second.y1 <= first.y0 + 2)
        assert apart, f"{one!r} lies on {other!r}"


def test_columns_are_labelled():
    sheet = draw(made(1, 3), [copy_for_sharing(picture())])
    assert {"Method", "Opinion", "Level", "Native scale", "Seconds"} <= {text.get_text() for text in sheet.axes.texts}
    sheet = draw(made(2, 2), [copy_for_sharing(picture(n)) for n in range(2)])
    assert {"Photo", "Q-Bench", "LEAF"} <= {text.get_text() for text in sheet.axes.texts}


def test_a_card_without_a_calibration_says_so():
    said = [text.get_text() for text in draw(made(1, 2, None), [copy_for_sharing(picture())]).axes.texts]
    assert {"Raw score", "0.900"} <= set(said)
    assert any("not calibrated" in text for text in said)


def test_a_preview_draws_every_name():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert preview(made(3, 3), [copy_for_sharing(picture(n)) for n in range(3)]).startswith(b"\x89PNG")


@pytest.fixture
def fonts(monkeypatch):
    """`fonts(*families)` sets what the machine has."""
    def have(*names: str) -> None:
        monkeypatch.setattr(lettering, "families", lambda: names)
        lettering._glyphs.cache_clear()

    yield have
    lettering._glyphs.cache_clear()


def test_without_a_font_a_name_is_spelled(fonts):
    fonts("DejaVu Sans")
    spelled = lettering.drawable("咖啡 coffee\n\x00é")
    assert spelled == "KaFei coffeeé"


def test_with_a_font_a_name_is_drawn(fonts, tmp_path):
    from matplotlib import font_manager

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 0))
    pen.lineTo((250, 700))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "coffee"])
    builder.setupCharacterMap({ord("咖"): "coffee"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "coffee": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "coffee": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made Sans", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "made.ttf")
    font_manager.fontManager.addfont(tmp_path / "made.ttf")
    try:
        fonts("DejaVu Sans", "Made Sans")
        assert lettering.drawable("咖啡") == "咖Fei"
    finally:
        font_manager.fontManager.ttflist = [one for one in font_manager.fontManager.ttflist if one.name != "Made Sans"]
    assert logging.getLogger("matplotlib.font_manager").level == logging.ERROR
