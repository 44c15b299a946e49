"""CSV, Markdown, LaTeX, BibTeX and the HTML of a table say exactly what is shown."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from leaderboard.__main__ import main
from leaderboard.citations import bibtex, citations, key_of, source_keys
from leaderboard.export import as_text, to_csv, to_latex, to_markdown
from leaderboard.links import View
from leaderboard.markup import to_html
from leaderboard.runs.add import add
from leaderboard.schema import load_board
from leaderboard.tables import table
from methods.base import METHODS, method_class

VIEWS = [View(), View(methods=("iqarag", "q-debias"), datasets=("koniq-10k", "spaq", "siqad")), View(metric="krcc"),
         View(papers=("visualquality-r1",)), View(papers=("q-realign", "q-align")), View(search="nothing at all")]


def check_latex(text: str) -> None:
    """Balanced braces and environments, paired math, known commands, and as many fields in each row as columns."""
    body = "\n".join(re.sub(r"(?<!\\)%.*", "", line) for line in text.splitlines())
    bare = re.sub(r"\\[\\{}&%$#_]", "", body)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    outside_math = "".join(bare.split("$")[::2])
    assert not re.search(r"[#_^]", outside_math)
    assert text.isascii()
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", body):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert not stack
    columns = re.search(r"\\begin\{tabular\}\{(l r*|l[r]*)\}", body)[1]
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    for line in rows:
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    known = {"begin", "end", "centering", "small", "setlength", "tabcolsep", "caption", "label", "toprule", "midrule",
             "bottomrule", "cite", "textbf", "underline", "dagger", "ddagger", "textdagger", "textdaggerdbl", "ldots",
             "textasciitilde", "textasciicircum", "textbackslash", "textless", "textgreater", "textbar", "cdot",
             "documentclass", "usepackage", "diamond", "S"}
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= known


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("standalone", [False, True])
def test_latex_is_well_formed(board, view, standalone):
    ranked = table(board, view)
    text = to_latex(board, ranked, standalone=standalone, link="https://example.org/?tab=leaderboard&q=a%20b")
    check_latex(text)
    assert text.count("\\toprule") == 1
    keys = set(source_keys(board).values())
    assert set(re.findall(r"\\cite\{([^}]+)\}", text)) <= keys
    assert text.count("\\\\\n") == len(ranked.rows) + 1


def test_latex_says_when_a_table_is_more_than_a_page(board):
    assert "more than a page holds" in to_latex(board, table(board, View()))
    assert "more than a page holds" not in to_latex(board, table(board, VIEWS[1]))


def test_the_latex_check_can_fail():
    good = r"\begin{tabular}{lr}a & b \\" + "\n" + r"\end{tabular}"
    check_latex(good)
    for bad in (good.replace("&", ""), good.replace("end", "begin"), good + "{", good.replace("a", "a_1"),
                good.replace("a", "$a"), good.replace("a &", r"\foo &")):
        with pytest.raises(AssertionError):
            check_latex(bad)


def test_latex_marks_and_citations(board):
    text = to_latex(board, table(board, View(methods=("q-debias", "q-bench"), papers=("q-debias",))))
    assert r"Q-Debias (mPLUG-Owl3; four conditional images)~\cite{pan2024qdebias} & \textbf{0.838}" in text
    assert r"\underline{0.672}" in text
    assert "0.324$^{?}$" in text
    assert "& -- &" in text
    assert "trained on the tested set" not in text
    trained = to_latex(board, table(board, View(methods=("topiq-nr",))))
    assert r"0.9299$^{\dagger}$" in trained
    assert r"topiq\_nr" in trained


def test_csv_holds_what_is_shown(board):
    view = View(methods=("llm-iqa", "nima"), datasets=("koniq-10k", "agiqa-3k", "ava"))
    ranked = table(board, view)
    rows = list(csv.DictReader(io.StringIO(to_csv(ranked))))
    assert len(rows) == len(ranked.rows)
    for line, row in zip(rows, ranked.rows):
        assert line["method"] == row.entry.method
        for name in view.datasets:
            assert line[name] == (row.cells[name].printed if name in row.cells else "")
    doubtful = [line for line in rows if line["agiqa-3k:note"].startswith("CONFLICT")]
    assert doubtful
    assert rows[0]["data_revision"] == board.revision


def test_markdown_has_one_line_a_row_and_no_stray_pipes(board):
    ranked = table(board, View())
    lines = [line for line in to_markdown(ranked).splitlines() if line.startswith("|")]
    assert len(lines) == len(ranked.rows) + 2
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "**0.846**" in to_markdown(ranked)
    assert "<u>0.875</u>" in to_markdown(ranked)
    # The best of all that is printed is on another part of its set.
    assert "0.9404†§" in to_markdown(ranked)


def fields(entry):
    """A BibTeX entry's kind, key and fields, blanks as one."""
    kind, key, body = re.fullmatch(r"\s*@(\w+)\{([^,]+),(.*)\}\s*", entry, re.DOTALL).groups()
    pairs = re.findall(r"(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\}", body)
    return kind, key, {name: " ".join(value.split()) for name, value in pairs}


