"""Files that survive a kill: replaced whole, appended in whole lines, locked by the living alone, known by content."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from methods import files

REPOSITORY = Path(__file__).resolve().parents[2]


def program(text: str, *words: object) -> subprocess.Popen:
    """Another process that runs `text`; `words` are its arguments."""
    return subprocess.Popen([sys.executable, "-c", text, *map(str, words)], cwd=REPOSITORY, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def killed_after_ready(text: str, *words: object) -> None:
    """Starts a program, waits until it prints a line, and kills it."""
    process = program(text, *words)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


HALF_A_REPLACEMENT = """
import sys, time
from methods import files
with files.replacing(sys.argv[1]) as partial:
    partial.write_text("half of the new con")
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_kill_in_the_middle_of_a_replacement_leaves_the_old_content(tmp_path):
    path = tmp_path / "table.csv"
    files.replace(path, "old content\n")
    killed_after_ready(HALF_A_REPLACEMENT, path)
    assert path.read_text() == "old content\n"
    files.replace(path, "new content\n")
    assert path.read_text() == "new content\n"


def test_a_kill_before_the_first_replacement_leaves_no_file(tmp_path):
    killed_after_ready(HALF_A_REPLACEMENT, tmp_path / "table.csv")
    assert not (tmp_path / "table.csv").exists()


def test_a_failed_replacement_leaves_the_old_content_and_nothing_beside_it(tmp_path):
    path = tmp_path / "table.csv"
    files.replace(path, b"old")

    def fail() -> None:
        with files.replacing(path) as partial:
            partial.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_two_writers_at_once_leave_the_whole_content_of_one(tmp_path):
    path = tmp_path / "table.csv"
    contents = [letter.encode() * 200_000 for letter in "ab"]
    threads = [threading.Thread(target=lambda content=content: [files.replace(path, content) for _ in range(20)])
               for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert not path.exists() or path.read_bytes() in contents
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_a_new_file_has_the_usual_permissions_and_a_replaced_one_keeps_its_own(tmp_path):
    path, usual = tmp_path / "a", tmp_path / "b"
    files.replace(path, "1")
    usual.write_text("1")
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o640)
    files.replace(path, "2")
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text() == "2"
    assert files.fresh_folder(tmp_path / "c").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_folder_is_replaced_whole_and_the_old_one_is_gone(tmp_path):
    folder = tmp_path / "set"
    for text in ("first", "second"):
        ready = files.fresh_folder(folder)
        (ready / "page").write_text(text)
        files.replace_folder(folder, ready)
        assert (folder / "page").read_text() == text
    assert os.listdir(tmp_path) == ["set"]


HALF_A_LINE = """
import os, sys, time
from methods import files
files.append(sys.argv[1], "one\\n")
files.append(sys.argv[1], "two\\n")
with open(sys.argv[1], "ab") as file:
    file.write(b"thr")
print("ready", flush=True)
time.sleep(60)
"""


def test_a_journal_loses_only_the_line_that_a_kill_tore(tmp_path):
    path = tmp_path / "journal"
    killed_after_ready(HALF_A_LINE, path)
    assert files.recover(path) == b"one\ntwo\n"
    files.append(path, "three\n")
    assert path.read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize(("content", "whole"), [
    (b"", b""), (b"torn", b""), (b"a\nb\n", b"a\nb\n"), (b"a\nb", b"a\n"),
    (b"a\n\0\0\0\0\n", b"a\n"),  # a power cut leaves zeros
    (b"a\nb\0c\nd\n", b"a\n"),
])
def test_whole_lines(content, whole):
    assert files.whole_lines(content) == whole


def test_there_is_nothing_to_recover_of_a_journal_that_is_not_there(tmp_path):
    assert files.recover(tmp_path / "none") == b""
    assert not (tmp_path / "none").exists()


HOLDS_THE_LOCK = """
import sys
from methods import files
with files.lock(sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_the_second_of_two_processes_is_told_who_is_first(tmp_path):
    path = tmp_path / ".lock"
    process = program(HOLDS_THE_LOCK, path)
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(files.LockedError, match=f"held by process {process.pid} on "), \
            files.lock(path, busy="It is held by {holder}."):
        pass
    with pytest.raises(files.LockedError, match="wait until it has ended"), files.lock(path, wait=0.1):
        pass
    process.communicate()  # its end of file ends the body
    with files.lock(path):
        pass


def test_a_dead_process_holds_no_lock(tmp_path):
    path = tmp_path / ".lock"
    killed_after_ready(HOLDS_THE_LOCK, path)
    assert path.with_name(".lock.holder").exists()
    with files.lock(path), pytest.raises(files.LockedError, match=f"process {os.getpid()} on"), files.lock(path):
        pass
    assert not path.with_name(".lock.holder").exists()


def test_a_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), files.lock(tmp_path / ".lock"):
        raise ZeroDivisionError
    with files.lock(tmp_path / ".lock"):
        pass


def test_hashes_are_sha256_and_parts_have_bounds(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    known = hashlib.sha256(b"abc").hexdigest()
    assert files.hash_file(tmp_path / "file") == known
    assert files.hash_joined(["ab", b"c"]) == files.hash_joined(["a", "bc"]) == known
    assert files.hash_parts(["ab", "c"]) != files.hash_parts(["a", "bc"])
    assert files.hash_parts(["ab", "c"]) == files.hash_parts([b"ab", b"c"])
    assert files.hash_parts([]) != files.hash_parts([""])
    assert files.hash_parts(["\udcff"]) == files.hash_parts([b"\xff"])  # a file name that is not text


def test_rows_as_csv_come_back_as_they_were():
    rows = [["image", "mos"], ["a, b.png", 1.5], ['the "best"\n.png', None], ["\udce9.png", 0.1 + 0.2]]
    text = files.csv_text(rows)
    assert "\r" not in text
    assert text.endswith("\n")
    back = list(csv.reader(io.StringIO(text, newline="")))
    assert back == [["" if cell is None else str(cell) for cell in row] for row in rows]
