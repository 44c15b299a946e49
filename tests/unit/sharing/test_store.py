"""The store keeps the newest, forgets the oldest, and is whole whenever it is looked at, kill -9 included."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from tests.unit.sharing.made import entry
from ui.share.entry import SUFFIX, GoneError, ShareError, new_token, pack, unpack
from ui.share.store import DAMAGED, DAY, PARTIAL, Store

NOW = 1_000_000.0


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "shares", max_bytes=10**6, max_age=30 * DAY)


def put(store, number, now=NOW, **settings):
    return store.put(entry(number, created=now, **settings), now=now)


def test_what_was_put_is_there(store):
    made = put(store, 1)
    assert store.get(made.id, now=NOW).record == entry(1).record
    assert made.expires == NOW + 30 * DAY


def test_a_second_store_on_the_same_folder_has_it_too(store):
    made = put(store, 1)
    other = Store(store.folder, max_bytes=10**6, max_age=30 * DAY)
    assert other.get(made.id, now=NOW).pictures == entry(1).pictures


def test_the_owner_deletes_it_and_the_link_is_gone(store):
    made = put(store, 1, now=time.time())
    assert store.delete(made.id, made.token)
    with pytest.raises(GoneError, match="gone"):
        store.get(made.id)
    with pytest.raises(GoneError, match="gone"):
        store.delete(made.id, made.token)
    assert not list(store.folder.rglob(f"*{SUFFIX}"))


def test_nobody_else_deletes_it(store):
    made, other = put(store, 1, now=time.time()), put(store, 2, now=time.time())
    for token in (new_token(), other.token, "", "x" * 32, made.token + "=", made.token[:-1]):
        with pytest.raises(ShareError, match="does not belong"):
            store.delete(made.id, token)
    assert store.get(made.id).record == entry(1).record


def test_the_same_content_shared_twice_goes_with_its_last_owner(store):
    now = time.time()
    first, second = put(store, 1, now=now), put(store, 1, now=now)
    assert first.id == second.id
    assert first.token != second.token
    assert len(store.ids()) == 1
    assert store.delete(first.id, first.token) is False
    assert store.get(first.id).record == entry(1).record
    with pytest.raises(ShareError):
        store.delete(first.id, first.token)
    assert store.delete(first.id, second.token) is True
    with pytest.raises(GoneError):
        store.get(first.id)


def test_sharing_again_does_not_prolong_it(store):
    first = put(store, 1, now=NOW)
    again = put(store, 1, now=NOW + 20 * DAY)
    assert again.expires == first.expires
    with pytest.raises(GoneError):
        store.get(first.id, now=NOW + 31 * DAY)


def test_full_it_keeps_the_newest(tmp_path):
    store = Store(tmp_path, max_bytes=10_000, max_age=30 * DAY)
    ids = [put(store, number, now=NOW + number, padding=1500).id for number in range(20)]
    kept = store.ids()
    assert store.size() <= 10_000
    assert kept == ids[-len(kept):]
    assert len(kept) >= 5
    for gone in ids[: -len(kept)]:
        with pytest.raises(GoneError):
            store.get(gone, now=NOW + 30)
    for name in kept:
        store.get(name, now=NOW + 30)


def test_what_is_larger_than_the_store_is_refused_and_costs_nobody_their_place(tmp_path):
    store = Store(tmp_path, max_bytes=5_000, max_age=DAY)
    made = put(store, 1)
    with pytest.raises(ShareError, match="larger"):
        put(store, 2, padding=6_000)
    assert store.ids() == [made.id]


def test_old_ones_are_refused_at_once_and_deleted_by_a_sweep(store):
    old, new = put(store, 1, now=NOW), put(store, 2, now=NOW + 29 * DAY)
    with pytest.raises(GoneError, match="time was over"):
        store.get(old.id, now=NOW + 30 * DAY + 1)
    store.sweep(now=NOW + 30 * DAY + 1)
    assert store.ids() == [new.id]


def test_a_sweep_comes_at_most_once_an_hour_and_clears_what_a_killed_write_left(store):
    put(store, 1)
    store.sweep(now=NOW + 10 * 3600)
    left = next(store.folder.rglob(f"*{SUFFIX}")).with_name(f".x{SUFFIX}.abc.partial")
    left.write_bytes(b"half")
    store.sweep(now=NOW + 10 * 3600 + 60)
    assert left.exists()
    store.sweep(now=NOW + 11 * 3600 + 60)
    assert not left.exists()


@pytest.mark.parametrize("name", [
    "../../etc/passwd", "..", "", "a" * 25, "a" * 27, "A" * 26, "a" * 25 + "1", "a" * 25 + "\n", "aa/../" + "a" * 20,
    "a" * 26 + "\0", "%2e%2e%2f" + "a" * 17, "a" * 25 + "é", "ａ" * 26,
])  # fmt: skip
def test_only_content_ids_become_file_names(store, name):
    outside = store.folder.parent / "passwd"
    outside.write_text("secret")
    with pytest.raises(GoneError, match="not a link"):
        store.get(name)
    with pytest.raises(GoneError, match="not a link"):
        store.delete(name, new_token())
    assert outside.read_text() == "secret"


def test_a_damaged_file_is_gone_and_can_be_shared_anew(store, caplog):
    made = put(store, 1)
    path = next(store.folder.rglob(f"*{SUFFIX}"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(GoneError):
        store.get(made.id, now=NOW)
    assert "is not a stored comparison" in caplog.text
    assert put(store, 1).id == made.id
    assert store.get(made.id, now=NOW).record == entry(1).record


def test_what_is_damaged_is_set_aside_once_and_counted(store, caplog):
    made = put(store, 1)
    path = next(store.folder.rglob(f"*{SUFFIX}"))
    path.write_bytes(b"PK nothing")
    before = Store.damaged
    for _ in range(3):
        with pytest.raises(GoneError):
            store.get(made.id, now=NOW)
    assert Store.damaged == before + 1
    assert not path.exists()
    assert [one.read_bytes() for one in (store.folder / DAMAGED).iterdir()] == [b"PK nothing"]
    assert [record.exc_info for record in caplog.records] == [None]
    store.sweep(now=time.time() + 31 * DAY)
    assert not list((store.folder / DAMAGED).iterdir())


def test_a_folder_in_an_entrys_place_is_a_miss_and_gives_way(store):
    name = entry(1).id
    folder = store.folder / name[:2] / f"{name}{SUFFIX}"
    (folder / "inside").mkdir(parents=True)
    store.sweep(now=NOW + 99 * DAY)
    with pytest.raises(GoneError):
        store.get(name, now=NOW)
    (folder / "inside").mkdir(parents=True)
    assert put(store, 1).id == name
    assert store.get(name, now=NOW).record == entry(1).record


def test_what_cannot_be_read_just_now_is_a_miss_with_a_line_and_stays(store, monkeypatch, caplog):
    made = put(store, 1)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        with pytest.raises(GoneError):
            store.get(made.id, now=NOW)
    assert "cannot be read (Permission denied)" in caplog.text
    assert store.get(made.id, now=NOW).record == entry(1).record


def test_a_disk_that_cannot_be_written_shows_what_comes_from_the_hub(store, monkeypatch):
    class Mirror:
        def get(self, name):
            return pack(entry(1, created=NOW))

    store.mirror = Mirror()
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert store.get(entry(1).id, now=NOW).record == entry(1).record


def test_a_clock_that_steps_keeps_and_forgets_as_it_says(store):
    made = put(store, 1)
    assert store.get(made.id, now=NOW - 400 * DAY).record == entry(1).record
    with pytest.raises(GoneError):
        store.get(made.id, now=NOW + 31 * DAY)
    assert store.get(made.id, now=NOW).record == entry(1).record
    put(store, 2, now=NOW - 400 * DAY)
    assert len(store.ids()) == 2


def test_a_renamed_file_is_not_served_as_something_else(store):
    one, two = put(store, 1), put(store, 2)
    files = {path.stem: path for path in store.folder.rglob(f"*{SUFFIX}")}
    files[two.id].write_bytes(files[one.id].read_bytes())
    with pytest.raises(GoneError):
        store.get(two.id, now=NOW)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ShareError, match="Sharing does not work"):
        put(Store(tmp_path / "file", max_bytes=10**6, max_age=DAY), 1)


def test_a_failed_write_leaves_the_old_entry(store, monkeypatch):
    made = put(store, 1)
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(ShareError, match="no room"):
        put(store, 2)
    monkeypatch.undo()
    assert store.ids() == [made.id]
    assert not list(store.folder.glob(PARTIAL))


def test_many_at_once_lose_nothing(store):
    made, errors = [], []

    def visitor(number):
        try:
            for turn in range(5):
                made.append(put(store, number * 10 + turn))
        except Exception as error:  # any failure of any thread fails the test
            errors.append(error)

    threads = [threading.Thread(target=visitor, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert len(made) == 30
    assert sorted(store.ids()) == sorted({one.id for one in made})
    for one in made:
        store.get(one.id, now=NOW)


WRITER = textwrap.dedent("""
    import sys, time
    sys.path.insert(0, sys.argv[1])
    from tests.unit.sharing.made import entry
    from ui.share.store import Store
    store = Store(sys.argv[2], max_bytes=40_000, max_age=1e9)
    number, start = int(sys.argv[3]), time.time()
    print("ready", flush=True)
    while True:
        made = store.put(entry(number, created=start + number / 1000, padding=3_000 + 500 * (number % 7)))
        print(made.id, flush=True)
        if number % 5 == 4:
            store.delete(made.id, made.token)
            print("-" + made.id, flush=True)
        number += 1
