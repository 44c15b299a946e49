"""Which files of Gradio's front end the page opens with, named in its head so that they come all at once.

Gradio's script learns of them in four steps, each of which waits for the one before: itself, the page, the list of its
components, the parts of each. The style sheets of the components, forty of two kilobytes each, come as one. Where a
version of Gradio writes its lists in another way, nothing is named, and its script finds its files itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from methods import files

FOLDER = Path(gr.__file__).parent / "templates" / "frontend"

_FILES = re.compile(r"m\.f=\[(.*?)\]")
_KIND = re.compile(r"(?<=[{,])(\w+):\{((?:\w+:\(\)=>\w+\(.*?import\.meta\.url\),?)+)\}")
_VARIANT = re.compile(r"(\w+):\(\)=>.*?__vite__mapDeps\(\[([\d,]*)\]\)")
_LOADED = re.compile(r"import\(`\./(\w+)-[\w-]+\.js`\)[^`]{0,60}?__vite__mapDeps\(\[([\d,]*)\]\)")


def links(config: Mapping[str, object]) -> str:
    """HTML for the head of the page with this config; "" where Gradio's lists cannot be read."""
    modules, styles = _opening(_kinds(config))
    if not modules:
        return ""
    # A link that is disabled is not fetched, and keeps Gradio's script from fetching that file.
    return "".join([f'<link rel="modulepreload" crossorigin href="./assets/{name}">' for name in modules]
                   + [f'<link rel="stylesheet" href="./assets/{_sheet(styles)[0]}">']
                   + [f'<link rel="stylesheet" disabled href="./assets/{name}">' for name in styles])


def routes() -> list[Route]:
    """Serves the one style sheet, so that the addresses in it hold."""
    return [Route("/assets/opening-{mark}.css", _answer)]


async def _answer(request: Request) -> Response:
    name, text = _sheet(_opening(_kinds(request.app.get_blocks().config))[1])
    if request.url.path.rpartition("/")[2] != name:
        return Response(status_code=404)
    return Response(text, media_type="text/css")


def _kinds(config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Type and variant of every component that Gradio's script loads with the page, those of closed tabs among them."""
    there = [one for one in config.get("components", ()) if one["props"].get("visible", True)]
    kinds = [(one["type"], "component") for one in there]
    kinds += [(str(kind), "example") for one in there if one["type"] == "dataset"
              for kind in one["props"].get("components", ())]
    return tuple(dict.fromkeys(kinds))


@cache
def _opening(kinds: tuple[tuple[str, str], ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Scripts and style sheets of these components and of the page itself, without those that its HTML names."""
    by_kind, page = _lists()
    if not by_kind or not page:
        return (), ()
    first = (FOLDER / "index.html").read_text("utf-8")
    names = dict.fromkeys([*page, *(name for kind in kinds for name in by_kind.get(kind, ()))])
    rest = [name for name in names if name not in first and (FOLDER / "assets" / name).is_file()]
    return (tuple(name for name in rest if name.endswith(".js")),
            tuple(name for name in rest if name.endswith(".css")))


@cache
def _lists() -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """The files of each component's variants, and those of the page itself."""
    by_kind: dict[tuple[str, str], list[str]] = {}
    page: list[str] = []
    for script in sorted((FOLDER / "assets").glob("core-*.js")):
        text = script.read_text("utf-8")
        for kind, variants in _KIND.findall(text):
            for variant, places in _VARIANT.findall(variants):
                by_kind[kind, variant] = _named(text, places)
    for start in ("index", "Index"):
        for script in sorted((FOLDER / "assets").glob(f"{start}-*.js")):
            text = script.read_text("utf-8")
            for name, places in _LOADED.findall(text):
                if name == {"index": "Index", "Index": "Blocks"}[start]:
                    page += _named(text, places)
    return by_kind, page


def _named(text: str, places: str) -> list[str]:
    """The files at these places of a script's list."""
    listed = _FILES.search(text)
    names = re.findall(r'"\./(.*?)"', listed[1]) if listed else []
    return [names[int(place)] for place in places.split(",") if place and int(place) < len(names)]


@cache
def _sheet(styles: tuple[str, ...]) -> tuple[str, str]:
    """Name and text of these style sheets in one."""
    text = "\n".join((FOLDER / "assets" / name).read_text("utf-8") for name in styles)
    return f"opening-{files.hash_joined([text])[:8]}.css", text
