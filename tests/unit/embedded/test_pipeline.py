"""The command that trains the embedded LMM, on a few photos and for a few steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from methods.embedded import damages
from methods.embedded.lmm import features, pipeline, readout, recipe, tower
from methods.embedded.lmm.__main__ import main
from methods.lmm.reuse.towers import fused_tower
from tests.unit.embedded.test_tower import random_weights

TYPES = ("GBLUR", "JPEG", "AWGN", "Pixelate", "Darken")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, count in (("rated", 20), ("pristine", 8)):
        (folder / name).mkdir()
        for number in range(count):
            small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
            small.resize((128, 96), Image.Resampling.BICUBIC).save(folder / name / f"{number:02d}.png")
    lines = [f"{number:02d}.png,{mos:.3f}" for number, mos in enumerate(rng.random(20))]
    (folder / "rated" / "scores.csv").write_text("image,mos\n" + "\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_one_command_makes_a_checkpoint_and_goes_on_where_it_stopped(data, monkeypatch, capsys):
    for module, name, value in ((recipe, "DISTORTIONS", TYPES), (recipe, "RATED_SHARE", 4), (recipe, "BEST", 2),
                                (damages, "TRAINING_NAMES", damages.TRAINING_NAMES[:2])):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(pipeline, "imagenet_weights", random_weights)
    threads = torch.get_num_threads()
    cache, out = data / "cache", data / "out"
    command = ["--scores", str(data / "rated" / "scores.csv"), "--images", str(data / "pristine"), "--out", str(out),
               "--cache", str(cache), "--steps", "2"]
    try:
        assert main(command) == 0
        (folder,) = cache.glob("learned-*")
        written = {path: path.stat().st_mtime_ns for path in (*(cache / "features").iterdir(),
                                                              *(folder / name for name in pipeline.LEARNED[:3]))}
        assert main([*command[:-1], "3"]) == 0
    finally:
        torch.set_num_threads(threads)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert "Written to" in capsys.readouterr().err
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(out, dtype=torch.float32).eval()
    fitted = readout.Directions.load(folder / "fitted.npz")
    shot = recipe.pristine_shots(recipe.photos_in([data / "pristine"]), 20)[0]
    pixels = features.pixel_values([shot.make()])
    with torch.no_grad():
        end = model.model.vision_tower(pixels).last_hidden_state.flatten(1).numpy()
    means = tower.pooled_activations(fused_tower(model.model.vision_tower), pixels)
    # After three steps the other directions are differences of large numbers, which half precision does not hold.
    own = end[0, readout.DAMAGE] - end[0, tower.READOUT + readout.DAMAGE]
    assert own == pytest.approx(float(fitted.tokens(means)[0, 0, readout.DAMAGE]), abs=0.05)
    assert np.isfinite(end).all()
    assert (end.reshape(-1)[: 2 * tower.READOUT] != 0).sum() > tower.READOUT / 2


def test_what_was_learned_from_other_images_or_opinions_is_never_taken(tmp_path):
    shots = [recipe.Shot(tmp_path / f"{number}.png", "opinion", number, 0.5) for number in range(3)]
    other = [*shots[:2], recipe.Shot(tmp_path / "2.png", "opinion", 2, 0.6)]
    folders = [pipeline.learned_folder(tmp_path, some, seed) for some, seed in (
        (shots, 0), (shots[:2], 0), (other, 0), (shots, 1), (shots[::-1], 0))]
    assert len(set(folders)) == len(folders)
    assert pipeline.learned_folder(tmp_path, list(shots), 0) == folders[0]
