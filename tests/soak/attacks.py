"""What one visitor can make the app cost, line by line, on this machine:

    python -m tests.soak.attacks [--checkout DIR]... [--only NAME,NAME]

Each line starts an app of its own with the embedded model, attacks it, and prints what it took. Two checkouts are
measured one after the other, before and after.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.soak.running import (
    REPOSITORY,
    App,
    Client,
    Failed,
    Refused,
    Watch,
    photo,
    running,
    together,
    zipped,
)

LARGE = 1_000_000

Report = Iterator[tuple[str, str]]


def at_start(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    with start() as app:
        yield "resident after the first score", f"{app.memory():.2f} GB"


def kept(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """Q-Debias on 24 megapixels, eight times, each by a visitor who never comes back."""
    with start() as app:
        content, before = photo(6000, 4000), app.memory()
        sizes = []
        for _ in range(8):
            client = Client(app)
            client.call("q_debias", app.data("/q_debias", path=client.upload("photo.jpg", content)))
            sizes.append(app.memory())
        app.wait_until_idle()
        growth = (sizes[-1] - sizes[2]) / (len(sizes) - 3)
        yield "8 x Q-Debias on 24 MP: resident before, after", f"{before:.2f} GB, {app.memory():.2f} GB"
        yield "growth per request after the third", f"{1000 * growth:.0f} MB"


def decoding(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """Twelve pictures of 90 megapixels at once."""
    with start() as app:
        content = photo(9000, 10000, "PNG")
        clients = [Client(app) for _ in range(12)]
        files = [client.upload("large.png", content) for client in clients]
        with Watch(app) as watch:
            answers = together([lambda client=client, file=file: client.call("leaf", app.data("/leaf", photo=file))
                                for client, file in zip(clients, files)])
        failed = [str(answer) for answer in answers if isinstance(answer, Exception)]
        yield "12 pictures of 90 MP at once: peak", f"{watch.peak:.2f} GB (before {watch.memory[0][1]:.2f})"
        yield "others waited at most", f"{watch.longest:.2f} s"
        yield "answers", f"{12 - len(failed)} scored" + (f", {len(failed)} refused: {failed[0]}" if failed else "")


def json_body(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """Nine megabytes of brackets, three shapes, and the largest that is accepted."""
    shapes = {"side by side": b'{"data":[' + b"[]," * (3 * LARGE) + b"[]]}",
              "nested by 500": b'{"data":[' + (b"[" * 500 + b"]" * 500 + b",") * (9 * LARGE // 1001) + b"1]}",
              "nested by 4.5 million": b'{"data":[' + b"[" * (4 * LARGE) + b"]" * (4 * LARGE) + b"]}",
              "under a megabyte": b'{"data":[' + b"[]," * (LARGE // 3 - 100) + b"[]]}"}
    with start() as app:
        for name, body in shapes.items():
            with Watch(app) as watch:
                begun = time.monotonic()
                status, _ = Client(app).request("POST", "/gradio_api/call/leaderboard", body)
                spent = time.monotonic() - begun
                time.sleep(0.3)
            yield f"JSON {name}: status, seconds, others waited", f"{status}, {spent:.2f} s, {watch.longest:.2f} s"


def table(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """A CSV of 40 megabytes as ratings, and the largest that is accepted."""
    with start() as app:
        for size in (40 * LARGE, LARGE - 1000):
            client = Client(app)
            rows = "image,mos\n" + "".join(f"picture-{number}.jpg,{number % 5 + 1}\n" for number in range(size // 22))
            file = client.upload("ratings.csv", rows.encode())
            photos = [client.upload(f"picture-{number}.jpg", photo(320, 240, seed=number)) for number in range(10)]
            with Watch(app) as watch:
                begun = time.monotonic()
                try:
                    client.event(app.event("calibrate"), app.defaults("calibrate", p0=photos, p1=file))
                    said = "calibrated"
                except Failed as error:
                    said = str(error)
                spent = time.monotonic() - begun
            yield (f"CSV of {len(rows) / 1e6:.1f} MB: seconds, peak, others waited",
                   f"{spent:.1f} s, {watch.peak:.2f} GB, {watch.longest:.2f} s ({said[:90]})")


def one_zip_often(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """A request of 27 KB that names one zip 200 times."""
    with start() as app:
        client = Client(app)
        # Many entries beside the two photos, so that every opening reads a long list.
        content = zipped({"one.jpg": photo(64, 48), "two.jpg": photo(64, 48, seed=1),
                          **{f"notes/{number}.txt": b"" for number in range(9000)}})
        file = client.upload("photos.zip", content)
        before = app.cpu()
        with Watch(app) as watch:
            begun = time.monotonic()
            try:
                client.event(app.event("score_all"), app.defaults("score_all", p0=[file] * 200))
                said = "scored"
            except Failed as error:
                said = str(error)
            spent = time.monotonic() - begun
        yield ("one zip named 200 times: processor, seconds, others waited",
               f"{app.cpu() - before:.1f} s, {spent:.1f} s, {watch.longest:.2f} s ({said[:90]})")


LONG = {"method": "visualquality-r1", "options": {"samples": 32, "max_new_tokens": 2048, "temperature": 2.0}}


def left(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """A long plain call whose client leaves after a second: how long it is worked for."""
    with start() as app:
        client = Client(app)
        file = client.upload("photo.jpg", photo(640, 480))
        event = client.begin("score", app.data("/score", picture=file, **LONG))
        client.listen("score", event, 1.5)
        begun = time.monotonic()
        app.wait_until_idle(180)
        yield "a long call after its client left: worked for", f"{time.monotonic() - begun - 1:.1f} s"


def deadline(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """The same call under a limit of two seconds."""
    with start(MEAN_OPINION_LONGEST_RUN="2") as app:
        client = Client(app)
        file = client.upload("photo.jpg", photo(640, 480))
        begun = time.monotonic()
        usual = {**LONG, "options": {**LONG["options"], "max_new_tokens": 2000}}  # no more than its default
        try:
            client.call("score", app.data("/score", picture=file, **usual))
            said = "scored"
        except Failed as error:
            said = str(error)
        yield "a long call under a limit of 2 s", f"{time.monotonic() - begun:.1f} s ({said[:90]})"


def abandoned(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """Eighty jobs that nobody listens to, then others who want to read and to score."""
    with start() as app:
        client = Client(app)
        file = client.upload("photo.jpg", photo(640, 480))
        long = app.data("/score", picture=file, method="visualquality-r1", options={"samples": 32})
        jobs = together([lambda: Client(app).begin("score", long)] * 80)
        taken = sum(isinstance(one, str) for one in jobs)
        begun, refused, waits = time.monotonic(), {"leaderboard": 0.0, "leaf": 0.0}, {}
        for endpoint, data in (("leaderboard", app.data("/leaderboard")), ("leaf", app.data("/leaf", photo=file))):
            other = Client(app, headers={"X-Forwarded-For": "203.0.113.7"})
            while time.monotonic() - begun < 180:
                try:
                    asked = time.monotonic()
                    other.call(endpoint, data)
                    waits[endpoint] = time.monotonic() - asked
                    break
                except Refused as error:
                    if error.status != 503:
                        raise
                    refused[endpoint] = time.monotonic() - begun
                    time.sleep(0.5)
        yield "80 abandoned jobs: taken", str(taken)
        for endpoint, seconds in refused.items():
            yield (f"others are refused {endpoint} for, then wait",
                   f"{seconds:.1f} s, {waits.get(endpoint, float('nan')):.2f} s")


def shares(start: Callable[..., contextlib.AbstractContextManager[App]]) -> Report:
    """A damaged entry and a folder in an entry's place, each opened three times."""
    with start() as app:
        damaged, folder = "a" * 26, "b" * 26
        (app.shares / "aa").mkdir(parents=True)
        (app.shares / "aa" / f"{damaged}.zip").write_bytes(b"PK\x03\x04 nothing")
        (app.shares / "bb" / f"{folder}.zip").mkdir(parents=True)
        said = []
        for name in (damaged, folder) * 3:
            client = Client(app)
            _, answer = client.request("POST", f"/gradio_api/queue/join?share={name}", json.dumps(
                {"data": app.defaults("restore"), "fn_index": app.event("restore"), "session_hash": client.session}
            ).encode())
            _, answer = client.request("GET", f"/gradio_api/queue/data?session_hash={client.session}")
            said.append("gone" if b"This comparison is gone" in answer else "error")
        yield ("damaged entry and folder in its place, three times each",
               f"{said.count('gone')} of 6 told that it is gone, {app.log.count('Traceback')} tracebacks in the log")


