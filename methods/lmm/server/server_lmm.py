"""An LMM behind an OpenAI-compatible server: vLLM on one GPU, on many, or on a Ray cluster.

It reaches what does not fit into this process: models of hundreds of gigabytes, and families that need code of their
own. The server batches and shares prefixes itself, so what is left to do here is to keep it busy with concurrent
requests, to read exactly the candidates' log-probabilities, and to tell a prompt's fault from the server's.

    vllm serve Qwen/Qwen3-VL-8B-Instruct --limit-mm-per-prompt '{"image": 8, "video": 0}'
    load_lmm("server:http://127.0.0.1:8000/v1#Qwen/Qwen3-VL-8B-Instruct")
    load_lmm("server:http://127.0.0.1:8000/v1?concurrency=64&images=6#Qwen/Qwen3-VL-8B-Instruct")
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import numpy as np
from PIL import Image

from methods.errors import suggestion
from methods.lmm.base import LMM, LMMError
from methods.lmm.catalogue import find
from methods.lmm.prompt import Prompt
from methods.lmm.rendering import retold
from methods.lmm.sampling import Sampling
from methods.lmm.server.candidates import HOW_TO_START, TOP, Candidates, logprobs
from methods.lmm.server.http import Connection, Refused
from methods.lmm.server.messages import data_url, to_messages

CHAT = "/v1/chat/completions"
_TEMPLATE = re.compile(r"alternat|template|system role|roles? must", re.IGNORECASE)
Item, Result = TypeVar("Item"), TypeVar("Result")


class ServerLMM(LMM):
    """A model that a server holds.

    `word_logits` returns log-probabilities: equal to the logits up to a constant a row.

    Args:
        url: http(s)://HOST:PORT, with or without /v1. A query sets concurrency, timeout, patience and images where
            only a name can be given, as on the command line.
        model: as the server names it; may be left out where it serves one only.
        concurrency: requests under way at once.
        timeout: seconds without a byte after which a request is lost.
        patience: seconds over which a busy, stumbling or absent server is asked again.
        api_key: by default from MEAN_OPINION_SERVER_KEY or OPENAI_API_KEY.
        image_budget: most pictures a prompt, as the server was started with; by default the catalogue's, else 8.

    Raises:
        LMMError: no server answers there, or it does not serve the model; the sentence says what it does serve.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        concurrency: int = 16,
        timeout: float = 300.0,
        patience: float = 120.0,
        api_key: str | None = None,
        image_budget: int | None = None,
    ) -> None:
        url, told = _settings(url)
        concurrency, timeout = told.get("concurrency", concurrency), told.get("timeout", timeout)
        patience, image_budget = told.get("patience", patience), told.get("images", image_budget)
        if concurrency < 1:
            raise LMMError(f"concurrency must be at least 1; got {concurrency}.")
        self._connection = Connection(url, api_key, timeout, patience, connections=concurrency)
        self._concurrency = concurrency
        served = self._served(model)
        self.model_id = served["id"]
        self.name = f"server:{self._connection.root}/v1#{self.model_id}"
        self.revision = self._describe(served)
        entry = find(str(served.get("root") or "")) or find(self.model_id)
        self.image_budget = image_budget or (entry.image_budget if entry else 8)
        self._candidates = Candidates(self._connection, self.model_id)
        self._mode = 0  # place in _MODES; only ever grows
        self._mode_lock = threading.Lock()
        self._plainly = False  # the model's template has refused turns as the papers write them

    def word_logits(self, prompts: Sequence[Prompt], words: Sequence[str]) -> np.ndarray:
        """As `LMM.word_logits`, log-probabilities, one request a distinct prompt.

        Raises:
            LMMError: as there, or a candidate is not among the tokens that the server lists.
            methods.lmm.errors.ModelUnavailable: the server did not answer for `patience` seconds.
        """
        words = list(words)
        if not words:
            raise ValueError("Name at least one candidate word.")
        for prompt in prompts:
            self._check_budget(prompt)
        encode = _Encoder()

        def ask(prompt: Prompt) -> list[float]:
            return self._read(prompt, words, self._candidates.tokens(prompt, words), encode)

        rows = self._all(ask, prompts)
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(words))

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int = 1,
        max_new_tokens: int = 512,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> list[list[str]]:
        """As `LMM.generate`, with one request a prompt, so that the server prefills it once for all n samples.

        vLLM draws sample i from seed + i. On a GPU, a server repeats itself only as far as its batching does.
        """
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        if n < 1 or (sampling.greedy and n != 1):
            raise ValueError(f"Greedy decoding gives one text and sampling at least one; got n={n}.")
        for prompt in prompts:
            self._check_budget(prompt)
        encode = _Encoder()

        def ask(prompt: Prompt) -> list[str]:
            texts: list[str] = []
            while len(texts) < n:
                # A server that knows no n gives one text a request; the seeds go on where it stopped.
                body = _generation(sampling, n - len(texts), seed + len(texts))
                choices = self._chat(prompt, encode, body).get("choices") or []
                if not choices:
                    raise LMMError(f"The server at {self._connection.root} answered without a text; look at its log.")
                choices = sorted(choices, key=lambda choice: choice.get("index", 0))
                texts += [choice["message"].get("content") or "" for choice in choices]
            return texts[:n]

        return self._all(ask, prompts)

    def stream(
        self,
        prompt: Prompt,
        max_new_tokens: int = 512,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> Iterator[str]:
        """As `LMM.stream`; closing the iterator closes the connection, which makes the server stop."""
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        self._check_budget(prompt)
        body = self._body(prompt, _Encoder()) | _generation(sampling, 1, seed) | {"stream": True}
        for event in self._connection.stream(CHAT, body):
            for choice in event.get("choices", ()):
                piece = (choice.get("delta") or {}).get("content")
                if piece:
                    yield piece

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Not offered: chat servers do not hand out what the vision encoder saw.

        Raises:
            LMMError: always.
        """
        raise LMMError("A server hands out no picture features; choose another encoder (encoder=DINOv2, for "
                       "example), or run the model in this process.")

    def close(self) -> None:
        """Closes the connections."""
        self._connection.close()

    def _served(self, model: str | None) -> dict[str, Any]:
        """The entry of /v1/models. Asked with little patience: a wrong address should be told at once."""
        listed = self._connection.get("/v1/models", patience=min(self._connection.patience, 3.0))
        entries = [entry for entry in listed.get("data", ()) if isinstance(entry, dict) and "id" in entry]
        names = [entry["id"] for entry in entries]
        if model is None and len(entries) == 1:
            return entries[0]
        if model is None:
            raise LMMError(f"The server at {self._connection.root} serves {', '.join(names) or 'nothing'}; name one "
                           "after a #.")
        for entry in entries:
            if entry["id"] == model:
                return entry
        raise LMMError(f"The server at {self._connection.root} does not serve {model!r}"
                       f"{suggestion(model, names) if names else ''}; start it with `vllm serve {model}`.")

    def _describe(self, served: dict[str, Any]) -> str:
        """What the server says about its weights and itself; it does not tell a hash."""
        try:
            version = self._connection.get("/version", patience=0.0).get("version")
        except LMMError:
            version = None
        root = str(served.get("root") or self.model_id).rstrip("/").rpartition("/")[2]
        return f"{root}, " + (f"vLLM {version}" if version else str(served.get("owned_by") or "unknown server"))

    def _check_budget(self, prompt: Prompt) -> None:
        shown = len(prompt.images)
        if shown > self.image_budget:
            raise LMMError(f"The prompt shows {shown} pictures but {self.name} takes at most {self.image_budget}; "
                           "show fewer or choose another model.")

    def _read(self, prompt: Prompt, words: list[str], tokens: tuple[int, ...], encode: _Encoder) -> list[float]:
        """Log-probabilities of the tokens, by id if the server can, else among its likeliest."""
        body = {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "return_tokens_as_token_ids": True}
        missing: list[str] = []
        for mode, extra in enumerate(_modes(tokens)):
            if mode < self._mode:
                continue
            try:
                answer = self._chat(prompt, encode, body | extra)
            except Refused as refused:
                if mode == 0 and refused.status in (400, 422) and "logprob_token_ids" in refused.message:
                    self._settle(1)
                    continue
                if mode > 1 and refused.status in (400, 422) and "logprobs" in refused.message:
                    break
                raise
            found = logprobs(answer, tokens)
            missing = [word for word, value in zip(words, found) if value is None]
            if not missing:
                self._settle(mode)
                return [float(value) for value in found if value is not None]
        raise LMMError(f"{', '.join(map(repr, missing))} is not among the likeliest tokens that the server at "
                       f"{self._connection.root} lists, so the score is unknown; {HOW_TO_START}.")

    def _settle(self, mode: int) -> None:
        """Remembers what did not work, so that it is not asked for again."""
        with self._mode_lock:
            self._mode = max(self._mode, mode)

    def _body(self, prompt: Prompt, encode: _Encoder) -> dict[str, Any]:
        return {"model": self.model_id, **to_messages(prompt, encode)}

    def _chat(self, prompt: Prompt, encode: _Encoder, settings: dict[str, Any]) -> dict[str, Any]:
        """One answer. A conversation that the model's template refuses is retold in its plainest form."""
        if not self._plainly:
            try:
                return self._connection.post(CHAT, self._body(prompt, encode) | settings)
            except Refused as refused:
                if refused.status != 400 or not _TEMPLATE.search(refused.message):
                    raise
        plain = Prompt(tuple(retold(prompt.turns)), prompt.answer_prefix)
        answer = self._connection.post(CHAT, self._body(plain, encode) | settings)
        self._plainly = True
        return answer

    def _all(self, ask: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`ask` of every item, several at a time, in order. The first error ends the rest."""
        if len(items) < 2:
            return [ask(item) for item in items]
        with ThreadPoolExecutor(min(self._concurrency, len(items))) as pool:
            futures = [pool.submit(ask, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise


def _settings(url: str) -> tuple[str, dict[str, Any]]:
    """The address without its query, and what the query sets."""
    address, _, query = url.partition("?")
    kinds = {"concurrency": int, "timeout": float, "patience": float, "images": int}
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in kinds:
            raise LMMError(f"A server address has no setting {name!r}{suggestion(name, kinds)}")
        try:
            found[name] = kinds[name](value)
        except ValueError:
            raise LMMError(f"The setting {name} of a server address is a number; got {value!r}.") from None
    return address, found


def _modes(tokens: Sequence[int]) -> list[dict[str, Any]]:
    """Ways to ask for the candidates, best first."""
    return [{"logprob_token_ids": list(tokens)}, *({"top_logprobs": count} for count in TOP)]


def _generation(sampling: Sampling, n: int, seed: int) -> dict[str, Any]:
    body: dict[str, Any] = {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature, "seed": seed,
                            "n": n}
    if sampling.top_p < 1:
        body["top_p"] = sampling.top_p
    if sampling.top_k > 0:
        body["top_k"] = sampling.top_k
    return body


class _Encoder:
    """Encodes each picture object once a call: the same photo stands in many prompts."""

    def __init__(self) -> None:
        self._urls: dict[int, tuple[Image.Image, str]] = {}
        self._lock = threading.Lock()

    def __call__(self, image: Image.Image) -> str:
        with self._lock:
            if id(image) not in self._urls:
                # The picture is kept with its URL, so that its id is not given to another one.
                self._urls[id(image)] = (image, data_url(image))
            return self._urls[id(image)][1]
