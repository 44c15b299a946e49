"""ServerLMM against a server on a socket in this process: which failures it sits out."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from methods.lmm.errors import ModelUnavailable
from methods.lmm.prompt import Prompt, Turn
from methods.lmm.server import http as server_http
from methods.lmm.server.server_lmm import ServerLMM
from tests.fake_server import FakeServer, distribution, expected_text, pieces

WORDS = ["excellent", "good", "fair", "poor", "bad"]


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch):
    monkeypatch.setattr(server_http, "_FIRST_PAUSE", 0.02)
    for name in server_http.KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with FakeServer() as running:
        yield running


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8))


def prompts(count: int = 3) -> list[Prompt]:
    reference = picture(99)
    return [Prompt((Turn("system", ("Be strict.",)), Turn("user", ("First ", reference, " then ", picture(number),
                                                                   "How good is it?"))),
                   "The quality of the image is") for number in range(count)]


def expected(prompt: Prompt, words: list[str]) -> list[float]:
    known = distribution(expected_text(prompt))
    prefix = f"<|im_start|>assistant\n{prompt.answer_prefix}"
    return [known[pieces(prefix + prompt.continuation(word))[len(pieces(prefix))]] for word in words]


@pytest.mark.parametrize("fault", [(429, "busy"), (500, "CUDA error"), (503, "starting"), "cut", "half"])
def test_failures_that_pass_are_sat_out(server, fault):
    lmm = ServerLMM(server.url, patience=120)
    server.faults.extend([fault] * 3)
    asked = prompts(4)
    np.testing.assert_allclose(lmm.word_logits(asked, WORDS), [expected(prompt, WORDS) for prompt in asked], atol=1e-5)
    assert len(server.requests) == 7


def test_an_answer_that_never_comes_is_asked_for_again(server):
    lmm = ServerLMM(server.url, timeout=0.4, patience=120)
    server.faults.append("slow")
    lmm.word_logits(prompts(1), WORDS)
    assert len(server.requests) >= 2  # a busy machine may be late with the second answer as well


def test_a_server_that_restarts_is_waited_for():
    with FakeServer() as first:
        lmm = ServerLMM(first.url, patience=120)
        port = first.port
        lmm.word_logits(prompts(1), WORDS)
    with FakeServer(port) as second:
        second.__exit__()
        timer = threading.Timer(0.5, second.__enter__)
        timer.start()
        logits = lmm.word_logits(prompts(2), WORDS)
        timer.join()
    np.testing.assert_allclose(logits, [expected(prompt, WORDS) for prompt in prompts(2)], atol=1e-5)


def test_a_server_that_is_gone_is_told():
    with FakeServer() as gone:
        pass
    with pytest.raises(ModelUnavailable, match="check that it runs"):
        ServerLMM(gone.url, patience=0.2)


def test_a_stream_that_is_cut_on_the_way(server):
    lmm = ServerLMM(server.url)
    server.faults.append("half")
    received = lmm.stream(prompts(1)[0], seed=3)
    assert next(received)
    with pytest.raises(ModelUnavailable, match="in the middle"):
        list(received)
