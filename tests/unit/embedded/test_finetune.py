"""Fine-tuning: the blocks that are trained are the tower's, and what they learned is in the tower afterwards."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from methods.embedded.lmm import features, finetune, recipe, tower
from methods.lmm.reuse.towers import fused_tower
from tests.unit.embedded.test_tower import random_weights

SIDE, COUNT, FLAWS, CONTENT = 6, 96, 3, 5


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def stage(weights):
    torch.manual_seed(0)
    stage = finetune.Stage(weights, FLAWS, CONTENT)
    for head in (stage.opinion, stage.damage, stage.flaws, stage.content):
        torch.nn.init.normal_(head.weight, std=0.1)
    return stage


@pytest.fixture(scope="module")
def middle():
    """Maps of which the first channel's mean is the quality."""
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((COUNT, tower.MAP_CHANNELS, SIDE, SIDE)).astype(np.float16)
    maps[:, 0] += np.linspace(-2, 2, COUNT)[:, None, None].astype(np.float16)
    early = rng.standard_normal((COUNT, tower.EARLY_WIDTH)).astype(np.float16)
    place = np.array([(row // 40, row % 40) for row in range(COUNT)])
    return features.Middle(early, [maps[:40], maps[40:80], maps[80:]], place)


@pytest.fixture(scope="module")
def taught():
    rows = np.arange(COUNT)
    learned = rows[rows % finetune.HELD_BACK != 3]
    return finetune.Lessons({"opinion": learned[::2], "damage": learned[1::2]},
                            np.linspace(0.1, 0.9, COUNT, dtype=np.float32), rows % FLAWS,
                            np.random.default_rng(1).standard_normal((COUNT, CONTENT)).astype(np.float32))


def test_the_stage_is_the_last_blocks_of_the_tower(weights, stage, middle):
    model = tower.build(weights)
    # As far in as real maps reach: the state is handed on in a range that is set by `calibrate`.
    maps = middle.maps(range(4)) * np.float16(0.05)
    block = model.encoder.blocks[12]
    late = tower.late_activations(model, maps)
    with torch.inference_mode():
        own = stage.late(torch.from_numpy(maps).float()).numpy()
    assert own.shape == (4, tower.LATE_WIDTH)
    assert block.expansion.expand_conv.out_channels > tower.EXPANDED
    np.testing.assert_allclose(own, late, atol=2e-4)


def test_what_was_learned_is_in_the_rebuilt_tower(weights, stage, middle):
    tuned = copy.deepcopy(stage)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in tuned.blocks.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=generator)
        maps = middle.maps(range(3)) * np.float16(0.05)
        own = tuned.late(torch.from_numpy(maps).float()).numpy()
        before = stage.late(torch.from_numpy(maps).float()).numpy()
    rebuilt = tower.late_activations(tower.build(tuned.weights(weights)), maps)
    np.testing.assert_allclose(rebuilt, own, atol=2e-4)
    assert np.abs(rebuilt - before).max() > 0.01
    unchanged = {name for name, tensor in tuned.weights(weights).items() if tensor is weights[name]}
    assert not any(name.startswith(tuple(f"_blocks.{index}._expand" for index in finetune.BLOCKS))
                   for name in unchanged)
    assert all(name in unchanged for name in weights if name.startswith("_blocks.10."))


def test_heads_are_directions_of_the_activations(stage, middle):
    rows = np.arange(8)
    early, maps = middle.early[rows].astype(np.float32), torch.from_numpy(middle.maps(rows)).float()
    tuned = copy.deepcopy(stage)
    generator = torch.Generator().manual_seed(3)
    tuned.centre.copy_(torch.randn(tuned.centre.shape, generator=generator))
    tuned.spread.copy_(0.5 + torch.rand(tuned.spread.shape, generator=generator))
    with torch.inference_mode():
        late = tuned.late(maps)
        opinion, damage, flaws, _ = (head.numpy() for head in tuned.heads(torch.from_numpy(early), late))
    means = np.concatenate([early, late.numpy()], axis=1).astype(np.float64)
    for name, wanted in (("opinion", opinion[:, None]), ("damage", damage[:, None]), ("flaws", flaws)):
        matrix, offset = tuned.directions()[name]
        np.testing.assert_allclose(means @ matrix.T + offset, wanted, atol=1e-4)
    assert not tuned.directions()["opinion"][0][:, : tower.EARLY_WIDTH].any()


@pytest.mark.slow
def test_tuning_learns_and_goes_on_where_it_stopped(tmp_path, weights, middle, taught, monkeypatch):
    monkeypatch.setattr(finetune, "BATCH", {"opinion": 10, "damage": 6})

    def tuned(folder, stop=None):
        torch.manual_seed(0)
        stage = finetune.Stage(weights, FLAWS, CONTENT)
        with monkeypatch.context() as context:
            if stop is not None:
                context.setattr(finetune.Stage, "heads", stopping(finetune.Stage.heads, stop))
            return finetune.tune(stage, middle, taught, folder / "tuned.pt", epochs=28)

    def stopping(heads, stop):
        left = [stop]

        def counted(*arguments):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return heads(*arguments)
        return counted

    (tmp_path / "once").mkdir()
    whole = tuned(tmp_path / "once")
    held = np.flatnonzero(np.arange(COUNT) % finetune.HELD_BACK == 3)
    opinion = finetune.predictions(whole, middle, held)[:, 0]
    assert np.corrcoef(opinion, taught.quality[held])[0, 1] > 0.8
    (tmp_path / "twice").mkdir()
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path / "twice", stop=110)
    assert torch.load(tmp_path / "twice" / "tuned.pt", weights_only=True)["step"] == 100
    again = finetune.predictions(tuned(tmp_path / "twice"), middle, held)[:, 0]
    np.testing.assert_allclose(again, opinion, atol=1e-5)


def test_photos_that_are_held_back_teach_nothing():
    shots = [recipe.Shot("a.png", role, group, mos, crop=crop, held_out=held_out)
             for group in range(32) for role, mos, crop, held_out in (
                 ("opinion", 0.5, 1.0, False), ("opinion", np.nan, 0.8, False),
                 ("pristine", 0.3, 1.0, False), ("pristine", 0.3, 1.0, True))]
    training = np.array([not shot.held_out for shot in shots])
    taught = finetune.lessons(shots, training, np.zeros(len(shots), int), np.zeros((len(shots), 1)))
    used = [shots[row] for rows in taught.rows.values() for row in rows]
    assert {shot.group for shot in used} == {group for group in range(32) if group % finetune.HELD_BACK != 3}
    assert not any(shot.held_out or np.isnan(shot.mos) for shot in used)
    assert {kind: {(shots[row].role, shots[row].crop) for row in rows} for kind, rows in taught.rows.items()} == {
        "opinion": {("opinion", 1.0)}, "damage": {("pristine", 1.0)}}


@pytest.mark.slow
def test_images_are_encoded_once_and_in_order(tmp_path, weights, monkeypatch):
    rng = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    shots = [recipe.Shot(tmp_path / f"{number}.png", "opinion", number, 0.5) for number in range(5)]
    pixels = features.pixel_values([shot.make() for shot in shots])
    model = tower.build(weights)
    tower.calibrate(model, pixels[:2])
    fast = fused_tower(model)
    monkeypatch.setattr(features, "PART", 2)
    made = features.middle(shots, fast, tmp_path / "cache", jobs=2)
    wanted = tower.pooled_activations(fast, pixels)
    np.testing.assert_allclose(made.activations(fast, batch=3), wanted, atol=2e-2)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    assert len(times) == 6
    again = features.middle(shots, fast, tmp_path / "cache")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == times
    both = features.Middle.joined([made, again])
    np.testing.assert_array_equal(both.maps([0, 4, 5, 9]), made.maps([0, 4, 0, 4]))
    np.testing.assert_array_equal(both.early[5:], made.early)