""")


@pytest.mark.slow
def test_killed_at_any_point_it_stays_consistent(tmp_path):
    """kill -9 at random moments, several times on one folder: every entry is whole, the cap holds, and the newest
    that the process had been told was stored is there."""
    folder, repository = tmp_path / "shares", Path(__file__).resolve().parents[3]
    rng, number = random.Random(7), 0
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(repository), str(folder), str(number)],
                                  stdout=subprocess.PIPE, text=True, cwd=repository)
        assert writer.stdout.readline() == "ready\n"
        tokens = [writer.stdout.readline().strip() for _ in range(rng.randint(1, 25))]
        time.sleep(rng.uniform(0, 0.02))
        writer.send_signal(signal.SIGKILL)
        tokens += [line.strip() for line in writer.stdout.read().splitlines() if line.strip()]
        writer.wait(120)
        number += 1000
        store = Store(folder, max_bytes=40_000, max_age=1e9)
        assert store.size() <= 40_000
        for path in folder.glob(f"??/*{SUFFIX}"):
            assert unpack(path.read_bytes(), path.stem).id == path.stem
        deleted = {line[1:] for line in tokens if line.startswith("-")}
        stored = [line for line in tokens if not line.startswith("-") and line not in deleted]
        # The one after the last that was told may have been deleted right before the kill; those before were not.
        there = set(store.ids())
        assert not deleted & there
        assert set(stored[:-1][-3:]) <= there
    fresh = store.put(entry(number, created=time.time() + 60))
    assert store.get(fresh.id).record["number"] == number
    assert not list(folder.glob(PARTIAL)), "the next write clears what killed ones left"
