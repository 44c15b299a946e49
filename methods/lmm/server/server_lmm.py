"""An LMM behind an OpenAI-compatible server: vLLM on one GPU, on many, or on a Ray cluster.

It reaches what does not fit into this process: models of hundreds of gigabytes, and families that need code of their
own. The server batches and shares prefixes itself, so what is left to do here is to keep it busy with concurrent
requests, to read exactly the candidates' log-probabilities, and to tell a prompt's fault from the server's.

    vllm serve Qwen/Qwen3-VL-8B-Instruct --limit-mm-per-prompt '{"image": 8, "video": 0}'
    load_lmm("server:http://127.0.0.1:8000/v1#Qwen/Qwen3-VL-8B-Instruct")
    load_lmm("server:http://127.0.0.1:8000/v1?concurrency=64&images=6#Qwen/Qwen3-VL-8B-Instruct")
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar
from urllib.parse import parse_qsl

import httpx2 as httpx
import numpy as np
from PIL import Image

from methods.errors import InputError, suggestion
from methods.lmm.base import LMM, LMMError
from methods.lmm.catalogue import find
from methods.lmm.pixels import PixelLimit
from methods.lmm.prompt import Prompt
from methods.lmm.rendering import plain_turns
from methods.lmm.sampling import Sampling
from methods.lmm.server.answers import Chat, ChatEvent, Choice, Message, ServedModel, ServedModels, Version
from methods.lmm.server.candidates import HOW_TO_START, TOP, Candidates, logprobs
from methods.lmm.server.http import Connection, Refused
from methods.lmm.server.messages import data_url, to_messages
from methods.locks import ForkSafeLock
from methods.patience import step

CHAT = "/v1/chat/completions"
_TEMPLATE = re.compile(r"alternat|template|system role|roles? must", re.IGNORECASE)
_NEUTRAL = {"top_k": -1, "repetition_penalty": 1.0}
"""vLLM's settings beyond OpenAI's at the value that changes nothing. They are sent all the same, since a server fills
what is left out from the model's generation_config.json."""
Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_BETWEEN_STEPS = 0.5
"""While answers are on their way: how often it is asked whether anybody still waits."""


