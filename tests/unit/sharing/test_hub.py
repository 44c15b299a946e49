"""The copy on the Hub, against an `HfApi` that keeps files in memory and answers as the Hub does.

Only the network is replaced: the store, the mirror, and the names, types and errors of huggingface_hub are real.
"""

from __future__ import annotations

import datetime
import logging
import time

import httpx
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.hf_api import LFSFileInfo, RepoFile

from tests.unit.sharing.made import entry
from ui.share import settings as settings_module
from ui.share.entry import GoneError, ShareError
from ui.share.hub import NOT_COPIED, HubMirror
from ui.share.settings import Settings, from_environment, open_store
from ui.share.store import DAY, Store

REPO = "someone/shares"


class FakeHub(HfApi):
    """Keeps what was uploaded, its history included, and fails on demand."""

    def __init__(self, tmp_path):
        super().__init__(token="hf_test")
        self.folder, self.files, self.history, self.stored = tmp_path, {}, [], {}
        self.made, self.broken, self.calls = None, None, []

    def _call(self, name, repo_id, repo_type):
        self.calls.append(name)
        assert (repo_id, repo_type) == (REPO, "dataset")
        if self.broken == name or self.broken == "all":
            raise httpx.ConnectError("no network")

    def _absent(self, kind):
        return kind("404", response=httpx.Response(404, request=httpx.Request("GET", "https://hub.test")))

    def create_repo(self, *, repo_id, repo_type, private, exist_ok):
        self._call("create_repo", repo_id, repo_type)
        assert private
        assert exist_ok
        self.made = "private"

    def upload_file(self, *, path_or_fileobj, path_in_repo, repo_id, repo_type, commit_message):
        self._call("upload_file", repo_id, repo_type)
        assert self.made
        self.files[path_in_repo] = path_or_fileobj
        self.history.append(dict(self.files))
        self.stored[f"oid{len(self.history)}"] = (path_in_repo, path_or_fileobj)

    def list_repo_tree(self, *, repo_id, path_in_repo, recursive, repo_type):
        self._call("list_repo_tree", repo_id, repo_type)
        if not self.made:
            raise self._absent(RepositoryNotFoundError)
        paths = [path for path in self.files if path.startswith(path_in_repo + "/")]
        if not paths:
            raise self._absent(RemoteEntryNotFoundError)
        yield from (RepoFile(path=path, size=len(self.files[path]), oid="0" * 40) for path in paths)

    def hf_hub_download(self, *, repo_id, filename, repo_type):
        self._call("hf_hub_download", repo_id, repo_type)
        if filename not in self.files:
            raise self._absent(RemoteEntryNotFoundError)
        path = self.folder / "downloaded"
        path.write_bytes(self.files[filename])
        return str(path)

    def delete_file(self, *, path_in_repo, repo_id, repo_type, commit_message):
        self._call("delete_file", repo_id, repo_type)
        if path_in_repo not in self.files:
            raise self._absent(RemoteEntryNotFoundError)
        del self.files[path_in_repo]
        self.history.append(dict(self.files))

    def list_lfs_files(self, *, repo_id, repo_type):
        self._call("list_lfs_files", repo_id, repo_type)
        now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        return [LFSFileInfo(fileOid=oid, filename=path, oid=oid, pushedAt=now, size=len(content), ref="main")
                for oid, (path, content) in self.stored.items()]

    def permanently_delete_lfs_files(self, *, repo_id, lfs_files, rewrite_history, repo_type):
        self._call("permanently_delete_lfs_files", repo_id, repo_type)
        assert rewrite_history
        for file in lfs_files:
            del self.stored[file.file_oid]

    def super_squash_history(self, *, repo_id, repo_type):
        self._call("super_squash_history", repo_id, repo_type)
        self.history = [dict(self.files)]


@pytest.fixture
def hub(tmp_path):
    return FakeHub(tmp_path)


def store_on(folder, hub, **settings):
    return Store(folder, mirror=HubMirror(REPO, hub), **{"max_bytes": 10**6, "max_age": 30 * DAY, **settings})


def test_the_fake_takes_what_the_real_client_takes():
    """Every method that the fake replaces has, in the installed library, all the parameters that it is called with."""
    import inspect

    for name in ("create_repo", "upload_file", "list_repo_tree", "hf_hub_download", "delete_file", "list_lfs_files",
                 "permanently_delete_lfs_files", "super_squash_history"):
        ours = set(inspect.signature(getattr(FakeHub, name)).parameters)
        assert ours <= set(inspect.signature(getattr(HfApi, name)).parameters), name


def test_a_link_outlives_its_machine(tmp_path, hub):
    made = store_on(tmp_path / "a", hub).put(entry(1, created=time.time()))
    assert made.note == ""
    elsewhere = store_on(tmp_path / "b", hub)
    assert elsewhere.get(made.id).record == entry(1).record
    assert elsewhere.ids() == [made.id], "kept here from now on"
    hub.broken = "all"
    assert elsewhere.get(made.id).record == entry(1).record


