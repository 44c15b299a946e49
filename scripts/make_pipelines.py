"""Draws the pipelines of the About tab: `python -m scripts.make_pipelines` writes methods/*/pipeline.svg.

The drawings take their ink from the text around them (currentColor), so that they follow the page's theme; a picture is
a frame with a hill in it, a model a filled box, everything else an outlined one.
"""

from __future__ import annotations

import html
from pathlib import Path

METHODS = Path(__file__).resolve().parents[1] / "methods"
ACCENT, SECOND = "#1f8a8a", "#c2703d"
LINE = 15
HEAD = "ARROW-HEAD"


class Drawing:
    """Shapes of one SVG, in user units.

    Args:
        width, height: of the view box.
        title: what a screen reader says.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self.size, self.title, self.shapes = (width, height), title, []

    def text(self, x: float, y: float, *lines: str, size: float = 12.5, bold: bool = False, soft: bool = False) -> None:
        start = y - (len(lines) - 1) * LINE / 2 + size * 0.35
        for number, line in enumerate(lines):
            weight = ' font-weight="650"' if bold else ""
            opacity = ' fill-opacity="0.72"' if soft else ""
            self.shapes.append(f'<text x="{x:g}" y="{start + number * LINE:.1f}" font-size="{size:g}"{weight}{opacity} '
                               f'text-anchor="middle">{html.escape(line)}</text>')

    def box(self, x: float, y: float, w: float, h: float, *lines: str, model: bool = False, bold: bool = False) -> None:
        fill = f'fill="{ACCENT}" fill-opacity="0.18" stroke="{ACCENT}"' if model else \
            'fill="none" stroke="currentColor" stroke-opacity="0.45"'
        self.shapes.append(f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="7" stroke-width="1.4" {fill}/>')
        self.text(x + w / 2, y + h / 2, *lines, bold=bold or model)

    def photo(self, x: float, y: float, w: float = 62, h: float = 46, *, mark: str = "") -> None:
        """A picture; `mark` is a small name inside it."""
        self.shapes.append(
            f'<g><rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="4" fill="currentColor" fill-opacity="0.06" '
            f'stroke="currentColor" stroke-opacity="0.6" stroke-width="1.4"/>'
            f'<path d="M{x + 2:g} {y + h - 3:g}l{w * 0.3:.1f} {-h * 0.45:.1f} {w * 0.22:.1f} {h * 0.25:.1f} '
            f'{w * 0.16:.1f} {-h * 0.2:.1f} {w * 0.26:.1f} {h * 0.4:.1f}z" fill="currentColor" fill-opacity="0.28"/>'
            f'<circle cx="{x + w * 0.76:.1f}" cy="{y + h * 0.28:.1f}" r="{h * 0.1:.1f}" fill="{SECOND}"/></g>')
        if mark:
            self.text(x + w / 2, y + h + 10, mark, size=10.5, soft=True)

    def arrow(self, *points: tuple[float, float], dashed: bool = False) -> None:
        path = "M" + " L".join(f"{x:g} {y:g}" for x, y in points)
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.shapes.append(f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.7" '
                           f'stroke-width="1.4" marker-end="url(#{HEAD})"{dash}/>')

    def bars(self, x: float, y: float, rows: list[tuple[str, float]], w: float = 70) -> None:
        """Words with their probabilities."""
        for number, (word, value) in enumerate(rows):
            top = y + number * 17
            self.shapes.append(f'<text x="{x:g}" y="{top + 9.5:.1f}" font-size="11.5" text-anchor="end">{word}</text>'
                               f'<rect x="{x + 6:g}" y="{top:g}" width="{max(w * value, 1.5):.1f}" height="11" rx="2" '
                               f'fill="{ACCENT}"/>')

    def dots(self, x: float, y: float, values: list[float], w: float = 90) -> None:
        """Scores on a line, with their mean."""
        self.shapes.append(f'<path d="M{x:g} {y:g}h{w:g}" stroke="currentColor" stroke-opacity="0.4" '
                           'stroke-width="1.4"/>')
        for value in values:
            self.shapes.append(f'<circle cx="{x + w * value:.1f}" cy="{y:g}" r="4.5" fill="{ACCENT}" '
                               'fill-opacity="0.75"/>')
        mean = sum(values) / len(values)
        self.shapes.append(f'<path d="M{x + w * mean:.1f} {y - 11:g}v22" stroke="{SECOND}" stroke-width="2.4"/>')

    def svg(self, name: str) -> str:
        """The document; `name` keeps its arrow head apart from those of other drawings on one page."""
        width, height = self.size
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" fill="currentColor" '
            'font-family="ui-sans-serif, system-ui, sans-serif">'
            f'<title>{html.escape(self.title)}</title>'
            f'<defs><marker id="{HEAD}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M0 0.6L7.4 4L0 7.4z" fill="currentColor" fill-opacity="0.8"/>'
            f'</marker></defs>{"".join(self.shapes)}</svg>\n'
        ).replace(HEAD, f"arrow-head-{name}")


def q_bench() -> Drawing:
    d = Drawing(780, 110, "Q-Bench: a photo and one question go into the model; the score is how likely it says "
                          "good rather than poor")
    d.photo(8, 32, mark="your photo")
    d.arrow((74, 55), (104, 55))
    d.box(106, 26, 178, 58, "Rate the quality of", "the image. Good or poor?")
    d.arrow((286, 55), (316, 55))
    d.box(318, 34, 74, 42, "LMM", model=True)
    d.arrow((394, 55), (432, 55))
    d.text(502, 22, "how likely is each word?", soft=True, size=11.5)
    d.bars(472, 38, [("good", 0.8), ("poor", 0.2)], 90)
    d.arrow((576, 55), (614, 55))
    d.box(616, 34, 154, 42, "score = P(good)", bold=True)
    return d


def iqarag() -> Drawing:
    d = Drawing(780, 200, "IQARAG: similar rated photos, one from each fifth of the quality range, are shown to the "
                          "model before the photo; five level words are weighed")
    d.photo(8, 24, mark="your photo")
    d.arrow((74, 47), (98, 47))
    d.box(100, 24, 124, 46, "vision encoder", model=True)
    d.arrow((226, 47), (246, 47))
    d.box(248, 24, 124, 46, "nearest of the", "rated photos")
    d.arrow((374, 47), (394, 47))
    d.box(396, 24, 156, 46, "the first in each fifth", "of the quality range")
    for index, level in enumerate(("excellent", "good", "fair", "poor", "bad")):
        d.photo(240 + index * 62, 108, 50, 37, mark=level)
    d.arrow((471, 70), (471, 84), (395, 84), (395, 104))
    d.arrow((39, 84), (39, 180), (596, 180), (596, 152))
    d.text(190, 170, "the photo itself comes last", soft=True, size=11)
    d.arrow((546, 128), (568, 128))
    d.box(570, 106, 56, 44, "LMM", model=True)
    d.arrow((628, 128), (648, 128))
    d.bars(706, 92, [("excellent", 0.3), ("good", 0.8), ("fair", 0.4), ("poor", 0.15), ("bad", 0.1)], 60)
    d.text(708, 192, "weighed: the score", size=12, bold=True)
    return d


def llm_iqa() -> Drawing:
    d = Drawing(780, 180, "LLM-IQA: the photo is cut into regions; the model gives the whole and every region a digit; "
                          "the regions' mean, weighted by area, is added to the digit of the whole")
    d.photo(8, 66, mark="your photo")
    d.arrow((39, 62), (39, 32), (194, 32))
    d.arrow((74, 89), (100, 89), (100, 126), (120, 126))
    d.box(122, 104, 92, 44, "SAM 2", model=True)
    d.arrow((216, 126), (240, 126))
    for index, (w, h) in enumerate(((44, 34), (30, 46), (38, 26))):
        d.photo(244 + index * 50, 126 - h / 2, w, h)
    d.text(318, 166, "regions", soft=True, size=11)
    d.box(196, 12, 190, 40, "a written standard, 7 to 1")
    d.arrow((388, 32), (424, 32), (424, 52))
    d.arrow((394, 126), (424, 126), (424, 106))
    d.box(388, 56, 72, 46, "LMM", model=True)
    d.arrow((462, 68), (500, 46))
    d.arrow((462, 90), (500, 114))
    d.box(502, 24, 106, 42, "whole: a digit")
    d.box(502, 94, 106, 46, "regions: mean", "by area")
    d.arrow((555, 68), (555, 81), (622, 81))
    d.arrow((610, 117), (640, 117), (640, 106))
    d.box(624, 58, 150, 46, "whole + λ · regions", bold=True)
    return d


def visualquality_r1() -> Drawing:
    d = Drawing(780, 150, "VisualQuality-R1: the model reasons about the photo and scores it several times; mean and "
                          "spread are the result, and two photos are compared by both")
    d.photo(8, 44, mark="your photo")
    d.arrow((74, 67), (100, 67))
    d.box(102, 42, 142, 50, "LMM, trained to", "rank by reasoning", model=True)
    for index, top in enumerate((18, 54, 90)):
        d.arrow((246, 67), (270, top + 14))
        d.box(272, top, 172, 28, ("“… slight noise …” 3.8", "“… sharp, natural …” 4.4", "“… a bit dark …” 3.9")[index])
        d.arrow((446, top + 14), (476, 67))
    d.text(358, 132, "K answers, each with its reasoning", soft=True, size=11)
    d.dots(484, 67, [0.35, 0.42, 0.62, 0.7, 0.8], 100)
    d.text(534, 96, "mean and spread", soft=True, size=11)
    d.arrow((590, 67), (614, 67))
    d.box(616, 20, 156, 40, "score = mean", bold=True)
    d.box(616, 78, 156, 50, "two photos: how likely", "is one the better?")
    d.arrow((590, 67), (604, 67), (604, 103), (614, 103))
    return d


def leaf() -> Drawing:
    d = Drawing(780, 176, "LEAF: a large teacher judges photos and pairs and says how reliable each judgement is; a "
                          "small student learns from it, is calibrated with a few ratings, and then scores alone")
    d.text(92, 16, "once, to train", soft=True, size=11.5)
    d.photo(8, 34, 50, 38)
    d.photo(22, 46, 50, 38, mark="unrated photos")
    d.arrow((78, 62), (104, 62))
    d.box(106, 40, 112, 44, "teacher LMM", model=True)
    d.arrow((220, 62), (240, 62))
    d.box(242, 32, 174, 60, "levels and preferences,", "each with its reliability")
    d.arrow((418, 62), (446, 62))
    d.box(448, 36, 124, 52, "small student", "network", model=True)
    d.box(620, 36, 152, 52, "a few human ratings", "set the scale")
    d.arrow((618, 62), (575, 62))
    d.text(92, 122, "then, every photo", soft=True, size=11.5)
    d.photo(22, 132, 50, 36)
    d.arrow((78, 150), (510, 150), (510, 92))
    d.arrow((548, 90), (548, 150), (574, 150))
    d.box(576, 130, 198, 40, "score, and where it drops", bold=True)
    return d


def q_debias() -> Drawing:
    d = Drawing(780, 200, "Q-Debias: four degraded copies are called poor beside the photo; each answer counts as much "
                          "as the model is sure that both show the same object")
    d.photo(8, 76, mark="your photo")
    for index, name in enumerate(("zoom blur", "spatter", "saturated", "fog")):
        top = 8 + index * 48
        d.arrow((74, 99), (112, top + 16))
        d.photo(116, top, 44, 32)
        d.text(198, top + 16, name, size=11, soft=True)
        d.arrow((232, top + 16), (262, 76 if index < 2 else 124))
    d.box(264, 48, 228, 50, "“This one is poor. How about", "the second: good or poor?”")
    d.box(264, 106, 228, 40, "“Do both show the same object?”")
    d.arrow((494, 73), (514, 90))
    d.arrow((494, 126), (514, 110))
    d.box(516, 78, 58, 44, "LMM", model=True)
    d.arrow((576, 92), (596, 64))
    d.arrow((576, 108), (596, 136))
    d.box(598, 38, 90, 40, "4 × P(good)")
    d.box(598, 122, 90, 40, "4 weights")
    d.arrow((690, 58), (733, 58), (733, 80))
    d.arrow((690, 142), (733, 142), (733, 120))
    d.box(692, 82, 82, 36, "weighed", bold=True)
    return d


DRAWINGS = {"q-bench": q_bench, "iqarag": iqarag, "llm-iqa": llm_iqa, "visualquality-r1": visualquality_r1,
            "leaf": leaf, "q-debias": q_debias}


def main() -> None:
    for name, draw in DRAWINGS.items():
        (METHODS / name.replace("-", "_") / "pipeline.svg").write_text(draw().svg(name), encoding="utf-8")


if __name__ == "__main__":
    main()