@pytest.mark.parametrize("name", METHODS)
def test_the_bibtex_of_a_method_is_that_of_the_leaderboard(board, name):
    """One paper, one entry: title, authors and year are those of papers.csv, wherever they are cited."""
    papers = {key_of(row["bibtex"]): row for row in board.papers.to_dict("records")}
    entries = [f"@{entry}" for entry in method_class(name).citation.split("@") if entry.strip()]
    assert key_of(entries[0]) == key_of(board.papers.set_index("slug").loc[name, "bibtex"])
    for entry in entries:
        row = papers[key_of(entry)]
        assert fields(entry) == fields(row["bibtex"])
        _, _, said = fields(entry)
        assert said["title"].replace("{", "").replace("}", "") == row["title"]
        assert said["year"] == row["year"]
        if "Anonymous" not in said["author"]:
            authors = [" ".join(reversed(author.split(", "))) for author in said["author"].split(" and ")]
            assert authors == row["authors"].split("; ")
        if row["arxiv"] and "arXiv" in said.get("journal", ""):
            assert said["journal"] == f"arXiv preprint arXiv:{row['arxiv']}"


def test_an_anonymous_submission_is_cited_with_its_public_version(board):
    keys = [one.key for one in citations(board, table(board, View(papers=("llm-iqa",))))]
    assert keys == ["meanopinion", "llmiqa2025", "liu2024dogiqa"]
    assert "2411.12791v1" in bibtex(board, table(board, View(papers=("q-debias",))))
    assert "Decoupling Perception and Calibration" in bibtex(board, table(board, View(papers=("leaf",))))


def test_unknown_formats_are_refused(board):
    with pytest.raises(ValueError, match="csv, markdown, latex"):
        as_text(board, table(board), "xlsx")


def test_bibtex_of_exactly_the_sources_in_view(board):
    ranked = table(board, View(papers=("q-debias", "pyiqa")))
    keys = [one.key for one in citations(board, ranked)]
    assert keys[0] == "meanopinion"
    assert set(keys) == {"meanopinion", "pan2024qdebias", "pyiqa"}
    text = bibtex(board, ranked, link="https://example.org/?tab=leaderboard")
    assert text.count("@") == 3
    assert text.count("{") == text.count("}")
    assert f"data revision {board.revision} of {board.revision_date}" in text
    assert r"\url{https://example.org/?tab=leaderboard}" in text
    assert "% SIQAD: Yang, Fang, Lin." in text
    with pytest.raises(ValueError, match="not a BibTeX entry"):
        key_of("no entry")


