"""The running app and a client for its API."""

from __future__ import annotations

import pytest

from tests.app_server import running_app


@pytest.fixture(scope="session")
def app_url() -> str:
    return running_app()


@pytest.fixture(scope="session")
def client(app_url):
    from gradio_client import Client

    return Client(app_url, verbose=False)
