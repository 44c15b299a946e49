"""Pictures whose quality is known: three scenes, blurred and noised in steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from methods.kadid.distortions import distort, level_mos


def draw(folder: Path) -> dict[Path, float]:
    """Writes 24 pictures of 96x120 into a folder; their paths with their opinion scores in [0, 1]."""
    rng, scores = np.random.default_rng(4), {}
    for scene in range(3):
        base = np.kron(rng.integers(0, 256, (12, 15, 3)), np.ones((8, 8, 1)))
        base = np.clip(base + rng.normal(0, 10, base.shape), 0, 255).astype(np.uint8)
        for name in ("GBLUR", "AWGN"):
            for level in (1, 2, 4, 5):
                path = folder / f"{scene}-{name}-{level}.png"
                Image.fromarray(distort(base, name, level, rng=scene)).save(path)
                scores[path] = level_mos(name, level)
    return scores
