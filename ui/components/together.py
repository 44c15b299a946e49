"""Several methods' opinions of one photo: the consensus on the dial, and a line for each method; HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods import meaning
from methods.base import method_class
from methods.meaning import Meaning
from ui.components.results import dial
from ui.components.verdict import model_of, neighbours_html, result_to_keep

if TYPE_CHECKING:
    from methods.base import Assessment


@dataclass(frozen=True)
class Line:
    """One method's line: its assessment, its error, or nothing yet."""

    method: str
    assessment: Assessment | None = None
    error: str = ""

    @property
    def known(self) -> Meaning | None:
        return None if self.assessment is None else meaning.explain(self.assessment)


def consensus_html(lines: Sequence[Line]) -> str:
    """The dial of all methods that are calibrated and done, with what stands behind it."""
    ready = [(line.assessment, table) for line in lines if line.assessment is not None
             and (table := meaning.table_of(line.assessment)) is not None]
    done = [line for line in lines if line.assessment is not None]
    if not done:
        return dial(None, empty="The first opinion is on its way")
    waiting = sum(line.assessment is None and not line.error for line in lines)
    ends = f" {waiting} more to come." if waiting else ""
    if not ready:
        return dial(None, empty="No common opinion: none of these methods is calibrated yet") + _said(ends.strip())
    scores = [one.score for one, _ in ready]
    together = meaning.consensus([table for _, table in ready], scores) if len(ready) > 1 else None
    if together is None:
        one, table = ready[0]
        opinion = table.meaning(one.score)
        only = "the only calibrated one so far" if len(ready) == 1 else "the first; the others were measured elsewhere"
        return (f'<div class="verdict">{dial(one.score, known=opinion)}{neighbours_html(opinion)}</div>'
                + _said(f"The opinion of {method_class(one.method).title}, {only}.{ends}"))
    score = sum(scores) / len(scores)
    each = {line.method: None if line.known is None else round(line.known.mos, 2) for line in done}
    kept = "" if waiting else result_to_keep(f"{together.methods} methods", together, "Their mean opinion.", score,
                                             {"methods": each, "mos": round(together.mos, 2),
                                              "low": round(together.low, 2), "high": round(together.high, 2)})
    return (f'<div class="verdict"{kept}>{dial(score, known=together)}{neighbours_html(together)}</div>'
            + _said(f"Consensus of {together.methods} methods: the mean of their opinions, with the interval that held "
                    f"nine of ten opinions on {together.population}.{ends}"))


def _said(text: str) -> str:
    return f'<p class="sums">{html.escape(text)}</p>' if text else ""


def lines_html(lines: Sequence[Line]) -> str:
    """A table with a line for each method: opinion, interval, seconds and why."""
    rows = "".join(_row(line) for line in lines)
    return ('<table class="together"><thead><tr><th>Method</th><th class="number">Opinion</th>'
            '<th class="track">0 to 100, nine of ten</th><th class="number">Seconds</th><th class="why">Why</th>'
            f"</tr></thead><tbody>{rows}</tbody></table>{_models(lines)}")


def _models(lines: Sequence[Line]) -> str:
    """Which models had their say; those of several methods once."""
    names = {}
    for line in lines:
        if line.assessment is not None:
            name, size, small = model_of(line.assessment, meaning.table_of(line.assessment))
            names[name] = ", ".join(filter(None, (size, "a demonstration model" if small else "")))
    listed = "; ".join(f"{name} ({about})" if about else name for name, about in names.items())
    return _said(f"Models: {listed}.") if listed else ""


def _row(line: Line) -> str:
    title = html.escape(method_class(line.method).title)
    one, known = line.assessment, line.known
    if one is None:
        text = html.escape(line.error) if line.error else "…"
        return f'<tr data-method="{line.method}"><th>{title}</th><td colspan="4">{text}</td></tr>'
    why = html.escape(one.evidence.reason(one.score))
    if known is None:
        opinion, track = f"<em>raw {one.score:.2f}</em>", "<em>not calibrated yet</em>"
    else:
        opinion = f"<strong>{known.mos:.0f}</strong>"
        track = (f'<span class="rail" role="img" aria-label="{known.low:.0f} to {known.high:.0f}">'
                 f'<i style="left:{known.low:.1f}%;width:{known.high - known.low:.1f}%"></i>'
                 f'<b style="left:{known.mos:.1f}%"></b></span>')
    return (f'<tr data-method="{line.method}"><th>{title}</th><td class="number">{opinion}</td>'
            f'<td class="track">{track}</td><td class="number">{one.seconds:.1f}</td><td class="why">{why}</td></tr>')
