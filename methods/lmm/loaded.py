"""The parts of a loaded checkpoint. transformers declares few of their attributes, and families differ in the rest."""

from __future__ import annotations

from typing import Any, Protocol


class Config(Protocol):
    """A checkpoint's configuration."""

    def __getattr__(self, name: str) -> Any: ...


class Model(Protocol):
    """A network: an image-text-to-text model, its base, or one of its towers."""

    def __call__(self, *args: Any, **inputs: Any) -> Any: ...

    def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> None: ...


class Processor(Model, Protocol):
    """Text and images to a model's inputs: `tokenizer`, `image_processor`, `apply_chat_template`."""


class Tokenizer(Model, Protocol):
    """Text to token ids and back."""
