"""What the visitors of a soak do: every method, folders, shares, reading, hostile files and bodies, and leaving."""

from __future__ import annotations

import collections
import functools
import http.client
import io
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from tests.soak.running import App, Client, Failed, Refused, photo, zipped
from ui.errors import UNEXPECTED

OK, SENTENCE, REFUSED, DEFECT, DOWN = "answered", "told why not", "refused", "defect", "while it was down"

EXPECTED_STATUS = {400, 404, 408, 413, 422, 503, 507}
READS = "reading the leaderboard"


@dataclass
class Record:
    """What happened to all visitors, written by their threads.

    Attributes:
        seconds: action -> of each that was answered.
        outcomes: (action, outcome) -> how many.
        defects: what no visitor should ever see, with the action.
        shares: ids that were given to a visitor, in order, and when.
        requests: HTTP calls.
        closed: whether it takes no more.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    outcomes: collections.Counter = field(default_factory=collections.Counter)
    defects: list[str] = field(default_factory=list)
    shares: list[tuple[float, str]] = field(default_factory=list)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    def add(self, action: str, outcome: str, seconds: float, why: str = "") -> None:
        with self.lock:
            if self.closed:
                return
            self.outcomes[action, outcome] += 1
            if outcome == OK:
                self.seconds[action].append(seconds)
            if outcome == DEFECT:
                self.defects.append(f"{action}: {why}")

    def total(self, outcome: str) -> int:
        return sum(count for (_, one), count in self.outcomes.items() if one == outcome)


class Counted(Client):
    """A client that counts its requests."""

    def __init__(self, app: App, record: Record, headers: dict[str, str]) -> None:
        super().__init__(app, headers=headers)
        self.record = record

    def request(self, *args, **kwargs):
        with self.record.lock:
            self.record.requests += 1
        return super().request(*args, **kwargs)


class Visitor(threading.Thread):
    """One visitor, who does one thing after the other until the end.

    Args:
        number: makes its address and its choices.
        up: set while the app is meant to answer.
        ended: set when it is over.
    """

    def __init__(self, app: App, record: Record, number: int, up: threading.Event, ended: threading.Event) -> None:
        super().__init__(name=f"visitor {number}", daemon=True)
        self.app, self.record, self.number, self.up, self.ended = app, record, number, up, ended
        self.scores = number % 5 < 2  # most only look; whoever scores soon stands in a queue
        self.rng = random.Random(number)
        self.files: list[dict] = []
        self.fresh()

    def fresh(self) -> None:
        """Comes back as somebody who was never here."""
        self.client = Counted(self.app, self.record, {"X-Forwarded-For": f"203.0.{self.number // 200}."
                                                                         f"{self.number % 200 + 1}"})
        self.files = []

    def run(self) -> None:
        actions = [action for action in ACTIONS if self.scores or action not in OF_MODELS]
        weights = [ACTIONS[action] for action in actions]
        while not self.ended.is_set():
            self.up.wait()
            action = self.rng.choices(actions, weights)[0]
            self.one(action)
            self.ended.wait(self.rng.expovariate(1 / PAUSE))
            if self.rng.random() < 0.1:
                self.fresh()

    def one(self, action: Callable[[Visitor], None]) -> None:
        """Does one thing and records how it went."""
        name, begun = (action.__doc__ or "").rstrip("."), time.monotonic()
        generation = self.app.process
        try:
            action(self)
            self.record.add(name, OK, time.monotonic() - begun)
        except Failed as error:
            down = str(error) == "the event ended without an answer" and self._was_down(generation)
            outcome = DOWN if down else DEFECT if str(error) in (UNEXPECTED, "None", "") else SENTENCE
            self.record.add(name, outcome, 0, str(error))
        except Refused as error:
            stale = error.status == 404 or "not one of your uploads" in str(error)
            outcome = REFUSED if error.status in EXPECTED_STATUS or stale else DEFECT
            self.record.add(name, outcome, 0, str(error))
        except (OSError, http.client.HTTPException, ValueError) as error:
            outcome = DOWN if self._was_down(generation) else DEFECT
            self.record.add(name, outcome, 0, f"{type(error).__name__}: {error}")

    def _was_down(self, generation: object) -> bool:
        return not self.up.is_set() or self.app.process is not generation

    def photo(self) -> dict:
        """An upload of this visitor."""
        if not self.files or self.rng.random() < 0.3:
            width, height = self.rng.choice([(320, 240), (640, 480), (1600, 1200), (4000, 3000)])
            seed = self.rng.randrange(20)
            self.files.append(self.client.upload(f"photo-{seed}.jpg", photo(width, height, seed=seed)))
        return self.rng.choice(self.files)

    def api(self, endpoint: str, **values: object) -> object:
        return self.client.call(endpoint, self.app.data(f"/{endpoint}", **values))


METHODS = ("q-bench", "iqarag", "llm-iqa", "leaf", "q-debias", "visualquality-r1")
SHORT = {"samples": 2, "max_new_tokens": 128}
"""Options of the last."""


def load_all(app: App) -> None:
    """Has every method score a small photo, so that all models are in memory."""
    client = Client(app)
    file = client.upload("small.jpg", photo(320, 240))
    for method in METHODS:
        options = SHORT if method == METHODS[-1] else {}
        client.call("score", app.data("/score", picture=file, method=method, options=options))


# --- what they do -----------------------------------------------------------------------------------------------------


def leaderboard(visitor: Visitor) -> None:
    """reading the leaderboard."""
    visitor.api("leaderboard")


def pages(visitor: Visitor) -> None:
    """opening a page."""
    path = visitor.rng.choice(["/", "/config", "/gradio_api/info", "/theme.css", "/healthz", "/gradio_api/app_id"])
    status, _ = visitor.client.request("GET", path)
    if status != 200:
        raise Refused(status, path)


def score(visitor: Visitor) -> None:
    """scoring with any method."""
    method = visitor.rng.choice(METHODS)
    visitor.api("score", picture=visitor.photo(), method=method, options=SHORT if method == METHODS[-1] else {})


def tab(visitor: Visitor) -> None:
    """scoring in a method's tab."""
    endpoint, name = visitor.rng.choice([("leaf", "photo"), ("q_debias", "path"), ("iqarag", "photo"),
                                         ("llm_iqa", "path")])
    visitor.api(endpoint, **{name: visitor.photo()})


