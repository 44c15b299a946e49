"""The leaderboard tab in a browser: links restore it, malformed ones say so, sorting, sources and copying work."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import expect

from tests.e2e.steps import expect_no_sideways_scrolling, open_tab
from ui.tabs.leaderboard.view import FIGURE_NAMES


def opened(open_page, query, size="desktop", **settings):
    """The page once it shows what its link says: the figure comes with the restored controls and table."""
    page = open_page(size=size, path=f"/{query}", **settings)
    page.locator("#leaderboard-figure .main-svg").first.wait_for()
    page.wait_for_selector("#leaderboard-table table.lb")
    return page


def rows(page) -> list[str]:
    return page.locator("#leaderboard-table tbody tr").all_inner_texts()


def copied_link(page, part: str = "") -> str:
    """What 'Copy link' offers, once it is a whole address that holds `part`: the button copies what the page has been
    answered, so the page's own address says so first."""
    page.wait_for_function("(part) => location.search.includes(part)", arg=part)
    page.get_by_role("button", name="Copy link").click()
    return page.wait_for_function("""(part) => {
      const link = document.querySelector('#leaderboard-link textarea, #leaderboard-link input')?.value ?? '';
      return link.startsWith('http') && link.includes(part) && link;
    }""", arg=part).json_value()


def expect_caption(page, text):
    page.locator("#leaderboard-table caption", has_text=text).wait_for()


FETCHED = """() => performance.getEntriesByType('resource').some(
  (entry) => entry.name.includes('PlotlyPlot') && entry.responseEnd > 0)"""


OPENS_WITH = "?tab=leaderboard&show=comparable"


def count(query="") -> str:
    """How many rows the table of a link has, of all: what is measured here adds some now and then."""
    from leaderboard.links import View, decode
    from leaderboard.schema import load_board
    from leaderboard.tables import table

    board = load_board()
    return f"{len(table(board, decode(query, board=board).view).rows)} of {len(table(board, View()).rows)} rows"


def test_the_page_opens_with_comparable_rows_and_all_are_one_click_away(open_page):
    page = open_page()
    page.set_viewport_size({"width": 2600, "height": 1200})
    assert page.locator(".gradio-container").first.bounding_box()["width"] <= 1180
    open_tab(page, "Leaderboard")
    page.wait_for_function("""() => {
      const width = document.querySelector('#leaderboard-table').getBoundingClientRect().width;
      return width > 2200 && width <= 2400;
    }""")
    expect_caption(page, f"{count(OPENS_WITH)}, SRCC. Comparable only:")
    assert page.get_by_label("Comparable only").is_checked()
    page.locator("#leaderboard-rows").get_by_label("All", exact=True).click()
    expect_caption(page, f"{count()}, SRCC. Ranks are over")
    assert "show=" not in copied_link(page, "tab=leaderboard")
    page.get_by_label("Comparable only").click()
    expect_caption(page, f"{count(OPENS_WITH)}, SRCC. Comparable only:")
    assert "show=comparable" in copied_link(page, "show=comparable")


def test_measured_rows_that_cannot_be_told_apart_share_a_place(open_page):
    page = opened(open_page, "?tab=leaderboard&d=live-challenge-dev&origin=measured")
    expect_caption(page, "Rows that share a letter cannot be told apart")
    places = page.locator("#leaderboard-table td.lb-rank").all_inner_texts()
    assert len({place.split()[0] for place in places}) < len(places)


def test_a_link_opens_the_same_table_again(open_page):
    link = "?tab=leaderboard&metric=plcc&d=koniq-10k,live-challenge,spaq&m=iqarag,q-debias&sort=spaq&fig=heat"
    shown = f"{count(link)}, PLCC"
    page = opened(open_page, link)
    expect_caption(page, shown)
    assert 10 <= len(rows(page)) < 20
    before = rows(page)
    assert page.locator("#leaderboard-table thead th[aria-sort]").inner_text().startswith("SPAQ")
    copied = copied_link(page)
    assert "metric=plcc" in copied
    assert "fig=heat" in copied
    again = opened(open_page, "?" + urlsplit(copied).query)
    expect_caption(again, shown)
    assert rows(again) == before


