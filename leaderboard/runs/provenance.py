"""Where a number comes from: the commit of this repository, the versions of what computed it, the command."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess

import assets

_PACKAGES = ("numpy", "scipy", "pillow", "torch", "torchvision", "transformers", "sam2", "faiss-cpu", "ray", "httpx2")
_REPOSITORY = assets.FOLDER.parent

UNKNOWN = "unknown"
"""The commit outside a checkout."""


def commit() -> str:
    """The checked-out commit, with "+changes" where tracked files differ from it; `UNKNOWN` outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "methods", "leaderboard", "assets")
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{head}+changes" if changed else head


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that a score can depend on."""
    result = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(_REPOSITORY), *words], capture_output=True, text=True, timeout=30,
                          check=True)
    return done.stdout.strip()
