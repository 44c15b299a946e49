"""Loads a checkpoint through transformers' Auto classes and says in one sentence what went wrong if it cannot.

Kept apart from `TransformersLMM`, which is about prompts: here is everything about files, devices and dtypes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import files
from methods.hub import loading
from methods.lmm.base import LMMError
from methods.lmm.catalogue import find

if TYPE_CHECKING:
    import torch

    from methods.lmm.loaded import Config, Model, Processor

DEFAULT_IMAGE_BUDGET = 8
# Trained with one image per prompt; Q-Debias shows them two, and beyond that nobody has looked.
SMALL_BUDGETS = {"llava": 2, "vipllava": 2}


DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""How accelerate may spread a model over several devices."""


@dataclass(frozen=True)
class Checkpoint:
    """A model in eval mode on its device, its processor and what is known of both.

    Attributes:
        name: the Hub id or the folder's name.
        revision: the Hub commit, or the first 12 digits of the SHA-256 of the folder's configuration and weights.
        image_budget: from the checkpoint's own config (`image_budget`), else the catalogue, else the family.
        max_tokens: the text model's longest input.
        settings: how it runs, for the provenance of results: device, dtype, attention, quantisation, device map.
    """

    model: Model
    processor: Processor
    name: str
    revision: str
    image_budget: int
    max_tokens: int
    settings: Mapping[str, object]

    @classmethod
    def load(cls, source: str | Path, device: str | None = None, dtype: str | torch.dtype | None = None,
             revision: str | None = None, attn_implementation: str | None = None,
             device_map: str | dict[str, int | str] | None = None) -> Checkpoint:
        """Reads the checkpoint; see `TransformersLMM` for the arguments and errors."""
        from methods.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        import torch

        source = str(source)
        folder = Path(source) if Path(source).is_dir() else None
        if device is not None and device_map is not None:
            raise LMMError("device and device_map both say where the weights go; name one of them.")
        if isinstance(device_map, str) and device_map not in DEVICE_MAPS:
            raise LMMError(f"The device map must be one of {', '.join(DEVICE_MAPS)}; got {device_map!r}.")
        device = _device(device)
        torch_dtype = _dtype(dtype, device)
        placed = f"the memory of {device}" if device_map is None else "the memory there is"
        try:
            model, processor, config = _loaded(source, device, torch_dtype, dtype is None, revision,
                                               attn_implementation, device_map)
        except torch.OutOfMemoryError as error:
            raise LMMError(f"{source} does not fit into {placed}; choose a smaller model.") from error
        model.eval()
        name = folder.resolve().name if folder else source
        exact = (folder and content_hash(folder)) or getattr(config, "_commit_hash", None) or "unknown"
        return cls.of(model, processor, name, exact, source, device_map)

    @classmethod
    def of(cls, model: Model, processor: Processor, name: str, revision: str = "in memory", source: str = "",
           device_map: str | dict[str, int | str] | None = None) -> Checkpoint:
        """A checkpoint around a model in memory; what its config does not say is looked up by `source`."""
        quantised = getattr(model.config, "quantization_config", None)
        return cls(
            model=model,
            processor=processor,
            name=name,
            revision=revision,
            image_budget=_image_budget(model.config, source),
            max_tokens=getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 2**31,
            settings={
                "device": str(model.device), "dtype": str(model.dtype).removeprefix("torch."),
                "attn_implementation": getattr(model.config, "_attn_implementation", None),
                "quantisation": None if quantised is None else _quantisation(quantised),
                "device_map": device_map,
            },
        )


def _loaded(source: str, device: str, dtype: torch.dtype, free: bool, revision: str | None,
            attention: str | None, device_map: str | dict[str, int | str] | None) -> tuple[Model, Processor, Config]:
    """Model, processor and config of a checkpoint; `free` where nobody asked for the dtype."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    serve = f"serve it with vLLM and use server:http://HOST:PORT/v1#{source}"
    with loading(source, LMMError, "use the embedded model", serve=serve):
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
        if type(config) not in AutoModelForImageTextToText._model_mapping:
            raise LMMError(f"{source} is a {config.model_type} model, which does not answer questions about "
                           f"images; choose an image-text-to-text model.")
        processor = AutoProcessor.from_pretrained(source, revision=revision, trust_remote_code=False)
        # Packed weights are put in their place as they are read, and cannot be moved or converted afterwards; what is
        # left unpacked keeps the precision that the checkpoint was packed for.
        packed = getattr(config, "quantization_config", None) is not None
        settings = {"device_map": device_map or {"": device}} if packed or device_map is not None else {}
        if attention is not None:
            settings["attn_implementation"] = attention
        try:
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                source, config=config, revision=revision, dtype="auto" if packed and free else dtype,
                trust_remote_code=False, output_loading_info=True, **settings,
            )
        except torch.OutOfMemoryError as error:
            raise LMMError(f"{source} does not fit into the memory there is; choose a smaller model.") from error
    model, report = loaded
    if report["missing_keys"]:
        # transformers would go on with random weights, and with scores that mean nothing.
        raise LMMError(f"{source} lacks {len(report['missing_keys'])} of its model's weights, for example "
                       f"{min(report['missing_keys'])}; get the whole checkpoint.")
    return model if "device_map" in settings else model.to(device), processor, config


def _quantisation(config: Config) -> str:
    method = config.get("quant_method") if isinstance(config, dict) else getattr(config, "quant_method", None)
    return str(getattr(method, "value", method) or "unknown")


def _device(name: str | None) -> str:
    import torch

    if not name:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise LMMError(f"There is no device {name!r}; name cpu, cuda or cuda:1, for example.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise LMMError(f"The device {name} cannot be used: PyTorch sees no CUDA device here; name cpu.")
    if device.index is not None and device.type == "cuda" and device.index >= torch.cuda.device_count():
        raise LMMError(f"There is no device {name}; this machine has {torch.cuda.device_count()}, counted from cuda:0.")
    return name


def _dtype(dtype: str | torch.dtype | None, device: str) -> torch.dtype:
    import torch

    if dtype is None:
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in dtypes:
        raise LMMError(f"The dtype must be one of {', '.join(dtypes)}; got {dtype!r}.")
    return dtypes[dtype]


def _image_budget(config: Config, source: str) -> int:
    if (own := getattr(config, "image_budget", None)) is not None:
        return int(own)
    if (entry := find(source)) is not None:
        return entry.image_budget
    return SMALL_BUDGETS.get(config.model_type, DEFAULT_IMAGE_BUDGET)


def content_hash(folder: Path) -> str:
    """Names the exact weights of a folder: a Hub snapshot's commit, else a hash of its configuration and weights.

    Weight files above 64 MiB count with their size and their first and last MiB, where a checkpoint's tensor index
    and its last-written tensors are: hashing 16 GB at every start would cost more than loading them.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    return files.hash_joined(_weight_pieces(folder))[:12]


def _weight_pieces(folder: Path) -> Iterator[bytes | str]:
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".json", ".safetensors", ".bin"):
            continue
        size = path.stat().st_size
        yield f"{path.name}:{size};"
        with path.open("rb") as file:
            if size <= 64 * 2**20:
                yield file.read()
            else:
                yield file.read(2**20)
                file.seek(-(2**20), os.SEEK_END)
                yield file.read()
