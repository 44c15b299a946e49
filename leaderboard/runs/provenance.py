"""Where a number comes from: the commit of this repository, the versions of what computed it, and the machine."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import assets
from leaderboard.schema import Facts

_PACKAGES = ("numpy", "scipy", "pillow", "torch", "torchvision", "transformers", "sam2", "faiss-cpu", "ray", "httpx2")
_REPOSITORY = assets.FOLDER.parent

UNKNOWN = "unknown"
"""The commit outside a checkout."""


@functools.cache
def commit() -> str:
    """The checked-out commit, with "+changes" where tracked files differ from it; `UNKNOWN` outside a checkout.

    Asked once per process, whose code a later commit does not change.
    """
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "methods", "leaderboard", "assets")
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return f"{head}+changes" if changed else head


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that a score can depend on, as at the first call."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    result = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result


def footprint(lmm: str | None = None) -> Facts:
    """What scoring takes on this machine: `hardware` in words, `peak_memory_gib` of this process so far, and
    `device_memory_gib`, the most that torch has held on its GPUs, where it uses any.

    Args:
        lmm: name of the model; a served one runs on hardware that nobody here knows.
    """
    if (lmm or "").startswith("server:"):
        return {"hardware": "a server that does not say what it runs on"}
    facts: Facts = {"hardware": _hardware()}
    if (peak := _peak_memory()) is not None:
        facts["peak_memory_gib"] = float(f"{peak / 2**30:.3g}")
    if gpus := _gpus():
        import torch

        facts["device_memory_gib"] = float(f"{sum(map(torch.cuda.max_memory_allocated, gpus)) / 2**30:.3g}")
    return facts


def sum_of(before: Facts, now: Facts) -> Facts:
    """Two footprints of one run as one: every machine that took part, and the most memory that one of them took."""
    merged = {**before, **now}
    for key in ("peak_memory_gib", "device_memory_gib"):
        if key in before and key in now:
            merged[key] = max(before[key], now[key])
    if before.get("hardware") and now.get("hardware"):
        merged["hardware"] = "; ".join(dict.fromkeys([*before["hardware"].split("; "), *now["hardware"].split("; ")]))
    return merged


def _hardware() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processor = f"{cores} core{'s' if cores != 1 else ''} of {_processor()}"
    names: list[str] = []
    if gpus := _gpus():
        import torch

        names = [torch.cuda.get_device_name(gpu) for gpu in gpus]
    counted = [f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
    return ", ".join([*counted, processor]).replace(";", ",")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine() or "an unnamed processor"


def _gpus() -> list[int]:
    """Those that this process has used; torch is not imported for the question."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    return [gpu for gpu in range(torch.cuda.device_count()) if torch.cuda.max_memory_allocated(gpu)]


def _peak_memory() -> int | None:
    """Bytes that were resident at most; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak * (1 if sys.platform == "darwin" else 1024))


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(_REPOSITORY), *words], capture_output=True, text=True, timeout=30,
                          check=True)
    return done.stdout.strip()