def test_copying_a_link_leaves_the_figure_whole(open_page):
    page = opened(open_page, "?tab=leaderboard&fig=heat&d=spaq")
    page.locator("#leaderboard-figure .cbfill").first.wait_for()
    copied_link(page, "fig=heat")
    # The scale is filled with a gradient and the fields are clipped, both named by the page's address.
    named = page.evaluate("""() => [...document.querySelectorAll('#leaderboard-figure *')].flatMap((part) =>
      ['fill', 'clip-path'].map((name) => getComputedStyle(part).getPropertyValue(name)))
      .filter((value) => value.startsWith('url(')).map((value) => value.slice(5, -2).split('#')[0])""")
    assert len(named) >= 2
    assert {urljoin(page.url, name) for name in named} == {page.url}


def listen(asked: list[str]) -> Callable:
    """Notes in `asked` what a page fetches of the figures' script."""
    return lambda page: page.on(
        "request", lambda request: asked.append(request.url) if "PlotlyPlot" in request.url else None)


def test_without_a_link_the_first_tab_stays_and_the_figures_script_comes_ahead(open_page):
    asked: list[str] = []
    page = open_page(before=listen(asked))
    page.wait_for_selector("#score-run")
    page.wait_for_function(FETCHED)  # no figure is in sight yet
    open_tab(page, "Leaderboard")
    page.wait_for_selector("#leaderboard-table table.lb")
    assert count(OPENS_WITH).startswith(f"{len(rows(page))} of")
    page.locator("#leaderboard-figure .main-svg").first.wait_for()
    assert len(asked) == 1, "what was fetched ahead is what the figure uses"


def test_headers_sort_by_number_in_both_directions(open_page):
    page = opened(open_page, "?tab=leaderboard&from=q-debias")
    expect_caption(page, count("?tab=leaderboard&from=q-debias"))
    column = page.locator("#leaderboard-table thead button[data-sort=siqad]")
    for direction in ("descending", "ascending"):
        column.click()
        page.locator(f"#leaderboard-table thead th[aria-sort={direction}] button[data-sort=siqad]").wait_for()
        place = page.locator("#leaderboard-table thead th").all_inner_texts()
        index = next(i for i, text in enumerate(place) if text.startswith("SIQAD"))
        cells = page.locator(f"#leaderboard-table tbody tr > :nth-child({index + 1})").all_inner_texts()
        numbers = [float(re.sub(r"[^0-9.]", "", text)) for text in cells if text != "–"]
        assert numbers == sorted(numbers, reverse=direction == "descending")
        assert cells[len(numbers):] == ["–"] * (len(cells) - len(numbers))


def test_filters_change_the_table_and_sources_show(open_page):
    page = opened(open_page, "?tab=leaderboard&q=Q-Debias")
    expect_caption(page, count("?tab=leaderboard&q=Q-Debias"))
    copied_link(page)
    search = page.get_by_label("Search").first
    search.click()
    page.keyboard.press("End")
    page.keyboard.insert_text(" spatter")  # one event for all of it, as pasting does
    expect_caption(page, count("?tab=leaderboard&q=Q-Debias spatter"))
    page.locator("#leaderboard-table td[data-about]").first.click()
    tip = page.locator(".lb-tip")
    tip.wait_for()
    assert "arXiv:2411.12791v1, Table 1" in tip.inner_text()
    page.keyboard.press("Escape")
    assert tip.is_hidden()