class ServerLMM(LMM):
    """A model that a server holds.

    `word_logits` returns log-probabilities: equal to the logits up to a constant per row.

    Args:
        url: http(s)://HOST:PORT, with or without /v1. A query sets concurrency, timeout, patience and images where
            only a name can be given, as on the command line.
        model: as the server names it; may be left out where it serves one only.
        concurrency: requests under way at once.
        timeout: seconds without a byte after which a request is lost.
        patience: seconds over which a busy, stumbling or absent server is asked again.
        api_key: by default from MEAN_OPINION_SERVER_KEY or OPENAI_API_KEY.
        image_budget: most images per prompt, as the server was started with; by default the catalogue's, else 8.
        max_pixels: larger images are scaled down to so many pixels before they are sent; by default the server
            decides.
        transport: how requests travel, as in `Connection`.

    Raises:
        LMMError: no server answers there, or it does not serve the model; the sentence says what it does serve.
    """

    def __init__(self, url: str, model: str | None = None, *, concurrency: int = 16, timeout: float = 300.0,
                 patience: float = 120.0, api_key: str | None = None, image_budget: int | None = None,
                 max_pixels: int | None = None, transport: httpx.BaseTransport | None = None) -> None:
        url, query = _settings(url)
        self._concurrency = int(query.get("concurrency", concurrency))
        if self._concurrency < 1:
            raise LMMError(f"concurrency must be at least 1; got {concurrency}.")
        image_budget = int(query["images"]) if "images" in query else image_budget
        self.max_pixels = int(query["max_pixels"]) if "max_pixels" in query else max_pixels
        if self.max_pixels is not None and self.max_pixels < 1:
            raise InputError(f"max_pixels must be at least 1; got {self.max_pixels}.")
        self._limit = PixelLimit(self.max_pixels, beforehand=True)
        self._connection = Connection(url, api_key, query.get("timeout", timeout), query.get("patience", patience),
                                      self._concurrency, transport)
        served = self._served(model)
        self.model_id = served.id
        self.name = f"server:{self._connection.root}/v1#{self.model_id}"
        self.revision = self._describe(served)
        entry = find(served.root) or find(self.model_id)
        self.image_budget = image_budget or (entry.image_budget if entry else 8)
        self._candidates = Candidates(self._connection, self.model_id)
        self._mode = 0  # place in _MODES; only ever grows
        self._mode_lock = ForkSafeLock()
        self._plainly = False  # the model's template has refused turns as the papers write them
        self._unknown: frozenset[str] = frozenset()  # fields of _NEUTRAL that the server refuses

    def word_logits(self, prompts: Sequence[Prompt], words: Sequence[str]) -> np.ndarray:
        """As `LMM.word_logits`, log-probabilities, one request per prompt.

        Raises:
            LMMError: as there, or a candidate is not among the tokens that the server lists, or it gives all of them
                the same log-probability.
            methods.lmm.errors.ModelUnavailable: the server did not answer for `patience` seconds.
        """
        words = list(words)
        if not words:
            raise InputError("Name at least one candidate word.")
        for prompt in prompts:
            self.check_budget(prompt)
        encode = _Encoder(self._limit)

        def ask(prompt: Prompt) -> list[float]:
            return self._read(prompt, words, self._candidates.tokens(prompt, words), encode)

        rows = self._all(ask, prompts)
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(words))

    def generate(self, prompts: Sequence[Prompt], n: int = 1, max_new_tokens: int = 512, temperature: float = 1.0,
                 top_p: float = 1.0, top_k: int = 0, seed: int = 0) -> list[list[str]]:
        """As `LMM.generate`, with one request per prompt, so that the server prefills it once for all n samples.

        vLLM draws sample i from seed + i. On a GPU, a server repeats itself only as far as its batching does.
        """
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        sampling.check_count(n)
        for prompt in prompts:
            self.check_budget(prompt)
        encode = _Encoder(self._limit)

        def ask(prompt: Prompt) -> list[str]:
            texts: list[str] = []
            while len(texts) < n:
                # A server that knows no n gives one text per request; the seeds go on where it stopped.
                body = _generation(sampling, seed + len(texts)) | {"n": n - len(texts)}
                choices = self._chat(prompt, encode, body, self._post).choices
                if all(choice.index is not None for choice in choices):
                    choices = sorted(choices, key=lambda choice: choice.index or 0)
                texts += [self._text(choice) for choice in choices]
            return texts[:n]

        return self._all(ask, prompts)

    def stream(self, prompt: Prompt, max_new_tokens: int = 512, temperature: float = 1.0, top_p: float = 1.0,
               top_k: int = 0, seed: int = 0) -> Iterator[str]:
        """As `LMM.stream`; closing the iterator closes the connection, which makes the server stop."""
        sampling = Sampling(max_new_tokens, temperature, top_p, top_k, seed)
        self.check_budget(prompt)
        settings = _generation(sampling, seed) | {"n": 1, "stream": True}
        refusal, complete, thinking = "", False, False  # `thinking`: inside of what a reasoning parser took out
        first, rest = self._chat(prompt, _Encoder(self._limit), settings, self._begin)
        with contextlib.closing(rest):
            for choice in (choice for event in itertools.chain(first, rest) for choice in event.choices or ()):
                piece = choice.delta or choice.message or Message()
                if piece.reasoning:
                    yield piece.reasoning if thinking else f"<think>{piece.reasoning}"
                    thinking = True
                if piece.text:
                    yield f"</think>{piece.text}" if thinking else piece.text
                    thinking = False
                refusal += piece.refusal
                complete = complete or bool(piece.text or piece.reasoning or choice.finish_reason)
        if refusal or not complete:
            raise LMMError(self._no_text(refusal or "its stream holds none"))

    def embed(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Not offered: chat servers do not hand out what the tower saw.

        Raises:
            LMMError: always.
        """
        raise LMMError("A server hands out no image features; choose another encoder (encoder=DINOv2, for "
                       "example), or run the model in this process.")

    def close(self) -> None:
        """Closes the connections."""
        self._connection.close()

    def _served(self, model: str | None) -> ServedModel:
        """The entry of /v1/models. Asked with little patience: a wrong address should be told at once."""
        entries = self._connection.get("/v1/models", ServedModels, min(self._connection.patience, 3.0)).data
        names = [entry.id for entry in entries]
        if model is None and len(entries) == 1:
            return entries[0]
        if model is None:
            raise LMMError(f"The server at {self._connection.root} serves {', '.join(names) or 'nothing'}; name one "
                           "after a #.")
        for entry in entries:
            if entry.id == model:
                return entry
        raise LMMError(f"The server at {self._connection.root} does not serve {model!r}"
                       f"{suggestion(model, names) if names else ''}; start it with `vllm serve {model}`.")

    def _describe(self, served: ServedModel) -> str:
        """What the server says about its weights and itself; it does not tell a hash."""
        root = (served.root or self.model_id).rstrip("/").rpartition("/")[2]
        try:
            return f"{root}, vLLM {self._connection.get('/version', Version, patience=0.0).version}"
        except LMMError:  # Only vLLM has one.
            return f"{root}, {served.owned_by or 'unknown server'}"

    def _text(self, choice: Choice) -> str:
        """What was written, with the thoughts before it that a reasoning parser has taken out."""
        message = choice.message
        if message is None or message.is_empty:
            raise LMMError(self._no_text(message.refusal if message and message.refusal else choice.words))
        if not message.reasoning:
            return message.text
        return f"<think>{message.reasoning}" + (f"</think>{message.text}" if message.text else "")

    def _no_text(self, words: str) -> str:
        return f"The server at {self._connection.root} answered without a text: {' '.join(words.split())}"

    def _read(self, prompt: Prompt, words: list[str], tokens: tuple[int, ...], encode: _Encoder) -> list[float]:
        """Log-probabilities of the tokens, by id if the server can, else among its likeliest."""
        body = _generation(Sampling(max_new_tokens=1, temperature=0.0)) | {
            "logprobs": True, "return_tokens_as_token_ids": True}
        missing: list[str] = []
        for mode, extra in enumerate(_modes(tokens)):
            if mode < self._mode:
                continue
            try:
                answer = self._chat(prompt, encode, body | extra, self._post)
            except Refused as refused:
                if not _names(refused, "logprob", "return_tokens_as_token_ids"):
                    raise
                if mode == 0 and "logprob_token_ids" in refused.message:
                    self._settle(1)
                    continue
                if missing:
                    break
                raise LMMError(f"The server at {self._connection.root} gives no log-probabilities "
                               f"({refused.message}); {HOW_TO_START}.") from refused
            values = logprobs(answer, tokens)
            missing = [word for word, value in zip(words, values) if value is None]
            if not missing:
                self._settle(mode)
                return [value for value in values if value is not None]
        raise LMMError(f"{', '.join(map(repr, missing))} is not among the likeliest tokens that the server at "
                       f"{self._connection.root} lists, so the score is unknown; {HOW_TO_START}.")

    def _settle(self, mode: int) -> None:
        """Remembers what did not work, so that it is not asked for again."""
        with self._mode_lock:
            self._mode = max(self._mode, mode)

    def _body(self, prompt: Prompt, encode: _Encoder) -> dict[str, object]:
        return {"model": self.model_id, **to_messages(prompt, encode)}

    def _post(self, body: dict[str, object]) -> Chat:
        return self._connection.post(CHAT, body, Chat)

    def _begin(self, body: dict[str, object]) -> tuple[list[ChatEvent], Generator[ChatEvent]]:
        """The first event of a streamed answer, which a refusal would come in place of, and the others."""
        events = self._connection.stream(CHAT, body)
        return list(itertools.islice(events, 1)), events

    def _chat(self, prompt: Prompt, encode: _Encoder, settings: dict[str, object],
              send: Callable[[dict[str, object]], Result]) -> Result:
        """One answer. A conversation that the model's template refuses is retold in its plainest form."""
        if not self._plainly:
            try:
                return self._tolerant(send, self._body(prompt, encode) | settings)
            except Refused as refused:
                if refused.status not in (None, 400) or not _TEMPLATE.search(refused.message):
                    raise
        plain = Prompt(tuple(plain_turns(prompt.turns)), prompt.answer_prefix)
        answer = self._tolerant(send, self._body(plain, encode) | settings)
        self._plainly = True
        return answer

    def _tolerant(self, send: Callable[[dict[str, object]], Result], body: dict[str, object]) -> Result:
        """`send` the body, without settings that a strict OpenAI API refuses to know if they change nothing there.

        Raises:
            LMMError: the server knows no such setting, and it was to change something.
        """
        while True:
            try:
                return send({name: value for name, value in body.items() if name not in self._unknown})
            except Refused as refused:
                field = next((name for name in _NEUTRAL if name in body and name not in self._unknown
                              and _names(refused, name)), None)
                if field is None:
                    raise
                if body[field] != _NEUTRAL[field]:
                    raise LMMError(f"The server at {self._connection.root} does not take {field}={body[field]} "
                                   f"({refused.message}); switch it off ({field}=0) or choose another server."
                                   ) from refused
                self._unknown |= {field}

    def _all(self, ask: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`ask` of every item, several at a time, in order. The first error ends the rest."""
        if not items:
            return []
        pool = ThreadPoolExecutor(min(self._concurrency, len(items)))
        futures = [pool.submit(ask, item) for item in items]
        try:
            while wait(futures, SECONDS_BETWEEN_STEPS, FIRST_EXCEPTION).not_done:
                step()
                if any(future.done() and future.exception() for future in futures):
                    break
            return [future.result() for future in futures]
        finally:
            # Whoever no longer waits for the answers does not wait for those that are still on their way either.
            pool.shutdown(wait=False, cancel_futures=True)


def _settings(url: str) -> tuple[str, dict[str, float]]:
    """The address without its query, and what the query sets."""
    address, _, query = url.partition("?")
    lowest = {"concurrency": 1, "timeout": 0.001, "patience": 0, "images": 1, "max_pixels": 1}
    settings: dict[str, float] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in lowest:
            raise LMMError(f"A server address has no setting {name!r}{suggestion(name, lowest)}")
        whole = name in ("concurrency", "images", "max_pixels")
        try:
            settings[name] = int(text) if whole else float(text)
        except ValueError:
            settings[name] = math.nan
        if not lowest[name] <= settings[name] < math.inf:
            raise LMMError(f"The setting {name} of a server address is a {'whole ' if whole else ''}number of at least "
                           f"{lowest[name]}; got {text!r}.")
    return address, settings


def _modes(tokens: Sequence[int]) -> list[dict[str, object]]:
    """Ways to ask for the candidates, best first."""
    modes: list[dict[str, object]] = [{"logprob_token_ids": list(tokens)}]
    modes += [{"top_logprobs": count} for count in TOP]
    return modes


def _generation(sampling: Sampling, seed: int = 0) -> dict[str, object]:
    """Every setting of a generation; see `_NEUTRAL` for why none is left out."""
    return {"max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p,
            **_NEUTRAL, "top_k": sampling.top_k or _NEUTRAL["top_k"], "seed": seed}


def _names(refused: Refused, *fields: str) -> bool:
    """Whether a server refused a request for one of these fields."""
    return refused.status in (None, 400, 422) and any(field in refused.message for field in fields)


class _Encoder:
    """Encodes each image object once per call: the same photo stands in many prompts."""

    def __init__(self, limit: PixelLimit) -> None:
        self._limit = limit
        # The image is kept with its URL, so that its id is not given to another one.
        self._slots: dict[int, tuple[Image.Image, ForkSafeLock, list[str]]] = {}
        self._lock = ForkSafeLock()

    def __call__(self, image: Image.Image) -> str:
        with self._lock:
            _, own_lock, url = self._slots.setdefault(id(image), (image, ForkSafeLock(), []))
        # Images are encoded beside one another, each once.
        with own_lock:
            if not url:
                url.append(data_url(self._limit.scaled(image)))
            return url[0]
