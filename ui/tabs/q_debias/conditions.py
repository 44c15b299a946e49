"""Q-Debias's evidence as one figure: a row per condition, its score as a dot on a common scale, its weight as its size.

The vanilla score is a dashed line through all rows and the debiased score a solid one, so that the eye sees which
condition pulls where. Plain HTML and CSS, no script: it also works in a saved page.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from PIL import Image

from methods.q_debias.explanation import NAMES
from ui.components.figures import ACCENT, SECOND, SERIES, themed
from ui.components.inline_images import data_url

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from methods.q_debias.evidence import Condition, DebiasEvidence

THUMBNAIL = 160
"""Longest side of a row's image, in pixels: twice what is shown, for dense screens."""

DOT = SERIES[4]

# The class is repeated because Gradio's own rules for tables and images in HTML are more specific than one class.
STYLE = """
.html-container:has(.conditions){padding:0!important}
.conditions.conditions{margin:0;color:var(--body-text-color)}
.conditions.conditions.conditions table{width:100%;margin:0;border:0;border-collapse:collapse;
 font-variant-numeric:tabular-nums;font-size:.95em}
.conditions.conditions.conditions tr{background:none;border:0;border-top:1px solid var(--border-color-primary)}
.conditions.conditions.conditions thead tr{border-top:0}
.conditions.conditions.conditions tr.sum{border-bottom:1px solid var(--border-color-primary)}
.conditions.conditions.conditions :is(th,td){padding:0;border:0;text-align:right;vertical-align:middle;
 background:none}
.conditions.conditions.conditions thead th{padding-bottom:5px;font-weight:500;font-size:.82em;
 color:var(--body-text-color-subdued)}
.conditions.conditions.conditions tbody th{width:13.5em;text-align:left;font-weight:500}
.conditions .who{display:flex;align-items:center;gap:10px;min-height:60px}
.conditions.conditions.conditions img{flex:none;width:66px;height:50px;margin:0;object-fit:cover;border-radius:4px}
.conditions.conditions.conditions td.value{width:3.7em;font-weight:600}
.conditions.conditions.conditions td.share{width:3.7em;color:var(--body-text-color-subdued)}
.conditions.conditions.conditions td.track{position:relative;min-width:80px}
.conditions .rail{position:absolute;inset:0 16px}
.conditions .rail i{position:absolute;top:0;bottom:0;border-left:1px solid var(--border-color-primary)}
.conditions .rail i.alone{border-left:2px dashed var(--alone)}
.conditions .rail i.weighed{border-left:2px solid var(--together)}
.conditions .rail b{position:absolute;top:50%;border-radius:50%;transform:translate(-50%,-50%);background:var(--dot);
 box-shadow:0 0 0 2px var(--background-fill-primary)}
.conditions .rail b.alone{width:15px;height:15px;background:var(--background-fill-primary);
 border:3px solid var(--alone)}
.conditions .rail b.weighed{width:14px;height:14px;border-radius:2px;background:var(--together);
 transform:translate(-50%,-50%) rotate(45deg)}
.conditions .ends{display:flex;justify-content:space-between;padding:0 16px}
.conditions.conditions.conditions .sum :is(th,td.value){font-weight:700}
.conditions figcaption{margin-top:10px;font-size:.87em;line-height:1.5;color:var(--body-text-color-subdued)}
@media (max-width:640px){
 .conditions.conditions.conditions table{font-size:.86em}
 .conditions.conditions.conditions tbody th{width:5.8em;line-height:1.2}
 .conditions .who{flex-direction:column;align-items:flex-start;justify-content:center;gap:3px;min-height:84px}
 .conditions .rail{inset:0 12px}.conditions .ends{padding:0 6px}
 .conditions.conditions.conditions :is(td.value,td.share){width:3.1em}
}
"""


def conditions_figure(evidence: DebiasEvidence) -> str:
    """The query alone, each condition, and all together; HTML."""
    alone, together = evidence.vanilla, evidence.score
    lines = f'{_line(0)}{_line(1)}{_line(alone, "alone")}{_line(together, "weighed")}'
    rows = [_row("Asked alone", evidence.query, lines, _dot(alone, "alone"), alone)]
    rows += [_condition_row(evidence, condition, lines) for condition in evidence.conditions]
    rows.append(_row("Weighed together", None, lines, _dot(together, "weighed"), together, share="100%", kind="sum"))
    spoken = (f"Probability of good: {alone:.2f} for the photo alone, {together:.2f} on the condition that its "
              f"degraded copies are poor")
    return (
        f'<figure class="conditions" style="--alone:{SECOND};--together:{ACCENT};--dot:{DOT}" '
        f'aria-label="{html.escape(spoken)}"><style>{STYLE}</style><table>'
        '<thead><tr><th>Asked</th><th><div class="ends"><span>poor</span><span>good</span></div></th><th>P(good)</th>'
        '<th>same?</th><th>weight</th></tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table>'
        "<figcaption>P(good): how likely the model says good rather than poor, alone and beside each degraded copy. "
        f"Same?: how likely it says that both show the same. {_weighing(evidence)} Dashed line: alone; solid line: "
        "all conditions together.</figcaption></figure>"
    )


