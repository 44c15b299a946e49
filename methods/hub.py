"""What can go wrong when a checkpoint is loaded from the Hub or a folder, as one sentence.

transformers, timm and their helpers refuse a checkpoint by OSError, ImportError, ValueError and RuntimeError alike.
Those that these libraries raise themselves speak of the checkpoint; the same kinds out of numpy or torch are defects
and keep their traceback.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from methods.errors import UserError

_LOADERS = ("transformers", "huggingface_hub", "timm")


@contextlib.contextmanager
def loading(source: str, failure: type[UserError], advice: str, *, serve: str = "") -> Iterator[None]:
    """Around the loading of a checkpoint: what the libraries refuse becomes one sentence.

    Args:
        source: the Hub id or folder, as the user gave it.
        failure: the kind of the sentence.
        advice: the end of the sentence, without a full stop: what to use instead.
        serve: what to do with a checkpoint that needs code of its own; by default `advice`.

    Raises:
        UserError: of the kind `failure`: the checkpoint is not there, the Hub cannot be reached, it is damaged, of an
            unknown kind, or needs a package that is not installed.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except UserError:
        raise
    except (OSError, ImportError, SafetensorError, StrictDataclassError) as error:
        raise failure(_sentence(source, error, advice, serve or advice)) from error
    except (ValueError, RuntimeError) as error:
        if _raised_in(error) not in _LOADERS:
            raise
        raise failure(_sentence(source, error, advice, serve or advice)) from error


def _raised_in(error: Exception) -> str:
    """The package whose code raised it."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0] if step is not None else ""


def _sentence(source: str, error: Exception, advice: str, serve: str) -> str:
    text = str(error)
    if "trust_remote_code" in text:
        return f"{source} needs code from its repository, which is never run here; {serve}."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{source} cannot be loaded ({error.strerror}{where}); {advice}."
    if source.startswith(("/", ".", "~")) and not os.path.exists(source):
        return f"There is no folder {source}; check the path, or {advice}."
    if not os.path.isdir(source):
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        if isinstance(error, OSError) and (offline or "couldn't connect" in text or "disk cache" in text
                                           or "LocalEntryNotFound" in type(error).__name__):
            return (f"{source} is not in the local Hub cache and the Hub cannot be reached, so it cannot be loaded; "
                    f"connect to the internet, download it first, or {advice}.")
        if "not a valid model identifier" in text or "is not a local folder" in text or "404" in text:
            return (f"There is no model {source} on the Hub that can be read from here; check the id, log in if it is "
                    f"gated, or {advice}.")
    reason = text.strip().splitlines()[0].rstrip(".:") if text.strip() else type(error).__name__
    return f"{source} cannot be loaded as a checkpoint ({reason}); check it, or {advice}."