def test_the_figures_script_comes_once_and_a_filter_asks_the_server_once(open_page):
    scripts: list[str] = []
    page = opened(open_page, "?tab=leaderboard", before=listen(scripts))
    page.wait_for_function(FETCHED)
    assert len(scripts) == 1, "what was fetched ahead is what the figure uses"
    expect_caption(page, "SRCC")
    copied_link(page)  # and with it what the page asks of its own accord when it opens
    page.get_by_label("Trained", exact=True).click()
    expect(page.locator("#leaderboard-link")).to_be_hidden()  # it was one to another view
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json["fn_index"])
            if "queue/join" in request.url else None)
    page.get_by_label("Training-free").click()
    expect_caption(page, count("?tab=leaderboard&training=free"))
    copied_link(page, "training=free")
    # The link is the third, and that there is one now may be told before it is counted.
    assert len(set(asked)) == len(asked) in (3, 4), "one request for the table and one for the figure"


def test_figures_fit_a_phone_and_the_method_stays_in_sight(open_page):
    page = opened(open_page, "?tab=leaderboard", "phone")
    expect_caption(page, "SRCC")
    for label, figure in FIGURE_NAMES:
        if figure in ("heat", "radar"):
            continue
        if figure != "dots":
            page.evaluate("window.before = document.querySelector('#leaderboard-figure .js-plotly-plot').layout")
            page.get_by_label(label, exact=True).click()
        # Another figure has a layout of its own, and takes the width of its place in a step after its first; the axis
        # keeps its numbers all along.
        page.wait_for_function("""(figure) => {
          const plot = document.querySelector('#leaderboard-figure .js-plotly-plot');
          const frame = plot?.querySelector('.main-svg')?.getBoundingClientRect();
          const ticks = [...document.querySelectorAll('#leaderboard-figure .xtick text')];
          return frame && plot.layout !== window.before
            && (figure === 'dots' || location.search.includes(`fig=${figure}`))
            && frame.width <= 350 && ticks.length > 1
            && ticks.every(tick => tick.getBoundingClientRect().left >= frame.left - 1);
        }""", arg=figure)
        expect_no_sideways_scrolling(page)
    name = page.locator("#leaderboard-table tbody th").first
    before = name.bounding_box()["x"]
    page.evaluate("document.querySelector('#leaderboard-table .lb-scroll').scrollLeft = 400")
    assert abs(name.bounding_box()["x"] - before) < 2
    # Rows are laid out as they are scrolled to; the button has the rest.
    drawn, every = page.locator("#leaderboard-table tbody tr"), page.locator("#leaderboard-table [data-every]")
    expect(drawn).to_have_count(30)
    page.evaluate("document.querySelector('#leaderboard-table .lb-scroll').scrollTop = 1e6")
    expect(drawn).to_have_count(90)
    every.click()
    expect(drawn).to_have_count(int(count().split()[0]))
    expect(every).to_be_hidden()


def test_what_is_shown_is_exported(open_page, app_url):
    page = opened(open_page, "?tab=leaderboard&from=q-debias&d=spaq,koniq-10k")
    expect_caption(page, "rows, SRCC")

    def exported(choice: str, ending: str) -> bytes:
        page.locator("#leaderboard-format input").click()
        page.get_by_role("option", name=choice, exact=True).click()
        page.get_by_role("button", name="Export").click()
        link = page.locator(f"#leaderboard-file a[href$='.{ending}']").first
        link.wait_for()
        return page.request.get(urljoin(app_url, link.get_attribute("href"))).body()

    latex = exported("LaTeX", "tex")
    assert latex.startswith(b"% Needs")
    assert rf"% {app_url}/?tab=leaderboard&d=koniq-10k,spaq&from=q-debias".encode() in latex
    assert rb"\textbf{0.838}" in latex
    table = exported("CSV", "csv")
    assert table.startswith(b"position,")
    assert len(table.decode().splitlines()) == len(rows(page)) + 1
    assert exported("BibTeX", "bib").startswith(b"% Datasets in view")
    page.get_by_role("button", name="Cite").click()
    page.get_by_text("pan2024qdebias").first.wait_for()
    cited = page.locator(".cm-content").first.inner_text()
    assert f"{app_url}/?tab=leaderboard&d=koniq-10k,spaq&from=q-debias" in cited
    assert exported("Figure as PDF", "pdf").startswith(b"%PDF")


