"""The same entries in a Hub dataset, so that links outlive a machine whose disk does not.

One file an entry, in a private dataset. Deleting rewrites the dataset's history and its large-file storage as well:
in a repository, a file that is only removed from the newest revision can still be had from the ones before.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ui.share.entry import ID, SUFFIX, ShareError

log = logging.getLogger(__name__)

FOLDER = "shares"
NOT_COPIED = ("It is stored on this machine, but its copy in the Hub dataset could not be made, so the link may end "
              "with this machine; share again later to try once more.")
T = TypeVar("T")

_NAME = re.compile(rf"{FOLDER}/[a-z2-7]{{2}}/({ID.pattern})-(\d{{1,12}}){re.escape(SUFFIX)}")
"""The time is part of the name: rewriting the history dates every file anew."""


@dataclass(frozen=True)
class _File:
    name: str
    created: float
    size: int
    path: str


class HubMirror:
    """A Hub dataset with the entries of a store.

    Args:
        repo: "owner/name"; made, private, where it does not exist.
        api: a `huggingface_hub.HfApi`; by default one with the token of the environment or of the login.
    """

    def __init__(self, repo: str, api: Any = None) -> None:
        if api is None:
            from huggingface_hub import HfApi

            api = HfApi()
        self.repo, self.api = repo, api
        self._made = False

    def put(self, name: str, content: bytes, created: float, *, max_age: float, max_bytes: int, now: float) -> str:
        """Uploads an entry after deleting what is too old or too much there.

        Returns:
            "" or a sentence that says that there is no copy; the entry itself is safe in the store.
        """
        try:
            self._prune(len(content), max_age, max_bytes, now)
            self._upload(name, content, created)
        except Exception as error:  # whatever the network and the Hub lead the client to
            log.error("The comparison %s could not be copied to %s.", name, self.repo, exc_info=error)
            return NOT_COPIED
        return ""

    def replace(self, name: str, content: bytes, created: float) -> None:
        """Uploads another version of an entry.

        Raises:
            ShareError: it did not work.
        """
        self._must(lambda: self._upload(name, content, created))

    def get(self, name: str) -> bytes | None:
        """An entry's file, None where the dataset has none or cannot be reached."""
        try:
            for file in self._files(_shard(name)):
                if file.name == name:
                    path = self.api.hf_hub_download(repo_id=self.repo, filename=file.path, repo_type="dataset")
                    return Path(path).read_bytes()
        except Exception as error:  # whatever the network and the Hub lead the client to
            log.error("The comparison %s could not be had from %s.", name, self.repo, exc_info=error)
        return None

    def delete(self, name: str) -> None:
        """Deletes an entry for good.

        Raises:
            ShareError: it did not work; nothing is half deleted that a second call would not finish.
        """
        self._must(lambda: self._delete([file for file in self._files(_shard(name)) if file.name == name], {name}))

    def _must(self, change: Callable[[], T]) -> T:
        try:
            return change()
        except Exception as error:
            log.error("The dataset %s could not be changed.", self.repo, exc_info=error)
            raise ShareError("The copy in the Hub dataset could not be deleted just now, so nothing was; open the "
                             "delete link again later.") from error

    def _upload(self, name: str, content: bytes, created: float) -> None:
        if not self._made:
            self.api.create_repo(repo_id=self.repo, repo_type="dataset", private=True, exist_ok=True)
            self._made = True
        self.api.upload_file(path_or_fileobj=content, path_in_repo=f"{_shard(name)}/{name}-{int(created)}{SUFFIX}",
                             repo_id=self.repo, repo_type="dataset", commit_message="Share a comparison")

    def _prune(self, coming: int, max_age: float, max_bytes: int, now: float) -> None:
        files = sorted(self._files(FOLDER), key=lambda file: file.created)
        total = sum(file.size for file in files)
        gone = []
        for file in files:
            if now - file.created > max_age or total + coming > max_bytes:
                gone.append(file)
                total -= file.size
        if gone:
            self._delete(gone, {file.name for file in gone})

    def _files(self, folder: str) -> list[_File]:
        from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

        try:
            tree = list(self.api.list_repo_tree(repo_id=self.repo, path_in_repo=folder, recursive=True,
                                                repo_type="dataset"))
        except (EntryNotFoundError, RepositoryNotFoundError):
            return []  # nothing was shared yet
        files = []
        for item in tree:
            if match := _NAME.fullmatch(item.path):
                files.append(_File(match[1], float(match[2]), item.size, item.path))
        return files

    def _delete(self, files: list[_File], names: set[str]) -> None:
        """Runs every step, even those already done, because an earlier call may have failed halfway."""
        from huggingface_hub.errors import EntryNotFoundError

        about = {"repo_id": self.repo, "repo_type": "dataset"}
        stored = [file for file in self.api.list_lfs_files(**about)
                  if Path(file.filename).name.partition("-")[0] in names]
        for file in files:
            try:
                self.api.delete_file(path_in_repo=file.path, commit_message="Delete a comparison", **about)
            except EntryNotFoundError:
                continue  # another machine was faster
        if stored:
            self.api.permanently_delete_lfs_files(lfs_files=stored, rewrite_history=True, **about)
        self.api.super_squash_history(**about)


def _shard(name: str) -> str:
    return f"{FOLDER}/{name[:2]}"
