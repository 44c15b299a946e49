"""The app on a simulated ZeroGPU: each method answers out of a forked worker while the main process holds its locks."""

from __future__ import annotations

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from methods.base import method_class, method_names
from tests.app_server import fake_lmm, running_app
from tests.fake_server import MODEL
from tests.zerogpu.scheduler import Scheduler
from ui.components import EXAMPLES

TOO_LATE = "Qwen/Qwen3-VL-2B-Instruct"
SERVED = MODEL.rpartition("/")[2]


@pytest.fixture(scope="module")
def scheduler():
    with Scheduler() as running:
        yield running


@pytest.fixture(scope="module")
def client(scheduler, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    (home / "cgroup").write_text("1:devices:/simulated\n")
    variables = {
        "SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": scheduler.url, "HOME": str(home), "HOLD_LOCKS": "1",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(home / "cgroup"), "OMP_NUM_THREADS": "1",
        "MEAN_OPINION_OFFER": f"server:{fake_lmm().url}#{MODEL},{TOO_LATE}",
    }
    return Client(running_app(script="tests/zerogpu/app.py", variables=tuple(variables.items())), verbose=False,
                  httpx_kwargs={"timeout": 120})


@pytest.fixture(scope="module")
def photo():
    return handle_file(str(EXAMPLES / "coffee.jpg"))


@pytest.mark.parametrize("method", method_names())
def test_every_method_answers_from_a_worker(client, scheduler, photo, method):
    before = len(scheduler.durations)
    options = {"samples": 1, "max_new_tokens": 400} if method == "visualquality-r1" else {}
    result = client.predict(photo, method, None, options, api_name="/score")
    assert result["method"] == method
    assert 0 <= result["score"] <= 1
    assert len(scheduler.durations) == before + 1
    assert scheduler.workers


def test_answers_of_two_calls_are_equal_whatever_a_worker_has_kept(client, photo):
    first, second = (client.predict(photo, "iqarag", None, {}, api_name="/score") for _ in range(2))
    assert first["score"] == second["score"]


def test_the_time_asked_for_follows_the_options(client, scheduler, photo):
    for tokens in (400, 2048):
        client.predict(photo, "visualquality-r1", None, {"samples": 1, "max_new_tokens": tokens}, api_name="/score")
    short, long = scheduler.durations[-2:]
    assert 10 <= short < long <= 120


def test_an_error_in_a_worker_arrives_as_its_sentence(client, scheduler, photo):
    failed = scheduler.failures
    with pytest.raises(AppError, match="stated no score between 1 and 5 in any of its answers"):
        client.predict(photo, "visualquality-r1", None, {"samples": 1, "max_new_tokens": 16}, api_name="/score")
    assert scheduler.failures == failed + 1
    # The next visitor is served all the same.
    assert client.predict(photo, "q-bench", None, {}, api_name="/score")["score"] > 0


def test_a_photo_that_cannot_be_read_asks_for_no_device(client, scheduler, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    before = len(scheduler.durations)
    with pytest.raises(AppError):
        client.predict(handle_file(str(tmp_path / "text.jpg")), "q-bench", None, {}, api_name="/score")
    assert len(scheduler.durations) == before


def test_a_model_that_was_not_loaded_at_the_start_is_neither_offered_nor_taken(client, scheduler, photo):
    before = len(scheduler.durations)
    with pytest.raises(AppError, match="is not in the list of choices"):
        client.predict(photo, "q-bench", TOO_LATE, {}, api_name="/score")
    assert len(scheduler.durations) == before
    (picker,) = [component["props"] for component in client.config["components"]
                 if component["props"].get("elem_id") == "score-model"]
    assert [name for _, name in picker["choices"]] == ["embedded", SERVED]


@pytest.mark.parametrize(("method", "option", "value"), [
    ("iqarag", "encoder", "CLIP"), ("llm-iqa", "segmenter", "facebook/sam2.1-hiera-tiny"),
])
def test_networks_that_were_not_loaded_at_the_start_are_neither_offered_nor_taken(client, scheduler, photo, method,
                                                                                   option, value):
    before = len(scheduler.durations)
    with pytest.raises(AppError, match=f"The {option} {value} was not loaded when this page started"):
        client.predict(photo, method, None, {option: value}, api_name="/score")
    assert len(scheduler.durations) == before
    label = option.capitalize()
    pickers = [component["props"]["choices"] for component in client.config["components"]
               if component["props"].get("label") == label and "choices" in component["props"]]
    assert pickers
    for choices in pickers:
        assert set(method_class(method).networks[option]).isdisjoint(name for _, name in choices)


def test_a_server_answers_a_worker(client, photo):
    assert client.predict(photo, "q-bench", SERVED, {}, api_name="/score")["lmm"].startswith("server:")


def test_text_is_streamed_out_of_the_worker(client, photo):
    job = client.submit(photo, "embedded", api_name="/visualquality_r1")
    job.result(timeout=120)
    written = {html for output in job.outputs() for html in output if isinstance(html, str) and "writing" in html}
    assert len(written) > 1