def ranks(visitor: Visitor) -> None:
    """ranking photos."""
    visitor.api("rank", pictures=[visitor.photo(), visitor.photo()], method="leaf")


def folder(visitor: Visitor) -> None:
    """scoring a folder."""
    content = zipped({f"{number}.jpg": photo(320, 240, seed=number) for number in range(4)} | {"notes.txt": b"hello"})
    file = visitor.client.upload("folder.zip", content)
    visitor.client.event(visitor.app.event("score_all"), visitor.app.defaults("score_all", p0=[file], p1=["leaf"]))


def share(visitor: Visitor) -> None:
    """comparing, sharing and opening the link."""
    app, client = visitor.app, visitor.client
    client.event(app.event("side_by_side"), app.defaults("side_by_side", p0=[visitor.photo()], p1=["leaf"]))
    outputs = client.event(app.event("put"), app.defaults("put"))
    name = next(value for value in outputs if isinstance(value, str) and value.startswith("?share=")).partition("=")[2]
    name = name.partition("#")[0]
    with visitor.record.lock:
        visitor.record.shares.append((time.monotonic(), name))
    if not opens(client, name):
        raise ValueError(f"the share {name} does not open")


def opens(client: Client, name: str) -> bool:
    """Whether a shared comparison can be read."""
    app = client.app
    other = Client(app, headers=client.headers)
    other.request("POST", f"/gradio_api/queue/join?share={name}", json.dumps(
        {"data": app.defaults("restore"), "fn_index": app.event("restore"), "session_hash": other.session}).encode())
    _, answer = other.request("GET", f"/gradio_api/queue/data?session_hash={other.session}")
    return b"Shared comparison" in answer


def leaves(visitor: Visitor) -> None:
    """leaving before the answer."""
    event = visitor.client.begin("score", visitor.app.data("/score", picture=visitor.photo(),
                                                           method="visualquality-r1", options={"samples": 16}))
    if visitor.rng.random() < 0.5:
        visitor.client.listen("score", event, visitor.rng.random())


def hostile_body(visitor: Visitor) -> None:
    """sending a hostile body."""
    body = visitor.rng.choice([
        b'{"data":[' + b"[]," * 300_000 + b"1]}", b'{"data":[' + b"[" * 400_000, b'{"data":' + b"x" * 3_000_000,
        b"\xff\xfe\x00", b'{"data": ["/etc/passwd"]}', b'{"data": [{"path": "/etc/passwd"}]}', b"{}",
        b'{"data":[' + b"1," * 490_000 + b"1]}",
    ])
    path = visitor.rng.choice(["call/score", "call/leaderboard", "queue/join", "call/nothing", "mcp/"])
    status, answer = visitor.client.request("POST", f"/gradio_api/{path}", body)
    if status >= 500 and status != 503:
        raise Refused(status, answer.decode(errors="replace"))
    if b"/site-packages/" in answer or b"Traceback" in answer:
        raise ValueError("an answer tells of the inside of the server")


def hostile_file(visitor: Visitor) -> None:
    """sending a hostile file."""
    name, content = visitor.rng.choice([
        ("junk.jpg", visitor.rng.randbytes(5000)), ("bomb.png", bomb()), ("half.jpg", photo(640, 480)[:4000]),
        ("empty.png", b""), ("page.html", b"<script>alert(1)</script>"), ("long" * 40 + ".jpg", photo(64, 64)),
    ])
    visitor.api("score", picture=visitor.client.upload(name, content), method="leaf")


@functools.cache
def bomb() -> bytes:
    """A small file that says that it is 30,000 pixels wide and high."""
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    return file.getvalue()


def hostile_table(visitor: Visitor) -> None:
    """sending a hostile table or zip."""
    if visitor.rng.random() < 0.5:
        table = visitor.client.upload("ratings.csv", b"image,mos\n" + b"a.jpg,3\n" * 200_000)
        visitor.client.event(visitor.app.event("calibrate"),
                             visitor.app.defaults("calibrate", p0=[visitor.photo()] * 100, p1=table))
    else:
        file = visitor.client.upload("zeros.zip", zipped({"zeros.jpg": b"\0" * 20_000_000, "../out.jpg": b"x"}))
        visitor.client.event(visitor.app.event("score_all"),
                             visitor.app.defaults("score_all", p0=[file] * 100, p1=["leaf"]))


ACTIONS: dict[Callable[[Visitor], None], float] = {
    leaderboard: 30, pages: 40, score: 8, tab: 4, ranks: 2, folder: 1, share: 3, leaves: 3, hostile_body: 6,
    hostile_file: 3, hostile_table: 0.5,
}
OF_MODELS = {score, tab, ranks, folder, share, leaves, hostile_file, hostile_table}
"""What those who only look leave out."""

PAUSE = 2.0
"""Seconds between two things that a visitor does, on average."""


