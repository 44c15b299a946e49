"""The running app and a client for its API."""

from __future__ import annotations

import pytest

from tests.app_server import running_app


@pytest.fixture(autouse=True)
def models_as_the_settings_name_them():
    """What is offered is read once per process; here every test has settings of its own."""
    from ui.serving import models

    offers = models._catalogue
    offers.cache_clear()
    yield
    offers.cache_clear()


@pytest.fixture(scope="session")
def app_url() -> str:
    return running_app()


@pytest.fixture(scope="session")
def client(app_url):
    from gradio_client import Client

    return Client(app_url, verbose=False)
