"""Whatever a server answers ends in one LMMError with its own words, and is asked for again where waiting mends it."""

from __future__ import annotations

import gzip
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest

from methods.lmm.base import LMMError
from methods.lmm.errors import ModelUnavailable
from methods.lmm.prompt import Prompt
from methods.lmm.server import http as server_http
from methods.lmm.server.server_lmm import ServerLMM

MODELS, VERSION, TOKENIZE, CHAT = "/v1/models", "/version", "/tokenize", "/v1/chat/completions"
WORDS = {"good": 11, "fair": 12, "poor": 13}
PROMPT = Prompt.ask("How good is it?", answer_prefix="It is")


@pytest.fixture(autouse=True)
def _no_pauses_and_no_key(monkeypatch):
    monkeypatch.setattr(server_http, "_FIRST_PAUSE", 0.002)
    for name in server_http.KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


class Scripted:
    """A server in this process without a socket: well-behaved, but for the replies that stand in `odd` by path."""

    def __init__(self, odd: dict[str, Callable[[], httpx.Response]] | None = None) -> None:
        self.odd = odd or {}
        self.counts: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.counts[path] += 1
        body = json.loads(request.content) if request.content else {}
        if path == CHAT:
            self.bodies.append(body)
        if path in self.odd:
            return self.odd[path]()
        if path == MODELS:
            return answered({"object": "list", "data": [{"id": "m", "root": None, "owned_by": "somebody"}]})
        if path == VERSION:
            return answered({"version": "0.32"})
        if path == TOKENIZE:
            said = [word for message in body["messages"] for word in message["content"].split()]
            return answered({"tokens": [WORDS.get(word, 100 + len(word)) for word in said]})
        if body.get("stream"):
            return events(*({"choices": [{"delta": {"content": piece}}]} for piece in ("a ", "b")), "[DONE]")
        return answered(with_logprobs() if body.get("logprobs") else with_text("a b"))

    def lmm(self, patience: float = 0.02) -> ServerLMM:
        return ServerLMM("http://server.test/v1", "m", patience=patience, transport=httpx.MockTransport(self))


def answered(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(body).encode(),
                          headers={"Content-Type": "application/json", **headers})


def raw(content: bytes, status: int = 200, form: str = "application/json", **headers: str) -> httpx.Response:
    return httpx.Response(status, content=content, headers={"Content-Type": form, **headers})


def events(*data: Any) -> httpx.Response:
    texts = [one if isinstance(one, str) else json.dumps(one) for one in data]
    return raw("".join(f"data: {text}\n\n" for text in texts).encode(), form="text/event-stream")


def with_text(content: Any, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, **choice}]}


def with_logprobs(**values: Any) -> dict[str, Any]:
    values = {"good": -0.5, "fair": -1.5, "poor": -2.5} | values
    top = [{"token": f"token_id:{WORDS[word]}", "logprob": value} for word, value in values.items()]
    return with_text("good", logprobs={"content": [{**top[0], "top_logprobs": top}]})


@dataclass(frozen=True)
class Odd:
    """A reply, words of it that the error has to hold, and whether waiting may mend it."""

    reply: Callable[[], httpx.Response]
    words: str
    passing: bool = False


def odd(body: Any, words: str, passing: bool = False, status: int = 200) -> Odd:
    return Odd(lambda: answered(body, status), words, passing)


