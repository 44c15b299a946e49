"""Which LMM the page takes on this machine if nobody says, and why: the largest that fits and can be had.

`choose_defaults` is a pure function of what there is; `free_bytes`, `on_disk` and `hub_answers` find that out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from methods.lmm.catalogue import CatalogueEntry, find

GENERAL = ("Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-2B-Instruct")
"""Candidates for every method, largest first."""

EMBEDDED = "embedded"

ZERO_GPU_BYTES = 45_000_000_000
"""Module-level tensors above this cost a visitor of ZeroGPU twice the quota."""

RESIDENT_BYTES = 1_000_000_000
"""Stays beside the LMMs: SAM 2.1 large in float32 (224 million parameters) and the LEAF student."""

_WORKING_BYTES, _WORKING_SHARE = 1.5 * 2**30, 1 / 16
"""Six photos in one prompt, IQARAG's, are 6,600 tokens at the pixel limit: with keys, values, encodings and activations
2.1 GB for the 8B model and 1.3 GB for the 2B. SAM 2's masks of 128 points take 1.5 GB in turn."""


@dataclass(frozen=True)
class Defaults:
    """Attributes:
    general: the LMM of every method without one of its own, as `load_lmm` takes it.
    own: method -> its own LMM.
    reasons: why, in plain sentences, the most important first.
    """

    general: str
    own: Mapping[str, str]
    reasons: tuple[str, ...]

    def of(self, method: str) -> str:
        """The LMM of a method."""
        return self.own.get(method, self.general)


def choose_defaults(free: int | None, obtainable: Collection[str], *, hub: bool = True,
                    failed: Mapping[str, str] = MappingProxyType({}),
                    own: Mapping[str, str] = MappingProxyType({})) -> Defaults:
    """The largest catalogue models that fit beside what stays resident.

    Args:
        free: bytes of GPU memory; None without a CUDA device.
        obtainable: Hub ids that are on disk or can be downloaded.
        hub: whether the Hub answers; only the reasons depend on it.
        failed: models that could not be loaded -> the sentence that says why.
        own: method -> the catalogue model that was trained for it, which is taken where it fits beside the general one.
    """
    if free is None:
        return Defaults(EMBEDDED, {}, ("There is no CUDA device, so the embedded model is the default.",))
    reasons: list[str] = []
    general = None
    for name in GENERAL:
        entry = _entry(name)
        if _needed(entry) > free:
            continue
        if name in failed:
            reasons.append(failed[name])
        elif name in obtainable:
            general = entry
            break
        else:
            reasons.append(f"{entry.title} would fit but {_absent(hub)}.")
    if general is None:
        smallest = _entry(GENERAL[-1])
        if _needed(smallest) > free:
            reasons.append(f"No general model fits into the {_gb(free)} of GPU memory that are free "
                           f"({smallest.title} takes {_gb(_needed(smallest))} with its work).")
        reasons.insert(0, "The embedded model is the default.")
    else:
        superlative = "can be had" if reasons else "fits"
        reasons.insert(0, f"{general.title} is the default, the largest that {superlative}: with its work it takes "
                          f"{_gb(_needed(general))} of the {_gb(free)} of GPU memory that are free.")
    stands_in = "the embedded model" if general is None else general.title
    left = free - (_WORKING_BYTES + RESIDENT_BYTES if general is None else _needed(general))
    fitting: dict[str, str] = {}
    for method, name in own.items():
        entry = _entry(name)
        if name in failed:
            why = failed[name]
        elif _weights(entry) > left:
            why = f"{entry.title} does not fit beside it ({_gb(_weights(entry))})."
        elif name not in obtainable:
            why = f"{entry.title} {_absent(hub)}."
        else:
            fitting[method] = name
            left -= _weights(entry)
            continue
        reasons.append(f"{why} Its tab asks {stands_in}.")
    return Defaults(EMBEDDED if general is None else general.hub_id, fitting, tuple(reasons))


def _absent(hub: bool) -> str:
    return "cannot be downloaded" if hub else "is not on disk, and the Hub cannot be reached"


def _entry(name: str) -> CatalogueEntry:
    entry = find(name)
    if entry is None:
        raise KeyError(name)
    return entry


def _weights(entry: CatalogueEntry) -> int:
    """Bytes in bfloat16."""
    return int(entry.memory_gib * 2**30)


def _needed(entry: CatalogueEntry) -> int:
    """Bytes with what stays beside it and what the work on one photo takes."""
    return int(_weights(entry) * (1 + _WORKING_SHARE) + _WORKING_BYTES + RESIDENT_BYTES)


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def free_bytes() -> int | None:
    """GPU memory that is free; None without a CUDA device."""
    import torch

    return torch.cuda.mem_get_info(0)[0] if torch.cuda.is_available() else None


def on_disk(hub_id: str) -> bool:
    """Whether a checkpoint of the Hub lies complete in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    def cached(file: str) -> str | None:
        path = try_to_load_from_cache(hub_id, file)
        return path if isinstance(path, str) else None

    if cached("config.json") is None:
        return False
    index = cached("model.safetensors.index.json")
    if index is None:
        return cached("model.safetensors") is not None
    with open(index, encoding="utf-8") as file:
        shards = set(json.load(file)["weight_map"].values())
    return all(cached(shard) is not None for shard in shards)


def hub_answers(hub_id: str, timeout: float = 5.0) -> bool:
    """Whether the Hub says, within `timeout` seconds, that it has this checkpoint."""
    import httpx2 as httpx
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    try:
        get_hf_file_metadata(hf_hub_url(hub_id, "config.json"), timeout=timeout)
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError):
        return False
    return True
