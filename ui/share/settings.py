"""Where shared comparisons are kept and for how long; whoever runs the app decides, by environment variables.

    MEAN_OPINION_SHARE_DIR   the folder; a persistent one, or links end with the machine
    MEAN_OPINION_SHARE_DAYS  days after which a shared comparison is deleted (365); 0 turns sharing off
    MEAN_OPINION_SHARE_MB    megabytes that all of them may take; beyond it the oldest go first (2000)
    MEAN_OPINION_SHARE_REPO  a Hub dataset, "owner/name", that the folder is synced to; needs a token that can write:
    HF_TOKEN                 or the login of huggingface_hub
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from methods.errors import InputError
from ui.share.hub import HubMirror
from ui.share.store import DAY, Store

log = logging.getLogger(__name__)

PERSISTENT = Path("/data")
"""Where a Space's persistent storage is mounted, if it has one."""


@dataclass(frozen=True)
class Settings:
    """Attributes:
    folder: of the store.
    days: lifetime of a comparison; 0 for no sharing.
    max_bytes: of all comparisons together.
    repo: Hub dataset, "" for none.
    """

    folder: Path
    days: int = 365
    max_bytes: int = 2000 * 10**6
    repo: str = ""

    @property
    def enabled(self) -> bool:
        return self.days > 0


def from_environment() -> Settings:
    """The settings of this process.

    Raises:
        InputError: a number or a name that is none, or no folder; the sentence names the variable.
    """
    repo = os.environ.get("MEAN_OPINION_SHARE_REPO", "").strip()
    if repo and not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise InputError(f'MEAN_OPINION_SHARE_REPO is a Hub dataset as "owner/name"; it says {repo!r}.')
    days = _whole("MEAN_OPINION_SHARE_DAYS", 365)
    return Settings(_folder() if days else Path(), days, _whole("MEAN_OPINION_SHARE_MB", 2000) * 10**6, repo)


def _folder() -> Path:
    if named := os.environ.get("MEAN_OPINION_SHARE_DIR"):
        return Path(named)
    if os.environ.get("SPACE_ID") and os.access(PERSISTENT, os.W_OK):
        return PERSISTENT / "mean-opinion-shares"
    try:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    except RuntimeError:  # a user without a home, as in some containers
        raise InputError("There is no home folder for shared comparisons; name a folder by MEAN_OPINION_SHARE_DIR.") \
            from None
    return home / "mean-opinion" / "shares"


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise InputError(f"{name} is a whole number, 0 or more; it says {text!r}.")
    return int(text)


def open_store(settings: Settings) -> Store:
    """The store of these settings, with its copy on the Hub where a dataset is named and a token is there."""
    mirror = None
    if settings.repo:
        from huggingface_hub import get_token

        if get_token():
            mirror = HubMirror(settings.repo)
        else:
            log.warning("MEAN_OPINION_SHARE_REPO is set but there is no Hub token (HF_TOKEN), so shared comparisons "
                        "stay on this machine.")
    return Store(settings.folder, max_bytes=settings.max_bytes, max_age=settings.days * DAY, mirror=mirror)
