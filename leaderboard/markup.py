"""The table in view as accessible HTML: a real `<table>`, buttons that sort, and the source of every number at hand.

What a cell has to say beyond its number stands in `data-about`, which the page shows on hover and keeps on click, with
the cards of the cell's dataset (its column) and model (its row). The row's name is a button that lists the sources of
all its cells, so that nothing needs a mouse. Everything that comes from data is escaped.
"""

from __future__ import annotations

from html import escape

from leaderboard.cards import NOT_KNOWN, Card
from leaderboard.entries import MEASURED, Cell
from leaderboard.export import DASH, marks_of, text_of
from leaderboard.links import COSTS
from leaderboard.tables import Row, Table

AT_FIRST = 30
"""Rows of a table whose reader is there to ask for more: what draws the page anew compares every node with what is
there, and a browser lays out every row."""


def to_html(table: Table, *, sources: dict[str, str] | None = None, marked: str = "", query: str = "") -> str:
    """The table as an HTML fragment without scripts or styles.

    Args:
        table: the table in view.
        sources: source slug -> its title.
        marked: id of a row that is to stand out, in a table to be read alone: without buttons.
        query: of the view's link, with which a page asks for `rows_html` beyond the first `AT_FIRST`; "" draws all.
    """
    sources = sources or {}
    if not table.rows:
        return ('<div class="lb-empty">Nothing matches these filters. Take one away, or choose another metric: '
                "RMSE and the logistic PLCC exist for measured results only.</div>")
    head = "".join(_header(table, name, label, title, still=bool(marked)) for name, label, title in _columns(table))
    count = len(table.rows)
    asks = bool(query) and count > AT_FIRST
    name = "The row as it would stand" if marked else "Leaderboard table"
    every = (f'<button type="button" class="lb-more" data-every>Lay out all {count} rows at once</button>'
             if asks else "")
    more = f' data-query="{escape(query)}" data-rows="{count}"' if asks else ""
    return (f'<div class="lb-scroll" role="region" aria-label="{name}" tabindex="0"><table class="lb"'
            f"{more}><caption>{escape(table.sentence)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows_html(table, sources, 0, AT_FIRST if asks else count, marked)}</tbody>"
            f'</table></div>{every}<p class="lb-legend">'
            f'<b>best</b> · <u>second</u> · † trained on the tested set (‡ possibly) · '
            f'◇ sees labels of the tested set · § on other images of the set, or on a part that is not stated: not '
            f'ranked with it · '
            f'<span class="lb-q">?</span> doubtful as printed · <span class="lb-here">here</span> measured here · '
            f"● ranks are over this set · a, b … groups that cannot be told apart</p>")


def rows_html(table: Table, sources: dict[str, str], start: int, end: int, marked: str = "") -> str:
    """The rows from `start` to before `end`, as `to_html` draws them."""
    return "".join(_row(table, row, sources, marked) for row in table.rows[start:end])


def cards_html(cards: dict[str, Card]) -> str:
    """All cards, out of sight; the page lays copies of them into the box of a cell."""
    return '<div id="leaderboard-cards" hidden>' + "".join(
        f'<details data-card="{escape(card.id)}"><summary>{"Dataset" if card.id.startswith("dataset:") else "Model"}: '
        f"{escape(card.title)}</summary><dl>"
        + "".join(f"<dt>{escape(what)}</dt><dd>{_linked(text)}</dd>" for what, text in card.facts)
        + "</dl></details>" for card in cards.values()) + "</div>"


def _linked(text: str) -> str:
    if text == NOT_KNOWN:
        return f"<em>{text}</em>"
    if text.startswith("https://"):
        return f'<a href="{escape(text)}" target="_blank" rel="noopener noreferrer">{escape(text)}</a>'
    return escape(text)


def _columns(table: Table) -> list[tuple[str, str, str]]:
    fixed = [("method", "Method", "Method, model and variant, with the source"),
             ("rank", "Rank", f"Place by mean rank over {', '.join(map(table.short, table.shared)) or 'no set'}; below "
                              f"it the mean rank. Borda points are in the row's details."),
             ("coverage", "Sets", "Shown datasets with a result")]
    datasets = [(dataset.slug, dataset.short, f"{dataset.name} ({dataset.kind})") for dataset in table.datasets]
    return ([one for one in fixed if one[0] in ("method", *table.view.columns)] + datasets
            + [(name, *_COSTS[name]) for name in table.view.columns if name in _COSTS])


