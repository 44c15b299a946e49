"""Whatever is sent to an endpoint by plain HTTP is answered: with a score, or with one sentence on what is wrong."""

from __future__ import annotations

import base64
import io
import json
import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.ui.plain_http import call, file, post, upload
from ui.components import EXAMPLES
from ui.errors import UNEXPECTED

COFFEE = EXAMPLES / "coffee.jpg"
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture(scope="module")
def photo(app_url):
    return file(upload(app_url, COFFEE))


def refusal(app_url, endpoint, data) -> str:
    ending, said = call(app_url, endpoint, data)
    assert ending == "error", said
    assert isinstance(said, str), "an error without a message"
    assert said != UNEXPECTED
    assert not any(part in said for part in ("Errno", "Traceback", "Error:", "\n")), said
    return said


@pytest.mark.parametrize(("endpoint", "takes"), [
    ("score", "takes 4 values (picture, method, lmm, options)"),
    ("compare", "takes 4 values (pictures, methods, lmms, options)"),
    ("rank", "takes 4 values (pictures, method, lmm, options)"), ("leaderboard", "takes 2 values (link, format)"),
    ("leaf", "takes 5 values"), ("iqarag", "values"), ("llm_iqa", "values"), ("q_debias", "values"),
])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_wrong_number_of_values_is_counted(app_url, endpoint, takes, count):
    said = refusal(app_url, endpoint, [None] * count)
    assert takes in said
    assert f"; {count} came." in said


def wrong_pictures(folder: str):
    """Payloads in the place of a photo that name none."""
    marked = {"_type": "gradio.FileData"}
    return [
        7, True, [], {}, [None], "photo", {"path": None}, {"path": 7}, {"path": ""}, file(folder),
        file(f"{folder}/none.png"),
        file("a" * 9000), file(f"{folder}/{'a' * 900}"), file("\0"), file("~"), {"url": "data:,"}, {"url": "data:"},
        {"url": "data:image/png;base64,AAAA"}, "data:image/png;base64,!!!", "data:image/png;base64," + "A" * 401,
        file("http://127.0.0.1:1/x.png"), {"url": "http://127.0.0.1:1/x.png"}, {"url": "http://["}, file("http://["),
        {"path": f"{folder}/coffee.jpg", "size": "x", "meta": marked}, {"path": "x", "meta": 7},
    ]


@pytest.mark.parametrize("number", range(len(wrong_pictures(""))))
def test_what_names_no_photo_is_refused(app_url, photo, number):
    wrong = wrong_pictures(os.path.dirname(photo["path"]))[number]
    refusal(app_url, "score", [wrong, "q-bench", None, {}])
    if wrong != {"path": f"{os.path.dirname(photo['path'])}/coffee.jpg", "size": "x", "meta": photo["meta"]}:
        refusal(app_url, "compare", [[wrong], ["leaf"], None, None])
        refusal(app_url, "rank", [[photo, wrong], "leaf", None, None])


OPTIONS = [
    ({"seed": 10**30}, "seed"), ({"seed": 10**400}, "seed"), ({"seed": -1}, "seed"), ({"seed": 0.5}, "seed"),
    ({"seed": NAN}, "seed"), ({"seed": INFINITY}, "seed"), ({"seed": "1"}, "seed"), ({"seed": None}, "seed"),
    ({"seed": True}, "seed"), ({"seed": [1]}, "seed"), ({"temperature": NAN}, "temperature"),
    ({"temperature": -INFINITY}, "temperature"), ({"temperature": "hot"}, "temperature"),
    ({"temperature": {}}, "temperature"), ({"question": 7}, "question"), ({"question": ["five-level"]}, "question"),
    ({"question": {"a": 1}}, "question"), ({"": 1}, "no option ''"), ({"lmm": "embedded"}, "no option 'lmm'"),
    ([], "options must be a mapping"), ("{}", "options must be a mapping"), (3, "options must be a mapping"),
]


@pytest.mark.parametrize(("options", "sentence"), OPTIONS)
def test_wrong_options_are_named(app_url, photo, options, sentence):
    assert sentence in refusal(app_url, "score", [photo, "q-bench", None, options])
    assert sentence in refusal(app_url, "rank", [[photo, photo], "q-bench", None, options])
    inner = {"q-bench": options} if isinstance(options, dict) else options
    assert sentence in refusal(app_url, "compare", [[photo], ["q-bench"], None, inner])


@pytest.mark.parametrize(("data", "sentence"), [
    ([None, "q-bench", None, {}], "Add a photo"), ([None, None, None, None], "Name a method"),
    (["photo", ["q-bench"], None, {}], "method must be text"), (["photo", {"a": 1}, None, {}], "list of choices"),
    (["photo", 7, None, {}], "list of choices"), (["photo", "q-bench", 7, {}], "list of choices"),
    (["photo", "q-bench", [], {}], "lmm must be text"), (["photo", "q-debias", None, {"distortions": []}], "at least"),
    (["photo", "q-debias", None, {"distortions": [["fog"]]}], "must be one of"),
    (["photo", "visualquality-r1", None, {"samples": 10**9}], "between 1 and 32"),
    (["photo", "iqarag", None, {"reference_set": "/etc"}], "cannot be set"),
])
def test_score_says_which_argument_is_wrong(app_url, photo, data, sentence):
    assert sentence in refusal(app_url, "score", [photo if data[0] == "photo" else None, *data[1:]])