def test_deleting_leaves_nothing_on_the_hub_not_even_in_its_history(tmp_path, hub):
    store = store_on(tmp_path / "a", hub)
    kept, made = (store.put(entry(number, created=time.time())) for number in (1, 2))
    assert store.delete(made.id, made.token)
    everything = [*hub.history, dict(hub.stored.values())]
    assert not any(made.id in path for files in everything for path in files)
    assert any(kept.id in path for path in hub.files)
    with pytest.raises(GoneError):
        store_on(tmp_path / "b", hub).get(made.id)


def test_it_can_be_deleted_from_a_machine_that_never_had_it(tmp_path, hub):
    made = store_on(tmp_path / "a", hub).put(entry(1, created=time.time()))
    assert store_on(tmp_path / "b", hub).delete(made.id, made.token)
    assert not hub.files


def test_a_second_owner_s_link_still_holds_on_the_hub(tmp_path, hub):
    store = store_on(tmp_path / "a", hub)
    first, second = (store.put(entry(1, created=time.time())) for _ in range(2))
    assert store.delete(first.id, first.token) is False
    elsewhere = store_on(tmp_path / "b", hub)
    assert elsewhere.get(first.id).owned_by(second.token)
    assert not elsewhere.get(first.id).owned_by(first.token)


@pytest.mark.parametrize("step", ["create_repo", "upload_file", "list_repo_tree"])
def test_without_a_copy_the_link_holds_here_and_the_reader_is_told(tmp_path, hub, step, caplog):
    hub.broken = step
    store = store_on(tmp_path / "a", hub)
    made = store.put(entry(1, created=time.time()))
    assert made.note == NOT_COPIED
    assert store.get(made.id).record == entry(1).record
    assert "could not be copied" in caplog.text


@pytest.mark.parametrize("step", ["list_lfs_files", "delete_file", "permanently_delete_lfs_files",
                                  "super_squash_history"])
def test_a_deletion_that_fails_half_way_is_said_and_can_be_finished(tmp_path, hub, step):
    store = store_on(tmp_path / "a", hub)
    made = store.put(entry(1, created=time.time()))
    hub.broken = step
    with pytest.raises(ShareError, match="again later"):
        store.delete(made.id, made.token)
    assert store.get(made.id).owned_by(made.token), "the delete link still works"
    hub.broken = None
    assert store.delete(made.id, made.token)
    assert not hub.files
    assert not any(made.id in path for files in hub.history for path in files)
    assert not hub.stored


def test_what_is_damaged_on_the_hub_is_not_served(tmp_path, hub, caplog):
    made = store_on(tmp_path / "a", hub).put(entry(1, created=time.time()))
    (path,) = hub.files
    hub.files[path] = hub.files[path][:-50]
    with pytest.raises(GoneError):
        store_on(tmp_path / "b", hub).get(made.id)
    assert "damaged on the Hub" in caplog.text


def test_age_and_size_hold_on_the_hub_too(tmp_path, hub):
    store = store_on(tmp_path / "a", hub, max_bytes=8_000)
    start = 1_000_000.0
    ids = [store.put(entry(number, created=start + number, padding=2_000), now=start + number).id
           for number in range(6)]
    there = {name for name in ids if any(name in path for path in hub.files)}
    assert there == set(ids[-len(there):])
    assert sum(map(len, hub.files.values())) <= 8_000
    late = store.put(entry(9, created=start + 40 * DAY), now=start + 40 * DAY)
    assert [path for path in hub.files if late.id not in path] == []


def test_a_hub_that_cannot_be_reached_is_no_error_for_readers(tmp_path, hub, caplog):
    hub.broken = "all"
    with pytest.raises(GoneError):
        store_on(tmp_path / "a", hub).get("a" * 26)
    assert "could not be had" in caplog.text


def test_the_environment_decides(tmp_path, monkeypatch):
    for name in ("DIR", "DAYS", "MB", "REPO"):
        monkeypatch.delenv(f"MEAN_OPINION_SHARE_{name}", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert from_environment() == Settings(tmp_path / "mean-opinion" / "shares", 365, 2_000_000_000, "")
    monkeypatch.setenv("MEAN_OPINION_SHARE_DAYS", "0")
    assert not from_environment().enabled
    monkeypatch.setenv("MEAN_OPINION_SHARE_MB", "lots")
    with pytest.raises(ValueError, match="MEAN_OPINION_SHARE_MB"):
        from_environment()


def test_a_space_with_a_disk_that_stays_uses_it(tmp_path, monkeypatch):
    monkeypatch.delenv("MEAN_OPINION_SHARE_DIR", raising=False)
    monkeypatch.setenv("SPACE_ID", "someone/space")
    monkeypatch.setattr(settings_module, "PERSISTENT", tmp_path)
    assert from_environment().folder == tmp_path / "mean-opinion-shares"


@pytest.mark.parametrize(("token", "copied"), [("hf_x", True), (None, False)])
def test_the_hub_is_used_where_a_repo_and_a_token_are_there(tmp_path, monkeypatch, caplog, token, copied):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    caplog.set_level(logging.WARNING)
    store = open_store(Settings(tmp_path, repo=REPO))
    assert (store.mirror is not None) is copied
    assert ("no Hub token" in caplog.text) is not copied
    assert open_store(Settings(tmp_path)).mirror is None
