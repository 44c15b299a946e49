"""Exactly the table in view as CSV, Markdown or LaTeX; every number as its source printed it.

LaTeX uses booktabs, bold for the best and underline for the second value of a column, and cites every row's source
with the keys of `citations`. Marks are the same everywhere: a dagger for a model that was trained on the tested set, a
question mark for a doubtful cell, a star for a result measured here.
"""

from __future__ import annotations

import re

from leaderboard.citations import source_keys
from leaderboard.entries import MEASURED, Cell
from leaderboard.schema import Board
from leaderboard.tables import Row, Table
from methods import files
from methods.errors import InputError

FORMATS = ("csv", "markdown", "latex")
DASH = "–"
MOST_TEX_ROWS, MOST_TEX_DATASETS = 50, 9
"""What a page of a paper holds; more is exported all the same, with a comment that says so."""
LEGEND = ("† trained on the tested set (‡: possibly)", "◇ sees labels of the tested set",
          "§ on other images of the set, or on a part that is not stated: not ranked with it",
          "? doubtful as printed, see the note of the cell",
          "* measured here")


def as_text(board: Board, table: Table, file_format: str, *, link: str = "", standalone: bool = False) -> str:
    """The table in a format of `FORMATS`.

    Args:
        board: the data.
        table: the table in view.
        link: the view's address, named in the caption where given.
        standalone: LaTeX only: a whole document instead of the table environment.

    Raises:
        InputError: an unknown format.
    """
    if file_format == "csv":
        return to_csv(table)
    if file_format == "markdown":
        return to_markdown(table, link=link)
    if file_format == "latex":
        return to_latex(board, table, link=link, standalone=standalone)
    raise InputError(f"A table is exported as {', '.join(FORMATS)}; got {file_format!r}.")


def to_csv(table: Table) -> str:
    """One line per row; beside every dataset's value its interval, n, marks and note, empty where there is none."""
    fixed = ["position", "group", "mean_rank", "borda", "method", "backbone", "variant", "training_free",
             "training_set", "source", "table", "origin", "coverage", "metric", "data_revision"]
    costs = ["parameters_billion", "weights_gb", "passes", "seconds_per_image", "memory_gib", "hardware", "licence",
             "released", "link"]
    each = ["", "low", "high", "n", "trained_on", "sees_labels", "part", "note"]
    names = [dataset.slug for dataset in table.datasets]
    lines = [[*fixed, *(f"{name}{':' + part if part else ''}" for name in names for part in each), *costs]]
    for row in table.rows:
        entry = row.entry
        training = "" if entry.training is None else "+".join(entry.training) or "none"
        cells = [item for name in names for item in _csv_cell(row.cells.get(name))]
        lines.append([_number(row.position), row.group, _number(row.mean_rank), _number(row.borda), entry.method,
                      entry.backbone, entry.variant, entry.training_free, training, entry.paper, entry.table,
                      entry.origin, f"{row.covered}/{len(names)}", table.view.metric, table.revision, *cells,
                      *_csv_costs(row)])
    return files.csv_text(lines)


def _csv_costs(row: Row) -> list[str]:
    cost = row.cost
    return [*map(_number, (cost.parameters, cost.weights, cost.passes, cost.seconds, cost.memory)), cost.hardware,
            cost.licence, cost.released, cost.link]


def _csv_cell(cell: Cell | None) -> list[str]:
    if cell is None:
        return [""] * 8
    return [cell.printed, _number(cell.low), _number(cell.high), _number(cell.n), cell.overlap,
            "yes" if cell.labels else "", cell.part, cell.note]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def text_of(cell: Cell, *, measured: bool) -> str:
    """The number as shown: as printed by its source; a measured one with four digits."""
    return f"{cell.value:.4f}" if measured else cell.printed


def marks_of(row: Row, name: str) -> str:
    """Dagger, double dagger, diamond, section and question mark of a row's cell, as the legend explains them."""
    cell = row.cells[name]
    return ({"yes": "†", "possible": "‡", "": ""}[cell.overlap] + ("◇" if cell.labels else "")
            + ("§" if name in row.apart else "") + ("?" if cell.doubtful else ""))


def to_markdown(table: Table, *, link: str = "") -> str:
    """A GitHub table; bold best, underlined second."""
    head = ["#", "Method", "Source", *(dataset.short for dataset in table.datasets), "Coverage"]
    lines = [f"| {' | '.join(map(_md, head))} |",
             "|" + "|".join(["---:", "---", "---", *["---:"] * len(table.datasets), "---:"]) + "|"]
    for row in table.rows:
        cells = [_md_cell(row, dataset.slug) for dataset in table.datasets]
        star = "*" if row.entry.origin == MEASURED else ""
        lines.append("| " + " | ".join([_position(row), _md(row.entry.label) + star.replace("*", "\\*"),
                                        _md(_source(row)), *cells, f"{row.covered}/{len(table.datasets)}"]) + " |")
    foot = [table.sentence, "; ".join(LEGEND).replace("*", "\\*") + f". Data revision {table.revision or 'unstated'}."]
    if link:
        foot.append(f"<{link}>")
    return "\n".join([*lines, "", *foot, ""])


