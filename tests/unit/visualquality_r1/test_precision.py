"""What a step changes: weights in float32 under bfloat16 passes move, and so do LoRA's adapters, alone."""

import numpy as np
import pytest
import torch
from PIL import Image

from methods.errors import InputError
from methods.torchvision_compat import ensure_torchvision

ensure_torchvision()
pytest.importorskip("trl", reason="training needs requirements-train.txt")

from methods.lmm import Prompt, load_lmm  # noqa: E402
from methods.visualquality_r1.training import trainer  # noqa: E402
from methods.visualquality_r1.training.memory import training_memory  # noqa: E402
from methods.visualquality_r1.training.trainer import RL2RSettings  # noqa: E402

STEPS = 20
FAMILY = "qwen3_vl"


def by_length(completions, key, log_metric=None, **_):
    """A reward that a model without any knowledge can be taught."""
    return [float(len(turn[0]["content"]) % 7) for turn in completions]


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(trainer, "passes_in_bfloat16", lambda: True)


def trained(material, out, **changes):
    """The trainer after its steps, and the network's weights before."""
    model, pictures = material
    settings = RL2RSettings(**{"generations": 2, "images": 2, "max_steps": STEPS, "max_new_tokens": 6,
                               "validate_every": 100, "save_every": 100, "validation_samples": 1,
                               "gradient_checkpointing": False, **changes})
    made = trainer.make_trainer(model, pictures[:4], pictures[4:6], out, settings)
    made.reward_funcs[0] = by_length
    before = {name: weight.detach().clone() for name, weight in made.model.named_parameters()}
    made.train()
    return made, before


def moved(made, before):
    """Share of the trained weights that are no longer what they were: of those that ever had a gradient, by AdamW's
    second moment. Rows of the vocabulary that no text holds have none."""
    moments = {parameter: state["exp_avg_sq"] for parameter, state in made.optimizer.state.items()}
    shares = [(weight != before[name])[moments[weight] > 0] for name, weight in made.model.named_parameters()
              if weight.requires_grad and weight in moments]
    return float(torch.cat(shares).float().mean())


def holds(network, trained=False):
    return sum(weight.nbytes for weight in network.parameters() if weight.requires_grad or not trained)


def planned(made, **changes):
    return training_memory(made.model.config, RL2RSettings(**changes), prompt_tokens=100, mixed=True)


def check_moments(made, plan):
    states = made.optimizer.state
    assert 8 * sum(weight.numel() for weight in states) == sum(
        state[name].nbytes for state in states.values() for name in ("exp_avg", "exp_avg_sq"))
    assert 8 * sum(weight.numel() for weight in made.model.parameters() if weight.requires_grad) == plan.moments


@pytest.mark.slow
def test_nearly_all_weights_move_at_the_papers_rate(material, tmp_path, as_on_a_gpu):
    made, before = trained(material, tmp_path)
    assert made.accelerator.mixed_precision == "bf16"
    assert made.args.learning_rate == 1e-6
    assert {weight.dtype for weight in made.model.parameters()} == {torch.float32}
    assert moved(made, before) > 0.95
    # The reference is held as the policy is, so that KL begins at zero.
    assert {weight.dtype for weight in made.ref_model.parameters()} == {torch.float32}
    assert made.state.log_history[0]["kl"] == pytest.approx(0, abs=1e-7)
    plan = planned(made)
    assert (plan.weights, plan.reference) == (holds(made.model), holds(made.ref_model))
    assert plan.gradients == holds(made.model, trained=True)
    check_moments(made, plan)


@pytest.mark.slow
def test_weights_in_bfloat16_would_stand_still(material, tmp_path, as_on_a_gpu, monkeypatch):
    monkeypatch.setattr(trainer, "weights_dtype", lambda mixed, settings: torch.bfloat16)
    made, before = trained(material, tmp_path)
    assert moved(made, before) < 0.2


@pytest.mark.slow
def test_lora_trains_adapters_alone_and_leaves_a_checkpoint_like_any_other(material, tmp_path, as_on_a_gpu):
    made, before = trained(material, tmp_path, lora=4, learning_rate=1e-2, freeze_vision=True)
    adapters = {name: weight for name, weight in made.model.named_parameters() if weight.requires_grad}
    assert all("lora_" in name and "visual" not in name for name in adapters)
    assert {weight.dtype for weight in adapters.values()} == {torch.float32}
    others = {name: weight for name, weight in made.model.named_parameters() if name not in adapters}
    assert {weight.dtype for weight in others.values()} == {torch.bfloat16}
    assert all(torch.equal(weight, before[name]) for name, weight in others.items())
    assert moved(made, before) > 0.95
    assert made.ref_model is None
    plan = planned(made, lora=4, freeze_vision=True)
    assert (plan.weights, plan.gradients, plan.reference) == (holds(made.model), holds(made.model, trained=True), 0)
    check_moments(made, plan)

    trainer.save(made, material[0], tmp_path)
    asked = [Prompt.ask(Image.new("RGB", (32, 32), (90, 20, 40)), "Good or poor?", answer_prefix="It is")]
    base, saved = (load_lmm(str(folder), device="cpu") for folder in (material[0], tmp_path / "model"))
    made.model.float()
    adapted = type(saved).wrap(made.model.get_base_model().eval(), saved.processor, "adapted")
    logits = [lmm.word_logits(asked, ["good", "poor"]) for lmm in (base, saved, adapted)]
    # The policy's own base was rounded to bfloat16, the saved model's was not.
    assert logits[1] == pytest.approx(logits[2], abs=2e-2)
    assert np.abs(logits[1] - logits[0]).max() > 0.1


def test_vllm_is_asked_for_in_full_or_not_at_all(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="go together"):
        trainer._arguments(tmp_path, RL2RSettings(vllm="server"))
    with pytest.raises(InputError, match="go together"):
        trainer._arguments(tmp_path, RL2RSettings(vllm_url="http://127.0.0.1:8000"))
    monkeypatch.setattr(trainer, "is_vllm_available", lambda: False)
    with pytest.raises(InputError, match="install it with"):
        trainer._arguments(tmp_path, RL2RSettings(vllm="colocate"))
    monkeypatch.setattr(trainer, "is_vllm_available", lambda: True)
    made = trainer._arguments(tmp_path, RL2RSettings(vllm="server", vllm_url="http://127.0.0.1:8000"))
    assert (made.use_vllm, made.vllm_mode, made.vllm_server_base_url) == (True, "server", "http://127.0.0.1:8000")
    shared = trainer._arguments(tmp_path, RL2RSettings(vllm="colocate"))
    assert (shared.vllm_mode, shared.vllm_enable_sleep_mode) == ("colocate", True)
    assert not trainer._arguments(tmp_path, RL2RSettings()).use_vllm
