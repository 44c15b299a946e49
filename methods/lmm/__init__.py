"""Large multimodal models behind one protocol: `load_lmm` gives an `LMM` for a name."""

from methods.lmm.base import LMM, LMMError
from methods.lmm.loading import load_lmm
from methods.lmm.prompt import Prompt, Turn

__all__ = ["LMM", "LMMError", "Prompt", "Turn", "load_lmm"]