@pytest.mark.parametrize(("data", "sentence"), [
    ([None, None, None, None], "pictures must be a list"), (["photo", "leaf", None, None], "methods must be a list"),
    (["photo", None, None, None], "methods must be a list"), (["photo", [7], None, None], r"methods[0] must be text"),
    (["photo", ["leaf", None], None, None], "methods[1] must be text"),
    (["photo", ["leaf"], "x", None], "lmms must be"),
    (["photo", ["leaf"], [7], None], "lmms[0] must be text"), (["photo", ["leaf"], None, []], "options must be"),
    (["photo", ["leaf"], None, {"leaf": 7}], "options must be"), (["photo", ["leaf"], None, {"none": {}}], "no method"),
    (["photo", [""], None, None], "no method ''"), (["photo", ["leaf"], ["/etc"], None], "does not offer"),
])
def test_compare_says_which_argument_is_wrong(app_url, photo, data, sentence):
    given = [[photo] if data[0] == "photo" else None, *data[1:]]
    assert sentence in refusal(app_url, "compare", given)


@pytest.mark.parametrize(("data", "sentence"), [
    ([None, "leaf", None, None], "pictures must be a list"), (["photos", None, None, None], "method must be text"),
    (["photos", ["leaf"], None, None], "method must be text"), (["photos", "leaf", 7, None], "lmm must be text"),
    (["photos", "none", None, None], "no method"), (["photos", "leaf", None, {"leaf": {}}], "no option 'leaf'"),
])
def test_rank_says_which_argument_is_wrong(app_url, photo, data, sentence):
    given = [[photo, photo] if data[0] == "photos" else None, *data[1:]]
    assert sentence in refusal(app_url, "rank", given)


@pytest.mark.parametrize(("data", "sentence"), [
    ([None, "csv"], "link must be text"), ([7, "csv"], "link must be text"), ([["a"], "csv"], "link must be text"),
    (["", None], "format must be text"), (["", 7], "format must be text"), (["", "pdf"], "format is one of"),
])
def test_leaderboard_says_which_argument_is_wrong(app_url, data, sentence):
    assert sentence in refusal(app_url, "leaderboard", data)


@pytest.mark.parametrize("link", ["x" * 10**6, "?d=\0\ud800", "?m=%FF", "?" + "&".join(f"d=a{n}" for n in range(5000))])
def test_any_link_gives_a_table(app_url, link):
    ending, (table,) = call(app_url, "leaderboard", [link, "csv"])
    assert ending == "complete"
    assert table.startswith("position,")


def pixels() -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:120] / 90
    return np.stack([np.sin(9 * columns), np.cos(7 * rows), np.sin(5 * rows * columns)], axis=-1) * 100 + 128


def encoded(mode: str, kind: str, **settings) -> bytes:
    image = Image.fromarray(pixels().astype(np.uint8)).convert(mode)
    content = io.BytesIO()
    image.save(content, kind, **settings)
    return content.getvalue()


def deep() -> bytes:
    content = io.BytesIO()
    Image.fromarray((pixels()[..., 0] * 250).astype(np.uint16)).save(content, "PNG")
    return content.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("RGB", "JPEG", exif=exif, quality=90)


@pytest.mark.parametrize(("name", "content", "kind"), [
    ("cmyk.jpg", encoded("CMYK", "JPEG"), "image/jpeg"), ("grey.jpg", encoded("L", "JPEG"), "image/jpeg"),
    ("turned.jpg", turned(), "image/jpeg"), ("deep.png", deep(), "image/png"),
    ("alpha.png", encoded("RGBA", "PNG"), "image/png"), ("palette.png", encoded("P", "PNG"), "image/png"),
    ("cmyk.tif", encoded("CMYK", "TIFF"), "image/tiff"), ("lab.tif", encoded("RGB", "TIFF"), "image/tiff"),
    ("anything.webp", encoded("RGB", "WEBP", quality=80), "application/octet-stream"),
    ("misnamed.gif", encoded("L", "GIF"), "image/png"),
])
def test_a_photo_scores_the_same_however_it_arrives(app_url, tmp_path, name, content, kind):
    path = Path(tmp_path / name)
    path.write_bytes(content)
    sent = file(upload(app_url, path))
    address = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    ending, (by_upload,) = call(app_url, "score", [sent, "q-bench", None, {}])
    assert ending == "complete"
    for payload in ({"url": address, "meta": sent["meta"]}, {"url": address}, {"path": address}, address):
        ending, answer = call(app_url, "score", [payload, "q-bench", None, {}])
        assert ending == "complete", answer
        assert (answer[0]["score"], answer[0]["image_notes"]) == (by_upload["score"], by_upload["image_notes"])
    ending, (compared,) = call(app_url, "compare", [[address, sent], ["q-bench"], None, None])
    assert ending == "complete"
    assert {cell["score"] for cell in compared["cells"]} == {by_upload["score"]}


@pytest.mark.parametrize(("path", "body", "status", "sentence"), [
    ("call/nope", {"data": []}, 404, "There is no endpoint 'nope'; the API tab lists those there are."),
    ("call/score", {"data": 7}, 422, "The request cannot be read;"), ("call/score", {}, 422, "send JSON such as"),
    ("call/score", [], 422, "send JSON such as"),
])
def test_a_request_that_gradio_refuses_is_one_sentence(app_url, path, body, status, sentence):
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(f"{app_url}/gradio_api/{path}", body)
    assert refused.value.code == status
    assert sentence in json.load(refused.value)["detail"]