def _md_cell(row: Row, name: str) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return DASH
    text = text_of(cell, measured=row.entry.origin == MEASURED)
    text = {1: f"**{text}**", 2: f"<u>{text}</u>"}.get(row.marks.get(name, 0), text)
    return text + marks_of(row, name)


def _md(text: str) -> str:
    return re.sub(r"([\\|*_<>\[\]`])", r"\\\1", text)


def _position(row: Row) -> str:
    return DASH if row.position is None else f"{row.position} {row.group}".strip()


def _source(row: Row) -> str:
    entry = row.entry
    return f"measured, {entry.table}" if entry.origin == MEASURED else f"{entry.paper}, {entry.table}"


def to_latex(board: Board, table: Table, *, link: str = "", standalone: bool = False) -> str:
    """A `table*` that needs booktabs; with `standalone` a document that compiles. The link stands in a comment.

    The standalone document prints unresolved citations as their keys: put the BibTeX of `citations` beside it.
    """
    keys = source_keys(board)
    columns = len(table.datasets)
    head = ["Method", *(_tex(dataset.short) for dataset in table.datasets)]
    lines = [
        r"\begin{table*}[t]", r"\centering", r"\small", r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_tex(table.sentence)} Best in bold, second underlined. {_tex_legend(table)}"
        rf"Mean Opinion~\cite{{meanopinion}}, data revision {_tex(table.revision or 'unstated')}.}}",
        r"\label{tab:mean-opinion}",
        rf"\begin{{tabular}}{{l{'r' * columns}}}", r"\toprule", f"{' & '.join(head)} \\\\", r"\midrule",
    ]
    for row in table.rows:
        cells = [_tex_cell(row, dataset.slug) for dataset in table.datasets]
        star = r"$^{*}$" if row.entry.origin == MEASURED else ""
        name = rf"{_tex(row.entry.label)}{star}~\cite{{{keys[row.entry.paper]}}}"
        lines.append(f"{' & '.join([name, *cells])} \\\\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
    body = "\n".join(lines) + "\n"
    if len(table.rows) > MOST_TEX_ROWS or columns > MOST_TEX_DATASETS:
        body = (f"% {len(table.rows)} rows by {columns} datasets are more than a page holds; narrow the view or split "
                f"the table.\n{body}")
    if not standalone:
        return "% Needs \\usepackage{booktabs}.\n" + (f"% {link}\n" if link else "") + body
    return ("\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n"
            "\\usepackage{textcomp}\n\\usepackage{booktabs}\n"
            "\\usepackage[landscape,margin=1cm]{geometry}\n"
            f"\\begin{{document}}\n{body}\\end{{document}}\n")


def _tex_cell(row: Row, name: str) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return "--"
    text = _tex(text_of(cell, measured=row.entry.origin == MEASURED))
    text = {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(row.marks.get(name, 0), text)
    marks = "".join(_TEX_MARKS.get(mark, mark) for mark in marks_of(row, name))
    return f"{text}$^{{{marks}}}$" if marks else text


_TEX_MARKS = {"†": r"\dagger", "‡": r"\ddagger", "◇": r"\diamond", "§": r"\S"}


def _tex_legend(table: Table) -> str:
    cells = [cell for row in table.rows for cell in row.cells.values()]
    parts = []
    if any(cell.overlap == "yes" for cell in cells):
        parts.append(r"$\dagger$: trained on the tested set")
    if any(cell.overlap == "possible" for cell in cells):
        parts.append(r"$\ddagger$: possibly trained on the tested set")
    if any(cell.labels for cell in cells):
        parts.append(r"$\diamond$: sees labels of the tested set")
    if any(row.apart for row in table.rows):
        parts.append(r"$\S$: on other images of the set, or on a part that is not stated: not ranked with it")
    if any(cell.doubtful for cell in cells):
        parts.append("?: doubtful as printed")
    if any(row.entry.origin == MEASURED for row in table.rows):
        parts.append("$*$: measured here")
    return "; ".join(parts) + ". " if parts else ""


_TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}",
        "§": r"\S{}", "◇": r"$\diamond$",
        "–": "--", "…": r"\ldots{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "·": r"$\cdot$"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)
