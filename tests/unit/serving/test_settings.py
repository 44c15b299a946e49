"""Every variable is checked before anything starts: one sentence that names it, and status 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from methods.errors import InputError
from tests.conftest import REPOSITORY
from tests.soak.running import free_port
from ui.serving import settings as module
from ui.serving.settings import PRIVATE_NETWORKS, check, port, settings


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    for name in list(os.environ):
        if name.startswith("MEAN_OPINION_") or name in ("PORT", "GRADIO_SERVER_PORT", "SPACE_ID"):
            monkeypatch.delenv(name)
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_the_defaults_hold_without_a_variable():
    chosen = check()
    assert (chosen.longest_run, chosen.upload_mb, chosen.json_mb, chosen.proxies) == (600, 256, 1, "")
    assert port() == 7860


def test_variables_are_read(monkeypatch):
    monkeypatch.setenv("MEAN_OPINION_LONGEST_RUN", "42.5")
    monkeypatch.setenv("MEAN_OPINION_MCP", "0")
    monkeypatch.setenv("MEAN_OPINION_WAITING", "")  # as if it were not there
    monkeypatch.setenv("MEAN_OPINION_PROXIES", "10.1.2.3, fd00::/8")
    monkeypatch.setenv("PORT", "8000")
    chosen = check()
    assert (chosen.longest_run, chosen.mcp, chosen.waiting, port()) == (42.5, False, 64, 8000)
    assert chosen.proxies == "10.1.2.3, fd00::/8"


def test_on_a_space_its_proxy_is_believed(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/mean-opinion")
    assert settings().proxies == PRIVATE_NETWORKS


@pytest.mark.parametrize(("name", "value"), [
    ("MEAN_OPINION_LONGEST_RUN", "soon"), ("MEAN_OPINION_LONGEST_RUN", "-1"), ("MEAN_OPINION_LONGEST_WAIT", "nan"),
    ("MEAN_OPINION_KEEP", "0"), ("MEAN_OPINION_WAITING", "1.5"), ("MEAN_OPINION_MCP", "perhaps"),
    ("MEAN_OPINION_PROXIES", "example.com"), ("MEAN_OPINION_UPLOAD_MB", "0"), ("MEAN_OPINION_SHARE_DAYS", "a year"),
    ("MEAN_OPINION_SHARE_MB", "-3"), ("MEAN_OPINION_MAX_PIXELS", "many"), ("PORT", "http"), ("PORT", "70000"),
    ("GRADIO_SERVER_PORT", "0"), ("MEAN_OPINION_DECODING_MB", "10"), ("MEAN_OPINION_SHARE_REPO", "no slash"),
])
def test_a_variable_that_cannot_be_used_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as error:
        check()
    assert name in str(error.value)
    assert value in str(error.value)
    assert "\n" not in str(error.value)


def test_a_variable_that_does_not_exist_is_logged(monkeypatch, caplog):
    monkeypatch.setenv("MEAN_OPINION_LONGEST_RUNS", "5")
    monkeypatch.setenv("MEAN_OPINION_LMM_IQARAG", "embedded")
    check()
    assert [record.message for record in caplog.records] == [
        "There is no variable MEAN_OPINION_LONGEST_RUNS; did you mean 'MEAN_OPINION_LONGEST_RUN'?"]


def test_every_limit_is_in_the_operators_guide():
    guide = (REPOSITORY / "docs" / "OPERATING.md").read_text("utf-8")
    for name in (*module.Settings.model_fields, *module.BESIDES):
        assert f"`MEAN_OPINION_{name.upper()}" in guide, name


def started(*command: str, **variables: str) -> tuple[int, list[str]]:
    """Status and lines of an app that is started with these variables, or of a command in its place."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PORT": str(free_port()), **variables}
    done = subprocess.run([sys.executable, *(command or ["app.py"])], cwd=REPOSITORY, env=environment,
                          capture_output=True, text=True, timeout=300)
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()


def test_the_app_says_it_in_one_line_and_ends_with_2(tmp_path):
    status, lines = started(MEAN_OPINION_SHARE_DAYS="a year")
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("MEAN_OPINION_SHARE_DAYS")
    status, lines = started(GRADIO_TEMP_DIR="/proc/uploads")
    assert (status, len(lines)) == (2, 1)
    assert "GRADIO_TEMP_DIR" in lines[0]


def test_a_port_that_is_taken_ends_the_start_in_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        status, lines = started(GRADIO_SERVER_PORT=number, MEAN_OPINION_SHARE_DIR=str(tmp_path))
    assert (status, len(lines)) == (2, 1)
    assert f"Port {number}" in lines[0]
    assert "GRADIO_SERVER_PORT" in lines[0]


CHECKED = "from ui.serving.start import check_environment; check_environment(); print('starts')"
NOWHERE = "/proc/no-home"
"""Where nobody can write, whoever runs this."""


def test_a_home_that_cannot_be_written_ends_the_start_in_one_sentence(monkeypatch):
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    status, lines = started(HOME=NOWHERE)
    assert (status, len(lines)) == (2, 1)
    assert NOWHERE in lines[0]
    assert "MEAN_OPINION_SHARE_DIR" in lines[0]
    assert "MEAN_OPINION_SHARE_DAYS=0" in lines[0]


def test_without_a_home_the_start_needs_a_folder_for_shares_or_no_sharing(monkeypatch, tmp_path):
    for name in ("XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    # As for a user whom the system does not list, which a container may run as.
    unlisted = f"import pwd; pwd.getpwuid = lambda uid: {{}}[uid]; {CHECKED}"
    status, lines = started("-c", unlisted)
    assert (status, len(lines)) == (2, 1)
    assert "MEAN_OPINION_SHARE_DIR" in lines[0]
    assert started("-c", unlisted, MEAN_OPINION_SHARE_DAYS="0") == (0, ["starts"])
    assert started("-c", unlisted, MEAN_OPINION_SHARE_DIR=str(tmp_path / "shares")) == (0, ["starts"])