def environment(start: Callable[..., contextlib.AbstractContextManager[App]], checkout: Path = REPOSITORY) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder), checkout, {"MEAN_OPINION_SHARE_DAYS": "a year"})
        process = app.launch()
        try:
            code = str(process.wait(60))
        except subprocess.TimeoutExpired:
            code = "none, it runs"
            app.kill()
        lines = app.log.strip().splitlines()
        yield ("MEAN_OPINION_SHARE_DAYS='a year': exit, what is said",
               f"{code}, {'a traceback' if 'Traceback' in app.log else lines[-1] if lines else ''}")


LINES = {"start": at_start, "kept": kept, "decoding": decoding, "json": json_body, "table": table,
         "zip": one_zip_often, "left": left, "deadline": deadline, "abandoned": abandoned, "shares": shares,
         "environment": environment}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkout", type=Path, action="append", help="folder that holds app.py (this one)")
    parser.add_argument("--only", default=",".join(LINES), help=f"some of {', '.join(LINES)}")
    arguments = parser.parse_args()
    for checkout in arguments.checkout or [REPOSITORY]:
        print(f"## {checkout.name}", flush=True)
        for name in arguments.only.split(","):
            with tempfile.TemporaryDirectory() as folder:

                def start(folder: str = folder, checkout: Path = checkout, **variables: str
                          ) -> contextlib.AbstractContextManager[App]:
                    return running(Path(folder), checkout, **{"MEAN_OPINION_PROXIES": "127.0.0.1", **variables})

                try:
                    extra = {"checkout": checkout} if name == "environment" else {}
                    for line, result in LINES[name](start, **extra):
                        print(f"{line:62} {result}", flush=True)
                except Exception as error:  # one line that fails is said, and the others are measured
                    print(f"{name}: {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main()
