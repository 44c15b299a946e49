"""A small OpenAI-compatible server in this process, which speaks the parts of vLLM's protocol that ServerLMM uses.

Its "model" is a hash of everything that it was told, pixels included, so a word, a turn or a picture that is lost or
altered on the way changes the answer. `faults` are consumed one a chat request: an HTTP status with a message, "cut",
"half" (of an answer) or "slow".
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from methods.lmm.prompt import Prompt

MODEL = "tiny/Fake-VL"
VOCABULARY = 900  # below the 1,000 likeliest tokens that ServerLMM asks for at most


def pieces(text: str) -> list[int]:
    """Tokens: pieces of up to six letters with the space before them, so " excellent" takes two."""
    found = re.findall(r"<\|\w+\|>| ?[A-Za-z]{1,6}|\d|\s|.", text)
    return [int(hashlib.sha256(piece.encode()).hexdigest()[:8], 16) % VOCABULARY for piece in found]


def rendered(messages: list[dict[str, Any]], add_generation_prompt: bool, continue_final_message: bool) -> str:
    text = ""
    for number, message in enumerate(messages):
        content = message["content"]
        shown = content if isinstance(content, str) else "".join(map(_part, content))
        text += f"<|im_start|>{message['role']}\n{shown}"
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
        shown = "".join(part if isinstance(part, str) else f"<|picture{digest(part)}|>" for part in turn.parts)
        text += f"<|im_start|>{turn.role}\n{shown}<|im_end|>\n"
    return f"{text}<|im_start|>assistant\n{prompt.answer_prefix}"


def distribution(text: str) -> np.ndarray:
    """Log-probabilities over the vocabulary after a text: float64 [VOCABULARY]."""
    seed = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
    logits = np.random.default_rng(seed).normal(0, 2, VOCABULARY)
    return logits - np.log(np.exp(logits).sum())


class FakeServer:
    """Runs while the context is open.

    Args:
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
        self.port = port

    def __enter__(self) -> FakeServer:
        handler = type("Bound", (_Handler,), {"server_state": self})
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
        return f"http://127.0.0.1:{self.port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server_state.counts[self.path] += 1
        if not self._allowed():
            return
        if self.path == "/v1/models":
            self._send(200, {"data": [{"id": MODEL, "root": f"/models/{MODEL}", "owned_by": "vllm"}]})
        elif self.path == "/version":
            self._send(200, {"version": "9.9"})
        else:
            self._send(404, {"error": {"message": "Not Found"}})

    def do_POST(self) -> None:
        state = self.server_state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.counts[self.path] += 1
        if not self._allowed():
            return
        if self.path == "/tokenize" and state.has_tokenize:
            self._send(200, {"tokens": pieces(self._text(body))})
        elif self.path == "/v1/chat/completions":
            with state.lock:
                state.requests.append(body)
                state.under_way += 1
                state.most_under_way = max(state.most_under_way, state.under_way)
                fault = state.faults.popleft() if state.faults else None
            time.sleep(state.delay)
            # Counted off before the answer: a client that has it may ask on at once.
            with state.lock:
                state.under_way -= 1
            self._chat(body, fault)
        else:
            self._send(404, {"detail": "Not Found"})

    def _allowed(self) -> bool:
        key = self.server_state.key
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self._send(401, {"error": "Unauthorized"})
            return False
        return True

    def _chat(self, body: dict[str, Any], fault: Any) -> None:
        state = self.server_state
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "slow":
            time.sleep(1.5)
        if isinstance(fault, tuple):
            self._send(fault[0], {"error": {"message": fault[1]}}, {"Retry-After": "0.1"} if fault[0] == 429 else {})
            return
        roles = [message["role"] for message in body["messages"]]
        if state.alternating and (roles[0] == "system" or any(a == b for a, b in itertools.pairwise(roles))):
            self._send(400, {"error": {"message": "Conversation roles must alternate user/assistant"}})
        elif state.refused and state.refused in self._text(body):
            self._send(400, {"error": {"message": "The decoder prompt is too long."}})
        elif body["model"] != MODEL:
            self._send(404, {"error": {"message": f"The model {body['model']} does not exist."}})
        elif body.get("top_logprobs", 0) > state.max_logprobs:
            self._send(400, {"error": {"message": f"Requested sample logprobs of {body['top_logprobs']}, which is "
                                                  f"greater than max allowed: {state.max_logprobs}"}})
        elif "logprob_token_ids" in body and state.by_id is None:
            self._send(400, {"error": {"message": "extra inputs are not permitted: logprob_token_ids"}})
        elif body.get("stream"):
            self._stream(body, fault)
        else:
            self._send(200, {"choices": self._choices(body)}, cut=fault == "half")

    def _choices(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        state = self.server_state
        text = self._text(body)
        if not body.get("logprobs"):
            count = min(body.get("n", 1), state.choices or 99)
            return [{"index": number, "message": {"content": said(text, body["seed"] + number)}}
                    for number in range(count)]
        known = distribution(text)
        order = np.argsort(-known)
        wanted = order[: body.get("top_logprobs", 0)].tolist()
        if state.by_id:
            wanted += body.get("logprob_token_ids", [])
        best = int(order[0])
        named = [{"token": f"token_id:{token}", "logprob": float(known[token])} for token in [best, *wanted]]
        return [{"index": 0, "message": {"content": "x"}, "logprobs": {"content": [
            {**named[0], "top_logprobs": named}]}}]

    def _stream(self, body: dict[str, Any], fault: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number, word in enumerate(said(self._text(body), body["seed"]).split(" ")):
            if fault == "half" and number == 2:
                self.close_connection = True
                return
            piece = {"choices": [{"delta": {"content": word if number == 0 else f" {word}"}}]}
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _text(self, body: dict[str, Any]) -> str:
        return rendered(body["messages"], body["add_generation_prompt"], body["continue_final_message"])

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None,
              cut: bool = False) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(raw)),
                            **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        if cut:
            self.close_connection = True


def said(text: str, seed: int) -> str:
    """A made-up answer of four words."""
    digest = hashlib.sha256(f"{text}{seed}".encode()).hexdigest()
    return " ".join(digest[place:place + 4] for place in range(0, 16, 4))
