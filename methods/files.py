"""Files that survive a kill: replaced whole, appended in whole pieces, locked by the kernel, told apart by content.

A process may be killed at any moment, by a scheduler, a full disk or a closed lid. So a file is written beside its
place and renamed, which a reader sees as all or nothing; a journal grows only by flushed pieces; and a lock is one that
a dead process cannot keep.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from methods.errors import InputError, UserError


class LockedError(UserError):
    """Another process holds the lock."""


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to; on success it takes the place of `path` in one step, else it is deleted.

    The file has reached the disk before it gets its name. Two writers at once do not meet: each has a file of its own.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _sync(partial)
        # mkstemp makes files that only their owner can read; a result is for whoever may read its folder.
        partial.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(partial, path)
        _sync_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace(path: str | Path, content: bytes | str) -> None:
    """Writes a file in one step: a reader finds the old content or the new one, never a part. Text is UTF-8."""
    with replacing(path) as partial:
        partial.write_bytes(_encoded(content))


def append(path: str | Path, content: bytes | str) -> None:
    """Adds whole content to the end of a file, which has reached the disk on return. Text is UTF-8."""
    with Path(path).open("ab") as file:
        file.write(_encoded(content))
        file.flush()
        os.fsync(file.fileno())


def fresh_folder(folder: str | Path) -> Path:
    """A new empty folder beside `folder`, for what `replace_folder` will put in its place."""
    folder = Path(folder)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    fresh.chmod(0o777 & ~_umask())
    return fresh


def replace_folder(folder: str | Path, ready: str | Path) -> None:
    """Puts the finished folder `ready` in the place of `folder`, which may exist; both are on one file system."""
    folder, ready = Path(folder), Path(ready)
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        os.replace(folder, old)
        try:
            os.replace(ready, folder)
        except OSError:
            os.replace(old, folder)
            raise
        for stale in folder.parent.glob(f".{folder.name}.*.old"):  # those of killed processes too
            shutil.rmtree(stale, ignore_errors=True)
    else:
        os.replace(ready, folder)
    _sync_folder(folder.parent)


def recover(path: str | Path) -> bytes:
    """The whole lines of a journal that only `append` writes to, b"" where there is none.

    What a kill left of a last line is cut off the file, so that nothing is ever joined to it. A power cut can leave
    zeros where a line should be; they end what is whole.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    whole = whole_lines(content)
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return whole


def text_of(content: bytes, path: str | Path) -> str:
    """The text of a file, in UTF-8 with or without a byte order mark.

    Args:
        path: what to call the file.

    Raises:
        InputError: it is in another encoding, or no text.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it as UTF-8.") from error


def whole_lines(content: bytes) -> bytes:
    """The part of a journal that a kill cannot have torn: up to the last line end before any zero byte."""
    zero = content.find(b"\0")
    return content[: content.rfind(b"\n", 0, len(content) if zero < 0 else zero) + 1]


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, each ended by one line feed; None is an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


@contextlib.contextmanager
def lock(path: str | Path, *, wait: float = 0.0, busy: str = "") -> Iterator[None]:
    """Holds the kernel's lock on a file while the body runs; a process that dies lets go of it.

    Args:
        path: of the lock file, made where it is missing, and left there: removing it would let two processes hold two
            locks. Who holds it is written beside it, with the ending `.holder`.
        wait: seconds to wait for another holder; below 0 for ever.
        busy: the sentence for a user who comes second; "{holder}" in it becomes "process 17 on host".

    Raises:
        LockedError: another process still holds it, or its file system has no locks.
    """
    path = Path(path)
    note = path.with_name(path.name + ".holder")
    # The body may run in several threads, as a generator that a server drives does.
    kernel = filelock.FileLock(path, timeout=wait, thread_local=False, fallback_to_soft=False)
    try:
        kernel.acquire()
    except filelock.Timeout:
        sentence = busy or f"Another process ({{holder}}) is using {path.parent}; wait until it has ended."
        raise LockedError(sentence.replace("{holder}", _holder(note))) from None
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):
            raise
        raise LockedError(f"The file system of {path.parent} has no locks; choose a folder on another disk.") from None
    try:
        note.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        kernel.release()


def _holder(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8").strip() or "process unknown"
    except (OSError, UnicodeDecodeError):
        return "process unknown"


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_joined(pieces: Iterable[bytes | str]) -> str:
    """SHA-256 of the pieces joined without a mark between them, 64 hexadecimal digits.

    For what is one piece, or whose digest is stored in files of earlier versions; else `hash_parts`.
    """
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(_encoded(piece))
    return digest.hexdigest()


def hash_parts(parts: Iterable[bytes | str]) -> str:
    """SHA-256 of a sequence of pieces, 64 hexadecimal digits; ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        content = _encoded(part)
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def _encoded(text: bytes | str) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no descriptor of a folder; its rename is synchronous.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
