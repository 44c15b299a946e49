"""What RL2R training takes of each device, for settings that fit and one that does not: the table of its README.

    python -m benchmarks.training_memory

Computed from the config of Qwen2.5-VL-7B; nothing is downloaded and no GPU is needed.
"""

from __future__ import annotations

from methods.torchvision_compat import ensure_torchvision

PROMPT = 1400
"""Tokens of a picture at the pixel limit, 1,337, and the question."""


def table() -> str:
    """The Markdown table."""
    ensure_torchvision()
    from benchmarks.shapes import config
    from methods.visualquality_r1.training.memory import training_memory
    from methods.visualquality_r1.training.trainer import RL2RSettings

    seven = config("qwen2.5-vl-7b")
    one = {"images": 1, "gradient_accumulation": 8, "max_new_tokens": 512}
    settings = [
        ("all weights, 1 device", {**one}, 1, False),
        ("all weights, ZeRO-3 on 8", {"images": 1, "max_new_tokens": 512}, 8, True),
        ("all weights, ZeRO-3 on 16", {"images": 1, "max_new_tokens": 512}, 16, True),
        ("`--lora 64`, 1 device", {**one, "lora": 64}, 1, False),
        ("`--lora 64`, answers of 2,048", {**one, "lora": 64, "max_new_tokens": 2048}, 1, False),
        ("`--lora 64 --vllm colocate`", {**one, "lora": 64, "vllm": "colocate"}, 1, False),
        ("`--lora 64 --vllm server`", {**one, "lora": 64, "vllm": "server"}, 1, False),
    ]
    lines = ["| setting | weights | gradients | AdamW | reference | activations | answers' cache | to sample | peak |",
             "|---|---|---|---|---|---|---|---|---|"]
    for name, changes, devices, sharded in settings:
        plan = training_memory(seven, RL2RSettings(**changes), prompt_tokens=PROMPT, devices=devices, sharded=sharded)
        parts = (plan.weights, plan.gradients, plan.moments, plan.reference, plan.activations, plan.cache,
                 plan.gathered, plan.peak)
        lines.append(f"| {name} | " + " | ".join(f"{part / 1e9:.1f}" for part in parts) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