_COSTS = {
    "parameters": ("Params, B", "Parameters of the model in billions, its vision part included"),
    "weights": ("Weights, GB", "Size of the weights, in bfloat16 unless their file has another type"),
    "passes": ("Passes", "LMM passes per image"),
    "seconds": ("s / image", "Seconds per image of a measured row, on the hardware named beside it"),
    "memory": ("Memory, GiB", "The most memory that a measured run held: of the GPU where it used one"),
    "hardware": ("Hardware", "What a measured row ran on"),
    "licence": ("Licence", "Of the weights"),
    "released": ("Date", "Month or year of the model's paper"),
    "link": ("Model", "Where the model is"),
}
_UNSORTED = {"hardware", "licence", "link"}


def _header(table: Table, name: str, label: str, title: str, *, still: bool) -> str:
    kind = {"method": "lb-name", "rank": "lb-rank", "coverage": "lb-cover"}.get(
        name, "lb-text" if name in _UNSORTED else "lb-num")
    if still or name in _UNSORTED:
        return f'<th scope="col" class="{kind}"><span title="{escape(title)}">{escape(label)}</span></th>'
    active = table.view.sort == name
    # Position 1 and the method A are the best "first"; what arrow that is follows from what the column holds.
    small_first = name in ("rank", "method", *COSTS) or (table.lower_is_better and name not in ("coverage", "released"))
    ascending = small_first != table.view.reverse
    state = f' aria-sort="{"ascending" if ascending else "descending"}"' if active else ""
    arrow = f'<span class="lb-arrow" aria-hidden="true">{"▲" if ascending else "▼"}</span>' if active else ""
    dot = '<span class="lb-dot" aria-label="ranks are over this set">●</span>' if name in table.shared else ""
    return (f'<th scope="col" class="{kind}"{state}><button type="button" data-sort="{escape(name)}" '
            f'title="{escape(title)}">{escape(label)}{dot}{arrow}</button></th>')


def _row(table: Table, row: Row, sources: dict[str, str], marked: str) -> str:
    entry = row.entry
    run = "" if marked else entry.provenance.get("run", "")
    here = '<span class="lb-here">here</span>' if entry.origin == MEASURED else ""
    here += (f'<button type="button" class="lb-look" data-look="{escape(run)}" '
            f'aria-label="Look into {escape(entry.label)}">look into</button>' if run else "")
    source = f"{'measured' if entry.origin == MEASURED else entry.paper} · {entry.table}"
    method = f"<span>{escape(entry.method)}</span>"
    if not marked:
        method = f'<button type="button" data-about="{escape(_about_row(table, row, sources))}">{method}</button>'
    name = (f'<th scope="row" class="lb-name">{method}{here}'
            f'<small>{escape(entry.details)}</small><small class="lb-source">{escape(source)}</small></th>')
    group = f'<span class="lb-group">{escape(row.group)}</span>' if row.group else ""
    place = f"{row.position}{group}<small>{row.mean_rank:.1f}</small>" if row.position is not None else DASH
    cells = "".join(_cell(table, row, dataset.slug) for dataset in table.datasets)
    cells += "".join(_cost_cell(row, column, _COSTS[column][0]) for column in table.view.columns if column in _COSTS)
    fixed = {"rank": f'<td class="lb-rank">{place}</td>',
             "coverage": f'<td class="lb-cover">{row.covered}/{len(table.datasets)}</td>'}
    before = "".join(html for column, html in fixed.items() if column in table.view.columns)
    mark = ' class="lb-marked"' if entry.id == marked else ""
    inside = f' data-row="{escape(run)}"' if run else ""
    model = f' data-model="{escape(row.cost.model)}"'
    return f"<tr{mark}{inside}{model}>{name}{before}{cells}</tr>"


