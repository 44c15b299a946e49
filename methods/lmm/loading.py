"""From a name to a ready LMM, once a process: `load_lmm` and `default_lmm`.

A name is "embedded" (the model that ships in assets/), a nickname or Hub id of the catalogue, any other Hub id, a
folder, or "server:URL#model". The same name and settings give the same object, so that ten tabs share one model.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets import FOLDER
from methods.errors import suggestion
from methods.lmm.base import LMM, LMMError
from methods.lmm.catalogue import CATALOGUE, find

if TYPE_CHECKING:
    import torch

EMBEDDED = FOLDER / "embedded-lmm"

GPU_DEFAULTS: Mapping[str, str] = {
    "visualquality-r1": "TianheWu/VisualQuality-R1-7B",
}
"""What a method takes where there is CUDA and nothing else was asked for, if not `GPU_DEFAULT`."""

GPU_DEFAULT = "Qwen/Qwen3-VL-8B-Instruct"

ENVIRONMENT = "MEAN_OPINION_LMM"
"""Environment variable that changes every method's default; with _IQARAG (say) appended, that of one method."""

_loaded: dict[tuple, LMM] = {}
_lock = threading.Lock()


def load_lmm(name: str, device: str | None = None, dtype: str | torch.dtype | None = None, **settings: Any) -> LMM:
    """The LMM of that name, loaded on first use and shared from then on.

    Args:
        name: "embedded", a catalogue nickname, a Hub id, a folder, or "server:URL#model".
        device: "cpu", "cuda", "cuda:1" ...; by default the first CUDA device, else the CPU. Not for a server.
        dtype: "float32", "bfloat16" or "float16"; by default bfloat16 on CUDA, float32 on the CPU. The embedded model
            is so small that it runs in float32 if no dtype is named.
        settings: passed on to `TransformersLMM` (`revision`, `vision_cache_bytes`) or `ServerLMM`.

    Raises:
        LMMError: the name is unknown, the model is not here and the Hub cannot be reached, the folder holds no
            checkpoint, or the memory does not suffice; one sentence says what to do.

    Example:
        >>> from methods.lmm import load_lmm
        >>> load_lmm("embedded").name
        'embedded'
    """
    name = name.strip()
    if not name.startswith("server:") and (entry := find(name)) is not None:
        if entry.route:
            raise LMMError(entry.route)
        name = entry.hub_id
    # Settings are compared by their text: a dtype may come as "float32" or as torch.float32.
    spelled = str(dtype).removeprefix("torch.")
    key = (name, str(device), spelled, tuple(sorted((key, repr(value)) for key, value in settings.items())))
    with _lock:
        if key not in _loaded:
            _loaded[key] = _load(name, device, None if dtype is None else spelled, settings)
        return _loaded[key]


def unload(name: str | None = None) -> int:
    """Forgets every loaded LMM of that name (all of them for None), so that its memory can be reclaimed.

    Returns:
        how many were forgotten. An object that somebody still holds goes on working.
    """
    with _lock:
        keys = [key for key in _loaded if name is None or key[0] == name]
        for key in keys:
            del _loaded[key]
    return len(keys)


def default_lmm(method_name: str) -> str:
    """The LMM that a method takes if none is named.

    MEAN_OPINION_LMM_<METHOD> (dashes as underscores) comes first, then MEAN_OPINION_LMM, then the embedded model
    where there is no CUDA device and the catalogue's choice for that method where there is one.

    Args:
        method_name: one of `methods.base.method_names`.
    """
    specific = f"{ENVIRONMENT}_{method_name.upper().replace('-', '_')}"
    chosen = os.environ.get(specific, "").strip() or os.environ.get(ENVIRONMENT, "").strip()
    if chosen:
        return chosen
    from methods.torchvision_compat import ensure_torchvision

    ensure_torchvision()
    import torch

    if not torch.cuda.is_available():
        return "embedded"
    return GPU_DEFAULTS.get(method_name, GPU_DEFAULT)


def _load(name: str, device: str | None, dtype: str | None, settings: dict[str, Any]) -> LMM:
    if name.startswith("server:"):
        from methods.lmm.server.server_lmm import ServerLMM

        if device is not None or dtype is not None:
            raise LMMError("The server decides where its model runs and how precisely; leave device and dtype out.")
        url, _, model = name.removeprefix("server:").partition("#")
        return ServerLMM(url, model or None, **settings)
    from methods.lmm.transformers_lmm import TransformersLMM

    if name == "embedded":
        return TransformersLMM(EMBEDDED, device=device, dtype=dtype or "float32", name="embedded", **settings)
    folder = Path(name).expanduser()
    if folder.exists() or name.startswith((".", "/", "~")):
        return TransformersLMM(_checkpoint(folder), device=device, dtype=dtype, **settings)
    if name.count("/") != 1:
        known = [*(entry.nickname for entry in CATALOGUE), "embedded"]
        raise LMMError(f"There is no LMM {name!r} in the catalogue{suggestion(name.lower(), known)}")
    return TransformersLMM(name, device=device, dtype=dtype, **settings)


def _checkpoint(folder: Path) -> Path:
    if not folder.exists():
        raise LMMError(f"There is no folder {folder}; give a Hub id, a nickname or an existing checkpoint folder.")
    if not (folder / "config.json").is_file():
        raise LMMError(f"{folder} holds no config.json, so it is not a transformers checkpoint; "
                       f"name the folder that save_pretrained wrote.")
    return folder
