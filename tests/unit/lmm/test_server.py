"""ServerLMM against a fake server without a socket: what it asks, what it reads, how failures are told."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from methods.lmm.base import LMMError
from methods.lmm.errors import ModelUnavailable
from methods.lmm.loading import load_lmm
from methods.lmm.prompt import Prompt, Turn
from methods.lmm.server import http as server_http
from methods.lmm.server.messages import data_url
from methods.lmm.server.server_lmm import ServerLMM
from tests.fake_server import MODEL, FakeServer, distribution, expected_text, pieces, said

WORDS = ["excellent", "good", "fair", "poor", "bad"]


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch):
    monkeypatch.setattr(server_http, "_FIRST_PAUSE", 0.02)
    for name in server_http.KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    return FakeServer()


def connected(server: FakeServer, model: str | None = None, **settings) -> ServerLMM:
    return ServerLMM(server.url, model, transport=server.transport, **settings)


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


def test_log_probabilities_by_token_id(server):
    lmm = connected(server, MODEL)
    asked = prompts()
    logits = lmm.word_logits(asked, WORDS)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, [expected(prompt, WORDS) for prompt in asked], atol=1e-5)
    body = server.requests[0]
    assert (body["max_tokens"], body["temperature"], body["logprobs"]) == (1, 0.0, True)
    assert body["return_tokens_as_token_ids"] is True
    assert (body["add_generation_prompt"], body["continue_final_message"]) == (False, True)
    assert len(set(body["logprob_token_ids"])) == 5


def test_without_a_prefix_the_answer_begins_with_the_word(server):
    prompt = Prompt.ask(picture(1), "Yes or no?")
    logits = connected(server).word_logits([prompt], ["Yes", "No"])
    np.testing.assert_allclose(logits, [expected(prompt, ["Yes", "No"])], atol=1e-5)
    assert "add_generation_prompt" not in server.requests[0]


def test_tokens_are_asked_for_once_a_context(server):
    lmm = connected(server, MODEL)
    lmm.word_logits(prompts(1), WORDS)
    asked = server.counts["/tokenize"]
    assert asked == 6
    lmm.word_logits(prompts(5), WORDS)
    assert server.counts["/tokenize"] == asked


def test_words_that_cannot_be_told_apart_are_named(server):
    with pytest.raises(LMMError, match="'excellent' and 'excellence' begin with the same token"):
        connected(server).word_logits(prompts(1), ["excellent", "excellence"])
    with pytest.raises(LMMError, match="merges with the end"):
        connected(server).word_logits([Prompt.ask("How?", answer_prefix="It is ")], ["good"])


@pytest.mark.parametrize("by_id", [False, None])
def test_older_servers_list_the_likeliest(by_id):
    server = FakeServer(by_id=by_id, max_logprobs=3000)
    asked = prompts(2)
    lmm = connected(server)
    logits = lmm.word_logits(asked[:1], WORDS[:3])
    np.testing.assert_allclose(logits, [expected(asked[0], WORDS[:3])], atol=1e-5)
    before = len(server.requests)
    lmm.word_logits(asked[1:], WORDS[:3])
    assert all("logprob_token_ids" not in body for body in server.requests[before:])


def test_a_candidate_that_is_not_listed_is_an_error_that_says_how_to_start_the_server():
    unlisted = pytest.raises(LMMError, match=r"'\w+'.* is not among .*--max-logprobs 1000")
    server = FakeServer(by_id=False)
    with unlisted:
        connected(server).word_logits(prompts(1), WORDS)
    server = FakeServer(has_tokenize=False)
    with pytest.raises(LMMError, match=r"no /tokenize.*logprob_token_ids"):
        connected(server).word_logits(prompts(1), WORDS)


def test_requests_are_under_way_together(server):
    server.delay = 0.1
    connected(server, concurrency=6).word_logits(prompts(12), WORDS)
    assert 2 <= server.most_under_way <= 6


@pytest.mark.parametrize(("status", "message"), [
    (400, "At most 2 image(s) may be provided in one prompt."),
    (404, "The model does not exist."),
    (500, "Cannot connect to host example.invalid:80"),
])
def test_failures_that_stay_are_told_at_once(server, status, message):
    lmm = connected(server)
    server.faults.extend([(status, message)] * 9)
    with pytest.raises(LMMError) as error:
        lmm.word_logits(prompts(1), WORDS)
    assert message in str(error.value)
    assert not isinstance(error.value, ModelUnavailable)
    assert len(server.requests) == 1


def test_patience_ends(server):
    lmm = connected(server, patience=0.5)
    server.faults.extend([(503, "starting")] * 1000)
    with pytest.raises(ModelUnavailable, match="503 starting"):
        lmm.word_logits(prompts(3), WORDS)
    assert server.faults, "it did not ask a thousand times"


def test_samples_come_from_consecutive_seeds(server):
    lmm = connected(server)
    asked = prompts(2)
    texts = lmm.generate(asked, n=3, max_new_tokens=7, temperature=0.8, top_p=0.9, top_k=50, seed=11)
    assert texts == [[said(expected_text(prompt), 11 + number) for number in range(3)] for prompt in asked]
    assert len(server.requests) == 2
    body = server.requests[0]
    assert (body["n"], body["max_tokens"], body["top_p"], body["top_k"], body["seed"]) == (3, 7, 0.9, 50, 11)
    single = FakeServer(choices=1)
    assert connected(single).generate(asked, n=3, seed=11) == texts
    with pytest.raises(ValueError, match="Greedy"):
        lmm.generate(asked, n=2, temperature=0)


def test_a_stream_is_the_whole_text_in_pieces(server):
    lmm = connected(server)
    prompt = prompts(1)[0]
    server.faults.append((503, "starting"))
    pieces = list(lmm.stream(prompt, seed=3))
    assert len(pieces) == 4
    assert "".join(pieces) == said(expected_text(prompt), 3)
    server.faults.append("half")
    received = lmm.stream(prompt, seed=3)
    assert next(received)
    with pytest.raises(ModelUnavailable, match="in the middle"):
        list(received)


def test_a_template_that_wants_alternating_turns_gets_them():
    prompt = Prompt((Turn("user", ("Give you 1 images.",)), Turn("user", (picture(1), "How good is it?"))), "It is")
    server = FakeServer(alternating=True)
    lmm = connected(server)
    lmm.word_logits([prompt], ["good", "poor"])
    assert [len(body["messages"]) for body in server.requests] == [3, 2]
    lmm.word_logits([prompt], ["good", "poor"])
    assert len(server.requests) == 3


def test_a_key_is_sent_and_asked_for(monkeypatch):
    server = FakeServer(key="secret")
    with pytest.raises(LMMError, match="MEAN_OPINION_SERVER_KEY"):
        connected(server)
    monkeypatch.setenv("MEAN_OPINION_SERVER_KEY", "secret")
    lmm = connected(server)
    assert "secret" not in f"{lmm.name} {lmm.revision}"


def test_the_name_carries_settings_and_the_revision_what_the_server_says(server):
    lmm = load_lmm(f"server:{server.url}?concurrency=3&images=2#{MODEL}", transport=server.transport)
    assert lmm.name == f"server:{server.url}#{MODEL}"
    assert lmm.revision == "Fake-VL, vLLM 9.9"
    assert lmm.image_budget == 2
    with pytest.raises(LMMError, match=r"shows 3 images but .* takes at most 2"):
        lmm.word_logits([Prompt.ask(picture(1), picture(2), picture(3), "How?")], ["good"])
    with pytest.raises(LMMError, match="did you mean 'images'"):
        ServerLMM(f"{server.url}?image=2")
    with pytest.raises(LMMError, match="no image features"):
        lmm.embed([picture(1)])


def test_wrong_addresses_and_models_are_told_at_once(server):
    with pytest.raises(LMMError, match="is no server address"):
        ServerLMM("localhost:8000")
    with pytest.raises(LMMError, match=f"does not serve 'tiny/Fake-VM'; did you mean '{MODEL}'"):
        connected(server, "tiny/Fake-VM")
    server.faults.append("cut")
    with pytest.raises(ModelUnavailable, match="check that it runs"):
        connected(server, patience=0.0).word_logits(prompts(1), WORDS)


def test_a_pixel_limit_makes_pictures_smaller_before_they_are_sent(server, monkeypatch):
    sizes: list[tuple[int, int]] = []

    def watched(image):
        sizes.append(image.size)
        return data_url(image)

    monkeypatch.setattr("methods.lmm.server.server_lmm.data_url", watched)
    prompt = Prompt.ask(picture(1), "Rate it.", answer_prefix="It is")
    for lmm in (connected(server, max_pixels=50), ServerLMM(server.url + "?max_pixels=50", transport=server.transport)):
        assert lmm.max_pixels == 50
        lmm.word_logits([prompt], WORDS)
    connected(server).word_logits([prompt], WORDS)
    assert sizes == [(8, 6), (8, 6), (12, 9)]


def test_pictures_of_data_sets_travel_unchanged_and_photos_small():
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (768, 1024, 3), dtype=np.uint8))
    url = data_url(small)
    assert url.startswith("data:image/png;base64,")
    assert np.array_equal(np.asarray(opened(url)), np.asarray(small))
    smooth = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((1600, 1200))
    url = data_url(smooth)
    assert url.startswith("data:image/jpeg;base64,")
    assert opened(url).size == smooth.size
    assert np.abs(np.asarray(opened(url), float) - np.asarray(smooth, float)).mean() < 1
    assert len(url) < smooth.width * smooth.height // 2


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
