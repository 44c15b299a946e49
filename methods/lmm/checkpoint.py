"""Loads a checkpoint through transformers' Auto classes and says in one sentence what went wrong if it cannot.

Kept apart from `TransformersLMM`, which is about prompts: here is everything about files, devices and dtypes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import files
from methods.lmm.base import LMMError
from methods.lmm.catalogue import find

if TYPE_CHECKING:
    import torch

DEFAULT_IMAGE_BUDGET = 8
# Trained with one picture a prompt; Q-Debias shows them two, and beyond that nobody has looked.
SMALL_BUDGETS = {"llava": 2, "vipllava": 2}


@dataclass(frozen=True)
class Checkpoint:
    """A model in eval mode on its device, its processor and what is known of both.

    Attributes:
        name: the Hub id or the folder's name.
        revision: the Hub commit, or the first 12 digits of the SHA-256 of the folder's configuration and weights.
        image_budget: from the checkpoint's own config (`image_budget`), else the catalogue, else the family.
        max_tokens: the text model's longest input.
    """

    model: Any
    processor: Any
    name: str
    revision: str
    image_budget: int
    max_tokens: int

    @classmethod
    def load(
        cls,
        source: str | Path,
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        revision: str | None = None,
    ) -> Checkpoint:
        """Reads the checkpoint; see `TransformersLMM` for the arguments and errors."""
        from methods.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        import torch
        from safetensors import SafetensorError
        from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

        source = str(source)
        folder = Path(source) if Path(source).is_dir() else None
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = _dtype(dtype, device)
        try:
            config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
            if type(config) not in AutoModelForImageTextToText._model_mapping:
                raise LMMError(f"{source} is a {config.model_type} model, which does not answer questions about "
                               f"pictures; choose an image-text-to-text model.")
            processor = AutoProcessor.from_pretrained(source, revision=revision, trust_remote_code=False)
            model, report = AutoModelForImageTextToText.from_pretrained(
                source, config=config, revision=revision, dtype=dtype, trust_remote_code=False,
                output_loading_info=True,
            )
            if report["missing_keys"]:
                # transformers would go on with random weights, and with scores that mean nothing.
                raise LMMError(f"{source} lacks {len(report['missing_keys'])} of its model's weights, for example "
                               f"{min(report['missing_keys'])}; get the whole checkpoint.")
            model = model.to(device)
        except torch.OutOfMemoryError as error:
            raise LMMError(f"{source} does not fit into the memory of {device}; choose a smaller model.") from error
        except LMMError:
            raise
        except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
            raise LMMError(_reason(source, folder, error)) from error
        model.eval()
        name = folder.resolve().name if folder else source
        exact = (folder and content_hash(folder)) or getattr(config, "_commit_hash", None) or "unknown"
        return cls.of(model, processor, name, exact, source)

    @classmethod
    def of(cls, model: Any, processor: Any, name: str, revision: str = "in memory", source: str = "") -> Checkpoint:
        """A checkpoint around a model in memory; what its config does not say is looked up by `source`."""
        return cls(
            model=model,
            processor=processor,
            name=name,
            revision=revision,
            image_budget=_image_budget(model.config, source),
            max_tokens=getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 2**31,
        )


def _dtype(dtype: str | torch.dtype | None, device: str) -> torch.dtype:
    import torch

    if dtype is None:
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise LMMError(f"The dtype must be one of {', '.join(known)}; got {dtype!r}.")
    return known[dtype]


def _image_budget(config: Any, source: str) -> int:
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


def _reason(source: str, folder: Path | None, error: Exception) -> str:
    text = str(error)
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    if "trust_remote_code" in text:
        return (f"{source} needs code from its repository, which is never run here; serve it with vLLM and use "
                f"server:http://HOST:PORT/v1#{source}.")
    if folder:
        return f"{folder} cannot be loaded as a checkpoint: {first}"
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if offline or "couldn't connect" in text or "LocalEntryNotFound" in type(error).__name__:
        return (f"{source} is not in the local Hub cache and the Hub cannot be reached; connect to the internet, "
                f"download it first, or use the embedded model.")
    if "not a valid model identifier" in text or "is not a local folder" in text or "404" in text:
        return (f"There is no model {source} on the Hub that can be read from here; check the id, or log in if it "
                f"is gated.")
    return f"{source} cannot be loaded: {first}"
