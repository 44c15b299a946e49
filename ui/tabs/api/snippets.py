"""The API page's snippets as data. Each runs as printed beside a file called photo.jpg; the tests run every one."""

from __future__ import annotations

from dataclasses import dataclass

MCP_PATH = "/gradio_api/mcp/"


@dataclass(frozen=True)
class Endpoint:
    """Attributes:
    name: of the endpoint, without its slash.
    text: what it does, Markdown.
    parameters: (name, type, meaning).
    languages: of its snippets.
    """

    name: str
    title: str
    text: str
    parameters: tuple[tuple[str, str, str], ...]
    languages: tuple[str, ...] = ("Python", "curl")


PICTURE = ("file", "the photo: `handle_file(...)` in Python, the path of an upload over HTTP, by MCP an address or "
           "data: URL")
PICTURES = ("list of files", "as above; in a list, addresses and data: URLs may stand as plain text")

ENDPOINTS = (
    Endpoint("score", "score", "One photo, one method: the score and everything that led to it.", (
        ("picture", *PICTURE), ("method", "str", "name of the method"),
        ("lmm", "str or null", "name of the model; null takes the method's default"),
        ("options", "object", "changes to the method's defaults, such as `{\"seed\": 1}`; `max_pixels` among them "
                              "shows the model fewer pixels of the photo"),
    )),
    Endpoint("compare", "compare", "Photos by methods and models: every score with its spread and time, preferences, "
             "agreement, and a sentence on where they differ.", (
                 ("pictures", *PICTURES), ("methods", "list of str", "names of methods"),
                 ("lmms", "list of str or null", "models that every method runs on; null takes the defaults"),
                 ("options", "object or null", "by method name, changes to its defaults"),
             )),
    Endpoint("rank", "rank", "Two to twelve photos in order of quality, with pairwise preferences.", (
        ("pictures", *PICTURES), ("method", "str", "name of the method; `leaf` if left out"),
        ("lmm", "str or null", "name of the model"), ("options", "object or null", "changes to the method's defaults"),
    )),
    Endpoint("leaderboard", "leaderboard", "The leaderboard's table of any link that its tab gives, as text.", (
        ("link", "str", "a link or its query; empty for the default view"),
        ("format", "str", "`csv`, `markdown` or `latex`"),
    )),
    Endpoint("mcp", "MCP", "The four are also tools of an MCP server, for assistants that speak the Model Context "
             "Protocol: give them the address below, ending in `/gradio_api/mcp/`.", (), ("MCP client",)),
)

_PYTHON = {
    "score": """
from gradio_client import Client, handle_file

client = Client("{address}")
result = client.predict(picture=handle_file("photo.jpg"), method="q-bench", lmm=None, options={{"seed": 1}},
                        api_name="/score")
print(result["score"], result["explanation"])
""",
    "compare": """
from gradio_client import Client, handle_file

client = Client("{address}")
result = client.predict(pictures=[handle_file("photo.jpg")], methods=["q-bench", "leaf"], api_name="/compare")
for cell in result["cells"]:
    print(result["systems"][cell["system"]]["title"], cell["score"], cell["seconds"])
print(result["summary"]["verdict"])
""",
    "rank": """
from gradio_client import Client, handle_file

client = Client("{address}")
photos = [handle_file("photo.jpg"), handle_file("photo.jpg")]
result = client.predict(pictures=photos, method="leaf", api_name="/rank")
print(result["ranking"], result["preferences"])
""",
    "leaderboard": """
from gradio_client import Client

client = Client("{address}")
print(client.predict(link="?d=koniq-10k,spaq&m=iqarag", format="markdown", api_name="/leaderboard"))
""",
}

_UPLOAD = """
ADDRESS={address}
# Upload first; the answer is the path of the upload.
PHOTO=$(curl -sf -F "files=@photo.jpg" $ADDRESS/gradio_api/upload | tr -d '[]"')
""".lstrip("\n")

_CALL = """
# A call gives the id of an event, under which its result can be fetched.
EVENT=$(curl -sf $ADDRESS/gradio_api/call/{name} -H "Content-Type: application/json" -d "{{\\"data\\": [{data}]}}" \\
  | grep -o '[0-9a-f]\\{{32\\}}')
curl -sfN $ADDRESS/gradio_api/call/{name}/$EVENT
""".lstrip("\n")

_FILE = '{\\"path\\": \\"$PHOTO\\", \\"meta\\": {\\"_type\\": \\"gradio.FileData\\"}}'
_DATA = {
    "score": f'{_FILE}, \\"q-bench\\", null, {{}}',
    "compare": f'[{_FILE}], [\\"q-bench\\", \\"leaf\\"], null, null',
    "rank": f'[{_FILE}, {_FILE}], \\"leaf\\", null, null',
    "leaderboard": '\\"?d=koniq-10k,spaq\\", \\"csv\\"',
}

_MCP = """
import asyncio, base64

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


async def main():
    async with streamable_http_client("{address}{path}") as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            print([tool.name for tool in (await session.list_tools()).tools])
            photo = "data:image/jpeg;base64," + base64.b64encode(open("photo.jpg", "rb").read()).decode()
            answer = await session.call_tool("rank", {{"pictures": [photo, photo], "method": "leaf"}})
            print(answer.content[0].text)


asyncio.run(main())
""".lstrip("\n")


def snippets(address: str) -> dict[tuple[str, str], str]:
    """(endpoint, language) -> code, for the app at an address without a slash at its end."""
    texts = {}
    for name, text in _PYTHON.items():
        texts[name, "Python"] = text.strip("\n").format(address=address)
        start = f"ADDRESS={address}\n" if name == "leaderboard" else _UPLOAD.format(address=address)
        texts[name, "curl"] = start + _CALL.format(name=name, data=_DATA[name]).strip("\n")
    texts["mcp", "MCP client"] = _MCP.strip("\n").format(address=address, path=MCP_PATH)
    return texts