class _Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows, self.about, self.open = 0, [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.rows += tag == "tr"
        if "data-about" in values:
            self.about.append(values["data-about"])
        if tag not in ("br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_a_closed_table_with_every_source(board):
    ranked = table(board, View(papers=("q-debias",)))
    parser = _Cells()
    parser.feed(to_html(ranked))
    assert parser.open == []
    assert parser.rows == len(ranked.rows) + 1
    cells = sum(row.covered for row in ranked.rows)
    assert len(parser.about) == cells + len(ranked.rows)
    assert all("arXiv:2411.12791v1" in text for text in parser.about)
    assert any("Note: CONFLICT" in text for text in parser.about)


def test_rows_beyond_the_first_are_asked_for(board):
    from leaderboard.links import encode
    from leaderboard.markup import AT_FIRST, rows_html

    ranked = table(board)
    query = encode(ranked.view, board=board)
    text = to_html(ranked, query=query)
    count = len(ranked.rows)
    assert text.count("<tr") == 1 + AT_FIRST < count
    assert f'data-query="{query.replace("&", "&amp;")}" data-rows="{count}"' in text
    assert f"Lay out all {count} rows at once" in text
    rest = rows_html(ranked, {}, AT_FIRST, count)
    for whole in (to_html(ranked), to_html(ranked, marked=ranked.rows[-1].entry.id)):
        assert whole.count("<tr") == 1 + count, "a table that nobody can ask for more has all its rows"
        assert "data-every" not in whole
    assert to_html(ranked).replace(rest, "").count("<tr") == 1 + AT_FIRST
    few = table(board, View(papers=("q-debias",)))
    assert "data-every" not in to_html(few, query=query)
    assert to_html(few, query=query).count("<tr") == 1 + len(few.rows)


def test_html_escapes_what_comes_from_data(data):
    file = data / "published.csv"
    file.write_text(file.read_text("utf-8").replace("Kimi-VL,", '"<img src=x onerror=alert(1)>",'), "utf-8")
    text = to_html(table(load_board(data)))
    assert "&lt;img src=x" in text
    assert "<img" not in text


def test_measured_rows_are_marked_and_carry_their_interval(data, run, tmp_path):
    name, _ = add(run, data=data, submissions=tmp_path / "submissions")
    board = load_board(data)
    ranked = table(board, View(origin="measured"))
    row = ranked.rows[0]
    cell = row.cells["live-challenge-dev"]
    assert cell.low < cell.value < cell.high
    assert cell.overlap == "yes"
    html = to_html(ranked)
    assert '<span class="lb-here">here</span>' in html
    assert f"95 % interval {cell.low:.4f} to {cell.high:.4f}, n = 40" in html
    assert f"run {name}" in html
    assert "$^{*}$" in to_latex(board, ranked)
    assert "\\*" in to_markdown(ranked)
    assert [one.key for one in citations(board, ranked)] == ["meanopinion", "wu2024qbench"]


@pytest.mark.parametrize("file_format", ["csv", "markdown", "latex"])
def test_the_command_prints_the_same(board, capsys, file_format):
    assert main(["table", "--methods", "IQARAG", "q-debias", "--datasets", "KonIQ-10k", "spaq", "--format",
                 file_format]) == 0
    view = View(methods=("iqarag", "q-debias"), datasets=("koniq-10k", "spaq"))
    assert capsys.readouterr().out == as_text(board, table(board, view), file_format)


def test_the_commands_refuse_unknown_names(capsys):
    assert main(["table", "--methods", "iqrag"]) == 2
    assert "did you mean 'iqarag'?" in capsys.readouterr().err
    assert main(["tabel"]) == 2
    assert "did you mean 'table'?" in capsys.readouterr().err
    assert main([]) == 2
    assert main(["cite", "--methods", "leaf"]) == 0
    assert "li2026decoupling" in capsys.readouterr().out


@pytest.mark.slow
def test_export_writes_every_file_of_a_link(tmp_path, capsys):
    out = tmp_path / "out"
    link = "https://example.org/?tab=leaderboard&m=iqarag&fig=heat&bogus=1"
    assert main(["export", "--link", link, "--out", str(out), "--base", "https://example.org/"]) == 0
    printed = capsys.readouterr()
    assert "'bogus' is not part of a leaderboard link" in printed.err
    files = {file.suffix[1:]: file.read_bytes() for file in out.iterdir()}
    assert set(files) == {"csv", "md", "tex", "bib", "svg", "png", "pdf"}
    assert files["png"].startswith(b"\x89PNG")
    assert files["pdf"].startswith(b"%PDF")
    assert b"<svg" in files["svg"]
    assert b"0.8071" in files["csv"]
    assert b"https://example.org/?tab=leaderboard&m=iqarag" in files["tex"]
