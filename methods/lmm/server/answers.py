"""What an OpenAI-compatible server answers, as pydantic models, and what it says where it answers something else.

Servers differ in all but the main road: errors arrive with status 200, texts as lists of parts, numbers as null. What
fits a model here is used, and everything else becomes a `Fault` in the server's own words.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

_LONGEST = 600
_STATUS_FIELDS = ("code", "status", "status_code", "http_status")
_WORD_FIELDS = ("error", "message", "detail", "msg", "errors", "error_message", "error_description")

# What waiting mends, where no status says so.
_PASSING = re.compile(
    r"rate.?limit|too many requests|overload|unavailable|timed? ?out|at capacity|try again|bad gateway|still loading"
    r"|loading model|(internal|upstream|server)[ _]?(server[ _]?)?error", re.IGNORECASE)
# What waiting does not mend, whatever the status: no credit left, or an address that a server cannot reach.
_LASTING = re.compile(
    r"insufficient_quota|exceeded your current quota|cannot connect to host|name or service not known"
    r"|failed to (fetch|download|load) (image|media)|invalid ?url|nodename nor servname", re.IGNORECASE)
_PASSING_STATUS = frozenset({408, 409, 425, 429})
_LASTING_STATUS = frozenset({501, 505})


def _text_or_nothing(value: object) -> str:
    return value if isinstance(value, str) else ""


LenientText = Annotated[str, BeforeValidator(_text_or_nothing)]
"""A string that is not needed: anything else reads as ""."""


class Answer(BaseModel):
    """Fields are taken as they are, never converted; further ones are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class ServedModel(Answer):
    """An entry of /v1/models; `root` is what the weights were loaded from."""

    id: str = Field(min_length=1)
    root: LenientText = ""
    owned_by: LenientText = ""


def _wrapped(value: object) -> object:
    return [] if value is None else value


class ServedModels(Answer):
    """/v1/models. Some servers send the bare list, or null for an empty one."""

    data: Annotated[list[ServedModel], BeforeValidator(_wrapped)]


class Version(Answer):
    """/version."""

    version: str = Field(min_length=1)


class Tokens(Answer):
    """/tokenize: the ids of a conversation."""

    tokens: list[Annotated[int, Field(ge=0)]]


class Alternative(Answer):
    """A token and its log-probability, which some servers leave empty."""

    token: str
    logprob: float | None = None


class Position(Alternative):
    """A place in the answer: the token that was drawn, and others that stood to choose."""

    top_logprobs: list[Alternative] | None = None


class LogProbabilities(Answer):
    content: list[Position] | None = None


class Part(Answer):
    text: LenientText = ""


class Message(Answer):
    """A text, whole or a piece of it; what a reasoning parser has taken out of it stands apart."""

    content: str | list[Part] | None = None
    reasoning: LenientText = Field(default="", validation_alias=AliasChoices("reasoning_content", "reasoning"))
    refusal: LenientText = ""

    @property
    def text(self) -> str:
        """`content`, its parts joined."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    @property
    def is_empty(self) -> bool:
        """Nothing was written; a text of no letters was."""
        return self.content is None and not self.reasoning


class Choice(Answer):
    """One answer of several; `message` where it is whole, `delta` where it is streamed."""

    model_config = ConfigDict(extra="allow")
    index: int | None = None
    message: Message | None = None
    delta: Message | None = None
    finish_reason: LenientText = ""
    logprobs: LogProbabilities | None = None

    @property
    def words(self) -> str:
        """As it came, shortened."""
        return self.model_dump_json(exclude_unset=True)[:_LONGEST]


class Chat(Answer):
    """A whole answer of /v1/chat/completions."""

    choices: list[Choice] = Field(min_length=1)


class ChatEvent(Answer):
    """A piece of a streamed answer; one that only counts tokens has no choices."""

    choices: list[Choice] | None = None


@dataclass(frozen=True)
class Fault:
    """An error in place of an answer.

    Attributes:
        words: what the server says, in one line.
        status: the HTTP status, or the one that the body names; None where neither does.
        passing: the same request may succeed later.
        stated: the server calls it an error; otherwise it is an answer in a form that nobody reads.
    """

    words: str
    status: int | None
    passing: bool
    stated: bool = True


Kind = TypeVar("Kind", bound=Answer)


def read(kind: type[Kind], raw: bytes | str, is_error: bool = False) -> Kind | Fault:
    """An answer that came with a good status.

    Args:
        kind: what was asked for.
        raw: the body, or the data of one event.
        is_error: the event's name says that it is one.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return _no_json(raw)
    if isinstance(body, dict):
        is_error = is_error or bool(body.get("error")) or "error" in (body.get("object"), body.get("type"))
    if is_error:
        return _fault(body)
    if kind is ServedModels and isinstance(body, list):
        body = {"data": body}
    try:
        answer = kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        stated = _fault(body)
        return Fault(f"{stated.words} ({place + ': ' if place else ''}{first['msg']})", stated.status, stated.passing,
                     stated=bool(_stated(body)) and isinstance(body, dict))
    if isinstance(answer, ChatEvent) and answer.choices is None and _stated(body):
        return _fault(body)
    return answer


