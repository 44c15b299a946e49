"""Large multimodal models behind one protocol: `load_lmm` gives an `LMM` for a name."""

from methods.lmm.base import LMM, LMMError
from methods.lmm.prompt import Prompt, Turn

__all__ = ["LMM", "LMMError", "Prompt", "Turn", "load_lmm"]


def load_lmm(name: str, **settings: object) -> LMM:
    """See `methods.lmm.loading.load_lmm`; imported on first use because it needs torch."""
    from methods.lmm.loading import load_lmm as load

    return load(name, **settings)