def conditions_plot(evidence: DebiasEvidence) -> go.Figure:
    """The same as a plotly figure without images: P(good) alone, beside each degraded copy, and weighed together."""
    import plotly.graph_objects as go

    conditions = evidence.conditions
    figure = go.Figure()
    for value, colour, dash in ((evidence.vanilla, SECOND, "dash"), (evidence.score, ACCENT, "solid")):
        figure.add_vline(x=value, line={"color": colour, "width": 1.5, "dash": dash}, opacity=0.7)
    _dots(figure, ["alone"], [evidence.vanilla], SECOND, "circle-open", [13], [f"{evidence.vanilla:.3f}"])
    _dots(
        figure, [f"beside {NAMES[condition.distortion]}" for condition in conditions],
        [condition.quality for condition in conditions], DOT, "circle",
        [_diameter(condition.weight) for condition in conditions],
        [f"{condition.quality:.3f}, weight {condition.weight:.0%}" for condition in conditions],
    )
    _dots(figure, ["weighed together"], [evidence.score], ACCENT, "diamond", [15], [f"{evidence.score:.3f}"])
    themed(figure, height=110 + 36 * (len(conditions) + 2), title="How likely the model says good rather than poor")
    figure.update_layout(showlegend=False)
    figure.update_xaxes(range=[-0.04, 1.04], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(autorange="reversed")
    return figure


def _dots(figure: go.Figure, names: list[str], values: list[float], colour: str, symbol: str, sizes: list[float],
          labels: list[str]) -> None:
    figure.add_scatter(
        x=values, y=names, mode="markers+text", text=labels, cliponaxis=False,
        # Towards the middle, where there is room.
        textposition=["middle left" if value > 0.5 else "middle right" for value in values],
        marker={"size": sizes, "color": colour, "symbol": symbol, "line": {"width": 3, "color": colour}
                if symbol == "circle-open" else {"width": 0}, "opacity": 1},
        hovertemplate="%{y}: %{text}<extra></extra>",
    )


def _diameter(weight: float) -> float:
    """Of a dot whose area follows the weight, in pixels; never too small to be seen."""
    return 9 + 26 * math.sqrt(weight)


def _condition_row(evidence: DebiasEvidence, condition: Condition, lines: str) -> str:
    name = NAMES[condition.distortion]
    size = _diameter(condition.weight)
    dot = (f'<b style="left:{100 * condition.quality:.2f}%;width:{size:.1f}px;height:{size:.1f}px" '
           f'title="{name}: {condition.quality:.3f}, weight {condition.weight:.3f}"></b>')
    like = condition.similarity if condition.ssim is None else condition.ssim
    return _row(f"Beside {name}", evidence.degraded(condition.distortion), lines, dot, condition.quality,
                same=f"{like:.2f}", share=f"{condition.weight:.0%}")


def _row(label: str, image: Image.Image | None, lines: str, dot: str, value: float, *, same: str = "",
         share: str = "", kind: str = "") -> str:
    thumbnail = f'<img src="{data_url(image, THUMBNAIL, lossless=True)}" alt="">' if image is not None else ""
    return (
        f'<tr class="{kind}"><th scope="row"><span class="who">{thumbnail}<span>{html.escape(label)}</span></span></th>'
        f'<td class="track"><div class="rail">{lines}{dot}</div></td>'
        f'<td class="value">{value:.3f}</td><td class="share">{same}</td><td class="share">{share}</td></tr>'
    )


def _line(value: float, kind: str = "") -> str:
    return f'<i class="{kind}" style="left:{100 * value:.2f}%"></i>'


def _dot(value: float, kind: str) -> str:
    return f'<b class="{kind}" style="left:{100 * value:.2f}%"></b>'


def _weighing(evidence: DebiasEvidence) -> str:
    return {
        "semantic": "Weights are the softmax of that (Eq. 10).",
        "average": "All weights are equal.",
        "quality-similarity": "Here the column holds SSIM to the photo instead, and weights are in proportion to it.",
        "winner-takes-all": "The whole weight goes to the surest.",
    }[evidence.aggregation]