def _cost_cell(row: Row, name: str, label: str) -> str:
    value = getattr(row.cost, name)
    if value in (None, ""):
        return f'<td class="lb-none" aria-label="{NOT_KNOWN}"></td>'
    if name == "link":
        return (f'<td class="lb-text"><a href="{escape(value)}" target="_blank" rel="noopener noreferrer">'
                f"{escape(row.cost.model)}</a></td>")
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    kind = "lb-num" if isinstance(value, float) else "lb-text"
    if name not in ("seconds", "memory"):
        return f'<td class="{kind}">{escape(text)}</td>'
    about = f"{row.entry.label}\n{label}: {text}\nOn {row.cost.hardware or 'hardware that was not recorded'}"
    return f'<td class="{kind}" data-about="{escape(about)}">{escape(text)}</td>'


def _cell(table: Table, row: Row, name: str) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return f'<td class="lb-none" aria-label="no result">{DASH}</td>'
    text = escape(text_of(cell, measured=row.entry.origin == MEASURED))
    text = {1: f"<b>{text}</b>", 2: f"<u>{text}</u>"}.get(row.marks.get(name, 0), text)
    marks = marks_of(row, name)
    extra = f'<sup class="{"lb-q" if cell.doubtful else ""}">{escape(marks)}</sup>' if marks else ""
    return f'<td class="lb-num" data-about="{escape(_about_cell(table, row, name, cell))}">{text}{extra}</td>'


def _about_cell(table: Table, row: Row, name: str, cell: Cell) -> str:
    """Plain text, one fact per line; the first line is a heading."""
    entry = row.entry
    value = text_of(cell, measured=entry.origin == MEASURED)
    lines = [f"{entry.label} on {table.short(name)}: {value}"]
    if cell.has_interval:
        lines.append(f"95 % interval {cell.low:.4f} to {cell.high:.4f}" + (f", n = {cell.n}" if cell.n else ""))
    elif cell.n:
        lines.append(f"n = {cell.n}")
    kind = {"secondary": " (secondary notes)", "repository": " (repository)"}.get(entry.source_kind, "")
    lines.append(f"Source: {cell.source}, {cell.table}{kind}" if entry.origin != MEASURED
                 else f"Measured here: run {entry.provenance['run']}, {entry.provenance['date']}, "
                      f"commit {entry.provenance['commit'][:10] or 'unknown'}, seed {entry.provenance['seed']}")
    if cell.protocol:
        lines.append(f"Protocol: {cell.protocol}")
    if name in row.apart:
        lines.append(f"Not ranked here: it is on the {cell.part}, the column on the {table.parts[name]}")
    if cell.labels:
        lines.append("Sees labels of this set: as references, or in its calibration")
    if cell.overlap:
        lines.append("Trained on this set" if cell.overlap == "yes" else "Possibly trained on this set")
    if cell.note:
        lines.append(f"Note: {cell.note}")
    return "\n".join(lines)


def _about_row(table: Table, row: Row, sources: dict[str, str]) -> str:
    entry = row.entry
    # Of weights that others trained it is only known that no IQA data is mentioned.
    nothing = "none known" if entry.backbone else "none"
    trained = "not stated" if entry.training is None else ", ".join(entry.training) or nothing
    free = {"true": "yes", "false": "no"}.get(entry.training_free, "not stated")
    title = sources.get(entry.paper)
    lines = [entry.label,
             f"Source: {entry.source}, {entry.table}" if entry.origin != MEASURED else "Measured here",
             *([title] if title else []), f"Training-free: {free}; trained on: {trained}"]
    if row.mean_rank is not None:
        lines.append(f"Mean rank {row.mean_rank:.2f}, Borda {row.borda:g} of {table.most_points:g} points")
    if row.group:
        lines.append(f"Group {', '.join(row.group)}: not told apart from the other rows of it")
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in entry.provenance.items() if value]
    for name, cell in row.cells.items():
        parts = [f"{table.short(name)} {text_of(cell, measured=entry.origin == MEASURED)}{marks_of(row, name)}"]
        if cell.has_interval:
            parts.append(f"[{cell.low:.4f}, {cell.high:.4f}]")
        if cell.note:
            parts.append(cell.note)
        lines.append(" · ".join(parts))
    lines.append(f"Row id: {entry.id}")
    return "\n".join(lines)
