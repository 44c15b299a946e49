"""No payload makes the server read a file of its own, through any component of any tab.

The file that a payload names is a named pipe: a server that opened it would wait on it, and would be seen as its
reader. So a refusal that arrives, with no reader on the pipe, shows that the file was never opened.
"""

from __future__ import annotations

import errno
import json
import os
import urllib.request

import pytest

from tests.ui.plain_http import call, through_queue
from ui.components.uploads import REFUSED
from ui.visit.page import PROBLEMS

FILE_COMPONENTS = {"image", "gallery", "imageslider", "file", "uploadbutton", "imageeditor", "annotatedimage",
                   "multimodaltextbox", "video", "audio", "downloadbutton", "model3d", "chatbot"}


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "secret.png"
    os.mkfifo(path)
    return path


def assert_nobody_reads(pipe):
    with pytest.raises(OSError) as caught:  # noqa: PT011  the number is checked below
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    assert caught.value.errno == errno.ENXIO


def _payloads(kind, path):
    """Ways to name a file of the server: marked as a file or not, and however the component nests it."""
    bare = {"path": path}
    marked = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for file in (bare, {**bare, "url": f"file://{path}"}, {**bare, "orig_name": "x.svg"}, marked):
        if kind == "gallery":
            yield [{"image": file, "caption": None}]
            yield [{"video": file, "caption": None}]
        elif kind == "imageslider":
            yield [file, file]
        elif kind == "multimodaltextbox":
            yield {"text": "", "files": [file]}
        else:
            yield file
            if kind in ("file", "uploadbutton"):
                yield [file]


@pytest.fixture(scope="module")
def doors(app_url):
    """Every (event, input, kind of component) through which a file can come in."""
    with urllib.request.urlopen(f"{app_url}/config", timeout=20) as answer:
        config = json.load(answer)
    components = {component["id"]: component for component in config["components"]}
    doors_by_name = []
    for index, event in enumerate(config["dependencies"]):
        for place, identity in enumerate(event["inputs"]):
            kind = components[identity]["type"]
            if kind in FILE_COMPONENTS:
                defaults = [components[other]["props"].get("value") for other in event["inputs"]]
                doors_by_name.append((event.get("id", index), place, kind, defaults))
    return doors_by_name


def test_the_page_has_such_doors(doors):
    assert "image" in {kind for _, _, kind, _ in doors}


def test_every_door_refuses_a_file_of_the_server(app_url, doors, pipe):
    for index, place, kind, defaults in doors:
        for payload in _payloads(kind, str(pipe)):
            data = [*defaults[:place], payload, *defaults[place + 1 :]]
            message = through_queue(app_url, index, data)
            assert message["success"] is False, f"{kind} of event {index} accepted {payload}"
            assert message["output"].get("error") == REFUSED, f"{kind} of event {index}, {payload}: {message}"
            assert_nobody_reads(pipe)


@pytest.mark.parametrize("named", [
    {"path": "/etc/passwd"}, {"path": "assets/../app.py"}, {"path": ""}, {"path": "\0"}, {"path": "~/.ssh/id_rsa"},
    {"path": "file:///etc/passwd"}, {"path": "http://127.0.0.1/x.png"},
])  # fmt: skip
def test_the_named_endpoint_refuses_with_a_sentence(app_url, named):
    ending, said = call(app_url, "score", [named, "q-bench", None, {}])
    assert ending == "error"
    assert "passwd:" not in said
    assert "root:" not in said
    assert "upload" in said


def test_a_link_in_the_upload_folder_does_not_lead_out(tmp_path, monkeypatch):
    import gradio as gr

    from ui.components import upload_path

    folder, outside = tmp_path / "uploads", tmp_path / "outside.png"
    folder.mkdir()
    outside.write_bytes(b"private")
    (folder / "link.png").symlink_to(outside)
    (folder / "own.png").write_bytes(b"mine")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    assert upload_path(folder / "own.png") == str(folder / "own.png")
    with pytest.raises(gr.Error, match="not one of your uploads"):
        upload_path(folder / "link.png")


@pytest.mark.parametrize("sent", [{"paths": ["/etc/passwd"]}, {"paths": ["app.py", "README.md"]}])
def test_what_the_page_s_script_says_has_arrived_is_an_upload_or_refused(app_url, sent):
    with urllib.request.urlopen(f"{app_url}/config", timeout=20) as answer:
        config = json.load(answer)
    (visit,) = [one["id"] for one in config["components"] if one["props"].get("elem_id") == "visit"]
    (index,) = [event["id"] for event in config["dependencies"]
                if event["backend_fn"] and [visit, "upload"] in event["targets"]]
    message = through_queue(app_url, index, [], event_data=sent)
    assert message["success"] is False
    assert message["output"].get("error") == REFUSED


@pytest.mark.parametrize("typed", ["photo.jpg", "/etc/passwd", "ftp://example.org/a.jpg", " "])
def test_what_is_no_web_address_is_said_to_be_none(app_url, typed):
    with urllib.request.urlopen(f"{app_url}/config", timeout=20) as answer:
        config = json.load(answer)
    (field,) = [one["id"] for one in config["components"] if one["props"].get("elem_id") == "score-address"]
    (index,) = [event["id"] for event in config["dependencies"]
                if event["backend_fn"] and [field, "submit"] in event["targets"]]
    message = through_queue(app_url, index, [typed])
    assert message["success"] is False
    assert message["output"].get("error") == PROBLEMS["address"]
