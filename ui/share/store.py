"""The store on disk: one file per entry, written beside and renamed into place, the oldest gone when it is full.

Every change is one rename or one unlink, so a process that is killed at any point leaves each entry whole or absent.
What it may leave is the partial file beside an entry, and the next write clears those. Nothing but content ids becomes
a file name.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from methods import files
from ui.share.entry import (
    ID,
    SUFFIX,
    TOKEN,
    DamagedError,
    Entry,
    GoneError,
    ShareError,
    hashed,
    new_token,
    pack,
    unpack,
)

if TYPE_CHECKING:
    from ui.share.hub import HubMirror

log = logging.getLogger(__name__)

PARTIAL = f"??/.*{SUFFIX}.*.partial"
"""What a write that was killed leaves behind, see `methods.files.replacing`."""

DAMAGED = "damaged"
"""Folder of the store with what was found in an entry's place; swept with the entries."""

HOUR, DAY = 3_600.0, 86_400.0


@dataclass(frozen=True)
class Shared:
    """What sharing gives.

    Attributes:
        id: of the link.
        token: of the delete link; only its hash is kept here.
        expires: seconds since the epoch.
        note: a sentence where the copy on the Hub could not be made, else "".
    """

    id: str
    token: str
    expires: float
    note: str = ""


class Store:
    """Shared comparisons below one folder.

    Args:
        folder: made on the first write.
        max_bytes: of all entries together.
        max_age: seconds.
        mirror: a Hub dataset that holds the same entries, or None.
    """

    damaged: ClassVar[int] = 0
    """What was set aside since the process began, by all stores."""

    def __init__(self, folder: Path, *, max_bytes: int, max_age: float, mirror: HubMirror | None = None) -> None:
        self.folder, self.max_bytes, self.max_age, self.mirror = Path(folder), max_bytes, max_age, mirror
        self._lock, self._hub_lock = threading.Lock(), threading.Lock()
        self._swept = 0.0

    def put(self, entry: Entry, *, now: float | None = None) -> Shared:
        """Stores an entry and gives its id and a token that deletes it; the oldest entries make room.

        The same content shared twice is one entry with two tokens: it goes when both were used, or with its age.

        Raises:
            ShareError: it is larger than the whole store, or the disk refuses.
        """
        token, now = new_token(), time.time() if now is None else now
        name = entry.id
        with self._locked():
            self._sweep(now)
            entry_before = self._read(name)
            entry = (entry_before or entry).with_owner(hashed(token))
            content = pack(entry)
            if len(content) > self.max_bytes:
                raise ShareError("This comparison is larger than the whole store; share fewer photos.")
            self._make_room(len(content), keep=name)
            try:
                self._write(name, content, entry.created)
            except OSError as error:
                log.error("A comparison could not be stored.", exc_info=error)
                raise ShareError("There is no room to store this comparison just now; try again later.") from error
        note = ""
        if self.mirror is not None:
            with self._hub_lock:
                note = self.mirror.put(name, content, entry.created, max_age=self.max_age, max_bytes=self.max_bytes,
                                       now=now)
        return Shared(name, token, entry.created + self.max_age, note)

    def get(self, name: str, *, now: float | None = None) -> Entry:
        """The entry of an id.

        Raises:
            GoneError: there is none, its time is over, it was deleted, or it is damaged.
        """
        now = time.time() if now is None else now
        entry = self._read(name) or self._fetch(name, now)
        if entry is None or now - entry.created > self.max_age:
            raise GoneError("This comparison is gone: it was deleted by the person who shared it, or its time was "
                            "over, or the link is not complete.")
        return entry

    def delete(self, name: str, token: str) -> bool:
        """Deletes an entry by a token of its owner.

        Returns:
            True if the content is gone; False if somebody else shared the same content, whose link still holds.

        Raises:
            GoneError: there is no such entry.
            ShareError: the token is not one of its owners', or the copy on the Hub could not be deleted.
        """
        entry = self.get(name)
        if not TOKEN.fullmatch(token) or not entry.owned_by(token):
            raise ShareError("This delete link does not belong to this comparison; copy it again as it was given.")
        with self._hub_lock:
            rest = (self._read(name) or entry).without(token)
            if self.mirror is not None:
                # The copy goes first: were it left behind, the entry would come back from it.
                if rest.owners:
                    self.mirror.replace(name, pack(rest), rest.created)
                else:
                    self.mirror.delete(name)
            with self._locked():
                rest = (self._read(name) or entry).without(token)
                if rest.owners:
                    self._write(name, pack(rest), rest.created)
                else:
                    self._path(name).unlink(missing_ok=True)
        return not rest.owners

    def sweep(self, *, now: float | None = None) -> None:
        """Deletes what is too old and what an interrupted write left behind; at most once per hour, so that every visit
        may call it."""
        now = time.time() if now is None else now
        if self.folder.is_dir() and now - self._swept >= HOUR:
            with self._locked():
                self._sweep(now)

    def size(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, _, size in self._entries())

    def ids(self) -> list[str]:
        """Oldest first."""
        return [path.name.removesuffix(SUFFIX) for _, path, _ in sorted(self._entries())]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        if not ID.fullmatch(name):
            raise GoneError("This is not a link to a comparison; copy it again as it was given.")
        return self.folder / name[:2] / f"{name}{SUFFIX}"

    def _read(self, name: str) -> Entry | None:
        path = self._path(name)
        try:
            return unpack(path.read_bytes(), name)
        except FileNotFoundError:
            return None
        except (DamagedError, IsADirectoryError) as error:
            self._set_aside(path, error)
        except OSError as error:
            log.error("The stored comparison %s cannot be read (%s).", name, error.strerror)
        return None

    def _set_aside(self, path: Path, error: Exception) -> None:
        """Moves what is not an entry out of the way, so that it is found and said once."""
        Store.damaged += 1
        log.error("%s is not a stored comparison (%s); it is moved to the folder %s.", path.name, error, DAMAGED)
        try:
            (self.folder / DAMAGED).mkdir(mode=0o700, exist_ok=True)
            path.rename(self.folder / DAMAGED / f"{path.name}.{time.time_ns()}")
        except FileNotFoundError:
            pass  # another process was faster
        except OSError as refusal:
            log.error("%s cannot be moved (%s).", path.name, refusal.strerror)

    def _fetch(self, name: str, now: float) -> Entry | None:
        content = self.mirror.get(name) if self.mirror is not None else None
        if content is None:
            return None
        try:
            entry = unpack(content, name)
        except DamagedError as error:
            log.error("The comparison %s is damaged on the Hub.", name, exc_info=error)
            return None
        if now - entry.created <= self.max_age:
            try:
                with self._locked():
                    self._make_room(len(content), keep=name)
                    self._write(name, content, entry.created)
            except (OSError, ShareError) as error:  # it is shown all the same
                log.error("The comparison %s could not be kept here (%s).", name, error)
        return entry

    def _write(self, name: str, content: bytes, created: float) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as partial:
            partial.write_bytes(content)
            # The file's time is its entry's, also when another owner joins or it comes back from the Hub.
            os.utime(partial, (created, created))

    def _make_room(self, coming: int, keep: str) -> None:
        entries = sorted(one for one in self._entries() if one[1] != self._path(keep))
        total = sum(size for _, _, size in entries)
        for _, path, size in entries:
            if total + coming <= self.max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _sweep(self, now: float) -> None:
        self._swept = now
        for path in self.folder.glob(PARTIAL):
            path.unlink(missing_ok=True)  # nobody else is writing: the lock is held
        for created, path, _ in self._entries():
            if now - created > self.max_age:
                path.unlink(missing_ok=True)
        for path in (self.folder / DAMAGED).glob("*"):
            if now - path.lstat().st_mtime > self.max_age:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)

    def _entries(self) -> list[tuple[float, Path, int]]:
        """(time of storing, path, bytes) of every entry."""
        entries = []
        for path in self.folder.glob(f"??/*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):  # anything else is set aside by whoever asks for it
                    entries.append((status.st_mtime, path, status.st_size))
        return entries

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among the threads of this process and among processes on this folder."""
        with self._lock, contextlib.ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                held.enter_context(files.lock(self.folder / "lock", wait=-1))
            except OSError as error:
                log.error("The folder of shared comparisons cannot be used: %s", error)
                raise ShareError("Sharing does not work here just now; whoever runs this page finds the reason in its "
                                 "log.") from error
            yield