PAGE = b"<html><head><style>p {}</style></head><body><h1>Log in</h1></body></html>"
NOWHERE: dict[str, Odd] = {
    "null": odd(None, "null"),
    "true": odd(True, "true"),
    "a number": odd(5, "5"),
    "a string": odd("come back later", "come back later"),
    "a list": odd([1, 2], "[1, 2]"),
    "a list of lists": odd([[["x"]]], "x"),
    "an empty list of lists": odd([[], []], "[[], []]"),
    "NaN": Odd(lambda: raw(b"NaN"), "NaN"),
    "nested too deep": Odd(lambda: raw(b"[" * 100_000 + b"]" * 100_000), "no JSON", passing=True),
    "deep but readable": Odd(lambda: raw(b"[" * 600 + b"1" + b"]" * 600), "[[["),
    "a number of many digits": Odd(lambda: raw(b"9" * 5_000), "999", passing=True),
    "empty": Odd(lambda: raw(b""), "empty", passing=True),
    "no content": Odd(lambda: httpx.Response(204), "empty", passing=True),
    "half an answer": Odd(lambda: raw(b'{"choices": [{"ind'), '{"choices": [{"ind', passing=True),
    "not UTF-8": Odd(lambda: raw(b'{"error": "\xff\xfe"}'), "no JSON", passing=True),
    "damaged gzip": Odd(lambda: httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=Damaged()),
                        "DecodingError", passing=True),
    "a web page": Odd(lambda: raw(PAGE, form="text/html"), "a web page, not JSON: Log in"),
    "a web page that calls itself JSON": Odd(lambda: raw(PAGE), "a web page, not JSON: Log in"),
    "an error with a passing code": odd({"error": {"message": "upstream overloaded", "code": 502}},
                                        "502 upstream overloaded", True),
    "an error with its code as a string": odd({"error": {"message": "slow down", "code": "429"}}, "slow down", True),
    "an error with a code beside it": odd({"error": "slow down", "status": 503}, "slow down", True),
    "an error with a passing type": odd({"error": {"message": "not now", "type": "rate_limit_exceeded"}}, "not now",
                                        True),
    "an error whose words are passing": odd({"error": "The model is overloaded"}, "The model is overloaded", True),
    "an error with a lasting code": odd({"error": {"message": "too long", "code": 400}}, "too long"),
    "an error without a code": odd({"error": {"message": "no such project"}}, "no such project"),
    "an error that is a string": odd({"error": "no such project"}, "no such project"),
    "an error that is a list": odd({"error": [{"msg": "one"}, {"msg": "two"}]}, "one; two"),
    "an error that is true": odd({"error": True}, "true"),
    "an error that is a number": odd({"error": 17}, "17"),
    "an error whose message is no string": odd({"error": {"message": {"detail": "inner words"}}}, "inner words"),
    "an error with nothing": odd({"error": {"message": None, "param": "x"}}, '"param": "x"'),
    "an object called error": odd({"object": "error", "message": "bad length", "code": 40303}, "bad length"),
    "a type called error": odd({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "busy",
                               True),
    "an error of another code": odd({"error": {"message": "odd", "code": {"a": 1}}}, "odd"),
    "an empty purse": odd({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
                          "exceeded your current quota", status=429),
    "an unknown field": odd({"detail": [{"loc": ["body", "x"], "msg": "Field required"}]}, "Field required",
                            status=422),
    "a 400 with a string": odd({"error": "bad thing"}, "bad thing", status=400),
    "a 400 with null": odd(None, "null", status=400),
    "a 400 with a list": odd(["bad", "thing"], "bad; thing", status=400),
    "a 401": odd({"error": {"message": "Incorrect key"}}, "401: Incorrect key", status=401),
    "a 402": odd({"error": {"message": "Pay first"}}, "Pay first", status=402),
    "a 403 of a gateway": Odd(lambda: raw(b"<h1>Forbidden</h1>", 403, "text/html"), "403: Forbidden"),
    "a 413 page": Odd(lambda: raw(b"<h1>Request Entity Too Large</h1>", 413, "text/html"),
                      "Request Entity Too Large"),
    "a 418 without a body": Odd(lambda: raw(b"", 418), "418"),
    "a 429": odd({"error": {"message": "slow down"}}, "429 slow down", True, 429),
    "a 500": odd({"error": {"message": "CUDA error"}}, "500 CUDA error", True, 500),
    "a 500 about an address": odd({"error": {"message": "Cannot connect to host x:80"}}, "Cannot connect to host x:80",
                                  status=500),
    "a 501": odd({"error": {"message": "no such thing here"}}, "no such thing here", status=501),
    "a 502 page": Odd(lambda: raw(b"<h1>Bad Gateway</h1>", 502, "text/html"), "502 Bad Gateway", True),
    "a 503 with null": odd(None, "503 null", True, 503),
    "a 529": odd({"type": "error", "error": {"message": "Overloaded"}}, "529 Overloaded", True, 529),
    "a redirect": Odd(lambda: raw(b"", 307, Location="http://elsewhere.test/v1"), "moved to http://elsewhere.test/v1"),
    "a redirect to nowhere": Odd(lambda: raw(b"", 302), "it has moved"),
    "a detail alone": odd({"detail": "Not ready for you"}, "Not ready for you"),
    "a message with a passing status": odd({"message": "starting", "status": 503}, "503 starting", True),
}
"""Replies that are no answer to anything."""


class Damaged(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield gzip.compress(b'{"a": 1}')[:5] + b"??????????"


CALLS: dict[str, tuple[str, Callable[[ServerLMM], object]]] = {
    "tokenize": (TOKENIZE, lambda lmm: lmm.word_logits([PROMPT], list(WORDS))),
    "log-probabilities": (CHAT, lambda lmm: lmm.word_logits([PROMPT], list(WORDS))),
    "text": (CHAT, lambda lmm: lmm.generate([PROMPT], n=2)),
    "stream": (CHAT, lambda lmm: list(lmm.stream(PROMPT))),
}


def check(server: Scripted, path: str, call: Callable[[], object], reply: Odd) -> None:
    with pytest.raises(LMMError) as caught:
        call()
    sentence = str(caught.value)
    assert reply.words in sentence
    assert "\n" not in sentence
    assert isinstance(caught.value, ModelUnavailable) == reply.passing
    assert (server.counts[path] > 1) == reply.passing, server.counts


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("reply", NOWHERE)
def test_a_reply_that_is_no_answer(reply, call):
    path, ask = CALLS[call]
    server = Scripted()
    lmm = server.lmm()
    server.odd = {path: NOWHERE[reply].reply}
    check(server, path, lambda: ask(lmm), NOWHERE[reply])


@pytest.mark.parametrize("reply", [name for name in NOWHERE if "list of lists" not in name])
def test_a_list_of_models_that_is_none(reply):
    server = Scripted({MODELS: NOWHERE[reply].reply})
    check(server, MODELS, server.lmm, NOWHERE[reply])


@pytest.mark.parametrize("reply", NOWHERE)
def test_a_version_that_is_none_is_done_without(reply):
    server = Scripted({VERSION: NOWHERE[reply].reply})
    assert server.lmm().revision == "m, somebody"
    assert server.counts[VERSION] >= 1


@pytest.mark.parametrize("version", [0.9, None, "", [], {"major": 1}])
def test_a_version_of_another_kind_is_done_without(version):
    assert Scripted({VERSION: lambda: answered({"version": version})}).lmm().revision == "m, somebody"


@pytest.mark.parametrize(("body", "words"), [
    ({"data": None}, "does not serve 'm'"),
    ({"data": []}, "does not serve 'm'"),
    ([], "does not serve 'm'"),
    ({"data": {}}, "valid list"),
    ({"data": [None]}, "data.0"),
    ({"data": ["m"]}, '["m"]'),
    ({"data": [{"id": 5}]}, '"id": 5'),
    ({"data": [{"id": ""}]}, "data.0.id"),
    ({"data": [{"name": "m"}]}, '"name": "m"'),
    ({"object": "list"}, '{"object": "list"}'),
    ({"models": [{"id": "m"}]}, '"models"'),
    ({"data": [{"id": "mm"}]}, "did you mean 'mm'"),
])
def test_lists_of_models_that_hold_none(body, words):
    server = Scripted({MODELS: lambda: answered(body)})
    check(server, MODELS, server.lmm, odd(body, words))


@pytest.mark.parametrize("body", [
    [{"id": "m"}],
    {"data": [{"id": "m", "root": 5, "owned_by": None}]},
    {"data": [{"id": "m"}], "error": None},
    {"data": [{"id": "m"}], "error": {}},
])
def test_lists_of_models_in_other_forms_are_read(body):
    lmm = Scripted({MODELS: lambda: answered(body)}).lmm()
    assert (lmm.model_id, lmm.revision) == ("m", "m, vLLM 0.32")


@pytest.mark.parametrize(("body", "words"), [
    ({"tokens": None}, "tokens"),
    ({"tokens": []}, "finds none in a chat"),
    ({"tokens": "1 2"}, "valid list"),
    ({"tokens": [1.5]}, "tokens.0"),
    ({"tokens": ["1"]}, "tokens.0"),
    ({"tokens": [True]}, "tokens.0"),
    ({"tokens": [-1]}, "tokens.0"),
    ({"tokens": [{"id": 1, "piece": "a"}]}, '"piece": "a"'),
    ({"tokens": {"ids": [1]}}, '"ids"'),
    ({"count": 3}, '"count": 3'),
    ({}, "{}"),
])
def test_token_lists_that_are_none(body, words):
    server = Scripted({TOKENIZE: lambda: answered(body)})
    lmm = server.lmm()
    check(server, TOKENIZE, lambda: lmm.word_logits([PROMPT], list(WORDS)), odd(body, words))


def first_choice(**fields: Any) -> dict[str, Any]:
    body = with_logprobs()
    body["choices"][0] |= fields
    return body


def without(name: str) -> dict[str, Any]:
    body = with_logprobs()
    del body["choices"][0][name]
    return body


SAME = dict.fromkeys(WORDS, -9999.0)


@pytest.mark.parametrize(("body", "words"), [
    ({}, "{}"),
    ({"choices": None}, '"choices": null'),
    ({"choices": []}, '"choices": []'),
    ({"choices": {}}, "valid list"),
    ({"choices": [None]}, "choices.0"),
    ({"choices": ["good"]}, "choices.0"),
    (first_choice(logprobs=None), "without log-probabilities"),
    (without("logprobs"), "without log-probabilities"),
    (first_choice(logprobs={}), "without log-probabilities"),
    (first_choice(logprobs={"content": None}), "without log-probabilities"),
    (first_choice(logprobs={"content": []}), "without log-probabilities"),
    (first_choice(logprobs={"content": {}}), "logprobs.content"),
    (first_choice(logprobs={"content": [None]}), "logprobs.content.0"),
    (first_choice(logprobs=[]), "choices.0.logprobs"),
    (first_choice(logprobs={"content": [{"token": 5, "logprob": -1.0}]}), "content.0.token"),
    (first_choice(logprobs={"content": [{"token": None, "logprob": -1.0}]}), "content.0.token"),
    (first_choice(logprobs={"content": [{"token": "token_id:11", "logprob": "-1"}]}), "content.0.logprob"),
    (first_choice(logprobs={"content": [{"token": "token_id:11", "logprob": -1, "top_logprobs": [5]}]}),
     "top_logprobs.0"),
    (first_choice(logprobs={"content": [{"token": "good", "logprob": -1.0, "top_logprobs": None}]}), "'good'"),
    (first_choice(logprobs={"content": [{"token": "token_id:x", "logprob": -1.0}]}), "'token_id:x'"),
    (first_choice(logprobs={"content": [{"token": "token_id:11", "logprob": -1.0}]}), "'fair', 'poor'"),
    (with_logprobs(good=None, fair=None, poor=None), "no log-probability by token id"),
    (with_logprobs(fair=None), "'fair' is not among"),
    (with_logprobs(fair=math.nan), "nan, which no probability has"),
    (with_logprobs(fair=math.inf), "inf, which no probability has"),
    (with_logprobs(fair=0.7), "0.7, which no probability has"),
    (with_logprobs(**SAME), "same log-probability (-9999)"),
    (with_logprobs(**dict.fromkeys(WORDS, -math.inf)), "same log-probability (-9999)"),
    (with_logprobs(**dict.fromkeys(WORDS, 0.0)), "same log-probability (0)"),
    (with_logprobs(**dict.fromkeys(WORDS, -3.25)), "same log-probability (-3.25)"),
])
def test_log_probabilities_that_are_none(body, words):
    server = Scripted({CHAT: lambda: answered(body)})
    lmm = server.lmm()
    with pytest.raises(LMMError) as caught:
        lmm.word_logits([PROMPT], list(WORDS))
    assert words in str(caught.value)
    assert not isinstance(caught.value, ModelUnavailable)
    assert server.counts[CHAT] <= 3  # by id, then among the likeliest 20 and 1,000


def test_one_candidate_at_the_floor_is_a_probability_of_nothing():
    values = Scripted({CHAT: lambda: answered(with_logprobs(poor=-math.inf))}).lmm().word_logits([PROMPT], list(WORDS))
    np.testing.assert_array_equal(values, np.float32([[-0.5, -1.5, -9999.0]]))


@pytest.mark.parametrize(("body", "words"), [
    ({"choices": None}, '"choices": null'),
    ({"choices": []}, '"choices": []'),
    ({"choices": [{}]}, "without a text"),
    ({"choices": [{"index": 0, "text": "3.5"}]}, '"text":"3.5"'),
    ({"choices": [{"message": None, "finish_reason": "stop"}]}, '"finish_reason":"stop"'),
    ({"choices": [{"message": "3.5"}]}, "choices.0.message"),
    ({"choices": [{"message": {"role": "assistant"}}]}, "without a text"),
    (with_text(None), "without a text"),
    (with_text(None, finish_reason="content_filter"), "content_filter"),
    (with_text(3.5), "choices.0.message.content"),
    (with_text({"text": "3.5"}), "choices.0.message.content"),
    (with_text([5]), "choices.0.message.content"),
    ({"choices": [{"message": {"content": None, "refusal": "I cannot judge this."}}]}, "I cannot judge this."),
    ({"choices": [{"index": "0", "message": {"content": "x"}}]}, "choices.0.index"),
])
def test_texts_that_are_none(body, words):
    server = Scripted({CHAT: lambda: answered(body)})
    lmm = server.lmm()
    check(server, CHAT, lambda: lmm.generate([PROMPT]), odd(body, words))


@pytest.mark.parametrize(("body", "text"), [
    (with_text("3.5"), "3.5"),
    (with_text(""), ""),
    (with_text([{"type": "text", "text": "3"}, {"type": "text", "text": ".5"}]), "3.5"),
    (with_text([{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "3.5"}]), "3.5"),
    (with_text("3.5", index=None), "3.5"),
    (with_text("3.5") | {"usage": None, "error": None}, "3.5"),
    ({"choices": [{"message": {"content": "3.5", "reasoning_content": "hm"}}]}, "<think>hm</think>3.5"),
    ({"choices": [{"message": {"content": None, "reasoning": "hm 3.5"}}]}, "<think>hm 3.5"),
    ({"choices": [{"message": {"content": "3.5", "reasoning": None}}]}, "3.5"),
])
def test_texts_in_other_forms_are_read_whole_and_streamed(body, text):
    lmm = Scripted({CHAT: lambda: answered(body)}).lmm()
    assert lmm.generate([PROMPT]) == [[text]]
    if text:
        assert "".join(lmm.stream(PROMPT)) == text


def test_a_201_is_an_answer():
    assert Scripted({CHAT: lambda: answered(with_text("3.5"), 201)}).lmm().generate([PROMPT]) == [["3.5"]]


def piece(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


DONE = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(("second", "words", "passing"), [
    ({"error": "boom"}, "boom", False),
    ({"error": {"message": "boom", "code": 400}}, "(400): boom", False),
    ({"error": {"message": "engine died", "code": 500}}, "in the middle (500 engine died)", True),
    ({"error": "overloaded"}, "in the middle (overloaded)", True),
    ({"object": "error", "message": "boom"}, "boom", False),
    ({"detail": "boom"}, "boom", False),
    (5, "5", False),
    ("null", "null", False),
    ([1], "[1]", False),
    ('"text"', "text", False),
    ({"choices": 5}, "choices", False),
    ({"choices": [None]}, "choices.0", False),
    ({"choices": [{"delta": 5}]}, "choices.0.delta", False),
    ({"choices": [{"delta": {"content": 5}}]}, "delta.content", False),
    ({"choices": [{"delta": {"content": [5]}}]}, "delta.content", False),
    ('{"choices": [{"del', "in the middle", True),
    ("<html>gone</html>", "gone", False),
    ({"choices": [{"delta": {"refusal": "No."}, "finish_reason": "stop"}]}, "No.", False),
])
def test_a_stream_that_goes_wrong_in_the_middle(second, words, passing):
    server = Scripted({CHAT: lambda: events(piece("a"), second, "[DONE]")})
    lmm = server.lmm()
    received = []
    with pytest.raises(LMMError) as caught:
        received.extend(lmm.stream(PROMPT))
    assert words in str(caught.value)
    assert isinstance(caught.value, ModelUnavailable) == passing
    assert server.counts[CHAT] == 1  # What has been read cannot be taken back.


def test_a_named_error_event_is_one():
    server = Scripted({CHAT: lambda: raw(b'event: error\ndata: {"reason": "boom"}\n\n', form="text/event-stream")})
    lmm = server.lmm()
    with pytest.raises(LMMError, match="boom"):
        list(lmm.stream(PROMPT))


def test_an_error_that_opens_a_stream_is_waited_out():
    server = Scripted()
    lmm = server.lmm(patience=20)
    replies = iter([events({"error": {"message": "busy", "code": 503}}), answered({"error": "overloaded"}),
                    events(piece("a"), "[DONE]")])
    server.odd = {CHAT: lambda: next(replies)}
    assert list(lmm.stream(PROMPT)) == ["a"]


@pytest.mark.parametrize("reply", [events("[DONE]"), events(), events({"choices": None}, "[DONE]"),
                                   events({"choices": [], "usage": {}}, "[DONE]"),
                                   events({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, "[DONE]")])
def test_a_stream_without_a_text(reply):
    lmm = Scripted({CHAT: lambda: reply}).lmm()
    with pytest.raises(LMMError, match=r"without a text|without \[DONE\]"):
        list(lmm.stream(PROMPT))


def test_a_stream_that_only_pauses_and_counts_is_read():
    lines = (": keep-alive\n\nevent: ping\ndata: \n\ndata:\n\nid: 7\nretry: 10\n\n"
             'data: {"type": "ping"}\n\n'
             'data: {"choices": [{"delta": null}]}\r\n\r\n'
             'data: {"error": null, "choices": [{"delta": {"content": "schön \u2028 "}}]}\n\n'
             'data: {"choices": [{"delta":\ndata: {"content": [{"type": "text", "text": "und 好"}]}}]}\n\n'
             'data: {"choices": null, "usage": {}}\n\n'
             "data: [DONE]\n\n").encode()
    for size in (1, 2, 3, 7, len(lines)):
        chunks = [lines[start:start + size] for start in range(0, len(lines), size)]
        server = Scripted({CHAT: lambda chunks=chunks: httpx.Response(
            200, headers={"Content-Type": "text/event-stream"}, stream=Chunks(chunks))})
        assert "".join(server.lmm().stream(PROMPT)) == "schön \u2028 und 好"


class Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


def test_a_stream_is_whole_with_its_finish_reason_and_without_a_content_type():
    server = Scripted({CHAT: lambda: events(piece("a"), DONE)})
    assert list(server.lmm().stream(PROMPT)) == ["a"]
    plain = events(piece("a"), "[DONE]").content
    assert list(Scripted({CHAT: lambda: httpx.Response(200, content=plain)}).lmm().stream(PROMPT)) == ["a"]


def test_reasoning_that_a_parser_took_out_is_streamed_as_it_is_written():
    thoughts = [{"choices": [{"delta": {"reasoning_content": text}}]} for text in ("h", "m")]
    server = Scripted({CHAT: lambda: events(*thoughts, piece("3"), piece(".5"), "[DONE]")})
    assert "".join(server.lmm().stream(PROMPT)) == "<think>hm</think>3.5"


@pytest.mark.parametrize("reply", [
    lambda: answered({"error": {"message": "busy", "code": 429}}, **{"Retry-After": "0.3"}),
    lambda: answered({"error": {"message": "busy"}}, 503, **{"Retry-After": "0.3"}),
    lambda: answered({}, 429, **{"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=2))}),
])
def test_a_server_that_asks_for_a_pause_gets_it(reply):
    server = Scripted()
    lmm = server.lmm(patience=30)
    replies = iter([reply])
    server.odd = {CHAT: lambda: next(replies, lambda: answered(with_text("x")))()}
    begun = time.monotonic()
    assert lmm.generate([PROMPT]) == [["x"]]
    assert time.monotonic() - begun >= 0.29


@pytest.mark.parametrize("pause", ["soon", "nan", "-5", "inf", ""])
def test_a_pause_that_is_none_is_not_waited_for(pause):
    server = Scripted({CHAT: lambda: answered({}, 429, **{"Retry-After": pause})})
    lmm = server.lmm()
    with pytest.raises(ModelUnavailable):
        lmm.generate([PROMPT])
    assert not server_http._retry_after(server.odd[CHAT]())


SETTINGS = {"temperature", "top_p", "top_k", "repetition_penalty"}


def test_every_setting_is_sent_and_template_fields_with_a_prefix_only():
    server = Scripted()
    lmm = server.lmm()
    lmm.word_logits([PROMPT], list(WORDS))
    lmm.generate([PROMPT, Prompt.ask("Why?")], temperature=0.5)
    list(lmm.stream(Prompt.ask("Why?")))
    assert all(body.keys() >= SETTINGS for body in server.bodies)
    assert all((body["repetition_penalty"], body["top_k"], body["top_p"]) == (1.0, -1, 1.0) for body in server.bodies)
    for body in server.bodies:
        begun = body["messages"][-1]["role"] == "assistant"
        assert body.get("continue_final_message") == (True if begun else None)
        assert body.get("add_generation_prompt") == (False if begun else None)


class Strict(Scripted):
    """OpenAI's own API: a field that it does not know is an error, and it has no /tokenize."""

    KNOWN = frozenset({"model", "messages", "max_tokens", "temperature", "top_p", "seed", "n", "stream"})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path in (TOKENIZE, VERSION):
            return answered({"error": {"message": f"Invalid URL (POST {request.url.path})"}}, 404)
        body = json.loads(request.content or b"{}")
        unknown = sorted(body.keys() - self.KNOWN)
        if request.url.path == CHAT and unknown:
            return answered({"error": {"message": f"Unrecognized request argument supplied: {unknown[0]}"}}, 400)
        return super().__call__(request)


def test_a_strict_api_writes_texts():
    server = Strict()
    lmm = server.lmm()
    assert list(lmm.stream(Prompt.ask("Why?"))) == ["a ", "b"]
    assert lmm.generate([Prompt.ask("Why?")], n=2, temperature=0.5) == [["a b", "a b"]]
    with pytest.raises(LMMError, match=r"does not take top_k=50 \(Unrecognized.*switch it off"):
        server.lmm().generate([Prompt.ask("Why?")], top_k=50)
    with pytest.raises(LMMError, match=r"no /tokenize that takes a chat \(404: Invalid URL.*logprob_token_ids"):
        lmm.word_logits([PROMPT], list(WORDS))


def test_a_server_without_log_probabilities_is_said_to_be_one():
    refusal = {"error": {"message": "This model does not support logprobs."}}
    lmm = Scripted({CHAT: lambda: answered(refusal, 400)}).lmm()
    with pytest.raises(LMMError, match=r"gives no log-probabilities \(This model does not.*logprob_token_ids"):
        lmm.word_logits([PROMPT], list(WORDS))


@pytest.mark.parametrize("url", ["localhost:8000", "http://", "http://[::1", "http://host:99999/v1", "ftp://host/v1",
                                 "http://ho st/v1", "http://host:0", ""])
def test_addresses_that_are_none(url):
    with pytest.raises(LMMError, match="is no server address"):
        ServerLMM(url)


@pytest.mark.parametrize("query", ["concurrency=0", "concurrency=2.5", "timeout=0", "timeout=nan", "patience=-1",
                                   "patience=inf", "images=x", "image=3"])
def test_settings_that_are_none(query):
    with pytest.raises(LMMError, match=query.partition("=")[0]):
        ServerLMM(f"http://server.test/v1?{query}", transport=httpx.MockTransport(Scripted()))


def test_a_key_is_never_repeated():
    server = Scripted()
    lmm = ServerLMM("http://server.test", "m", api_key="sk-secret", transport=httpx.MockTransport(server))
    server.odd = {CHAT: lambda: answered({"error": {"message": "Incorrect API key: sk-secret."}}, 401)}
    with pytest.raises(LMMError, match=r"Incorrect API key: \*\*\*"):
        lmm.generate([PROMPT])
    with pytest.raises(LMMError, match="copy it again"):
        ServerLMM("http://server.test", api_key="clé")
