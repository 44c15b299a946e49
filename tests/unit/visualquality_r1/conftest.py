"""What a short training takes: a tiny checkpoint and a rated set."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def material(request, tmp_path_factory):
    """A model of the family that the module names in FAMILY, without any knowledge, and eight rated images."""
    from methods.visualquality_r1.training import data
    from tests import tiny_lmm

    folder = tmp_path_factory.mktemp("material")
    model = tiny_lmm.build(request.module.FAMILY, folder / "model")
    rng = np.random.default_rng(0)
    rows = ["image,mos"]
    for index in range(8):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        rows.append(f"{index}.png,{index}")
    (folder / "set.csv").write_text("\n".join(rows))
    return str(model), data.read_sets([folder / "set.csv"], [None])
