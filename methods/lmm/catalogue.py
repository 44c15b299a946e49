"""The LMMs that the papers used and that this project knows: licence, size, limits, and what they were trained on.

The app offers these by name and nothing else; the leaderboard reads from here which model saw which IQA data set in
training. A model from this list loads by nickname or by Hub id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CatalogueEntry:
    """One LMM.

    Attributes:
        nickname: short name for the command line and the pickers.
        hub_id: repository on the Hugging Face Hub.
        title: as its authors write it.
        licence: of the weights.
        memory_gib: the weights in bfloat16, in GiB; images and the KV cache come on top.
        image_budget: the most images that one prompt may show here.
        trained_on: IQA data sets whose MOS were seen in training; () where none is known, None where there were
            some and the authors do not say which.
        reached: "transformers" (in this process), "server" (needs remote code, so an OpenAI-compatible server) or "no
            way" (not to be relied on in either).
        note: one sentence for the person who chooses.
        stand_in: nickname of the nearest model that runs, where this one does not; else "".
    """

    nickname: str
    hub_id: str
    title: str
    licence: str
    memory_gib: float
    image_budget: int
    trained_on: tuple[str, ...] | None
    reached: Literal["transformers", "server", "no way"]
    note: str
    stand_in: str = ""

    @property
    def route(self) -> str:
        """Why it cannot be loaded here and what to do instead, one sentence; "" where it can."""
        if self.reached == "server":
            return (f"{self.hub_id} needs its own code and an older transformers, so it is reached through a server: "
                    f"serve it with vLLM and use server:http://HOST:PORT/v1#{self.hub_id}.")
        if self.reached == "no way":
            return (f"{self.title} has no way to run here: it needs its own code and an old transformers, and vLLM "
                    f"does not serve it reliably; the nearest model that runs is {self.stand_in} (if you have a server "
                    f"that answers for it, use server:URL#{self.hub_id}).")
        return ""


_ONE_ALIGN = ("koniq-10k", "spaq", "kadid-10k", "agiqa-20k", "ava", "lsvq")
"""Q-ReAlign's cards name the setting (ONE-ALIGN), the README of its repository (at f5fd748) the six sets.

The configuration there mixes the other five without AGIQA-20K; what the authors say of their weights counts.
"""

CATALOGUE: tuple[CatalogueEntry, ...] = (
    CatalogueEntry(
        "qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct", "Qwen3-VL 2B Instruct", "Apache-2.0", 4.0, 8, (), "transformers",
        "The smallest general model here that follows prompts with several images.",
    ),
    CatalogueEntry(
        "qwen3-vl-4b", "Qwen/Qwen3-VL-4B-Instruct", "Qwen3-VL 4B Instruct", "Apache-2.0", 8.3, 8, (), "transformers",
        "Between the 2B and the 8B model in speed and in quality.",
    ),
    CatalogueEntry(
        "qwen3-vl-8b", "Qwen/Qwen3-VL-8B-Instruct", "Qwen3-VL 8B Instruct", "Apache-2.0", 16.3, 8, (), "transformers",
        "IQARAG's first model, and the default on a GPU.",
    ),
    CatalogueEntry(
        "internvl3.5-8b", "OpenGVLab/InternVL3_5-8B-HF", "InternVL3.5 8B", "Apache-2.0", 15.9, 8, (), "transformers",
        "IQARAG's second model and, by secondary sources, LEAF's teacher; the -HF weights run without remote code.",
    ),
    CatalogueEntry(
        "visualquality-r1", "TianheWu/VisualQuality-R1-7B", "VisualQuality-R1 7B", "MIT", 15.4, 8, None, "transformers",
        "Qwen2.5-VL 7B trained to rank by quality; the authors say 'synthetic and realistic datasets', not which.",
    ),
    CatalogueEntry(
        "qwen2.5-vl-7b", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen2.5-VL 7B Instruct", "Apache-2.0", 15.4, 8, (),
        "transformers", "What VisualQuality-R1 started from.",
    ),
    CatalogueEntry(
        "qwen2.5-vl-3b", "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL 3B Instruct", "Qwen Research License", 7.0, 8, (),
        "transformers", "Small enough to train with VisualQuality-R1's recipe on one GPU; not for commercial use.",
    ),
    CatalogueEntry(
        "evoquality", "ByteDance/EvoQuality", "EvoQuality", "Apache-2.0", 15.4, 8, (), "transformers",
        "Qwen2.5-VL 7B trained by its own votes on pairs of images; by its card, without any human score.",
    ),
    CatalogueEntry(
        "q-realign-mini", "q-future/Q-ReAlign-Mini-0.8B", "Q-ReAlign Mini 0.8B", "Apache-2.0 (as reported)", 2.1, 8,
        _ONE_ALIGN, "transformers",
        "Qwen3.5 taught to answer one of five levels; to be asked by Q-Bench's five-level question.",
    ),
    CatalogueEntry(
        "q-realign-lite", "q-future/Q-ReAlign-Lite-4B", "Q-ReAlign Lite 4B", "Apache-2.0", 9.6, 8, _ONE_ALIGN,
        "transformers", "The middle size of Q-ReAlign, which its authors recommend.",
    ),
    CatalogueEntry(
        "llava-onevision-7b", "llava-hf/llava-onevision-qwen2-7b-ov-hf", "LLaVA-OneVision 7B", "Apache-2.0", 15.0, 8,
        (), "transformers",
        "Sees an image that stands alone in fine tiles and each of several images at 384 pixels.",
    ),
    CatalogueEntry(
        "smolvlm2-2.2b", "HuggingFaceTB/SmolVLM2-2.2B-Instruct", "SmolVLM2 2.2B Instruct", "Apache-2.0", 4.2, 6, (),
        "transformers", "Needs little memory; it spends many tokens on a large image.",
    ),
    CatalogueEntry(
        "bakllava", "llava-hf/bakLlava-v1-hf", "BakLLaVA v1", "Llama 2 (as tagged)", 14.7, 2, (), "transformers",
        "One of Q-Debias's models; trained with one image per prompt on data that rule out commercial use.",
    ),
    CatalogueEntry(
        "kimi-vl-a3b", "moonshotai/Kimi-VL-A3B-Instruct", "Kimi-VL A3B Instruct", "MIT", 30.6, 8, (), "server",
        "IQARAG's third model: a mixture of experts with 3 of 16 billion parameters active.",
    ),
    CatalogueEntry(
        "mplug-owl3-7b", "mPLUG/mPLUG-Owl3-7B-240728", "mPLUG-Owl3 7B", "Apache-2.0", 15.0, 8, (), "no way",
        "The model of LLM-IQA and Q-Debias: a Qwen2 language model with a SigLIP vision tower, as LLaVA-OneVision 7B.",
        stand_in="llava-onevision-7b",
    ),
    CatalogueEntry(
        "qwen-vl", "Qwen/Qwen-VL", "Qwen-VL", "Tongyi Qianwen License", 18.0, 4, (), "no way",
        "The first Qwen-VL, one of Q-Debias's models; some versions of vLLM serve it.", stand_in="qwen2.5-vl-7b",
    ),
)


def find(name: str) -> CatalogueEntry | None:
    """The entry with that nickname or Hub id, upper and lower case alike; None where there is none."""
    key = name.strip().lower()
    return next((entry for entry in CATALOGUE if key in (entry.nickname, entry.hub_id.lower())), None)
