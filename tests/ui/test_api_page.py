"""The API page: its snippets run as printed, every endpoint says what it takes, and the MCP tools are those four."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.conftest import REPOSITORY
from ui.components import EXAMPLES
from ui.tabs.api.snippets import ENDPOINTS, MCP_PATH, snippets
from ui.tabs.api.tab import MCP_ENDPOINTS, at_address

COFFEE, DARK = (str(EXAMPLES / name) for name in ("coffee.jpg", "coffee-dark-and-noisy.jpg"))
SAYS = {"score": "probability", "compare": "LEAF", "rank": "index", "leaderboard": "KonIQ", "mcp": "leaderboard"}
PRINTED = [(endpoint.name, language) for endpoint in ENDPOINTS for language in endpoint.languages]


@pytest.mark.parametrize(("name", "language"), PRINTED)
def test_a_snippet_runs_as_printed(app_url, tmp_path, name, language):
    shutil.copy(COFFEE, tmp_path / "photo.jpg")
    code = snippets(app_url)[name, language]
    if language == "curl":
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed here")
        command = ["bash", "-euo", "pipefail", "-c", code]
    else:
        command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    wanted = SAYS[name].lower()
    assert wanted in done.stdout.lower(), done.stdout[-2000:]
    assert "event: error" not in done.stdout
    if name == "mcp":
        assert done.stdout.splitlines()[0] == str(list(MCP_ENDPOINTS))
        assert "ranking" in done.stdout


def test_the_readme_s_snippet_runs_as_printed_but_for_the_address(app_url):
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "gradio_client" in block]
    done = subprocess.run([sys.executable, "-c", code.replace("http://127.0.0.1:7860", app_url)], cwd=REPOSITORY,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 <= float(done.stdout.splitlines()[-1]) <= 1  # the client says first that it is connected


def test_no_table_on_the_page_is_empty(app_url):
    config = json.loads(urllib.request.urlopen(f"{app_url}/config").read())
    texts = [one["props"].get("value") or "" for one in config["components"] if one["type"] == "markdown"]
    tables = [text for text in texts if "| Name | Type | Meaning |" in text]
    assert len(tables) == sum(bool(endpoint.parameters) for endpoint in ENDPOINTS)
    assert all(re.search(r"\|---\|\n\| `", text) for text in tables)


def test_the_page_prints_them_for_the_visitor_s_address():
    snippets = at_address("https://example.org/space")
    assert len(snippets) == len(PRINTED)
    assert all("https://example.org/space" in code for code in snippets)
    for odd in ("", None, "javascript:alert(1)", 'http://x"; import os; "', "http://a\nb", "file:///etc/passwd"):
        assert all("http://127.0.0.1:7860" in code for code in at_address(odd))


@pytest.mark.parametrize("name", MCP_ENDPOINTS)
def test_every_parameter_is_named_and_typed(client, name):
    endpoint = client.view_api(return_format="dict", print_info=False)["named_endpoints"][f"/{name}"]
    documented = [row[0] for one in ENDPOINTS if one.name == name for row in one.parameters]
    assert [parameter["parameter_name"] for parameter in endpoint["parameters"]] == documented
    assert all(parameter["python_type"]["type"] not in ("", "Any") for parameter in endpoint["parameters"])


def test_compare_gives_each_score_with_what_led_to_it(client):
    answer = client.predict(pictures=[handle_file(COFFEE), handle_file(DARK)], methods=["q-bench", "leaf"],
                           options={"q-bench": {"question": "five-level"}}, api_name="/compare")
    by_place = {(cell["picture"], cell["system"]): cell for cell in answer["cells"]}
    assert sorted(by_place) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert answer["systems"][0]["options"] == {"question": "five-level"}
    assert len(by_place[0, 0]["evidence"]["words"]) == 5
    assert by_place[0, 0]["score"] > by_place[1, 0]["score"]
    assert all("@" in cell["lmm"] and cell["seconds"] > 0 for cell in answer["cells"])
    assert answer["summary"]["agreement"][0]["pairs"] == 1
    assert "torch" in answer["versions"]
    alone = client.predict(handle_file(COFFEE), "q-bench", None, {"question": "five-level"}, api_name="/score")
    assert by_place[0, 0]["score"] == alone["score"]


def test_rank_puts_the_better_picture_first(client):
    answer = client.predict(pictures=[handle_file(DARK), handle_file(COFFEE)], method="visualquality-r1",
                           options={"samples": 3}, api_name="/rank")
    assert [one["index"] for one in answer["ranking"]] == [1, 0]
    assert answer["preferences"][1][0] > 0.5
    assert answer["preferences"][1][0] + answer["preferences"][0][1] == pytest.approx(1)


@pytest.mark.parametrize(("endpoint", "arguments", "sentence"), [
    ("compare", {"pictures": [], "methods": ["leaf"]}, "Add a photo"),
    ("compare", {"pictures": ["/etc/passwd"], "methods": ["leaf"]}, "not one of your uploads"),
    ("compare", {"pictures": [{"path": "/etc/passwd"}], "methods": ["leaf"]}, "not one of your uploads"),
    ("compare", {"pictures": ["http://127.0.0.1:1/a.png"], "methods": ["leaf"]}, "could not be fetched"),
    ("compare", {"pictures": ["data:image/png;base64,!"], "methods": ["leaf"]}, "damaged or incomplete"),
    ("compare", {"pictures": [7], "methods": ["leaf"]}, "must be text or a mapping"),
    ("compare", {"pictures": "photo", "methods": ["leaf"]}, "pictures must be a list"),
    ("compare", {"pictures": [handle_file(COFFEE)], "methods": ["no-method"]}, "There is no method"),
    ("compare", {"pictures": [handle_file(COFFEE)], "methods": []}, "at least one method"),
    ("compare", {"pictures": [handle_file(COFFEE)], "methods": ["q-bench"], "lmms": ["someone/any"]}, "does not offer"),
    ("compare", {"pictures": [handle_file(COFFEE)], "methods": ["q-bench"], "options": {"q-bench": {"sed": 1}}},
     "There is no option"),
    ("compare", {"pictures": [handle_file(COFFEE)], "methods": ["q-bench"], "options": {"other": {}}}, "no method"),
    ("compare", {"pictures": [handle_file(COFFEE)], "methods": ["iqarag"], "options":
                 {"iqarag": {"reference_set": "/etc"}}}, "cannot be set from the page"),
    ("compare", {"pictures": [handle_file(COFFEE)] * 13, "methods": ["leaf"]}, "up to 12"),
    ("rank", {"pictures": [handle_file(COFFEE)]}, "at least two"),
    ("leaderboard", {"link": "", "format": "pdf"}, "format is one of"),
])  # fmt: skip
def test_wrong_requests_are_a_sentence(client, endpoint, arguments, sentence):
    with pytest.raises(AppError, match=sentence) as caught:
        client.predict(**arguments, api_name=f"/{endpoint}")
    assert "Traceback" not in str(caught.value)


def test_the_tools_say_what_they_take_and_take_an_address_or_the_picture_itself(app_url):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    photo = "data:image/jpeg;base64," + base64.b64encode((EXAMPLES / "coffee.jpg").read_bytes()).decode()

    async def talk():
        address = app_url + MCP_PATH
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            scored = await session.call_tool("score", {"picture": photo, "method": "leaf", "options": {"seed": 2}})
            refused = await session.call_tool("score", {"picture": "/etc/passwd"})
            return tools, scored, refused

    tools, scored, refused = asyncio.run(talk())
    assert [tool.name for tool in tools] == list(MCP_ENDPOINTS)
    for tool in tools:
        assert len(tool.description) > 30
        assert all(one.get("description") for one in tool.inputSchema["properties"].values()), tool.name
        json.dumps(tool.inputSchema)
    assert not scored.isError
    assert "'seed': 2" in scored.content[0].text
    assert refused.isError
    assert "root:" not in refused.content[0].text


def test_a_cmyk_jpeg_scores_the_same_as_a_data_address_and_as_an_upload(client, tmp_path):
    path = tmp_path / "print.jpg"
    with Image.open(EXAMPLES / "coffee.jpg") as photo:
        photo.convert("CMYK").save(path, quality=90)
    address = "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()
    pictures = (handle_file(path), {"url": address, "meta": {"_type": "gradio.FileData"}})
    scores = [client.predict(picture, "leaf", "embedded", {}, api_name="/score")["score"] for picture in pictures]
    assert scores[0] == scores[1]
