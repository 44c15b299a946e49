"""A small OpenAI-compatible server, with a socket or without, which speaks what ServerLMM uses of vLLM's protocol.

Its "model" is a hash of everything that it was told, pixels included, so a word, a turn or a picture that is lost or
altered on the way changes the answer. `faults` are consumed one per chat request: an HTTP status with a message, "cut",
"half" (of an answer), "slow" or "hold" (two words of a stream, or nothing of a whole answer, and the rest once it is
`released`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image

from methods.lmm.prompt import Prompt

MODEL = "tiny/Fake-VL"
VOCABULARY = 900  # below the 1,000 likeliest tokens that ServerLMM asks for at most


def pieces(text: str) -> list[int]:
    """Tokens: pieces of up to six letters with the space before them, so " excellent" takes two."""
    pieces_of_text = re.findall(r"<\|\w+\|>| ?[A-Za-z]{1,6}|\d|\s|.", text)
    return [int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) % VOCABULARY for piece in pieces_of_text]


def rendered(messages: list[dict[str, Any]], add_generation_prompt: bool, continue_final_message: bool) -> str:
    text = ""
    for number, message in enumerate(messages):
        content = message["content"]
        body = content if isinstance(content, str) else "".join(map(_part, content))
        text += f"<|im_start|>{message['role']}\n{body}"
        text += "" if continue_final_message and number == len(messages) - 1 else "<|im_end|>\n"
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")


def _part(part: dict[str, Any]) -> str:
    if part["type"] == "text":
        return part["text"]
    image = Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
    return f"<|picture{digest(image)}|>"


def digest(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.size}{image.mode}".encode() + image.tobytes()).hexdigest()[:16]


def expected_text(prompt: Prompt) -> str:
    """What the server must have been told for a prompt."""
    text = ""
    for turn in prompt.turns:
        body = "".join(part if isinstance(part, str) else f"<|picture{digest(part)}|>" for part in turn.parts)
        text += f"<|im_start|>{turn.role}\n{body}<|im_end|>\n"
    return f"{text}<|im_start|>assistant\n{prompt.answer_prefix}"


def distribution(text: str) -> np.ndarray:
    """Log-probabilities over the vocabulary after a text: float64 [VOCABULARY]."""
    seed = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
    logits = np.random.default_rng(seed).normal(0, 2, VOCABULARY)
    return logits - np.log(np.exp(logits).sum())


@dataclass
class Reply:
    """An answer in pieces; one that is `cut` ends with the connection and not with its end."""

    pieces: Iterable[bytes]
    status: int = 200
    form: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @classmethod
    def of(cls, body: Any, status: int = 200, **headers: str) -> Reply:
        return cls([json.dumps(body).encode()], status, headers=headers)


class FakeServer:
    """The server's behaviour; `transport` reaches it without a socket, and as a context it listens on a port.

    Args:
        port: where it listens; 0 for any.
        by_id: read logprob_token_ids, as newer versions of vLLM do; None refuses the field.
        max_logprobs: the highest top_logprobs that is granted.
        has_tokenize: offer /tokenize.
        alternating: refuse conversations in which one speaker has two turns in a row, as some templates do.
        key: the API key that is asked for.
        choices: the most choices of one answer; None for as many as are asked for.
    """

    def __init__(self, port: int = 0, *, by_id: bool | None = True, max_logprobs: int = 20, has_tokenize: bool = True,
                 alternating: bool = False, key: str | None = None, choices: int | None = None) -> None:
        self.by_id, self.max_logprobs, self.has_tokenize = by_id, max_logprobs, has_tokenize
        self.alternating, self.key, self.choices = alternating, key, choices
        self.faults: deque[Any] = deque()
        self.refused = ""  # the digest of a picture that is too much for the model
        self.requests: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.delay = 0.0
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.released = threading.Semaphore(0)
        self.port = port

    def __enter__(self) -> FakeServer:
        handler = type("Bound", (_Handler,), {"behaviour": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port or 8000}/v1"

    @property
    def transport(self) -> httpx.MockTransport:
        """Requests that reach this server without a socket."""
        def handle(request: httpx.Request) -> httpx.Response:
            reply = self.reply(request.url.path, request.headers.get("Authorization"), request.content)
            if reply.cut and not reply.pieces:
                raise httpx.RemoteProtocolError("cut")
            return httpx.Response(reply.status, headers={"Content-Type": reply.form, **reply.headers},
                                  stream=_Pieces(reply))
        return httpx.MockTransport(handle)

    def reply(self, path: str, key: str | None, content: bytes) -> Reply:
        """What is answered to a request: GET without content, POST with it."""
        body = json.loads(content) if content else {}
        with self.lock:
            self.counts[path] += 1
        if self.key and key != f"Bearer {self.key}":
            return Reply.of({"error": "Unauthorized"}, 401)
        if path == "/v1/models":
            return Reply.of({"data": [{"id": MODEL, "root": f"/models/{MODEL}", "owned_by": "vllm"}]})
        if path == "/version":
            return Reply.of({"version": "9.9"})
        if path == "/tokenize" and self.has_tokenize:
            return Reply.of({"tokens": pieces(self._text(body))})
        if path != "/v1/chat/completions":
            return Reply.of({"detail": "Not Found"}, 404)
        with self.lock:
            self.requests.append(body)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            fault = self.faults.popleft() if self.faults else None
        time.sleep(self.delay)
        # Counted off before the answer: a client that has it may ask on at once.
        with self.lock:
            self.under_way -= 1
        return self._chat(body, fault)

    def _chat(self, body: dict[str, Any], fault: Any) -> Reply:
        if fault == "cut":
            return Reply([], cut=True)
        if fault == "slow":
            time.sleep(1.5)
        if isinstance(fault, tuple):
            return Reply.of({"error": {"message": fault[1]}}, fault[0],
                            **({"Retry-After": "0.1"} if fault[0] == 429 else {}))
        if (refusal := self._refusal(body)) is not None:
            return refusal
        if body.get("stream"):
            return self._stream(body, fault)
        if fault == "hold":
            self._wait()
        whole = Reply.of({"choices": self._choices(body)})
        return Reply([whole.pieces[0][: len(whole.pieces[0]) // 2]], cut=True) if fault == "half" else whole

    def _refusal(self, body: dict[str, Any]) -> Reply | None:
        roles = [message["role"] for message in body["messages"]]
        status = 400
        if self.alternating and (roles[0] == "system" or any(a == b for a, b in itertools.pairwise(roles))):
            words = "Conversation roles must alternate user/assistant"
        elif self.refused and self.refused in self._text(body):
            words = "The decoder prompt is too long."
        elif body["model"] != MODEL:
            status, words = 404, f"The model {body['model']} does not exist."
        elif body.get("top_logprobs", 0) > self.max_logprobs:
            words = (f"Requested sample logprobs of {body['top_logprobs']}, which is greater than max allowed: "
                     f"{self.max_logprobs}")
        elif "logprob_token_ids" in body and self.by_id is None:
            words = "extra inputs are not permitted: logprob_token_ids"
        else:
            return None
        return Reply.of({"error": {"message": words}}, status)

    def _choices(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        text = self._text(body)
        if not body.get("logprobs"):
            count = min(body.get("n", 1), self.choices or 99)
            return [{"index": number, "message": {"content": said(text, body["seed"] + number)}}
                    for number in range(count)]
        known = distribution(text)
        order = np.argsort(-known)
        wanted = order[: body.get("top_logprobs", 0)].tolist()
        if self.by_id:
            wanted += body.get("logprob_token_ids", [])
        best = int(order[0])
        named = [{"token": f"token_id:{token}", "logprob": float(known[token])} for token in [best, *wanted]]
        return [{"index": 0, "message": {"content": "x"}, "logprobs": {"content": [
            {**named[0], "top_logprobs": named}]}}]

    def _stream(self, body: dict[str, Any], fault: Any) -> Reply:
        words = said(self._text(body), body["seed"]).split(" ")
        texts = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
        data = [json.dumps({"choices": [{"delta": {"content": text}}]}) for text in texts]
        data = data[:2] if fault == "half" else [*data, "[DONE]"]
        lines = [f"data: {one}\n\n".encode() for one in data]
        return Reply(self._held(lines) if fault == "hold" else lines, form="text/event-stream", cut=fault == "half")

    def _held(self, lines: list[bytes]) -> Iterator[bytes]:
        yield from lines[:2]
        self._wait()
        yield from lines[2:]

    def hold(self, count: int, after: int = 0) -> None:
        """Holds back that many answers, each until `released.release()`, after so many that come at once."""
        self.released = threading.Semaphore(0)
        self.faults.extend([*[None] * after, *["hold"] * count])

    def _wait(self) -> None:
        assert self.released.acquire(timeout=300), "nobody released the answer"

    def _text(self, body: dict[str, Any]) -> str:
        return rendered(body["messages"], body.get("add_generation_prompt", True),
                        body.get("continue_final_message", False))


class _Pieces(httpx.SyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reply.pieces
        if self._reply.cut:
            raise httpx.RemoteProtocolError("cut")


class _Handler(BaseHTTPRequestHandler):
    behaviour: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = self.behaviour.reply(self.path, self.headers.get("Authorization"), content)
        self.close_connection = reply.cut or reply.form == "text/event-stream"
        if reply.cut and not reply.pieces:
            self.connection.close()
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.form)
        if reply.form == "application/json":
            # A reply that is cut has promised more.
            self.send_header("Content-Length", str(sum(map(len, reply.pieces)) + 99 * reply.cut))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in reply.pieces:
            self.wfile.write(piece)

    do_POST = do_GET


def said(text: str, seed: int) -> str:
    """A made-up answer of four words."""
    digest = hashlib.sha256(f"{text}{seed}".encode()).hexdigest()
    return " ".join(digest[place:place + 4] for place in range(0, 16, 4))
