"""Files that survive a kill: replaced whole, appended in whole pieces, locked by the kernel, told apart by content.

A process may be killed at any moment, by a scheduler, a full disk or a closed lid. So a file is written beside its
place and renamed, which a reader sees as all or nothing; a journal grows only by flushed pieces; and a lock is one that
a dead process cannot keep.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from methods.errors import UserError


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
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def append(path: str | Path, content: bytes | str) -> None:
    """Adds whole content to the end of a file, which has reached the disk on return. Text is UTF-8."""
    with Path(path).open("ab") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


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
        shutil.rmtree(old)
    else:
        os.replace(ready, folder)
    _sync_folder(folder.parent)


@contextlib.contextmanager
def lock(path: str | Path, *, wait: float = 0.0, busy: str = "") -> Iterator[None]:
    """Holds the kernel's lock on a file while the body runs; a process that dies lets go of it.

    Args:
        path: of the lock file, made where it is missing.
        wait: seconds to wait for another holder; below 0 for ever.
        busy: the sentence for a user who comes second.

    Raises:
        LockedError: another process still holds it.
    """
    holder = filelock.FileLock(path)
    try:
        holder.acquire(timeout=wait)
    except filelock.Timeout:
        raise LockedError(busy or f"Another process is using {Path(path).parent}; wait until it has ended.") from None
    try:
        yield
    finally:
        holder.release()


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_parts(parts: Iterable[bytes | str]) -> str:
    """SHA-256 of a sequence of pieces, 64 hexadecimal digits; ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


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
