"""The named endpoint `/score`, as a program uses it."""

from __future__ import annotations

import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from ui.components import EXAMPLES


@pytest.fixture(scope="module")
def photo():
    return handle_file(str(EXAMPLES / "coffee.jpg"))


def test_a_photo_is_scored_with_everything_that_led_to_it(client, photo):
    result = client.predict(photo, "q-bench", None, {}, api_name="/score")
    assert 0 <= result["score"] <= 1
    assert result["method"] == "q-bench"
    assert result["evidence"]["words"] == ["good", "poor"]
    assert sum(result["evidence"]["probabilities"]) == pytest.approx(1)
    assert result["score"] == pytest.approx(result["evidence"]["probabilities"][0])
    assert result["seconds"] > 0
    assert "@" in result["lmm"]


def test_the_same_request_gives_the_same_score(client, photo):
    first, second = (client.predict(photo, "q-bench", None, {"seed": 3}, api_name="/score") for _ in range(2))
    assert first["score"] == second["score"]


def test_options_reach_the_method(client, photo):
    plain = client.predict(photo, "q-bench", None, {}, api_name="/score")
    result = client.predict(photo, "q-bench", None, {"question": "five-level", "temperature": 100}, api_name="/score")
    assert len(result["evidence"]["words"]) == 5
    assert result["options"]["temperature"] == 100
    assert result["score"] != plain["score"]


def test_the_score_equals_the_library_s(client, photo):
    """The page decodes the visitor's own bytes, so nothing on the way may change a pixel."""
    from methods import load_method

    here = load_method("q-bench").assess(EXAMPLES / "coffee.jpg").score
    assert client.predict(photo, "q-bench", None, {}, api_name="/score")["score"] == pytest.approx(here, abs=1e-6)


def test_what_was_changed_in_the_picture_is_said(client, tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)).save(path)
    notes = client.predict(handle_file(str(path)), "q-bench", None, {}, api_name="/score")["image_notes"]
    assert any("16" in note for note in notes)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"tempreature": 2}, "did you mean"), ({"temperature": 0}, "between"), (["seed"], "mapping"),
])  # fmt: skip
def test_wrong_options_are_a_sentence(client, photo, options, sentence):
    with pytest.raises(AppError, match=sentence):
        client.predict(photo, "q-bench", None, options, api_name="/score")


@pytest.mark.parametrize(("method", "lmm"), [("q-bench", "someone/any-model"), ("q-bench", "/etc"), ("no-method", None),
                                             ("q-bench", "server:http://127.0.0.1:1/v1#x")])
def test_only_what_the_page_lists_can_be_asked_for(client, photo, method, lmm):
    with pytest.raises(AppError, match="list of choices"):
        client.predict(photo, method, lmm, {}, api_name="/score")


@pytest.mark.parametrize(("name", "content"), [
    ("page.jpg", b"<html><body>not a photo</body></html>"), ("empty.png", b""),
    ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"), ("cut.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"),
])  # fmt: skip
def test_what_is_no_picture_is_refused_in_one_sentence(client, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(str(path)), "q-bench", None, {}, api_name="/score")
    said = str(caught.value)
    assert said.endswith(".")
    assert "Traceback" not in said
    assert "Error" not in said


def test_no_photo_is_a_sentence(client):
    with pytest.raises(AppError, match="Add a photo first"):
        client.predict(None, "q-bench", None, {}, api_name="/score")


def test_the_api_page_describes_the_endpoint(client):
    endpoint = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/score"]
    assert [parameter["parameter_name"] for parameter in endpoint["parameters"]][:2] == ["picture", "method"]


def test_private_events_are_not_named(client):
    names = set(client.view_api(return_format="dict", print_info=False)["named_endpoints"])
    assert "/score" in names
    assert not any("lambda" in name or "nothing" in name or "switch" in name for name in names)


@pytest.mark.parametrize(("method", "limit", "said"), [
    ("q-bench", 2**16, "embedded has no pixel limit that can be changed"), ("q-bench", 5, "65536 pixels of a photo"),
    ("q-bench", "65536", "65536 pixels of a photo"), ("leaf", 2**16, "LEAF brings its own network"),
])
def test_a_pixel_limit_that_cannot_be_set_is_a_sentence(client, photo, method, limit, said):
    with pytest.raises(AppError, match=said):
        client.predict(photo, method, None, {"max_pixels": limit}, api_name="/score")
