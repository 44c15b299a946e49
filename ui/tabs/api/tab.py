"""The app as an API: the endpoints `compare` and `rank`, MCP tools, and a page of snippets that run as printed.

`score` is made in the Score tab and `leaderboard` in its own; all four are typed by their Python signatures, from
which Gradio makes the reference, the client's completion and the tools that language models see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import gradio as gr

from methods.base import method_class
from methods.errors import InputError
from ui.comparison.exports import record, summary
from ui.comparison.records import Comparison
from ui.comparison.running import plan, run
from ui.components import plain_errors
from ui.components.options import as_options
from ui.components.page import enclosing, type_check
from ui.components.uploads import picture_file
from ui.serving import gpu, models
from ui.tabs.api.snippets import ENDPOINTS, snippets

TITLE = "API"

INTRO = """
Everything on this page can be called from Python with `gradio_client`, from any language over HTTP, and from an
assistant as MCP tools. Each snippet runs as it is: put one of your photos beside it as `photo.jpg`.

- A score lies between 0 and 1; higher is better. The same photo, options and seed give the same score.
- `method` and `lmm` are names from the lists at the end. `options` is a JSON object with the options to change.
- A call that cannot be answered ends in an error of one sentence. Calls wait for their turn behind earlier ones.
"""
HERE = "() => location.origin + location.pathname.replace(/\\/$/, '')"
ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]_~/%-]{1,200}")
DEFAULT_ADDRESS = "http://127.0.0.1:7860"
MCP_ENDPOINTS = ("score", "compare", "rank", "leaderboard")


def build(page: gr.Blocks) -> None:
    """Draws the page and makes its endpoints."""
    tab = enclosing(gr.Tab)
    address = gr.Textbox(visible=False)
    codes = []
    with gr.Column(elem_classes="about", elem_id="api-page"):
        gr.Markdown("## The app as an API\n" + INTRO)
        for endpoint in ENDPOINTS:
            gr.Markdown(f"### {endpoint.title}\n\n{endpoint.text}\n\n{_parameters(endpoint.parameters)}")
            with gr.Tabs():
                for language in endpoint.languages:
                    with gr.Tab(language, id=language.lower()):
                        codes.append(gr.Code(snippets(DEFAULT_ADDRESS)[endpoint.name, language], interactive=False,
                                             language="shell" if language == "curl" else "python", show_label=False))
        gr.Markdown(f"Names of the methods: {_methods()}. Names of the models here: {_models()}.")
    quiet = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    tab.select(None, None, address, js=HERE, **quiet).then(at_address, address, codes, **quiet)
    gr.api(compare, api_name="compare", **gpu.LONG_LANE)
    gr.api(rank, api_name="rank", **gpu.LONG_LANE)


def at_address(address: str | None) -> list[str]:
    """Every snippet for the address that the visitor's browser shows."""
    text = (address or "").strip()
    chosen = snippets(text if ADDRESS.fullmatch(text) else DEFAULT_ADDRESS)
    return [chosen[endpoint.name, language] for endpoint in ENDPOINTS for language in endpoint.languages]


def keep_tools(page: gr.Blocks) -> None:
    """Leaves the four documented endpoints as the MCP tools of a launched page, each under its own name.

    Gradio makes a tool of every named event and names it after its handler. The others draw on the page, which is of
    no use to a language model, and the handlers of several tabs are called alike.
    """
    server = page.mcp_server_obj
    if server is not None:
        server.tool_to_endpoint = {f"{server.tool_prefix}{name}": f"/{name}" for name in MCP_ENDPOINTS}


@plain_errors
@type_check
def compare(pictures: list[str | dict[str, Any]], methods: list[str], lmms: list[str] | None = None,
            options: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """Scores one or more images with one or more methods and models, and says where they agree and differ.

    Args:
        pictures: up to 12; each an uploaded file, an http(s) address or a data: URL.
        methods: names of the methods, for example ["q-bench", "leaf"].
        lmms: names of the models that every method runs on; each method's default if left out.
        options: for each method by name, changes to its default options.

    Returns:
        The record of the comparison: images, systems, cells (score, spread, seconds, model revision, options,
        evidence; or the error), versions, and a summary with the verdict, preferences and agreement.
    """
    done = _compared(pictures, methods, lmms or [], options or {})
    return record(done)


@plain_errors
@type_check
def rank(pictures: list[str | dict[str, Any]], method: str = "leaf", lmm: str | None = None,
         options: dict[str, Any] | None = None) -> dict[str, Any]:
    """Puts two to twelve images in order of quality with one method.

    Args:
        pictures: two to twelve; each an uploaded file, an http(s) address or a data: URL.
        method: name of the method.
        lmm: name of the model; the method's default if left out.
        options: changes to the method's default options, by name.

    Returns:
        ranking: best first, each with its index in `pictures`, name and score; preferences: the probability that the
        image of a row is better than that of a column; verdict: the same in a sentence.
    """
    if len(pictures) < 2:
        raise InputError("A ranking needs at least two photos.")
    done = _compared(pictures, [method], [lmm] if lmm else [], {method: options or {}})
    failed = [cell for cell in done.cells if cell.score is None]
    if failed:
        raise InputError(f"{done.pictures[failed[0].picture].name}: {failed[0].error}")
    answer = summary(done)
    return {
        "ranking": [{"index": index, "name": done.pictures[index].name, "score": done.cell(index, 0).score}
                    for index in answer["order"]],
        "preferences": answer["preferences"], "verdict": answer["verdict"], "method": method,
        "lmm": done.scored[0].lmm, "seconds": sum(cell.seconds for cell in done.scored), "versions": done.versions,
    }


def _compared(pictures: Sequence[Any], methods: Sequence[str], lmms: Sequence[str],
              options: dict[str, Any]) -> Comparison:
    known = models.available_methods()
    changes = {name: as_options(name, values) if name in known else values for name, values in options.items()}
    paths = [picture_file(one) for one in pictures]
    done = plan(paths, methods, lmms, changes)
    for done, _ in run(done, paths):  # noqa: B007, B020  the last one is complete
        pass
    return done


def _parameters(rows: Sequence[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    lines = "\n".join(f"| `{name}` | {kind} | {text} |" for name, kind, text in rows)
    return f"| Name | Type | Meaning |\n|---|---|---|\n{lines}"


def _methods() -> str:
    return ", ".join(f"`{name}` ({method_class(name).title})" for name in models.available_methods())


def _models() -> str:
    return ", ".join(f"`{name}`" for _, name in models.offered())