def test_a_malformed_link_is_a_sentence_and_reset_goes_back_to_the_default_view(open_page):
    page = opened(open_page, "?tab=leaderboard&q=spatter&metric=plcc&d=siqad,%FF%00nothing&fig=<b>&rev=77")
    expect_caption(page, f"{count('?tab=leaderboard&q=spatter&metric=plcc&d=siqad')}, PLCC")
    notes = page.locator(".lb-notes").first
    notes.get_by_text("it was ignored").first.wait_for()
    text = notes.inner_text()
    assert "There is no figure '<b>' here" in text
    assert "There is no data revision '77' here" in text
    page.get_by_role("button", name="Reset", exact=True).click()
    expect_caption(page, f"{count(OPENS_WITH)}, SRCC")
    assert urlsplit(copied_link(page)).query.startswith("tab=leaderboard&show=comparable&costs=1&rev=")
    assert count(OPENS_WITH).startswith(f"{len(rows(page))} of"), "emptying the search box is no change of its own"
    assert page.get_by_label("Search").first.input_value() == ""
    assert page.locator(".lb-notes").first.is_hidden()


def test_a_link_opens_the_data_of_its_revision(open_page):
    from leaderboard.links import board_of, decode
    from leaderboard.tables import table

    link = "?tab=leaderboard&d=spaq&rev=1"
    page = opened(open_page, link)
    note = page.locator(".lb-notes").first
    note.get_by_text("You see data revision 1 of").wait_for()
    board = board_of(link)
    old = table(board, decode(link, board=board).view)
    expect_caption(page, old.sentence[:60])
    copied_link(page, "rev=1")  # what the page asks of its own accord when it opens sets the controls
    page.get_by_label("Published", exact=True).click()
    assert "rev=1" in copied_link(page, "origin=published"), "a choice stays with the revision"
    page.get_by_role("button", name="Reset", exact=True).click()
    expect_caption(page, f"{count(OPENS_WITH)}, SRCC")


def test_back_forward_and_reload_keep_tab_and_view(open_page):
    def at(tab: str, part: str = "") -> None:
        page.wait_for_function("""([tab, part]) => location.search.includes(part)
          && document.querySelector('.rooms [role=tab][aria-selected=true]')?.dataset.tabId === tab""", arg=[tab, part])

    page = open_page()
    page.locator("#score-run").wait_for()
    open_tab(page, "About")
    at("about", "tab=about")
    open_tab(page, "Leaderboard")
    expect_caption(page, f"{count(OPENS_WITH)}, SRCC")
    page.locator("#leaderboard-figure .main-svg").first.wait_for()
    page.get_by_label("Training-free").click()
    free = f"{count(OPENS_WITH + '&training=free')}, SRCC"
    expect_caption(page, free)
    at("leaderboard", "training=free")
    page.get_by_label("Heat map").click()
    at("leaderboard", "fig=heat")
    page.locator("#leaderboard-figure .cbfill, #leaderboard-figure .heatmaplayer image").first.wait_for()
    assert page.evaluate("""() => [...document.querySelectorAll('#leaderboard-figure svg *')].every(
      (node) => !/url\\(.?http/.test(`${node.getAttribute('style')} ${node.getAttribute('clip-path')}`))"""), (
        "a figure that names its parts by the page's address loses them under the next one")
    page.go_back()
    at("leaderboard", "training=free")
    page.go_back()
    expect_caption(page, f"{count(OPENS_WITH)}, SRCC")
    page.go_back()
    at("about")
    page.go_forward()
    at("leaderboard")
    page.go_forward()
    expect_caption(page, free)
    address = page.evaluate("location.search").replace("&__theme=light", "")
    page = opened(open_page, address)  # what a reload does, which would cut off what is under way
    expect_caption(page, free)
    assert page.get_by_label("Training-free").is_checked()
