"""What whoever runs the page decides, by environment variables, all read and checked in one place before it starts.

docs/OPERATING.md lists them with what they are for. A value that cannot be used ends the start with one sentence.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from methods.errors import InputError, suggestion
from methods.lmm.loading import pixels_by_environment
from ui.share import settings as sharing

log = logging.getLogger(__name__)

PREFIX = "MEAN_OPINION_"
BESIDES = ("LMM", "MAX_PIXELS", "OFFER", "COMMIT", "CACHE", "SHARED", "MEASURED", "SHARE_DIR", "SHARE_DAYS", "SHARE_MB",
           "SHARE_REPO", "SERVER_KEY")
"""Variables of ours that other parts of the project read."""

PRIVATE_NETWORKS = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128"
"""Where the proxy of a Space stands."""


def _proxies(text: str) -> str:
    for part in filter(None, map(str.strip, text.split(","))):
        ipaddress.ip_network(part, strict=False)
    return text


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """The page's limits; each is the variable MEAN_OPINION_ and its name in capitals.

    Attributes:
        longest_wait: seconds that a visitor may wait for a turn.
        longest_run: seconds that one call may take, and that the work it asks for may be estimated at.
        longest_load: seconds that a visitor waits for a model that is being loaded.
        waiting: calls that wait for models, all visitors together.
        waiting_per_session, waiting_per_address: of one page, and of one address.
        proxies: addresses and networks whose X-Forwarded-For is believed, separated by commas.
        upload_mb: of one file.
        json_mb: of a request's JSON, the photos in it as data: URLs not counted.
        table_mb: of a table of ratings.
        decoding_mb: memory that pictures may claim while they are being decoded, all visitors together.
        held_megapixels: of decoded pictures that wait for a model, all visitors together.
        kept_mb: of pictures behind results that are on somebody's page.
        free_disk_mb: below which no upload is taken.
        keep: models besides the defaults that stay in memory.
        preload: whether the defaults are loaded before the first visitor comes.
        mcp: whether the MCP server runs.
        metrics: whether /metrics answers.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    longest_wait: Seconds = 300
    longest_run: Seconds = 600
    longest_load: Seconds = 900
    waiting: Count = 64
    waiting_per_session: Count = 4
    waiting_per_address: Count = 12
    proxies: Annotated[str, AfterValidator(_proxies)] = ""
    upload_mb: Count = 256
    json_mb: Count = 1
    table_mb: Count = 1
    decoding_mb: Annotated[int, Field(ge=768)] = 800
    held_megapixels: Annotated[int, Field(ge=24)] = 120
    kept_mb: Count = 200
    free_disk_mb: Annotated[int, Field(ge=0)] = 500
    keep: Annotated[int, Field(ge=1)] = 1
    preload: bool = True
    mcp: bool = True
    metrics: bool = False


@functools.cache
def settings() -> Settings:
    """Of this process.

    Raises:
        InputError: a variable that cannot be used; the sentence names it.
    """
    try:
        chosen = Settings()
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name = PREFIX + str(fault["loc"][0]).upper()
        if fault["loc"][0] == "proxies":
            raise InputError(f"{name} is addresses or networks such as 10.0.0.0/8, separated by commas; it says "
                             f"{fault['input']!r}.") from None
        must = re.sub(r"^(Input|Value) should", "should", fault["msg"].partition(", unable")[0])
        raise InputError(f"{name} {must}; it says {fault['input']!r}.") from None
    if not chosen.proxies and os.environ.get("SPACE_ID"):
        chosen = chosen.model_copy(update={"proxies": PRIVATE_NETWORKS})
    return chosen


def check() -> Settings:
    """Every variable of the environment that this project reads; one that it does not know is logged.

    Raises:
        InputError: one cannot be used; the sentence names it.
    """
    chosen = settings()
    sharing.from_environment()
    pixels_by_environment()
    port()
    known = {PREFIX + name.upper() for name in (*Settings.model_fields, *BESIDES)}
    for name in sorted(_unknown(os.environ, known)):
        log.warning("There is no variable %s%s", name, suggestion(name, known))
    return chosen


def port() -> int:
    """The port of the page.

    Raises:
        InputError: what is set is no port.
    """
    for name in ("GRADIO_SERVER_PORT", "PORT"):
        if text := os.environ.get(name, "").strip():
            if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
                raise InputError(f"{name} should be a port from 1 to 65535; it says {text!r}.")
            return int(text)
    return 7860


def host() -> str:
    """The address that the page listens on: 127.0.0.1, or 0.0.0.0 on a Space."""
    return os.environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1")


def _unknown(names: Iterable[str], known: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}LMM_")} - {*known}
