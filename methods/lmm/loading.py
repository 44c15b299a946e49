"""From a name to a ready LMM, once per process: `load_lmm` and `default_lmm`.

A name is "embedded" (the model that ships in assets/), a nickname or Hub id of the catalogue, any other Hub id, a
folder, or "server:URL#model". It may carry a revision and settings, so that a name says all wherever only a name fits,
in an environment variable or for another process (`methods.lmm.names`). The same name and settings give the same
object, so that ten tabs share one model.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets import FOLDER
from methods.errors import InputError, suggestion
from methods.lmm.base import LMM, LMMError
from methods.lmm.catalogue import CATALOGUE, find
from methods.lmm.defaults import GENERAL
from methods.lmm.names import at_least_one, name_and_settings
from methods.locks import ForkSafeLock

if TYPE_CHECKING:
    import torch

EMBEDDED = FOLDER / "embedded-lmm"

ENVIRONMENT = "MEAN_OPINION_LMM"
"""Environment variable that changes every method's default; with _IQARAG (say) appended, that of one method."""

PIXELS_ENVIRONMENT = "MEAN_OPINION_MAX_PIXELS"
"""Environment variable with the pixel limit of every model that is loaded without one."""

_loaded: dict[tuple, LMM] = {}
_locks: dict[tuple, ForkSafeLock] = {}
_lock = ForkSafeLock()


def load_lmm(name: str, device: str | None = None, dtype: str | torch.dtype | None = None, *,
             max_pixels: int | None = None, **settings: Any) -> LMM:
    """The LMM of that name, loaded on first use and shared from then on.

    Args:
        name: "embedded", a catalogue nickname, a Hub id, a folder, or "server:URL#model". Of the Hub, "NAME@REVISION"
            names a branch, tag or commit; "NAME?dtype=float16&max_pixels=500000" carries settings.
        device: "cpu", "cuda", "cuda:1" ...; by default the first CUDA device, else the CPU. Not for a server.
        dtype: "float32", "bfloat16" or "float16"; by default bfloat16 on CUDA, float32 on the CPU. The embedded model
            is so small that it runs in float32 if no dtype is named.
        max_pixels: the most pixels of one image that the model is shown; by default MEAN_OPINION_MAX_PIXELS, else
            what `methods.lmm.pixels` lists for the family.
        settings: passed on to `TransformersLMM` (`revision`, `attn_implementation`, `device_map`,
            `vision_cache_bytes`) or `ServerLMM`.

    Raises:
        LMMError: the name is unknown, the model is not here and the Hub cannot be reached, the folder holds no
            checkpoint, or the memory does not suffice; one sentence says what to do.
        InputError: a setting that is given twice or has a bad value.

    Example:
        >>> from methods.lmm import load_lmm
        >>> load_lmm("embedded").name
        'embedded'
    """
    arguments = {"device": device, "dtype": dtype, "max_pixels": max_pixels, **settings}
    settings = {key: value for key, value in arguments.items() if value is not None}
    name, carried = name_and_settings(name)
    if twice := sorted(set(carried) & set(settings)):
        raise InputError(f"{twice[0]} is given twice, in the model's name and beside it; leave one of them out.")
    settings |= carried
    if "max_pixels" not in settings and not (name.startswith("server:") and "max_pixels=" in name):
        settings |= pixels_by_environment()
    if not name.startswith("server:") and (entry := find(name)) is not None:
        if entry.route:
            raise LMMError(entry.route)
        name = entry.hub_id
    if "dtype" in settings:
        # A dtype may come as "float32" or as torch.float32.
        settings["dtype"] = str(settings["dtype"]).removeprefix("torch.")
    key = (name, tuple(sorted((key, repr(value)) for key, value in settings.items())))
    with _lock:
        own = _locks.setdefault(key, ForkSafeLock())
    # A slow load must not block callers of a loaded model.
    with own:
        if key not in _loaded:
            _loaded[key] = _load(name, settings)
        return _loaded[key]


def pixels_by_environment() -> dict[str, int]:
    """The pixel limit that the environment names, as a setting of `load_lmm`; empty where it names none.

    Raises:
        InputError: it is no whole number of at least 1.
    """
    text = os.environ.get(PIXELS_ENVIRONMENT, "").strip()
    if not text:
        return {}
    try:
        return {"max_pixels": at_least_one("max_pixels", text)}
    except InputError as error:
        raise InputError(f"The environment variable {PIXELS_ENVIRONMENT} cannot be used: {error}") from None


def unload(name: str | None = None) -> int:
    """Forgets every loaded LMM of that name (all of them for None), so that its memory can be reclaimed.

    Returns:
        how many were forgotten. An object that somebody still holds goes on working.
    """
    if name is not None:
        name = name_and_settings(name)[0]
        name = entry.hub_id if (entry := find(name)) is not None else name
    with _lock:
        keys = [key for key in _loaded if name is None or key[0] == name]
        for key in keys:
            del _loaded[key]
    return len(keys)


def default_lmm(method_name: str, own: str | None = None) -> str:
    """The LMM that a method takes if none is named.

    MEAN_OPINION_LMM_<METHOD> (dashes as underscores) comes first, then MEAN_OPINION_LMM, then the embedded model
    where there is no CUDA device, and the method's own or the largest general one where there is one. The page
    chooses by the memory there is instead (`methods.lmm.defaults`).

    Args:
        method_name: one of `methods.base.method_names`.
        own: the LMM that was trained for that method, its `own_lmm`.
    """
    if name := lmm_by_environment(method_name):
        return name
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    if not torch.cuda.is_available():
        return "embedded"
    return own or GENERAL[0]


def lmm_by_environment(method_name: str) -> str:
    """What the environment names as a method's default; "" where it names none."""
    specific = f"{ENVIRONMENT}_{method_name.upper().replace('-', '_')}"
    return os.environ.get(specific, "").strip() or os.environ.get(ENVIRONMENT, "").strip()


def _load(name: str, settings: dict[str, Any]) -> LMM:
    if name.startswith("server:"):
        from methods.lmm.server.server_lmm import ServerLMM

        for setting in ("device", "dtype", "revision", "attn_implementation", "device_map"):
            if setting in settings:
                raise LMMError(f"The server decides where its model runs and how precisely; leave {setting} out.")
        url, _, model = name.removeprefix("server:").partition("#")
        return ServerLMM(url, model or None, **settings)
    from methods.lmm.transformers_lmm import TransformersLMM

    if name == "embedded":
        if "revision" in settings:
            raise LMMError("The embedded model has one revision, the one that ships; leave the revision out.")
        return TransformersLMM(EMBEDDED, name="embedded", **{"dtype": "float32", **settings})
    folder = Path(name).expanduser()
    if folder.exists() or name.startswith((".", "/", "~")):
        if "revision" in settings:
            raise LMMError(f"{name} is a folder, which has no other revisions; leave the revision out.")
        return TransformersLMM(_checkpoint(folder), **settings)
    if name.count("/") != 1:
        names = [*(entry.nickname for entry in CATALOGUE), "embedded"]
        raise LMMError(f"There is no LMM {name!r} in the catalogue{suggestion(name.lower(), names)}")
    return TransformersLMM(name, **settings)


def _checkpoint(folder: Path) -> Path:
    if not folder.exists():
        raise LMMError(f"There is no folder {folder}; give a Hub id, a nickname or an existing checkpoint folder.")
    if not (folder / "config.json").is_file():
        raise LMMError(f"{folder} holds no config.json, so it is not a transformers checkpoint; "
                       f"name the folder that save_pretrained wrote.")
    return folder