def refusal(raw: bytes, status: int, reason: str = "") -> Fault:
    """What a body says that came with a bad status; `reason` is HTTP's own word for that."""
    try:
        return _fault(json.loads(raw), status)
    except (ValueError, RecursionError):
        sentence = plain_text(raw) or reason
        return Fault(sentence, status, _passes(status, sentence))


def plain_text(raw: bytes | str) -> str:
    """A web page or any other text without its tags, shortened, in one line."""
    text = raw.decode("utf-8", errors="replace") if isinstance(raw, bytes) else raw
    text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^<>]*>", " ", text[:20_000])
    return " ".join(text.split())[:300]


def _fault(body: object, status: int | None = None) -> Fault:
    """An error in its own words: its error, message or detail, else all of the body, shortened, in one line."""
    stated = _stated(body)
    try:
        sentence = stated or json.dumps(body, ensure_ascii=False)
    except RecursionError:
        sentence = "an answer of too many nested lists"
    status = status or _status(body)
    kind = _kind(body) if isinstance(body, dict) else ""
    return Fault(" ".join(sentence.split())[:_LONGEST], status, _passes(status, f"{stated} {kind}"))


def _no_json(raw: bytes | str) -> Fault:
    """Half an answer may be whole the next time; a web page stays one."""
    text = plain_text(raw)
    start = raw[:200].lstrip()
    page = start.startswith(b"<") if isinstance(start, bytes) else start.startswith("<")
    form = "a web page, not JSON" if page else "no JSON" if text else "empty"
    return Fault(f"its answer is {form}: {text}".removesuffix(": "), None, passing=not page, stated=False)


def _stated(body: object, depth: int = 5) -> str:
    """The words of an error; "" where there are none."""
    if isinstance(body, str) or not depth:
        return body if isinstance(body, str) else ""
    if isinstance(body, list):
        return "; ".join(filter(None, (_stated(one, depth - 1) for one in body)))
    if not isinstance(body, dict):
        return ""
    return next((words for name in _WORD_FIELDS if (words := _stated(body.get(name), depth - 1))), "")


def _kind(body: dict[str, object]) -> str:
    """The machine's words for an error, such as "rate_limit_exceeded"."""
    return " ".join(str(place[name]) for place in (body, body.get("error")) if isinstance(place, dict)
                    for name in ("type", "code", "status") if isinstance(place.get(name), str))


def _status(body: object) -> int | None:
    """The HTTP status that a body names."""
    places = [body.get("error"), body] if isinstance(body, dict) else []
    for place in places:
        for name in _STATUS_FIELDS:
            value = place.get(name) if isinstance(place, dict) else None
            if isinstance(value, str) and re.fullmatch("[45][0-9]{2}", value):
                value = int(value)
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return None


def _passes(status: int | None, sentence: str) -> bool:
    if _LASTING.search(sentence):
        return False
    if status is None:
        return _PASSING.search(sentence) is not None
    return status in _PASSING_STATUS or (status >= 500 and status not in _LASTING_STATUS)
