"""A training run that was stopped and goes on sees the same batches, and ends with the same weights, as one that was
not."""

import json

import numpy as np
import pytest
import torch

from methods.torchvision_compat import ensure_torchvision
from methods.visualquality_r1.train import last_checkpoint

ensure_torchvision()
pytest.importorskip("trl", reason="training needs requirements-train.txt")

from transformers import TrainerCallback  # noqa: E402

from methods.visualquality_r1.training.monitor import draw_curves, read_curve, spelled  # noqa: E402
from methods.visualquality_r1.training.trainer import RL2RSettings, make_trainer  # noqa: E402

STEPS, STOPPED, SAVED = 6, 5, 2
FAMILY = "fast_vlm"


class StopAfter(TrainerCallback):
    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = state.global_step >= self._step


class Lengths:
    """Rewards a text's length, which a model without any knowledge can be taught, and notes whose texts it saw."""

    __name__ = "fidelity"

    def __init__(self):
        self.batches = []

    def __call__(self, completions, key, log_metric=None, **_):
        self.batches.append(list(dict.fromkeys(key)))
        log_metric("readable", 1.0)
        log_metric("spread", 0.0)
        return [float(len(turn[0]["content"]) % 7) for turn in completions]


def run(material, out, stop=None):
    model, pictures = material
    settings = RL2RSettings(generations=2, images=2, epochs=2, max_new_tokens=6, learning_rate=1e-3, save_every=SAVED,
                            validate_every=3, validation_samples=2, gradient_checkpointing=False,
                            # How a convolution rounds depends on where its weights lie in memory: loading changes that.
                            freeze_vision=True)
    trainer = make_trainer(model, pictures[:6], pictures[6:], out, settings)
    rewards = trainer.reward_funcs[0] = Lengths()
    if stop:
        trainer.add_callback(StopAfter(stop))
    checkpoint = last_checkpoint(out)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return trainer, rewards.batches


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_never_stopped(material, tmp_path):
    whole, batches = run(material, tmp_path / "whole")
    assert len(batches) == STEPS
    assert sorted(key for batch in batches[:3] for key in batch) == list(range(6))
    assert sorted(key for batch in batches[3:] for key in batch) == list(range(6))

    out = tmp_path / "stopped"
    run(material, out, stop=STOPPED)
    # As if it had been killed before its last checkpoint was complete.
    newest = last_checkpoint(out)
    state = newest / "trainer_state.json"
    if json.loads(state.read_text())["global_step"] == STOPPED:
        state.unlink()
    step = int(last_checkpoint(out).name.split("-")[1])
    assert SAVED <= step < STOPPED
    resumed, rest = run(material, out)
    assert rest == batches[step:]

    assert resumed.state.global_step == STEPS
    for (name, one), (_, other) in zip(whole.model.named_parameters(), resumed.model.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6, msg=name)
    logged = [[row["step"] for row in trainer.state.log_history if "reward" in row] for trainer in (whole, resumed)]
    assert logged[0] == logged[1] == list(range(1, STEPS + 1))
    assert [row["reward"] for row in resumed.state.log_history if "reward" in row] == pytest.approx(
        [row["reward"] for row in whole.state.log_history if "reward" in row])
    assert (tmp_path / "whole" / "validation.csv").read_text().count("\n") == 4  # heading, 0, 3, 6


@pytest.mark.slow
def test_training_goes_on_where_no_answer_can_be_read(material, tmp_path, capsys):
    model, pictures = material  # A model without any knowledge states no score.
    settings = RL2RSettings(generations=2, images=2, max_steps=2, max_new_tokens=6, save_every=9, validate_every=9,
                            validation_samples=2, gradient_checkpointing=False, freeze_vision=True)
    trainer = make_trainer(model, pictures[:6], pictures[6:], tmp_path, settings)
    trainer.train()
    assert trainer.state.global_step == 2
    lines = capsys.readouterr().out.splitlines()
    steps = [line for line in lines if line.startswith(("step 1 of 2", "step 2 of 2"))]
    assert len(steps) == 2
    assert all("reward 0.000, spread unknown, readable 0%" in line for line in steps)
    assert any("validation SRCC unknown, spread unknown, readable 0%" in line for line in lines)
    json.dumps(trainer.state.log_history, allow_nan=False)
    assert draw_curves(tmp_path, trainer.state.log_history).exists()
    assert np.isnan(read_curve(tmp_path)[0]["spread"])


@pytest.mark.parametrize(("value", "text"), [(None, "unknown"), (float("nan"), "unknown"), ("nan", "unknown"),
                                             ("0.25", "0.250"), (0.25, "0.250"), (0, "0.000")])
def test_a_number_that_a_step_could_not_know_is_said_to_be_unknown(value, text):
    assert spelled(value, ".3f") == text
