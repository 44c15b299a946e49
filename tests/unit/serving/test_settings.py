"""Every variable is checked before anything starts: one sentence that names it, and status 2."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from methods.errors import InputError
from tests.conftest import REPOSITORY
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


def started(**variables: str) -> tuple[int, list[str]]:
    """Status and lines of an app that is started with these variables."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run([sys.executable, "app.py"], cwd=REPOSITORY, env=environment, capture_output=True, text=True,
                          timeout=300)
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()


def test_the_app_says_it_in_one_line_and_ends_with_2(tmp_path):
    status, lines = started(MEAN_OPINION_SHARE_DAYS="a year")
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("MEAN_OPINION_SHARE_DAYS")
    status, lines = started(GRADIO_TEMP_DIR="/proc/uploads")
    assert (status, len(lines)) == (2, 1)
    assert "GRADIO_TEMP_DIR" in lines[0]
